//! Which reads answer rows in binary.

use plinth_catalog::{Column, Printing, Relation};

use super::types::{Scalar, scalar_named};
use crate::plan::negotiate::Handler;
use crate::plan::{Embedded, ReadNode, Selected};
use crate::render::{Options, Total};

/// Most rows of an answer in binary: they are all written at once, before anything else is done.
const MAX_ROWS: i64 = 1_000;

/// Whether a read's rows may come in binary. If so, selected values that only PostgreSQL can print
/// are marked, to be made JSON there; else nothing is changed.
pub(crate) fn plan(node: &mut ReadNode<'_>, options: Options<'_>, printing: Printing) -> bool {
    let handler = options.negotiated.handler;
    let body =
        matches!(handler, Handler::Json { stripped: false } | Handler::Object { stripped: false });
    let alone = options.total == Total::None && !options.settings;
    let limit = node.range.capped(node.cap).limit();
    let bounded = limit.is_some_and(|rows| rows <= MAX_ROWS);
    let explained = options.negotiated.explain().is_some();
    let spreads = node.embedded.iter().any(|it| matches!(it, Embedded::Fields(_)));
    if !body || !alone || !bounded || explained || spreads {
        return false;
    }
    let Some(relation) = node.relation else { return false };
    let empty = node.select.is_empty() && node.children.is_empty();
    if empty && !whole_row(relation, printing)
        || node.select.iter().any(|item| way(relation, item, printing).is_none())
    {
        return false;
    }
    for item in &mut node.select {
        if way(relation, item, printing) == Some(Way::Json) {
            item.to_json = true;
            item.alias.get_or_insert_with(|| item.column.name.clone());
        }
    }
    true
}

/// How a selected value can be had.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Binary,
    /// As JSON that PostgreSQL makes of it.
    Json,
}

fn way(relation: &Relation, item: &Selected<'_>, printing: Printing) -> Option<Way> {
    if item.aggregate.is_some() || item.column.whole_row {
        return None;
    }
    if item.column.is_star() {
        return whole_row(relation, printing).then_some(Way::Binary);
    }
    let column = relation.columns.get(item.column.name.as_ref())?;
    if column.representation.is_some() {
        return None;
    }
    if !item.column.path.is_empty() {
        // What comes of a path is JSON or text.
        return item.cast.is_none().then_some(Way::Binary);
    }
    let plain = item.cast.is_none() && prints(column, printing);
    Some(if plain { Way::Binary } else { Way::Json })
}

fn whole_row(relation: &Relation, printing: Printing) -> bool {
    relation.columns.values().all(|column| prints(column, printing))
}

fn prints(column: &Column, printing: Printing) -> bool {
    column.representation.is_none()
        && scalar_named(&column.base_type).is_some_and(|scalar| allowed(scalar, printing))
}

/// Whether values of that kind are written as sessions print them.
pub(super) fn allowed(scalar: Scalar, printing: Printing) -> bool {
    match scalar {
        Scalar::TimestampUtc => printing.utc,
        Scalar::Float4 | Scalar::Float8 => printing.exact_floats,
        Scalar::Bytea => printing.hex_bytea,
        _ => true,
    }
}
