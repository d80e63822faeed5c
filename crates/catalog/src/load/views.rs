//! Which columns of tables the columns of a view are, through views on views.

use std::collections::{BTreeMap, HashMap};

use super::node_tree::Origin;
use super::{Names, Oid};
use crate::{Catalog, QualifiedName, Relation};

/// Where the columns of each view come from.
pub(super) type Origins = HashMap<Oid, Vec<Origin>>;

/// Columns of the view by the column of a table that they are: a view may show one column several times.
type Shown = BTreeMap<(Oid, i16), Vec<String>>;

/// How many views may stand on each other. A view that selects from itself, which PostgreSQL lets people make and not
/// use, ends here too.
const MAX_DEPTH: usize = 64;

/// How many relationships one key may have because the view shows its columns several times.
const MAX_COMBINATIONS: usize = 64;

/// An exposed view, and what it shows of tables.
pub(super) struct View {
    /// The view.
    pub(super) name: QualifiedName,
    shown: Shown,
}

impl View {
    /// Follows each column of each view in `catalog` down to the table that has it.
    pub(super) fn resolve(origins: &Origins, names: &Names, catalog: &Catalog) -> Vec<Self> {
        let mut views: Vec<Self> = origins
            .iter()
            .filter_map(|(oid, columns)| {
                let relation = catalog.relation(&names.get(oid)?.relation)?;
                Some(Self { name: relation.name.clone(), shown: shown(relation, columns, origins) })
            })
            .collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// The tables of which the view shows a column.
    pub(super) fn tables(&self) -> impl Iterator<Item = Oid> {
        let mut tables: Vec<Oid> = self.shown.keys().map(|(table, _)| *table).collect();
        tables.dedup();
        tables.into_iter()
    }

    /// The first column of the view for each of the columns `key` of `table`; `None` if one is not shown.
    pub(super) fn first(&self, table: Oid, key: &[i16]) -> Option<Vec<String>> {
        key.iter().map(|column| Some(self.shown.get(&(table, *column))?.first()?.clone())).collect()
    }

    /// Every choice of columns of the view for the columns `key` of `table`; none if one is not shown.
    pub(super) fn choices(&self, table: Oid, key: &[i16]) -> Vec<Vec<String>> {
        let mut choices = vec![Vec::new()];
        for column in key {
            let Some(shown) = self.shown.get(&(table, *column)) else { return Vec::new() };
            let longer = choices.iter().flat_map(|choice: &Vec<String>| {
                shown.iter().map(|name| choice.iter().chain([name]).cloned().collect())
            });
            choices = longer.take(MAX_COMBINATIONS).collect();
        }
        choices
    }
}

fn shown(view: &Relation, columns: &[Origin], origins: &Origins) -> Shown {
    let mut shown = Shown::new();
    for column in columns {
        // Columns of a view are never dropped, so numbers and places agree.
        let place = usize::try_from(column.column).unwrap_or(0).wrapping_sub(1);
        let Some((name, _)) = view.columns.get_index(place) else { continue };
        if let Some(end) = follow(*column, origins) {
            shown.entry(end).or_default().push(name.clone());
        }
    }
    shown
}

/// The table column that `column` is in the end.
fn follow(column: Origin, origins: &Origins) -> Option<(Oid, i16)> {
    let mut end = (column.relation, column.origin);
    for _ in 0..MAX_DEPTH {
        let Some(view) = origins.get(&end.0) else { return Some(end) };
        let below = view.iter().find(|it| it.column == end.1)?;
        end = (below.relation, below.origin);
    }
    None
}
