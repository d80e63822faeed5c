//! Plans of inserts, updates, upserts and deletes.

use std::collections::BTreeSet;

use bytes::Bytes;
use plinth_catalog::{Column, Relation, Via};

use super::{Condition, ReadNode, read};
use crate::Error;
use crate::request::field::Text;
use crate::request::filter::{Operation, QuantOperator};
use crate::request::prefer::{Missing, Resolution, Return};
use crate::request::{Action, Request, body};

/// Rows as they came: JSON and the columns to take from it.
#[derive(Debug)]
pub(crate) struct Rows<'p> {
    pub(crate) json: Bytes,
    /// One object rather than an array.
    pub(crate) object: bool,
    /// Sorted by name.
    pub(crate) columns: Vec<&'p Column>,
    /// Whether the keys of the objects are the positions of `columns` rather than their names.
    pub(crate) by_position: bool,
    /// Whether a missing key means the column's default rather than NULL.
    pub(crate) defaults: bool,
}

/// `on conflict (…) do …`
#[derive(Debug)]
pub(crate) struct Conflict<'p> {
    pub(crate) columns: Vec<Text<'p>>,
    pub(crate) resolution: Resolution,
}

/// What is written.
#[derive(Debug)]
pub(crate) enum Change<'p> {
    Insert {
        rows: Rows<'p>,
        conflict: Option<Conflict<'p>>,
        /// PUT: the row must be the one that the URL names.
        put: bool,
    },
    Update {
        rows: Rows<'p>,
    },
    Delete,
}

/// Columns that the write gives back.
#[derive(Debug)]
pub(crate) enum Returning<'p> {
    /// None: only how many rows there were matters.
    Nothing,
    All,
    Columns(BTreeSet<Text<'p>>),
}

/// A write of one relation.
#[derive(Debug)]
pub(crate) struct WritePlan<'p> {
    pub(crate) relation: &'p Relation,
    pub(crate) change: Change<'p>,
    pub(crate) conditions: Vec<Condition<'p>>,
    pub(crate) returning: Returning<'p>,
}

/// Plans the write of `request` on `relation`, whose result is then read by `node`.
///
/// # Errors
///
/// `PGRST204` for an unknown column, `PGRST105` for a PUT whose filters are not the primary key.
pub(crate) fn plan<'p>(
    request: &'p Request<'p>,
    relation: &'p Relation,
    node: &ReadNode<'p>,
) -> Result<WritePlan<'p>, Error> {
    let query = &request.query;
    let logic = query.logic.iter().filter(|at| at.path.is_empty());
    let filters = query.filters.iter().filter(|at| at.path.is_empty());
    let filters = filters.map(|at| read::plain_condition(Some(relation), &at.what));
    let conditions = filters.chain(logic.map(|at| read::plain_logic(Some(relation), &at.what)));
    let change = change(request, relation)?;
    // What an insert is told by filters, nobody knows; they count for PUT alone.
    let conditions = match change {
        Change::Insert { put: false, .. } => Vec::new(),
        _ => conditions.collect(),
    };
    let returning = match request.preferences.representation {
        None | Some(Return::Minimal) => Returning::Nothing,
        Some(_) => returning(node, &relation.primary_key),
    };
    Ok(WritePlan { relation, change, conditions, returning })
}

fn change<'p>(request: &'p Request<'p>, relation: &'p Relation) -> Result<Change<'p>, Error> {
    match request.action {
        Action::Update => Ok(Change::Update { rows: rows(request, relation)? }),
        Action::Upsert => {
            check_put_filters(request, relation)?;
            let columns = relation.primary_key.iter().map(|name| Text::Borrowed(name.as_str()));
            let conflict = Conflict { columns: columns.collect(), resolution: Resolution::Merge };
            let rows = Rows { defaults: false, ..rows(request, relation)? };
            Ok(Change::Insert { rows, conflict: Some(conflict), put: true })
        }
        Action::Create => Ok(Change::Insert {
            rows: rows(request, relation)?,
            conflict: conflict(request, relation),
            put: false,
        }),
        _ => Ok(Change::Delete),
    }
}

fn rows<'p>(request: &'p Request<'p>, relation: &'p Relation) -> Result<Rows<'p>, Error> {
    let (json, keys, by_position) = match &request.payload {
        Some(body::Payload::Json { text, keys }) => (text.clone(), keys.as_slice(), false),
        Some(body::Payload::Lines { json, names }) => (json.clone(), names.as_slice(), true),
        _ => (Bytes::from_static(b"[]"), [].as_slice(), false),
    };
    let columns = keys
        .iter()
        .map(|key| {
            let column = relation.columns.get(key);
            column.ok_or_else(|| Error::unknown_column(&relation.name.name, key))
        })
        .collect::<Result<_, _>>()?;
    // No line of CSV lacks a field.
    let defaults = request.preferences.missing == Some(Missing::Default) && !by_position;
    Ok(Rows { object: body::is_object(&json), json, columns, by_position, defaults })
}

fn conflict<'p>(request: &'p Request<'p>, relation: &'p Relation) -> Option<Conflict<'p>> {
    let resolution = request.preferences.resolution?;
    let named = request.query.on_conflict.as_ref();
    let columns: Vec<Text<'_>> = match named {
        Some(names) => names.iter().map(|name| Text::Borrowed(name.as_ref())).collect(),
        None => relation.primary_key.iter().map(|name| Text::Borrowed(name.as_str())).collect(),
    };
    (!columns.is_empty()).then_some(Conflict { columns, resolution })
}

/// Exactly the columns of the primary key, each with `eq`, and no logic trees.
fn check_put_filters(request: &Request<'_>, relation: &Relation) -> Result<(), Error> {
    let query = &request.query;
    let named: BTreeSet<&str> = query.filter_names.iter().copied().collect();
    let key: BTreeSet<&str> = relation.primary_key.iter().map(String::as_str).collect();
    let all_equal = query.filters.iter().all(|at| {
        let equal = matches!(at.what.operation, Operation::Quant(QuantOperator::Equal, None, _));
        at.path.is_empty() && !at.what.negated && equal
    });
    if query.logic.is_empty() && !key.is_empty() && named == key && all_equal {
        return Ok(());
    }
    Err(Error::invalid_filters())
}

/// The columns that `node` needs: those it selects, those that join its embeds, the primary key.
fn returning<'p>(node: &ReadNode<'p>, primary_key: &'p [String]) -> Returning<'p> {
    match needed(node) {
        None => Returning::All,
        Some(mut columns) => {
            columns.extend(primary_key.iter().map(|name| Text::Borrowed(name.as_str())));
            Returning::Columns(columns)
        }
    }
}

/// The columns that a read of returned rows uses; `None` means all of them.
pub(crate) fn needed<'p>(node: &ReadNode<'p>) -> Option<BTreeSet<Text<'p>>> {
    let mut columns: BTreeSet<Text<'p>> =
        node.select.iter().map(|item| item.column.name.clone()).collect();
    if columns.contains("*") || node.select.is_empty() && node.children.is_empty() {
        return None;
    }
    for child in &node.children {
        let pairs = match &child.relationship?.via {
            // What a function reads of its row cannot be known.
            Via::Function(_) => return None,
            Via::ForeignKey { columns, .. } => columns,
            Via::Junction(junction) => &junction.from_columns,
        };
        columns.extend(pairs.iter().map(|pair| Text::Borrowed(pair.from.as_str())));
    }
    let own_order = node.order.iter().filter(|order| order.embed.is_none());
    columns.extend(own_order.map(|order| order.column.name.clone()));
    Some(columns)
}
