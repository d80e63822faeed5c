//! Columns, and the types that many of them share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};

use super::{LoadError, Oid};
use crate::{Column, QualifiedName, Representation, TextType};

/// The columns of each relation in attribute order, each with its number (`pg_attribute.attnum`).
pub(super) type Columns = HashMap<Oid, Vec<(i16, Column)>>;

/// A type with its modifier.
type TypeKey = (Oid, i32);

/// How values of domains look to clients, by domain.
pub(super) type Representations = HashMap<Oid, Arc<Representation>>;

/// What a column has of its type.
struct Type {
    type_name: String,
    base_type: String,
    not_null: bool,
    default: Option<String>,
    max_length: Option<i32>,
    enum_type: Option<QualifiedName>,
    composite_type: Option<QualifiedName>,
    is_array: bool,
    text_type: Option<TextType>,
}

/// Reads the columns of the relations of `schemas`. Tens of thousands are usual, so rows are not collected first.
pub(super) async fn read(
    transaction: &Transaction<'_>,
    schemas: &[&(dyn ToSql + Sync)],
    representations: &Representations,
) -> Result<Columns, LoadError> {
    let sql = include_str!("columns.sql");
    let rows = transaction.query_raw(sql, schemas.iter().copied()).await?;
    let mut rows = std::pin::pin!(rows);
    let mut found: Vec<(Oid, i16, TypeKey, Column)> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let key = (row.get("type"), row.get("modifier"));
        found.push((row.get("relation"), row.get("number"), key, column(&row)));
    }
    let types = read_types(transaction, found.iter().map(|(_, _, key, _)| *key)).await?;
    let mut columns = Columns::new();
    for (relation, number, key, mut column) in found {
        if let Some(of_type) = types.get(&key) {
            of_type.complete(&mut column);
        }
        column.representation = representations.get(&key.0).cloned();
        columns.entry(relation).or_default().push((number, column));
    }
    for columns in columns.values_mut() {
        columns.sort_by_key(|(number, _)| *number);
    }
    Ok(columns)
}

async fn read_types(
    transaction: &Transaction<'_>,
    keys: impl Iterator<Item = TypeKey>,
) -> Result<HashMap<TypeKey, Type>, LoadError> {
    let keys: HashSet<TypeKey> = keys.collect();
    let (types, modifiers): (Vec<Oid>, Vec<i32>) = keys.into_iter().unzip();
    let rows = transaction.query(include_str!("column_types.sql"), &[&types, &modifiers]).await?;
    Ok(rows
        .iter()
        .map(|row| ((row.get("type"), row.get("modifier")), Type::from_row(row)))
        .collect())
}

/// The column as far as the type does not matter.
fn column(row: &Row) -> Column {
    let not_null: bool = row.get("not_null");
    Column {
        nullable: !not_null,
        default: row.get("default"),
        generated: row.get("generated"),
        identity: row.get("identity"),
        comment: row.get("comment"),
        ..Column::plain(row.get("name"), "")
    }
}

impl Type {
    fn from_row(row: &Row) -> Self {
        let of_element = |schema: &str| {
            let schema: Option<String> = row.get(schema);
            schema.map(|schema| QualifiedName::new(schema, row.get::<_, String>("element_name")))
        };
        let array = row.get("is_array");
        let text_type: Option<Oid> = row.get("text_type");
        Self {
            type_name: row.get("type_name"),
            base_type: row.get("base_type"),
            not_null: row.get("not_null"),
            default: row.get("default"),
            max_length: row.get("max_length"),
            enum_type: of_element("enum_schema"),
            composite_type: of_element("composite_schema"),
            is_array: array,
            text_type: text_type.map(|oid| TextType { oid, array }),
        }
    }

    fn complete(&self, column: &mut Column) {
        column.type_name.clone_from(&self.type_name);
        column.base_type.clone_from(&self.base_type);
        column.nullable &= !self.not_null;
        if column.default.is_none() {
            column.default.clone_from(&self.default);
        }
        column.max_length = self.max_length;
        column.enum_type.clone_from(&self.enum_type);
        column.composite_type.clone_from(&self.composite_type);
        column.is_array = self.is_array;
        column.text_type = self.text_type;
    }
}
