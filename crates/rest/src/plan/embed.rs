//! Finding the relationship that an embed means.

use plinth_catalog::{Cardinality, QualifiedName, RelationKind, Relationship, Via};

use super::Context;
use crate::Error;
use crate::request::select::SelectEmbed;

/// The relationship from `origin` that `embed` means.
///
/// # Errors
///
/// `PGRST200` when there is none, `PGRST201` when there are several.
pub(crate) fn find<'p>(
    context: Context<'p>,
    origin: &QualifiedName,
    embed: &SelectEmbed<'_>,
) -> Result<&'p Relationship, Error> {
    let candidates: Vec<&Relationship> = context
        .catalog
        .relationships_from(origin)
        .iter()
        .filter(|it| it.to.schema == context.schema)
        .filter(|it| means(context, it, &embed.name, embed.hint.as_deref()))
        .collect();
    match candidates.as_slice() {
        [one] => Ok(one),
        [] => Err(Error::unknown_embed(
            origin,
            &embed.name,
            embed.hint.as_deref(),
            context.schema,
            context.catalog,
        )),
        several => Err(Error::ambiguous_embed(&origin.name, &embed.name, several)),
    }
}

/// Whether a relationship is meant by a name with an optional hint.
///
/// Without a hint the name is that of the target, of the foreign key, or of its only column here. With
/// one, the name is the target's and the hint that of the foreign key, of its only column on either
/// side, or of the junction.
fn means(
    context: Context<'_>,
    relationship: &Relationship,
    name: &str,
    hint: Option<&str>,
) -> bool {
    if let Via::Function(function) = &relationship.via {
        return function.name == name;
    }
    let target = relationship.to.name == name;
    if relationship.is_self() {
        return means_self(relationship, target, name, hint);
    }
    match hint {
        None => {
            let by_key = constraint(relationship) == Some(name)
                || only_column(relationship, Side::From) == Some(name);
            target || by_key && !is_view(context, &relationship.to)
        }
        Some(hint) => {
            target
                && (constraint(relationship) == Some(hint)
                    || only_column(relationship, Side::From) == Some(hint)
                    || only_column(relationship, Side::To) == Some(hint)
                    || junction(relationship) == Some(hint))
        }
    }
}

/// One foreign key of a table to itself makes two relationships. The table's name means the many that
/// point here, the column's name means the one pointed to; a hint chooses among the former.
fn means_self(relationship: &Relationship, target: bool, name: &str, hint: Option<&str>) -> bool {
    let to_many = relationship.cardinality == Cardinality::OneToMany;
    let to_one = relationship.cardinality == Cardinality::ManyToOne;
    match hint {
        None => target && to_many || to_one && only_column(relationship, Side::From) == Some(name),
        Some(hint) => target && to_many && only_column(relationship, Side::To) == Some(hint),
    }
}

#[derive(Clone, Copy)]
enum Side {
    From,
    To,
}

fn constraint(relationship: &Relationship) -> Option<&str> {
    match &relationship.via {
        Via::ForeignKey { constraint, .. } => Some(constraint),
        _ => None,
    }
}

fn only_column(relationship: &Relationship, side: Side) -> Option<&str> {
    match (&relationship.via, side) {
        (Via::ForeignKey { columns, .. }, side) => match (columns.as_slice(), side) {
            ([pair], Side::From) => Some(&pair.from),
            ([pair], Side::To) => Some(&pair.to),
            _ => None,
        },
        _ => None,
    }
}

fn junction(relationship: &Relationship) -> Option<&str> {
    match &relationship.via {
        Via::Junction(junction) => Some(&junction.relation.name),
        _ => None,
    }
}

fn is_view(context: Context<'_>, name: &QualifiedName) -> bool {
    let kind = context.catalog.relation(name).map(|relation| relation.kind);
    matches!(kind, Some(RelationKind::View | RelationKind::MaterializedView))
}
