//! Which reads answer rows in binary.

use plinth_catalog::{Column, Printing, Relation};

use super::types::{Scalar, scalar_named};
use crate::plan::negotiate::Handler;
use crate::plan::{Embedded, ReadNode, Selected};
use crate::render::{Options, Total};
use crate::request::field::Text;

/// Most rows of an answer in binary: they are all written at once, before anything else is done.
const MAX_ROWS: i64 = 1_000;

/// Whether a read's rows may come in binary. If so, selected values that only PostgreSQL can print
/// are marked, to be made JSON there.
pub(crate) fn plan(node: &mut ReadNode<'_>, options: Options<'_>, printing: Printing) -> bool {
    let handler = options.negotiated.handler;
    let body =
        matches!(handler, Handler::Json { stripped: false } | Handler::Object { stripped: false });
    let alone = options.total == Total::None && !options.settings;
    let limit = node.range.capped(node.cap).limit();
    let bounded = limit.is_some_and(|rows| rows <= MAX_ROWS);
    let explained = options.negotiated.explain().is_some();
    let embeds = !node.embedded.iter().any(|it| matches!(it, Embedded::Fields(_)));
    if !body || !alone || !bounded || explained || !embeds {
        return false;
    }
    let Some(relation) = node.relation else { return false };
    let empty = node.select.is_empty() && node.children.is_empty();
    if empty && !whole_row(relation, printing) {
        return false;
    }
    node.select.iter_mut().all(|item| select(relation, item, printing))
}

/// Whether a selected value can be had, perhaps as JSON that PostgreSQL makes of it.
fn select(relation: &Relation, item: &mut Selected<'_>, printing: Printing) -> bool {
    if item.aggregate.is_some() || item.column.whole_row {
        return false;
    }
    if item.column.is_star() {
        return whole_row(relation, printing);
    }
    let Some(column) = relation.columns.get(item.column.name.as_ref()) else { return false };
    if column.representation.is_some() {
        return false;
    }
    if !item.column.path.is_empty() {
        // What comes of a path is JSON or text.
        return item.cast.is_none();
    }
    if item.cast.is_none() && prints(column, printing) {
        return true;
    }
    item.to_json = true;
    if item.alias.is_none() {
        item.alias = Some(Text::Owned(column.name.clone()));
    }
    true
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
