//! How the embeds of a node are reached: joined, asked for by EXISTS, or neither.

use std::collections::BTreeSet;

use crate::plan::{Condition, Embedded, Qualifier, ReadNode, Spread, write};
use crate::request::field::Text;

/// How the statement gets at one embed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Not at all: nothing of it is selected, asked or ordered by.
    Unused,
    /// Only by EXISTS.
    Asked,
    /// By a join that keeps rows without it.
    Joined,
    /// By a join that drops rows without it.
    Required,
}

/// How `query` gets at `child`, of which `embedded` is selected.
pub(super) fn reach(node: &ReadNode<'_>, child: &ReadNode<'_>, embedded: &Embedded<'_>) -> Reach {
    let asked = is_asked(node, child);
    if child.inner && !asked {
        return Reach::Required;
    }
    let tested = mentions(&node.conditions, &child.alias);
    let joined = !matches!(embedded, Embedded::Nothing)
        || orders_by(node, &child.alias)
        || tested && !can_be_asked(child);
    match joined {
        true => Reach::Joined,
        false if asked || tested => Reach::Asked,
        false => Reach::Unused,
    }
}

/// Whether an inner embed is a condition rather than a join. Where an order lets PostgreSQL begin at the
/// embed, it is far cheaper to drop a row before what is embedded in it was computed; but a plain join of
/// one row can be all that by itself.
pub(super) fn is_asked(node: &ReadNode<'_>, child: &ReadNode<'_>) -> bool {
    child.inner
        && can_be_asked(child)
        && (selects_nothing(node, child)
            || !node.order.is_empty() && (!is_to_one(child) || is_cut_first(node)))
}

/// Whether EXISTS tells if the embed has rows. An aggregate has a row whatever happens, and a window may
/// leave out every row.
pub(super) fn can_be_asked(child: &ReadNode<'_>) -> bool {
    !aggregates(child)
        && child.range.lower == 0
        && child.range.limit() != Some(0)
        && child.cap != Some(0)
        && conditional(child).all(can_be_asked)
}

/// Whether the rows of a page can be found before anything is embedded in them: with an order that no
/// index has, embeds would be computed for every row of the relation. Without an order PostgreSQL stops at
/// the limit by itself.
pub(super) fn is_cut_first(node: &ReadNode<'_>) -> bool {
    let windowed = node.cap.is_some() || node.range.limit().is_some() || node.range.lower != 0;
    windowed
        && !node.order.is_empty()
        && node.order.iter().all(|term| term.embed.is_none())
        && node.embedded.iter().any(|it| !matches!(it, Embedded::Nothing))
        && matches!(node.qualifier, Qualifier::Alias(_))
        && !node.spread.is_to_many()
        && !groups(node)
        && conditional(node).all(can_be_asked)
        && cut_columns(node).is_some()
}

/// The columns that a page has before it is embedded in.
pub(super) enum Cut<'p> {
    All,
    Columns(BTreeSet<Text<'p>>),
}

/// The columns that the rest of the statement takes of the page; `None` when they cannot be told by name.
pub(super) fn cut_columns<'p>(node: &ReadNode<'p>) -> Option<Cut<'p>> {
    let ordered = node.order.iter().map(|term| &term.column.name);
    if let Some(mut columns) = write::needed(node) {
        columns.extend(ordered.cloned());
        return Some(Cut::Columns(columns));
    }
    let mut named = node.select.iter().map(|item| &item.column.name).chain(ordered);
    let known = |name: &Text<'_>| {
        name == "*" || node.relation.is_some_and(|it| it.columns.contains_key(name.as_ref()))
    };
    named.all(known).then_some(Cut::All)
}

/// Whether the node's rows are groups of rows.
pub(super) fn groups(node: &ReadNode<'_>) -> bool {
    let of_spread = |it: &Embedded<'_>| matches!(it, Embedded::Fields(fields) if fields.iter().any(|it| it.aggregate.is_some()));
    node.select.iter().any(|item| item.aggregate.is_some()) || node.embedded.iter().any(of_spread)
}

pub(super) fn is_to_one(child: &ReadNode<'_>) -> bool {
    child.relationship.is_some_and(|it| it.cardinality.is_to_one())
}

fn aggregates(node: &ReadNode<'_>) -> bool {
    groups(node) || node.children.iter().any(aggregates)
}

/// The embeds that decide whether a row of `node` is there.
fn conditional<'n, 'p>(node: &'n ReadNode<'p>) -> impl Iterator<Item = &'n ReadNode<'p>> {
    node.children.iter().filter(|child| child.inner || mentions(&node.conditions, &child.alias))
}

fn selects_nothing(node: &ReadNode<'_>, child: &ReadNode<'_>) -> bool {
    let mut pairs = node.children.iter().zip(&node.embedded);
    !orders_by(node, &child.alias)
        && pairs.any(|(it, what)| it.alias == child.alias && matches!(what, Embedded::Nothing))
}

fn orders_by(node: &ReadNode<'_>, alias: &str) -> bool {
    let of_array = match &node.spread {
        Spread::ToMany { extra, .. } => extra.as_slice(),
        _ => &[],
    };
    node.order.iter().any(|term| term.embed.as_deref() == Some(alias))
        || of_array.iter().any(|(embed, _)| embed.as_deref() == Some(alias))
}

fn mentions(conditions: &[Condition<'_>], alias: &str) -> bool {
    conditions.iter().any(|condition| match condition {
        Condition::NullEmbed { alias: named, .. } => named == alias,
        Condition::Group { items, .. } => mentions(items, alias),
        Condition::Filter { .. } => false,
    })
}
