//! Reading a catalog from `pg_catalog`.

mod columns;
mod keys;
mod node_tree;
mod rows;
mod views;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use crate::{Cardinality, Catalog, Printing, QualifiedName, Relationship, Representation, Via};

/// Which part of a database a catalog shows.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The exposed schemas, the default one first.
    pub schemas: Vec<String>,
    /// Schemas whose views those of the exposed schemas may look through to the tables below.
    pub extra_search_path: Vec<String>,
}

/// Why a catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// PostgreSQL failed.
    #[error("cannot read the catalog")]
    Database(#[from] tokio_postgres::Error),
    /// PostgreSQL answered with something unexpected.
    #[error("unexpected answer while reading the catalog")]
    Shape(#[from] serde_json::Error),
}

/// The exposed relations by oid.
type Names = HashMap<Oid, Name>;

/// What an exposed relation and its columns are called.
struct Name {
    relation: QualifiedName,
    /// The number (`pg_attribute.attnum`) of each column, in the order that the relation has them.
    numbers: Vec<i16>,
}

impl Name {
    /// The names of the columns with the numbers `key`.
    fn columns(&self, key: &[i16], catalog: &Catalog) -> Option<Vec<String>> {
        let relation = catalog.relation(&self.relation)?;
        let name = |number| {
            let place = self.numbers.iter().position(|it| it == number)?;
            Some(relation.columns.get_index(place)?.0.clone())
        };
        key.iter().map(name).collect()
    }
}

/// An `oid` of `pg_class` or `pg_type`.
type Oid = u32;

impl Catalog {
    /// Reads the catalog of the database that `client` is connected to, in one read-only snapshot.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when a statement fails; the transaction is then ended by the next one.
    pub async fn load(client: &mut Client, options: &LoadOptions) -> Result<Self, LoadError> {
        let transaction = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        // With an empty search path format_type() qualifies every type outside pg_catalog.
        transaction.batch_execute("set local search_path = ''; set local jit = off").await?;
        // On the heap, because a dozen statements under way are a large future.
        let catalog = Box::pin(Self::read(&transaction, options)).await?;
        transaction.rollback().await?;
        Ok(catalog)
    }

    async fn read(transaction: &Transaction<'_>, options: &LoadOptions) -> Result<Self, LoadError> {
        let schemas: [&(dyn ToSql + Sync); 1] = [&options.schemas];
        let with_views: Vec<&str> =
            options.schemas.iter().chain(&options.extra_search_path).map(String::as_str).collect();
        let mut catalog = Self::default();
        let representations =
            transaction.query(include_str!("load/representations.sql"), &[]).await?;
        let representations = representations_by_domain(&representations);
        let (relations, columns, keys, origins, others) = futures_util::try_join!(
            query(transaction, include_str!("load/relations.sql"), &schemas),
            columns::read(transaction, &schemas, &representations),
            keys::read(transaction),
            read_views(transaction, &with_views),
            Others::read(transaction, &schemas),
        )?;
        let names = catalog.take_relations(&relations, columns);
        let views = views::View::resolve(&origins, &names, &catalog);
        catalog.relate(&keys, &names, &views);
        catalog.take_others(&others)?;
        catalog.relationships.values_mut().for_each(|it| it.sort());
        Ok(catalog)
    }

    /// Adds the relations with their columns; returns their names by oid.
    fn take_relations(&mut self, rows: &[Row], mut columns: columns::Columns) -> Names {
        let mut names = Names::with_capacity(rows.len());
        for row in rows {
            let oid = row.get("oid");
            let (numbers, columns) = columns.remove(&oid).unwrap_or_default().into_iter().unzip();
            let relation = rows::relation(row, columns);
            names.insert(oid, Name { relation: relation.name.clone(), numbers });
            self.add_relation(relation);
        }
        names
    }

    fn take_others(&mut self, rows: &Others) -> Result<(), LoadError> {
        for row in &rows.functions {
            let function = rows::function(row)?;
            if row.get("callable") {
                self.add_function(function);
            } else {
                self.uncallable.push(function);
            }
        }
        for row in &rows.types {
            self.read_type(row)?;
        }
        for row in &rows.computed {
            self.read_computed(row);
        }
        for row in &rows.handlers {
            self.add_media_handler(rows::media_handler(row));
        }
        for row in &rows.settings {
            self.read_setting(row.get(0), row.get(1), row.get(2));
        }
        for row in &rows.schemas {
            let comment: Option<String> = row.get(1);
            if let Some(comment) = comment {
                self.schema_comments.insert(row.get(0), comment);
            }
        }
        for row in &rows.response {
            self.server_version = row.get::<_, i32>(0).unsigned_abs();
            self.sets_response = row.get(1);
        }
        for row in &rows.printing {
            self.printing = Printing::of([row.get(0), row.get(1), row.get(2)]);
        }
        for (name, value) in self.role_settings.values().flatten() {
            self.printing.unless(name, value);
        }
        Ok(())
    }

    /// A function from rows of one relation to rows of another. It takes the place of the relationships that were
    /// found between its relation and one that has the function's name.
    fn read_computed(&mut self, row: &Row) {
        let function = rows::name(row, "schema", "name");
        let from = rows::name(row, "from_schema", "from_name");
        let to = rows::name(row, "to_schema", "to_name");
        let single = row.get("single");
        let cardinality = if single { Cardinality::OneToOne } else { Cardinality::OneToMany };
        if let Some(found) = self.relationships.get_mut(&from) {
            found.retain(|it| matches!(it.via, Via::Function(_)) || it.to != function);
        }
        if self.relation(&from).is_some() && self.relation(&to).is_some() {
            let via = Via::Function(function);
            self.add_relationship(Relationship { from, to, cardinality, via });
        }
    }

    fn read_type(&mut self, row: &Row) -> Result<(), LoadError> {
        let name = rows::name(row, "schema", "name");
        let labels: Option<Vec<String>> = row.get("labels");
        match labels {
            Some(labels) => self.add_enum(name, labels),
            None => self.add_composite(name, rows::attributes(row)?),
        }
        Ok(())
    }

    /// Number of relations, relationships and functions, for a log line after a load.
    pub fn size(&self) -> (usize, usize, usize) {
        let relationships = self.relationships.values().map(Vec::len).sum();
        (self.relations.len(), relationships, self.all_functions().count())
    }

    /// Later rows are of this database and replace those of all databases.
    fn read_setting(&mut self, role: String, name: String, value: String) {
        let settings = self.role_settings.entry(role).or_default();
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value));
    }
}

/// Answers that are read after the relations.
struct Others {
    functions: Vec<Row>,
    types: Vec<Row>,
    computed: Vec<Row>,
    handlers: Vec<Row>,
    settings: Vec<Row>,
    schemas: Vec<Row>,
    response: Vec<Row>,
    printing: Vec<Row>,
}

impl Others {
    async fn read(
        transaction: &Transaction<'_>,
        schemas: &[&(dyn ToSql + Sync)],
    ) -> Result<Self, LoadError> {
        let (functions, types, computed, handlers, settings, schemas, response, printing) = futures_util::try_join!(
            query(transaction, include_str!("load/functions.sql"), schemas),
            query(transaction, include_str!("load/types.sql"), schemas),
            query(transaction, include_str!("load/computed.sql"), schemas),
            query(transaction, include_str!("load/media_handlers.sql"), schemas),
            query(transaction, include_str!("load/settings.sql"), &[]),
            query(transaction, include_str!("load/schemas.sql"), schemas),
            query(transaction, include_str!("load/sets_response.sql"), &[]),
            query(transaction, include_str!("load/printing.sql"), &[]),
        )?;
        Ok(Self { functions, types, computed, handlers, settings, schemas, response, printing })
    }
}

async fn query(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, LoadError> {
    Ok(transaction.query(sql, parameters).await?)
}

/// Reads where the columns of views come from. A definition can be large, so each is forgotten at once.
async fn read_views(
    transaction: &Transaction<'_>,
    schemas: &[&str],
) -> Result<views::Origins, LoadError> {
    let rows = transaction.query_raw(include_str!("load/views.sql"), [schemas]).await?;
    let mut rows = std::pin::pin!(rows);
    let mut origins = views::Origins::new();
    while let Some(row) = rows.try_next().await? {
        origins.insert(row.get(0), node_tree::origins(row.get(1)));
    }
    Ok(origins)
}

fn representations_by_domain(rows: &[Row]) -> columns::Representations {
    let mut found: HashMap<Oid, Representation> = HashMap::new();
    for row in rows {
        let representation = found.entry(row.get("domain")).or_default();
        let place = match (row.get("outwards"), row.get("format")) {
            (true, "json") => &mut representation.to_json,
            (true, _) => &mut representation.to_text,
            (false, "json") => &mut representation.from_json,
            (false, _) => &mut representation.from_text,
        };
        *place = Some(rows::name(row, "schema", "name"));
    }
    found.into_iter().map(|(domain, found)| (domain, Arc::new(found))).collect()
}
