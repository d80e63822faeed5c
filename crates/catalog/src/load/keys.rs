//! Relationships, and the primary keys of views, out of the keys of tables.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::views::View;
use super::{Oid, rows};
use crate::{Cardinality, Catalog, ColumnPair, Junction, QualifiedName, Relationship, Via};

/// A primary or foreign key.
pub(super) struct Key {
    name: String,
    from: Side,
    /// What a foreign key refers to; `None` for a primary key.
    to: Option<Side>,
    /// Whether the referring columns are a key by themselves.
    one_to_one: bool,
}

/// The columns of a key on one of its sides.
struct Side {
    oid: Oid,
    relation: QualifiedName,
    numbers: Vec<i16>,
    columns: Vec<String>,
}

impl Key {
    pub(super) fn from_row(row: &Row) -> Self {
        let side = |oid, schema, name, numbers, columns| Side {
            oid: row.get(oid),
            relation: rows::name(row, schema, name),
            numbers: row.get(numbers),
            columns: row.get(columns),
        };
        let is_foreign: bool = row.get("is_foreign");
        let to = || side("to_oid", "to_schema", "to_name", "to_numbers", "to_columns");
        Self {
            name: row.get("constraint_name"),
            from: side("from_oid", "from_schema", "from_name", "from_numbers", "from_columns"),
            to: is_foreign.then(to),
            one_to_one: row.get("one_to_one"),
        }
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

/// Views by the tables that they show something of.
struct Lookup<'v>(HashMap<Oid, Vec<&'v View>>);

impl<'v> Lookup<'v> {
    fn new(views: &'v [View]) -> Self {
        let mut by_table: HashMap<Oid, Vec<&View>> = HashMap::new();
        for view in views {
            for table in view.tables() {
                by_table.entry(table).or_default().push(view);
            }
        }
        Self(by_table)
    }

    fn of(&self, table: Oid) -> &[&'v View] {
        self.0.get(&table).map_or(&[], Vec::as_slice)
    }

    /// The relation itself, if it is exposed, and the views that show all of the columns, each with its names for them.
    fn places(&self, side: &Side, catalog: &Catalog) -> Vec<(QualifiedName, Vec<String>)> {
        let itself = catalog
            .relation(&side.relation)
            .map(|relation| (relation.name.clone(), side.columns.clone()));
        let views = self.of(side.oid).iter().flat_map(|view| {
            let choices = view.choices(side.oid, &side.numbers);
            choices.into_iter().map(|columns| (view.name.clone(), columns))
        });
        itself.into_iter().chain(views).collect()
    }
}

impl Catalog {
    /// Derives primary keys of views and relationships of tables and views: in both directions of foreign keys, and
    /// through junctions.
    pub(super) fn relate(&mut self, keys: &[Key], views: &[View]) {
        let views = Lookup::new(views);
        for key in keys.iter().filter(|key| key.to.is_none()) {
            self.take_primary_key(&key.from, &views);
        }
        let links: Vec<Link> = keys.iter().flat_map(|key| self.links(key, &views)).collect();
        let mut owned = HashSet::new();
        for link in &links {
            if owned.insert((&link.from, &link.constraint)) {
                self.add_foreign_key(link.from.clone(), &link.constraint);
            }
            self.add_relationship(link.forward());
            self.add_relationship(link.backward());
        }
        self.relate_through_junctions(&links);
        self.note_hidden_junctions(keys, &views);
    }

    /// Notes between what tables that are not exposed would be junctions.
    fn note_hidden_junctions(&mut self, keys: &[Key], views: &Lookup<'_>) {
        let mut hidden: HashMap<Oid, Vec<&Key>> = HashMap::new();
        for key in keys.iter().filter(|key| self.relation(&key.from.relation).is_none()) {
            hidden.entry(key.from.oid).or_default().push(key);
        }
        for keys in hidden.values() {
            let Some(primary) = keys.iter().find(|key| key.to.is_none()) else { continue };
            let joins = |key: &&&Key| {
                let in_key = |column| primary.from.numbers.contains(column);
                !key.one_to_one && key.from.numbers.iter().all(in_key)
            };
            let ends = keys.iter().filter(joins).filter_map(|key| key.to.as_ref());
            let ends: Vec<_> = ends.map(|end| views.places(end, self)).collect();
            for (at, here) in ends.iter().enumerate() {
                let others = ends.iter().enumerate().filter(|(other, _)| *other != at);
                for (to, _) in others.flat_map(|(_, there)| there) {
                    let noted = here.iter().map(|(from, _)| (from.clone(), to.schema.clone()));
                    self.left_out.extend(noted);
                }
            }
        }
    }

    fn take_primary_key(&mut self, key: &Side, views: &Lookup<'_>) {
        if let Some(table) = self.relations.get_mut(&key.relation) {
            table.primary_key.clone_from(&key.columns);
        }
        for view in views.of(key.oid) {
            let columns = view.first(key.oid, &key.numbers);
            if let (Some(view), Some(columns)) = (self.relations.get_mut(&view.name), columns) {
                view.primary_key.extend(columns);
            }
        }
    }

    fn links(&self, key: &Key, views: &Lookup<'_>) -> Vec<Link> {
        let Some(target) = &key.to else { return Vec::new() };
        let starts = views.places(&key.from, self);
        if starts.is_empty() {
            return Vec::new();
        }
        let ends = views.places(target, self);
        let link = |(from, from_columns): &(QualifiedName, Vec<String>),
                    (to, to_columns): &(QualifiedName, Vec<String>)| Link {
            constraint: key.name.clone(),
            from: from.clone(),
            from_columns: from_columns.clone(),
            to: to.clone(),
            to_columns: to_columns.clone(),
            one_to_one: key.one_to_one,
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

    /// Puts the relationships of each relation into an order that does not depend on how they were found: by target,
    /// to-many before to-one before many-to-many, by constraint, by columns.
    pub(super) fn sort_relationships(&mut self) {
        for relationships in self.relationships.values_mut() {
            relationships.sort_by(|a, b| order(a).cmp(&order(b)));
        }
    }
}

fn order(it: &Relationship) -> impl Ord + '_ {
    let kind = match (&it.via, it.cardinality) {
        (Via::Function(_), _) => 4,
        (_, Cardinality::OneToMany) => 0,
        (_, Cardinality::ManyToOne) => 1,
        (_, Cardinality::OneToOne) => 2,
        (_, Cardinality::ManyToMany) => 3,
    };
    let name = |name: &QualifiedName| (name.schema.clone(), name.name.clone());
    let pairs = |columns: &[ColumnPair]| {
        columns.iter().map(|pair| (pair.from.clone(), pair.to.clone())).collect::<Vec<_>>()
    };
    let via = match &it.via {
        Via::ForeignKey { constraint, columns } => {
            ((constraint.clone(), String::new()), String::new(), pairs(columns))
        }
        Via::Junction(junction) => (
            name(&junction.relation),
            format!("{}\0{}", junction.from_constraint, junction.to_constraint),
            pairs(&junction.from_columns).into_iter().chain(pairs(&junction.to_columns)).collect(),
        ),
        Via::Function(function) => (name(function), String::new(), Vec::new()),
    };
    (name(&it.to), kind, via)
}

impl Link {
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

    /// From the relation that has the key to the one it refers to.
    fn forward(&self) -> Relationship {
        self.relationship(true)
    }

    /// From the relation that is referred to, back.
    fn backward(&self) -> Relationship {
        self.relationship(false)
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
