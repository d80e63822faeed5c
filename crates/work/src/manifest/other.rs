//! Reads sealed columns and meters.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::{MAX_NAMES, MAX_SEALED_TABLES};
use super::fields::Fields;
use super::spec::{MeterSpec, Relation, SealedSpec};
use super::wording::{identifier_problem, is_action_pattern};

/// Where tables of `[sealed]` stand in the file, and columns of theirs.
pub(super) type SealedPlaces = BTreeMap<(Relation, Option<String>), usize>;

/// The sealed columns of a manifest, sorted by table.
pub(super) fn read_sealed(fields: &Fields<'_>) -> (Vec<SealedSpec>, SealedPlaces) {
    let lists = fields.lists("sealed");
    if lists.len() > MAX_SEALED_TABLES {
        fields.problem("sealed", format!("has more than {MAX_SEALED_TABLES} tables"), None);
        return Default::default();
    }
    let mut places = SealedPlaces::new();
    let mut sealed: BTreeMap<Relation, BTreeSet<String>> = BTreeMap::new();
    for (table, columns) in lists {
        let Some(on) = fields.relation_from(&table.value, table.at.clone()) else { continue };
        places.insert((on.clone(), None), table.at.start);
        if columns.is_empty() || columns.len() > MAX_NAMES {
            let message = format!("`{}` must have from 1 to {MAX_NAMES} columns", table.value);
            fields.reader().problem(table.at.start, message, None);
        }
        let all = sealed.entry(on.clone()).or_default();
        for column in columns {
            if let Some(wrong) = identifier_problem(&column.value) {
                let message = format!("`{}` {wrong}", column.value.escape_debug());
                fields.reader().problem(column.at.start, message, None);
            } else if !all.insert(column.value.clone()) {
                let message = format!("`{}` is there already", column.value);
                fields.reader().problem(column.at.start, message, None);
            } else {
                places.insert((on.clone(), Some(column.value)), column.at.start);
            }
        }
    }
    let specs = sealed
        .into_iter()
        .map(|(on, columns)| SealedSpec { on, columns: columns.into_iter().collect() });
    (specs.collect(), places)
}

/// The meter of a table; `None` when it lacks what it must have.
pub(super) fn read_meter(fields: &Fields<'_>) -> Option<MeterSpec> {
    let name = fields.text("name");
    let mut actions = BTreeSet::new();
    for action in fields.texts("actions") {
        if !is_action_pattern(&action.value) {
            let message = format!(
                "`{}` is neither an action, nor `openai.*`, nor `*`",
                action.value.escape_debug()
            );
            fields.reader().problem(action.at.start, message, None);
        }
        actions.insert(action.value);
    }
    let record = fields.statements("record");
    let role = fields.role().unwrap_or_default();
    Some(MeterSpec { name: name?, actions: actions.into_iter().collect(), record, role })
}
