//! Which reads answer rows in binary.

use plinth_catalog::{Column, Printing, Relation, TextType};

use super::LastEncoder;
use super::types::{Scalar, scalar_named};
use crate::plan::negotiate::Handler;
use crate::plan::{Embedded, ReadNode, Selected};
use crate::render::{Options, Total};

/// Most rows of an answer in binary: they are all written at once, before anything else is done.
const MAX_ROWS: i64 = 1_000;

/// What is known beforehand of rows that come in binary.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Types of this database that are selected.
    pub(super) texts: Vec<TextType>,
    /// Whether the last column is the total, the same in each row.
    pub(super) total: bool,
    /// Whether a page without rows means that there are none at all.
    pub(super) from_first: bool,
    pub(super) encoder: LastEncoder,
}

/// What to expect of a read's rows if they may come in binary. If so, selected values that only
/// PostgreSQL can print are marked, to be made JSON there; else nothing is changed.
pub(crate) fn plan(
    node: &mut ReadNode<'_>,
    options: Options<'_>,
    printing: Printing,
) -> Option<Plan> {
    let handler = options.negotiated.handler;
    let body =
        matches!(handler, Handler::Json { stripped: false } | Handler::Object { stripped: false });
    let range = node.range.capped(node.cap);
    let limit = range.limit().filter(|rows| *rows <= MAX_ROWS)?;
    let explained = options.negotiated.explain().is_some();
    let spreads = node.embedded.iter().any(|it| matches!(it, Embedded::Fields(_)));
    if !body || options.settings || explained || spreads {
        return None;
    }
    let total = options.total != Total::None;
    // The total comes with the rows, beside other columns.
    if total && (limit == 0 || selects_nothing(node)) {
        return None;
    }
    let mut known = Known { relation: node.relation?, printing, texts: Vec::new() };
    let empty = node.select.is_empty() && node.children.is_empty();
    if empty && !known.whole_row() || node.select.iter().any(|item| known.way(item).is_none()) {
        return None;
    }
    for item in &mut node.select {
        if known.way(item) == Some(Way::Json) {
            item.to_json = true;
            item.alias.get_or_insert_with(|| item.column.name.clone());
        }
    }
    let encoder = LastEncoder::default();
    Some(Plan { texts: known.texts, total, from_first: range.lower == 0, encoder })
}

/// Whether the rows have no columns, whatever the relation has.
fn selects_nothing(node: &ReadNode<'_>) -> bool {
    let hidden = |embedded: &Embedded<'_>| matches!(embedded, Embedded::Nothing);
    node.select.is_empty() && !node.children.is_empty() && node.embedded.iter().all(hidden)
}

/// How a selected value can be had.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Binary,
    /// As JSON that PostgreSQL makes of it.
    Json,
}

/// A relation, and the types of this database that were found in it.
struct Known<'p> {
    relation: &'p Relation,
    printing: Printing,
    texts: Vec<TextType>,
}

impl Known<'_> {
    fn way(&mut self, item: &Selected<'_>) -> Option<Way> {
        if item.aggregate.is_some() || item.column.whole_row {
            return None;
        }
        if item.column.is_star() {
            return self.whole_row().then_some(Way::Binary);
        }
        let column = self.relation.columns.get(item.column.name.as_ref())?;
        if column.representation.is_some() {
            return None;
        }
        if !item.column.path.is_empty() {
            // What comes of a path is JSON or text.
            return item.cast.is_none().then_some(Way::Binary);
        }
        let plain = item.cast.is_none() && self.prints(column);
        Some(if plain { Way::Binary } else { Way::Json })
    }

    fn whole_row(&mut self) -> bool {
        self.relation.columns.values().all(|column| self.prints(column))
    }

    fn prints(&mut self, column: &Column) -> bool {
        if column.representation.is_some() {
            return false;
        }
        if let Some(text) = column.text_type {
            if !self.texts.contains(&text) {
                self.texts.push(text);
            }
            return true;
        }
        let scalar = scalar_named(&column.base_type);
        scalar.is_some_and(|scalar| allowed(scalar, self.printing))
    }
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
