//! Relationships, and the primary keys of views, out of the keys of tables.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};

use super::views::View;
use super::{LoadError, Names, Oid};
use crate::{Cardinality, Catalog, ColumnPair, Junction, QualifiedName, Relationship, Via};

/// The keys of the database that relationships rest on.
#[derive(Default)]
pub(super) struct Keys {
    primary: Vec<Side>,
    foreign: Vec<ForeignKey>,
    /// The columns of primary and unique keys by relation, sorted.
    unique: HashMap<Oid, Vec<Vec<i16>>>,
}

struct ForeignKey {
    name: String,
    from: Side,
    to: Side,
}

/// The columns of a key on one of its sides.
struct Side {
    relation: Oid,
    columns: Vec<i16>,
}

/// Reads the keys of all schemas.
pub(super) async fn read(transaction: &Transaction<'_>) -> Result<Keys, LoadError> {
    let rows = transaction.query_raw(include_str!("keys.sql"), NONE).await?;
    let mut rows = std::pin::pin!(rows);
    let mut keys = Keys::default();
    while let Some(row) = rows.try_next().await? {
        keys.take(&row);
    }
    keys.foreign.sort_by(|a, b| (a.from.relation, &a.name).cmp(&(b.from.relation, &b.name)));
    keys.primary.sort_by_key(|key| key.relation);
    Ok(keys)
}

const NONE: [&(dyn ToSql + Sync); 0] = [];

impl Keys {
    fn take(&mut self, row: &Row) {
        let from = Side { relation: row.get("relation"), columns: row.get("columns") };
        let kind: &str = row.get("kind");
        if kind == "f" {
            let to = Side { relation: row.get("target"), columns: row.get("target_columns") };
            self.foreign.push(ForeignKey { name: row.get("name"), from, to });
            return;
        }
        let mut sorted = from.columns.clone();
        sorted.sort_unstable();
        self.unique.entry(from.relation).or_default().push(sorted);
        if kind == "p" {
            self.primary.push(from);
        }
    }

    /// Whether the referring columns are a key by themselves.
    fn is_one_to_one(&self, key: &ForeignKey) -> bool {
        let mut columns = key.from.columns.clone();
        columns.sort_unstable();
        self.unique.get(&key.from.relation).is_some_and(|unique| unique.contains(&columns))
    }
}

/// A foreign key between two relations that requests may name: tables, or views that show its columns.
struct Link {
    constraint: String,
    from: QualifiedName,
    from_columns: Vec<String>,
    to: QualifiedName,
    to_columns: Vec<String>,
    one_to_one: bool,
}

/// Where the columns of a table can be named: in the table, if it is exposed, and in views.
struct Places<'v> {
    names: &'v Names,
    views: HashMap<Oid, Vec<&'v View>>,
}

impl<'v> Places<'v> {
    fn new(names: &'v Names, views: &'v [View]) -> Self {
        let mut by_table: HashMap<Oid, Vec<&View>> = HashMap::new();
        for view in views {
            for table in view.tables() {
                by_table.entry(table).or_default().push(view);
            }
        }
        Self { names, views: by_table }
    }

    fn views(&self, table: Oid) -> &[&'v View] {
        self.views.get(&table).map_or(&[], Vec::as_slice)
    }

    /// The relation itself and the views that show all of the columns, each with its names for them.
    fn of(&self, side: &Side, catalog: &Catalog) -> Vec<(QualifiedName, Vec<String>)> {
        let itself = self
            .names
            .get(&side.relation)
            .and_then(|name| Some((name.relation.clone(), name.columns(&side.columns, catalog)?)));
        let views = self.views(side.relation).iter().flat_map(|view| {
            let choices = view.choices(side.relation, &side.columns);
            choices.into_iter().map(|columns| (view.name.clone(), columns))
        });
        itself.into_iter().chain(views).collect()
    }
}

impl Catalog {
    /// Derives primary keys and relationships of tables and views: in both directions of foreign keys, and through
    /// junctions.
    pub(super) fn relate(&mut self, keys: &Keys, names: &Names, views: &[View]) {
        let places = Places::new(names, views);
        for key in &keys.primary {
            self.take_primary_key(key, &places);
        }
        let links: Vec<Link> =
            keys.foreign.iter().flat_map(|key| self.links(keys, key, &places)).collect();
        let mut owned = HashSet::new();
        for link in &links {
            if owned.insert((&link.from, &link.constraint)) {
                self.add_foreign_key(link.from.clone(), &link.constraint);
            }
            self.add_relationship(link.relationship(true));
            self.add_relationship(link.relationship(false));
        }
        self.relate_through_junctions(&links);
        self.note_hidden_junctions(keys, &places);
    }

    /// Notes between what tables that are not exposed would be junctions.
    fn note_hidden_junctions(&mut self, keys: &Keys, places: &Places<'_>) {
        let primary: HashMap<Oid, &[i16]> =
            keys.primary.iter().map(|key| (key.relation, key.columns.as_slice())).collect();
        let mut hidden: HashMap<Oid, Vec<&Side>> = HashMap::new();
        for key in keys.foreign.iter().filter(|it| !places.names.contains_key(&it.from.relation)) {
            let primary = primary.get(&key.from.relation).copied().unwrap_or_default();
            let in_key = key.from.columns.iter().all(|column| primary.contains(column));
            if in_key && !keys.is_one_to_one(key) {
                hidden.entry(key.from.relation).or_default().push(&key.to);
            }
        }
        for ends in hidden.values() {
            let ends: Vec<_> = ends.iter().map(|end| places.of(end, self)).collect();
            for (at, here) in ends.iter().enumerate() {
                let others = ends.iter().enumerate().filter(|(other, _)| *other != at);
                for (to, _) in others.flat_map(|(_, there)| there) {
                    for (from, _) in here {
                        let schemas = self.left_out.entry(from.clone()).or_default();
                        schemas.insert(to.schema.clone());
                    }
                }
            }
        }
    }

    fn take_primary_key(&mut self, key: &Side, places: &Places<'_>) {
        let name = places.names.get(&key.relation);
        let columns = name.and_then(|name| name.columns(&key.columns, self));
        let views = places.views(key.relation).iter();
        let views = views.map(|view| (&view.name, view.first(key.relation, &key.columns)));
        let itself = name.map(|name| (&name.relation, columns));
        for (relation, columns) in itself.into_iter().chain(views) {
            if let (Some(relation), Some(columns)) = (self.relations.get_mut(relation), columns) {
                relation.primary_key.extend(columns);
            }
        }
    }

    fn links(&self, keys: &Keys, key: &ForeignKey, places: &Places<'_>) -> Vec<Link> {
        let starts = places.of(&key.from, self);
        if starts.is_empty() {
            return Vec::new();
        }
        let ends = places.of(&key.to, self);
        let one_to_one = keys.is_one_to_one(key);
        let link = |(from, from_columns): &(QualifiedName, Vec<String>),
                    (to, to_columns): &(QualifiedName, Vec<String>)| Link {
            constraint: key.name.clone(),
            from: from.clone(),
            from_columns: from_columns.clone(),
            to: to.clone(),
            to_columns: to_columns.clone(),
            one_to_one,
        };
        starts.iter().flat_map(|start| ends.iter().map(move |end| link(start, end))).collect()
    }

    /// Two different many-to-one keys of one relation make it a junction when together they are part of its primary
    /// key, so that a pair of rows is joined once at most.
    fn relate_through_junctions(&mut self, links: &[Link]) {
        let mut by_junction: HashMap<&QualifiedName, Vec<&Link>> = HashMap::new();
        for link in links.iter().filter(|link| !link.one_to_one) {
            let Some(junction) = self.relation(&link.from) else { continue };
            if link.from_columns.iter().all(|column| junction.primary_key.contains(column)) {
                by_junction.entry(&link.from).or_default().push(link);
            }
        }
        for keys in by_junction.values() {
            for first in keys {
                for second in keys.iter().filter(|second| second.constraint != first.constraint) {
                    self.add_relationship(many_to_many(first, second));
                }
            }
        }
    }
}

impl Link {
    /// From the relation that has the key to the one it refers to, or back.
    fn relationship(&self, forward: bool) -> Relationship {
        let (from, to) = if forward {
            ((&self.from, &self.from_columns), (&self.to, &self.to_columns))
        } else {
            ((&self.to, &self.to_columns), (&self.from, &self.from_columns))
        };
        let cardinality = match (self.one_to_one, forward) {
            (true, _) => Cardinality::OneToOne,
            (false, true) => Cardinality::ManyToOne,
            (false, false) => Cardinality::OneToMany,
        };
        Relationship {
            from: from.0.clone(),
            to: to.0.clone(),
            cardinality,
            via: Via::ForeignKey {
                constraint: self.constraint.clone(),
                columns: pairs(from.1, to.1),
            },
        }
    }
}

fn pairs(from: &[String], to: &[String]) -> Vec<ColumnPair> {
    let pair = |(from, to): (&String, &String)| ColumnPair { from: from.clone(), to: to.clone() };
    from.iter().zip(to).map(pair).collect()
}

fn many_to_many(first: &Link, second: &Link) -> Relationship {
    Relationship {
        from: first.to.clone(),
        to: second.to.clone(),
        cardinality: Cardinality::ManyToMany,
        via: Via::Junction(Junction {
            relation: first.from.clone(),
            from_constraint: first.constraint.clone(),
            to_constraint: second.constraint.clone(),
            from_columns: pairs(&first.to_columns, &first.from_columns),
            to_columns: pairs(&second.from_columns, &second.to_columns),
        }),
    }
}
