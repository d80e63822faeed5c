//! Names of results, aggregates, and embeds whose columns belong to their parent.

use plinth_catalog::Relation;

use super::read::{self, shown_by};
use super::{Column, Embedded, Order, ReadNode, Selected, Spread, SpreadField};
use crate::Error;
use crate::ident::CastType;
use crate::request::field::{JsonKey, JsonStep, Text};
use crate::request::select::Aggregate;

/// Completes a tree whose relationships are known.
///
/// # Errors
///
/// `PGRST123` for aggregates when they are off, `PGRST127` for those in to-many spreads.
pub(crate) fn finish(root: &mut ReadNode<'_>, aggregates: bool) -> Result<(), Error> {
    let plain = root.children.is_empty() && root.select.iter().all(|it| it.aggregate.is_none());
    if plain {
        if is_shown_otherwise(root) {
            expand_stars(root, false);
        }
        name_results(root);
        return Ok(());
    }
    expand_stars(root, false);
    name_results(root);
    select_embedded(root);
    if !aggregates && any_aggregate(root) {
        return Err(Error::aggregates_disabled());
    }
    hoist(root, true);
    order_arrays(root)
}

/// Whether `*` stands for a column that a function shows.
fn is_shown_otherwise(node: &ReadNode<'_>) -> bool {
    let any = |relation: &Relation| relation.columns.values().any(|it| shown_by(it).is_some());
    node.select.iter().any(|it| it.column.is_star()) && node.relation.is_some_and(any)
}

/// The most entries that PostgreSQL has in a select list.
const MAX_COLUMNS: usize = 1664;

/// Grouping, to-many spreads and functions that show columns need every column by name instead of `*`. Where there
/// are too many already, PostgreSQL says so.
fn expand_stars(node: &mut ReadNode<'_>, inherited: bool) {
    let aggregated = node.select.iter().any(|it| it.aggregate.is_some());
    let expand = inherited || aggregated || node.spread.is_to_many();
    let is_spread = !matches!(node.spread, Spread::No);
    if (expand || is_shown_otherwise(node))
        && let Some(relation) = node.relation
    {
        let mut selected = Vec::new();
        for mut item in node.select.drain(..) {
            if !item.column.is_star() || selected.len() > MAX_COLUMNS {
                selected.push(item);
            } else if item.aggregate.is_none() {
                selected.extend(relation.columns.values().map(|column| Selected {
                    column: Column {
                        shown_by: shown_by(column),
                        ..Column::unknown(Text::Borrowed(&column.name))
                    },
                    ..item.clone()
                }));
            } else {
                item.column.whole_row = is_spread && item.aggregate == Some(Aggregate::Count);
                selected.push(item);
            }
        }
        node.select = selected;
    }
    for child in &mut node.children {
        expand_stars(child, expand);
    }
}

/// A JSON path names its result by its last key, what a function shows has its column's name; an aggregate in a spread
/// has its function's.
fn name_results(node: &mut ReadNode<'_>) {
    let is_spread = !matches!(node.spread, Spread::No);
    for item in node.select.iter_mut().filter(|item| item.alias.is_none()) {
        if let Some(aggregate) = item.aggregate {
            if is_spread {
                item.alias = Some(Text::Borrowed(name_of(aggregate)));
            }
        } else if !item.column.path.is_empty() || item.column.shown_by.is_some() {
            item.alias =
                Some(last_key(item.column.path).unwrap_or_else(|| item.column.name.clone()));
        }
    }
    node.children.iter_mut().for_each(name_results);
}

fn last_key<'p>(path: &'p [JsonStep<'p>]) -> Option<Text<'p>> {
    path.iter().rev().find_map(|step| match &step.key {
        // No result can have the name that these keys would give it.
        JsonKey::Name(name) if name.is_empty() || name.contains('\0') => None,
        JsonKey::Name(name) => Some(Text::Borrowed(name.as_ref())),
        JsonKey::Index(_) => None,
    })
}

/// The name that PostgreSQL gives the result of an aggregate.
fn name_of(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Average => "avg",
        Aggregate::Count => "count",
        Aggregate::Max => "max",
        Aggregate::Min => "min",
    }
}

fn select_embedded(node: &mut ReadNode<'_>) {
    node.children.iter_mut().for_each(select_embedded);
    node.embedded = node.children.iter().map(read::embedded).collect();
}

/// What a spread embed gives its parent: its columns, its own embeds, and what is spread into it.
pub(crate) fn fields<'p>(node: &ReadNode<'p>) -> Vec<SpreadField<'p>> {
    let plain = |name: Text<'p>| SpreadField { name, aggregate: None, cast: None, alias: None };
    let mut fields: Vec<_> = node
        .select
        .iter()
        .map(|item| plain(item.alias.clone().unwrap_or_else(|| item.column.name.clone())))
        .collect();
    for embedded in &node.embedded {
        match embedded {
            Embedded::Nothing => {}
            Embedded::Object(name) | Embedded::Array(name) => fields.push(plain(name.clone())),
            // Below a to-many spread the names are those that its own select already made.
            Embedded::Fields(inner) => fields.extend(inner.iter().cloned()),
        }
    }
    fields
}

fn any_aggregate(node: &ReadNode<'_>) -> bool {
    node.select.iter().any(|it| it.aggregate.is_some()) || node.children.iter().any(any_aggregate)
}

/// An aggregate taken out of a to-one spread, to be applied where its rows are grouped.
struct Hoisted<'p> {
    /// The embed, by its internal name, and the column in it.
    embed: String,
    name: Text<'p>,
    aggregate: Aggregate,
    cast: Option<CastType<'p>>,
    alias: Option<Text<'p>>,
}

/// Moves aggregates of to-one spreads up: within a joined row they would have one row to aggregate.
fn hoist<'p>(node: &mut ReadNode<'p>, root: bool) -> Vec<Hoisted<'p>> {
    let mut from_children = Vec::new();
    for child in &mut node.children {
        from_children.extend(hoist(child, false));
    }
    let to_one_spread = matches!(node.spread, Spread::ToOne) && !root;
    if !to_one_spread {
        apply_hoisted(node, &from_children);
        return Vec::new();
    }
    let mut hoisted = Vec::new();
    for item in &mut node.select {
        let Some(aggregate) = item.aggregate.take() else { continue };
        hoisted.push(Hoisted {
            embed: node.alias.clone(),
            name: item.alias.clone().unwrap_or_else(|| item.column.name.clone()),
            aggregate,
            cast: item.aggregate_cast.take(),
            alias: item.alias.clone(),
        });
    }
    hoisted.extend(from_children.into_iter().map(|it| Hoisted { embed: node.alias.clone(), ..it }));
    hoisted
}

fn apply_hoisted<'p>(node: &mut ReadNode<'p>, hoisted: &[Hoisted<'p>]) {
    for (child, embedded) in node.children.iter().zip(&mut node.embedded) {
        let Embedded::Fields(fields) = embedded else { continue };
        for field in fields {
            let ours = |it: &&Hoisted<'_>| it.embed == child.alias && it.name == field.name;
            if let Some(found) = hoisted.iter().find(ours) {
                field.aggregate = Some(found.aggregate);
                field.cast = found.cast;
                field.alias = found.alias.clone();
            }
        }
    }
}

/// The order of a to-many spread is that of its arrays, so the columns it needs are selected too.
fn order_arrays(node: &mut ReadNode<'_>) -> Result<(), Error> {
    if node.spread.is_to_many() {
        let spread_aggregate = node.embedded.iter().any(
            |it| matches!(it, Embedded::Fields(fields) if fields.iter().any(|it| it.aggregate.is_some())),
        );
        if spread_aggregate || node.select.iter().any(|it| it.aggregate.is_some()) {
            return Err(Error::not_implemented(
                "Aggregates are not implemented for one-to-many or many-to-many spreads.",
            ));
        }
        let (extra, order) = std::mem::take(&mut node.order)
            .into_iter()
            .enumerate()
            .map(|(index, term)| array_order(&node.alias, index + 1, term))
            .unzip();
        node.spread = Spread::ToMany { extra, order };
    }
    node.children.iter_mut().try_for_each(order_arrays)
}

type Extra<'p> = (Option<String>, Selected<'p>);

fn array_order<'p>(alias: &str, number: usize, term: Order<'p>) -> (Extra<'p>, Order<'p>) {
    let name = format!("{alias}_{}_{number}", term.column.name);
    let selected = Selected {
        column: term.column.clone(),
        cast: None,
        aggregate: None,
        aggregate_cast: None,
        alias: Some(Text::Owned(name.clone())),
        to_json: false,
    };
    let order = Order { embed: None, column: Column::unknown(Text::Owned(name)), ..term.clone() };
    ((term.embed, selected), order)
}
