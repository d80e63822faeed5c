//! The JSON schema of a manifest, for editors.

use serde_json::{Map, Value, json};

use super::bounds::{
    MAX_NAME, MAX_NAMES, MAX_SEALED_TABLES, MAX_SQL_BYTES, MAX_STATEMENTS, MAX_TEXT,
};
use super::keys::{BUILT_IN, MANIFEST};
use super::shape::{Choice, Form, Key, Need, Shape};
use super::span;

/// The schema of a manifest (JSON Schema, draft 2020-12), made from what the parser goes by.
///
/// It says what an editor can check; the parser and the database know more.
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = object(&MANIFEST, &mut definitions);
    for (_, shape) in &BUILT_IN {
        define(shape, &mut definitions);
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("$defs".into(), definitions.into());
    }
    schema
}

/// A reference to the shape, which is defined by the way.
fn define(shape: &'static Shape, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(shape.id) {
        // Kept before it is whole: a shape may hold itself.
        definitions.insert(shape.id.to_owned(), Value::Null);
        let schema = object(shape, definitions);
        definitions.insert(shape.id.to_owned(), schema);
    }
    json!({ "$ref": format!("#/$defs/{}", shape.id) })
}

fn object(shape: &'static Shape, definitions: &mut Map<String, Value>) -> Value {
    let properties: Map<String, Value> =
        shape.keys().map(|key| (key.name.to_owned(), property(key, definitions))).collect();
    let required = shape.keys().filter(|key| key.need == Need::Required).map(|key| key.name);
    let mut schema = json!({
        "title": shape.title,
        "description": shape.about,
        "type": "object",
        "properties": properties,
        "required": required.collect::<Vec<_>>(),
        "additionalProperties": false,
    });
    let mut rules: Vec<Value> = shape.choices.iter().map(choice).collect();
    if shape.key("action").is_some() && shape.key("with").is_some() {
        rules.extend(BUILT_IN.iter().map(|(action, shape)| settings_of(action, shape)));
    }
    if !rules.is_empty() {
        schema["allOf"] = rules.into();
    }
    let needs: Map<String, Value> =
        shape.needs.iter().map(|(key, other)| ((*key).to_owned(), json!([other]))).collect();
    if !needs.is_empty() {
        schema["dependentRequired"] = needs.into();
    }
    schema
}

/// That the settings of an action are those that it has.
fn settings_of(action: &str, shape: &Shape) -> Value {
    json!({
        "if": { "properties": { "action": { "const": action } }, "required": ["action"] },
        "then": { "properties": { "with": { "$ref": format!("#/$defs/{}", shape.id) } } },
    })
}

/// At most one of the keys, or exactly one.
fn choice(choice: &Choice) -> Value {
    let given = |key: &&str| json!({ "required": [key] });
    let mut ways: Vec<Value> = choice.keys.iter().map(given).collect();
    if !choice.required {
        ways.push(json!({ "not": { "anyOf": ways.clone() } }));
    }
    json!({ "oneOf": ways })
}

fn property(key: &Key, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = form(&key.form, definitions);
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".into(), key.about.into());
        if let Need::Default(default) = key.need
            && let Some(default) = default_value(default)
        {
            fields.insert("default".into(), default);
        }
    }
    schema
}

/// A default, which is written as TOML, as JSON.
fn default_value(default: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("value = {default}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

fn form(form_of: &Form, definitions: &mut Map<String, Value>) -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let secret = || text("^env:[A-Za-z_][A-Za-z0-9_]*$");
    let several = |one: Value, most: usize| json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": most }] });
    match form_of {
        Form::Text => json!({ "type": "string", "minLength": 1, "maxLength": MAX_TEXT }),
        Form::Texts { most } => several(json!({ "type": "string", "minLength": 1 }), *most),
        Form::TextTable => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        Form::Name => text(&format!("^[a-z][a-z0-9_-]{{0,{}}}$", MAX_NAME - 1)),
        Form::Relation => text(r#"^[^".\s]+(\.[^".\s]+)?$"#),
        Form::Column => text(r#"^[^".\s]+$"#),
        Form::Action => text(r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$"),
        Form::Secret => secret(),
        Form::Secrets { most } => several(secret(), *most),
        Form::Statement(_) | Form::Expression(_) => {
            json!({ "type": "string", "minLength": 1, "maxLength": MAX_SQL_BYTES })
        }
        Form::Statements(_) => several(
            json!({ "type": "string", "minLength": 1, "maxLength": MAX_SQL_BYTES }),
            MAX_STATEMENTS,
        ),
        Form::Span { .. } => text(span::PATTERN),
        Form::Integer { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Form::Number { least, most } => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Form::Switch => json!({ "type": "boolean" }),
        Form::Word(words) => json!({ "enum": words }),
        Form::Settings => json!({ "type": "object" }),
        Form::Columns => json!({
            "type": "object",
            "maxProperties": MAX_SEALED_TABLES,
            "additionalProperties": {
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
                "maxItems": MAX_NAMES,
                "uniqueItems": true,
            },
        }),
        Form::Table(shape) => define(shape, definitions),
        Form::Tables { shape, most } => {
            json!({ "type": "array", "items": define(shape, definitions), "maxItems": most })
        }
        Form::Either(one, other) => {
            json!({ "anyOf": [form(one, definitions), form(other, definitions)] })
        }
    }
}
