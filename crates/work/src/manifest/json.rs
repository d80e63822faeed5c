//! TOML as JSON, for settings that only an action understands.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Reader;
use super::spec::ENV;
use super::wording::is_variable;

/// The table as JSON. What JSON cannot hold, and variables that are none, are problems.
pub(super) fn to_json(reader: &Reader<'_>, table: &DeTable<'_>) -> Map<String, Value> {
    let fields = table.iter().map(|(name, value)| {
        check_nul(reader, name.span().start, name.get_ref());
        (name.get_ref().to_string(), json(reader, value))
    });
    fields.collect()
}

fn json(reader: &Reader<'_>, value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => {
            check_text(reader, value.span().start, text);
            Value::String(text.to_string())
        }
        DeValue::Integer(integer) => number(
            reader,
            value,
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Number::from),
        ),
        DeValue::Float(float) => {
            number(reader, value, float.as_str().parse().ok().and_then(Number::from_f64))
        }
        DeValue::Boolean(switch) => Value::Bool(*switch),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(reader, item)).collect(),
        DeValue::Table(table) => Value::Object(to_json(reader, table)),
    }
}

fn number(reader: &Reader<'_>, value: &Spanned<DeValue<'_>>, number: Option<Number>) -> Value {
    if number.is_none() {
        reader.problem(value.span().start, "a number that JSON cannot hold", None);
    }
    number.map_or(Value::Null, Value::Number)
}

/// That a text is no broken `env:NAME`, and has no NUL, which jsonb cannot hold.
fn check_text(reader: &Reader<'_>, at: usize, text: &str) {
    check_nul(reader, at, text);
    if let Some(name) = text.strip_prefix(ENV)
        && !is_variable(name)
    {
        let hint = "letters, digits and `_` follow on `env:`, and no digit first".to_owned();
        reader.problem(at, "`env:` without the name of an environment variable", hint);
    }
}

fn check_nul(reader: &Reader<'_>, at: usize, text: &str) {
    if text.contains('\0') {
        reader.problem(at, "a NUL character, which jsonb cannot hold", None);
    }
}
