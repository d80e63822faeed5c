//! Reading a catalog from `pg_catalog`.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use tokio_postgres::{Client, Row};

use crate::{
    Cardinality, Catalog, Column, ColumnPair, Function, Junction, MediaHandler, Parameter,
    QualifiedName, Relation, RelationKind, Relationship, ReturnType, Via, Volatility,
};

/// Which part of a database a catalog shows.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The exposed schemas, the default one first.
    pub schemas: Vec<String>,
    /// The server's time zone names, from [`time_zones`].
    pub time_zones: Arc<HashSet<String>>,
}

/// Reads the names in `pg_timezone_names`. The server reads a folder of files for this, so callers
/// ask once per cluster and share the answer between catalogs.
///
/// # Errors
///
/// [`LoadError::Database`] when the statement fails.
pub async fn time_zones(client: &Client) -> Result<Arc<HashSet<String>>, LoadError> {
    let rows = client.query("select name from pg_timezone_names", &[]).await?;
    Ok(Arc::new(rows.iter().map(|row| row.get(0)).collect()))
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
        let schemas: &(dyn tokio_postgres::types::ToSql + Sync) = &options.schemas;
        let scoped = [schemas];
        let (relations, keys, functions, types, handlers, settings, schema_rows) = futures_util::try_join!(
            transaction.query(include_str!("load/relations.sql"), &scoped),
            transaction.query(include_str!("load/foreign_keys.sql"), &scoped),
            transaction.query(include_str!("load/functions.sql"), &scoped),
            transaction.query(include_str!("load/types.sql"), &scoped),
            transaction.query(include_str!("load/media_handlers.sql"), &scoped),
            transaction.query(include_str!("load/settings.sql"), &[]),
            transaction.query(
                "select nspname, obj_description(oid, 'pg_namespace'), \
                 current_setting('server_version_num')::int, \
                 exists (select from pg_proc where pronamespace not in ('pg_catalog'::regnamespace, \
                 'information_schema'::regnamespace) \
                 and coalesce(pg_get_function_sqlbody(oid), prosrc) ~ 'response\\.(headers|status)') \
                 or exists (select from pg_policy \
                 where pg_get_expr(polqual, polrelid) ~ 'response\\.(headers|status)') \
                 from pg_namespace where nspname = any ($1)",
                &scoped
            ),
        )?;
        transaction.rollback().await?;

        let mut catalog = Self::default();
        for row in &relations {
            catalog.add_relation(relation(row)?);
        }
        let keys: Vec<ForeignKey> = keys.iter().map(ForeignKey::from_row).collect();
        catalog.relate(&keys);
        for row in &functions {
            catalog.read_function(row)?;
        }
        for row in &types {
            catalog.read_type(row)?;
        }
        for row in &handlers {
            catalog.add_media_handler(media_handler(row));
        }
        for row in &settings {
            catalog.read_setting(row.get(0), row.get(1), row.get(2));
        }
        for row in &schema_rows {
            let comment: Option<String> = row.get(1);
            if let Some(comment) = comment {
                catalog.schema_comments.insert(row.get(0), comment);
            }
            catalog.server_version = row.get::<_, i32>(2).unsigned_abs();
            catalog.sets_response = row.get(3);
        }
        catalog.time_zones = options.time_zones.clone();
        Ok(catalog)
    }

    /// Derives relationships, in both directions and through junctions, from foreign keys.
    fn relate(&mut self, keys: &[ForeignKey]) {
        for key in keys {
            self.add_foreign_key(key.from.clone(), &key.name);
            self.add_relationship(key.forward());
            self.add_relationship(key.backward());
        }
        for first in keys {
            for second in keys {
                if self.joins(first, second) {
                    self.add_relationship(many_to_many(first, second));
                }
            }
        }
    }

    /// Whether two different keys of one table make it a junction: together they are part of its
    /// primary key, so that a pair of rows is joined once at most.
    fn joins(&self, first: &ForeignKey, second: &ForeignKey) -> bool {
        first.from == second.from
            && first.name != second.name
            && self.relation(&first.from).is_some_and(|junction| {
                let in_key = |column| junction.primary_key.contains(column);
                first.from_columns.iter().all(in_key) && second.from_columns.iter().all(in_key)
            })
    }

    fn read_function(&mut self, row: &Row) -> Result<(), LoadError> {
        let function = function(row)?;
        let starts_at: Option<String> = row.get("row_name");
        if let (Some(name), ReturnType::Composite(to)) = (starts_at, &function.returns) {
            let one = !function.returns_set || row.get::<_, f32>("expected_rows") == 1.0;
            let relationship = Relationship {
                from: QualifiedName::new(row.get::<_, String>("row_schema"), name),
                to: to.clone(),
                cardinality: if one { Cardinality::OneToOne } else { Cardinality::OneToMany },
                via: Via::Function(function.name.clone()),
            };
            if self.relation(&relationship.from).is_some() && self.relation(to).is_some() {
                self.add_relationship(relationship);
            }
        }
        if row.get("callable") {
            self.add_function(function);
        }
        Ok(())
    }

    fn read_type(&mut self, row: &Row) -> Result<(), LoadError> {
        let name = QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name"));
        let labels: Option<Vec<String>> = row.get("labels");
        if let Some(labels) = labels {
            self.add_enum(name, labels);
            return Ok(());
        }
        let attributes: Option<String> = row.get("attributes");
        let attributes: Vec<JsonColumn> =
            serde_json::from_str(attributes.as_deref().unwrap_or("[]"))?;
        self.add_composite(name, attributes.into_iter().map(Column::from).collect());
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

#[derive(Deserialize)]
struct JsonName {
    schema: String,
    name: String,
}

impl From<JsonName> for QualifiedName {
    fn from(name: JsonName) -> Self {
        Self { schema: name.schema, name: name.name }
    }
}

/// A column as the statements describe it; a parameter or attribute has fewer facts.
#[derive(Deserialize)]
struct JsonColumn {
    name: String,
    type_name: String,
    base_type: Option<String>,
    #[serde(default = "yes")]
    nullable: bool,
    default: Option<String>,
    #[serde(default)]
    generated: bool,
    #[serde(default)]
    identity: bool,
    max_length: Option<i32>,
    enum_type: Option<JsonName>,
    composite_type: Option<JsonName>,
    is_array: bool,
    comment: Option<String>,
}

fn yes() -> bool {
    true
}

impl From<JsonColumn> for Column {
    fn from(column: JsonColumn) -> Self {
        Self {
            base_type: column.base_type.unwrap_or_else(|| column.type_name.clone()),
            name: column.name,
            type_name: column.type_name,
            nullable: column.nullable,
            default: column.default,
            generated: column.generated,
            identity: column.identity,
            max_length: column.max_length,
            enum_type: column.enum_type.map(QualifiedName::from),
            composite_type: column.composite_type.map(QualifiedName::from),
            is_array: column.is_array,
            comment: column.comment,
        }
    }
}

#[derive(Deserialize)]
struct JsonParameter {
    name: String,
    type_name: String,
    required: bool,
    variadic: bool,
}

/// Bits of `pg_relation_is_updatable`: `1 << CMD_UPDATE`, `1 << CMD_INSERT`, `1 << CMD_DELETE`.
const UPDATE_BIT: i32 = 1 << 2;
const INSERT_BIT: i32 = 1 << 3;
const DELETE_BIT: i32 = 1 << 4;

fn relation(row: &Row) -> Result<Relation, LoadError> {
    let columns: Vec<JsonColumn> = serde_json::from_str(row.get("columns"))?;
    let updatable: i32 = row.get("updatable");
    Ok(Relation {
        name: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        kind: match row.get("kind") {
            "p" => RelationKind::PartitionedTable,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::ForeignTable,
            _ => RelationKind::Table,
        },
        comment: row.get("comment"),
        columns: columns.into_iter().map(|c| (c.name.clone(), Column::from(c))).collect(),
        primary_key: row.get("primary_key"),
        insertable: updatable & INSERT_BIT != 0,
        updatable: updatable & UPDATE_BIT != 0,
        deletable: updatable & DELETE_BIT != 0,
    })
}

fn function(row: &Row) -> Result<Function, LoadError> {
    let parameters: Vec<JsonParameter> = serde_json::from_str(row.get("parameters"))?;
    let outputs: Vec<JsonColumn> = serde_json::from_str(row.get("outputs"))?;
    let composite: Option<String> = row.get("composite_name");
    let returns = if row.get("returns_void") {
        ReturnType::Void
    } else if !outputs.is_empty() {
        ReturnType::Table(outputs.into_iter().map(Column::from).collect())
    } else if let Some(name) = composite {
        ReturnType::Composite(QualifiedName::new(row.get::<_, String>("composite_schema"), name))
    } else if row.get("returns_record") {
        ReturnType::Record
    } else {
        ReturnType::Scalar(row.get("return_type"))
    };
    let settings: Vec<String> = row.get("settings");
    Ok(Function {
        name: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        parameters: parameters
            .into_iter()
            .map(|p| Parameter {
                name: p.name,
                type_name: p.type_name,
                required: p.required,
                variadic: p.variadic,
            })
            .collect(),
        returns,
        returns_set: row.get("returns_set"),
        volatility: match row.get("volatility") {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        comment: row.get("comment"),
        settings: settings
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    })
}

fn media_handler(row: &Row) -> MediaHandler {
    let target: Option<String> = row.get("target_name");
    MediaHandler {
        name: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        target: target.map(|name| QualifiedName::new(row.get::<_, String>("target_schema"), name)),
        media_type: row.get("media_type"),
        bytes: row.get("bytes"),
    }
}

struct ForeignKey {
    name: String,
    from: QualifiedName,
    to: QualifiedName,
    from_columns: Vec<String>,
    to_columns: Vec<String>,
    one_to_one: bool,
}

impl ForeignKey {
    fn from_row(row: &Row) -> Self {
        let name = |schema: &str, name: &str| {
            QualifiedName::new(row.get::<_, String>(schema), row.get::<_, String>(name))
        };
        Self {
            name: row.get("constraint_name"),
            from: name("from_schema", "from_name"),
            to: name("to_schema", "to_name"),
            from_columns: row.get("from_columns"),
            to_columns: row.get("to_columns"),
            one_to_one: row.get("one_to_one"),
        }
    }

    fn pairs<'a>(from: &'a [String], to: &'a [String]) -> Vec<ColumnPair> {
        from.iter()
            .zip(to)
            .map(|(from, to)| ColumnPair { from: from.clone(), to: to.clone() })
            .collect()
    }

    /// From the table that has the key to the one it refers to.
    fn forward(&self) -> Relationship {
        Relationship {
            from: self.from.clone(),
            to: self.to.clone(),
            cardinality: if self.one_to_one {
                Cardinality::OneToOne
            } else {
                Cardinality::ManyToOne
            },
            via: Via::ForeignKey {
                constraint: self.name.clone(),
                columns: Self::pairs(&self.from_columns, &self.to_columns),
            },
        }
    }

    /// From the table that is referred to, back.
    fn backward(&self) -> Relationship {
        Relationship {
            from: self.to.clone(),
            to: self.from.clone(),
            cardinality: if self.one_to_one {
                Cardinality::OneToOne
            } else {
                Cardinality::OneToMany
            },
            via: Via::ForeignKey {
                constraint: self.name.clone(),
                columns: Self::pairs(&self.to_columns, &self.from_columns),
            },
        }
    }
}

fn many_to_many(first: &ForeignKey, second: &ForeignKey) -> Relationship {
    Relationship {
        from: first.to.clone(),
        to: second.to.clone(),
        cardinality: Cardinality::ManyToMany,
        via: Via::Junction(Junction {
            relation: first.from.clone(),
            from_constraint: first.name.clone(),
            to_constraint: second.name.clone(),
            from_columns: ForeignKey::pairs(&first.to_columns, &first.from_columns),
            to_columns: ForeignKey::pairs(&second.from_columns, &second.to_columns),
        }),
    }
}
