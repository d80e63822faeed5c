//! One row of an answer, one value of the catalog.

use serde::Deserialize;
use tokio_postgres::Row;

use super::LoadError;
use crate::{
    Column, Function, MediaHandler, Parameter, QualifiedName, Relation, RelationKind, ReturnType,
    Volatility,
};

/// The name in two columns of a row that are never null.
pub(super) fn name(row: &Row, schema: &str, name: &str) -> QualifiedName {
    QualifiedName::new(row.get::<_, String>(schema), row.get::<_, String>(name))
}

/// Bits of `pg_relation_is_updatable`: `1 << CMD_UPDATE`, `1 << CMD_INSERT`, `1 << CMD_DELETE`.
const UPDATE_BIT: i32 = 1 << 2;
const INSERT_BIT: i32 = 1 << 3;
const DELETE_BIT: i32 = 1 << 4;

/// A relation without its primary key, which [`super::keys`] finds.
pub(super) fn relation(row: &Row, columns: Vec<Column>) -> Relation {
    let updatable: i32 = row.get("updatable");
    Relation {
        name: name(row, "schema", "name"),
        kind: match row.get("kind") {
            "p" => RelationKind::PartitionedTable,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::ForeignTable,
            _ => RelationKind::Table,
        },
        comment: row.get("comment"),
        columns: columns.into_iter().map(|column| (column.name.clone(), column)).collect(),
        primary_key: Vec::new(),
        insertable: updatable & INSERT_BIT != 0,
        updatable: updatable & UPDATE_BIT != 0,
        deletable: updatable & DELETE_BIT != 0,
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

/// An `out` parameter or an attribute: a column with few facts.
#[derive(Deserialize)]
struct JsonAttribute {
    name: String,
    type_name: String,
    enum_type: Option<JsonName>,
    composite_type: Option<JsonName>,
    is_array: bool,
}

impl From<JsonAttribute> for Column {
    fn from(attribute: JsonAttribute) -> Self {
        Self {
            enum_type: attribute.enum_type.map(QualifiedName::from),
            composite_type: attribute.composite_type.map(QualifiedName::from),
            is_array: attribute.is_array,
            ..Self::plain(&attribute.name, &attribute.type_name)
        }
    }
}

fn columns(json: &str) -> Result<Vec<Column>, LoadError> {
    let columns: Vec<JsonAttribute> = serde_json::from_str(json)?;
    Ok(columns.into_iter().map(Column::from).collect())
}

/// The attributes of a composite type.
pub(super) fn attributes(row: &Row) -> Result<Vec<Column>, LoadError> {
    let attributes: Option<&str> = row.get("attributes");
    columns(attributes.unwrap_or("[]"))
}

#[derive(Deserialize)]
struct JsonParameter {
    name: String,
    type_name: String,
    declared_type: String,
    required: bool,
    variadic: bool,
}

impl From<JsonParameter> for Parameter {
    fn from(parameter: JsonParameter) -> Self {
        Self {
            name: parameter.name,
            type_name: parameter.type_name,
            declared_type: parameter.declared_type,
            required: parameter.required,
            variadic: parameter.variadic,
        }
    }
}

pub(super) fn function(row: &Row) -> Result<Function, LoadError> {
    let parameters: Vec<JsonParameter> = serde_json::from_str(row.get("parameters"))?;
    let settings: Vec<String> = row.get("settings");
    Ok(Function {
        name: name(row, "schema", "name"),
        parameters: parameters.into_iter().map(Parameter::from).collect(),
        returns: returns(row)?,
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

fn returns(row: &Row) -> Result<ReturnType, LoadError> {
    let outputs = columns(row.get("outputs"))?;
    let composite: Option<String> = row.get("composite_name");
    Ok(if row.get("returns_void") {
        ReturnType::Void
    } else if !outputs.is_empty() {
        ReturnType::Table(outputs)
    } else if let Some(name) = composite {
        ReturnType::Composite(QualifiedName::new(row.get::<_, String>("composite_schema"), name))
    } else if row.get("returns_record") {
        ReturnType::Record
    } else {
        ReturnType::Scalar(row.get("return_type"))
    })
}

pub(super) fn media_handler(row: &Row) -> MediaHandler {
    let target: Option<String> = row.get("target_name");
    MediaHandler {
        name: name(row, "schema", "name"),
        target: target.map(|name| QualifiedName::new(row.get::<_, String>("target_schema"), name)),
        media_type: row.get("media_type"),
        bytes: row.get("bytes"),
    }
}
