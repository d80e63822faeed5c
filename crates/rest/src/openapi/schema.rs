//! Types, parameters and definitions of the OpenAPI document.

use plinth_catalog::{Catalog, Column, Function, Parameter, Relation, RelationKind, Via};
use serde_json::{Map, Value, json};

/// JSON's name for a type; none for types that may be anything.
fn json_type(type_name: &str) -> Option<&'static str> {
    match type_name {
        "boolean" => Some("boolean"),
        "smallint" | "integer" | "bigint" => Some("integer"),
        "numeric" | "real" | "double precision" => Some("number"),
        "json" | "jsonb" => None,
        other if other.ends_with("[]") => Some("array"),
        _ => Some("string"),
    }
}

fn format(type_name: &str) -> &str {
    match type_name {
        "smallint" | "integer" => "int32",
        "bigint" => "int64",
        other => other,
    }
}

/// `type`, `format` and, of arrays, `items`.
fn typed(type_name: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("format".to_owned(), format(type_name).into());
    if let Some(name) = json_type(type_name) {
        schema.insert("type".to_owned(), name.into());
    }
    if let Some(element) = type_name.strip_suffix("[]") {
        let items = json_type(element).map_or(json!({}), |name| json!({ "type": name }));
        schema.insert("items".to_owned(), items);
    }
    schema
}

/// The type that a column is said to have: the built-in type without its modifier, which may stand under a domain, or
/// the type as it was declared.
fn column_type(column: &Column) -> &str {
    // With an empty search path, only the names of built-in types have no schema.
    if column.base_type.contains('.') { &column.type_name } else { &column.base_type }
}

/// The schema of a relation's rows.
pub(super) fn definition(catalog: &Catalog, relation: &Relation) -> Value {
    let required: Vec<&str> =
        relation.columns.values().filter(|it| !it.nullable).map(|it| it.name.as_str()).collect();
    let properties: Map<String, Value> = relation
        .columns
        .values()
        .map(|column| (column.name.clone(), property(catalog, relation, column)))
        .collect();
    let mut definition = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        definition["required"] = required.into();
    }
    if let Some(comment) = &relation.comment {
        definition["description"] = comment.as_str().into();
    }
    definition
}

fn property(catalog: &Catalog, relation: &Relation, column: &Column) -> Value {
    let type_name = column_type(column);
    let mut schema = typed(type_name);
    if let Some(name) = column.enum_type.as_ref().filter(|_| !column.is_array)
        && let Some(labels) = catalog.enum_labels(name)
    {
        schema.insert("enum".to_owned(), labels.into());
    }
    if let Some(length) = column.max_length {
        schema.insert("maxLength".to_owned(), length.into());
    }
    let default = column.default.as_deref().filter(|_| !column.generated && !column.identity);
    if let Some(default) = default.and_then(|it| default_value(type_name, it)) {
        schema.insert("default".to_owned(), default);
    }
    if let Some(text) = description(catalog, relation, column) {
        schema.insert("description".to_owned(), text.into());
    }
    schema.into()
}

/// A default as JSON: text of text types, and what reads as JSON of the others.
fn default_value(type_name: &str, default: &str) -> Option<Value> {
    if json_type(type_name) == Some("string") {
        let text = default.strip_suffix(type_name).and_then(|text| text.strip_suffix("::"));
        let text = text.map_or(default, |text| text.trim_matches('\''));
        return serde_json::from_str(&format!("\"{text}\"")).ok();
    }
    serde_json::from_str(default).ok()
}

/// The comment, with notes on keys in the form that generators of clients read.
fn description(catalog: &Catalog, relation: &Relation, column: &Column) -> Option<String> {
    let mut notes = Vec::new();
    if relation.primary_key.contains(&column.name) {
        notes.push("This is a Primary Key.<pk/>".to_owned());
    }
    if let Some((table, target)) = foreign_key(catalog, relation, &column.name) {
        notes.push(format!(
            "This is a Foreign Key to `{table}.{target}`.<fk table='{table}' column='{target}'/>"
        ));
    }
    if notes.is_empty() {
        return column.comment.clone();
    }
    let before = column.comment.as_deref().map(|text| format!("{text}\n\n")).unwrap_or_default();
    Some(format!("{before}Note:\n{}", notes.join("\n")))
}

/// Table and column of the same schema that a foreign key of this column alone points to; tables before views.
fn foreign_key<'c>(
    catalog: &'c Catalog,
    relation: &Relation,
    column: &str,
) -> Option<(&'c str, &'c str)> {
    let is_view = |name| {
        let kind = catalog.relation(name).map(|it| it.kind);
        matches!(kind, Some(RelationKind::View | RelationKind::MaterializedView))
    };
    let mut found: Vec<(bool, &str, &str)> = Vec::new();
    for relationship in catalog.relationships_from(&relation.name) {
        if let Via::ForeignKey { columns, constraint } = &relationship.via
            && relationship.cardinality.is_to_one()
            && relationship.to.schema == relation.name.schema
            && catalog.owns_foreign_key(&relation.name, constraint)
            && let [pair] = columns.as_slice()
            && pair.from == column
        {
            found.push((is_view(&relationship.to), &relationship.to.name, &pair.to));
        }
    }
    found.sort_by_key(|(view, _, _)| *view);
    found.first().map(|(_, table, target)| (*table, *target))
}

fn text_parameter(name: &str, place: &str, description: &str) -> Value {
    json!({
        "name": name, "in": place, "type": "string", "required": false, "description": description,
    })
}

fn prefer(values: &[&str]) -> Value {
    let mut parameter = text_parameter("Prefer", "header", "Preference");
    if !values.is_empty() {
        parameter["enum"] = values.into();
    }
    parameter
}

/// Parameters that every path refers to.
pub(super) fn shared_parameters() -> Map<String, Value> {
    let returns = ["return=representation", "return=minimal", "return=none"];
    let resolutions = ["resolution=ignore-duplicates", "resolution=merge-duplicates"];
    let paging = "Limiting and Pagination";
    let mut unit = text_parameter("Range-Unit", "header", paging);
    unit["default"] = "items".into();
    let parameters = [
        ("preferParams", prefer(&[])),
        ("preferReturn", prefer(&returns)),
        ("preferCount", prefer(&["count=none"])),
        ("preferPost", prefer(&[&returns[..], &resolutions[..]].concat())),
        ("select", text_parameter("select", "query", "Filtering Columns")),
        ("on_conflict", text_parameter("on_conflict", "query", "On Conflict")),
        ("order", text_parameter("order", "query", "Ordering")),
        ("range", text_parameter("Range", "header", paging)),
        ("rangeUnit", unit),
        ("offset", text_parameter("offset", "query", paging)),
        ("limit", text_parameter("limit", "query", paging)),
    ];
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The body and the filters of one relation.
pub(super) fn table_parameters(relation: &Relation) -> Vec<(String, Value)> {
    let name = &relation.name.name;
    let body = json!({
        "name": name, "in": "body", "required": false, "description": name,
        "schema": { "$ref": format!("#/definitions/{name}") },
    });
    let mut parameters = vec![(format!("body.{name}"), body)];
    for column in relation.columns.values() {
        let mut filter =
            json!({ "name": column.name, "in": "query", "type": "string", "required": false });
        if let Some(comment) = &column.comment {
            filter["description"] = comment.as_str().into();
        }
        parameters.push((format!("rowFilter.{name}.{}", column.name), filter));
    }
    parameters
}

/// The schema of a function's JSON arguments.
pub(super) fn arguments<'t>(
    function: &'t Function,
    visible: &impl Fn(&'t str) -> &'t str,
) -> Value {
    let required: Vec<&str> =
        function.parameters.iter().filter(|it| it.required).map(|it| it.name.as_str()).collect();
    let properties: Map<String, Value> = function
        .parameters
        .iter()
        .map(|it| (it.name.clone(), typed(visible(&it.declared_type)).into()))
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if let Some(comment) = &function.comment {
        schema["description"] = comment.as_str().into();
    }
    schema
}

/// An argument as a parameter of the query string, where arrays are written `{…}`.
pub(super) fn query_parameter<'t>(
    parameter: &'t Parameter,
    visible: &impl Fn(&'t str) -> &'t str,
) -> Value {
    let type_name = visible(&parameter.declared_type);
    let mut schema =
        json!({ "name": parameter.name, "in": "query", "required": parameter.required });
    if parameter.variadic {
        schema["type"] = "array".into();
        schema["items"] = typed(type_name.trim_end_matches("[]")).into();
        schema["collectionFormat"] = "multi".into();
        return schema;
    }
    let name = json_type(type_name).filter(|name| *name != "array");
    schema["type"] = name.unwrap_or("string").into();
    schema["format"] = format(type_name).into();
    schema
}
