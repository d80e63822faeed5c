//! What must be left of an access token's claims when a hook has changed them.

use serde_json::{Map, Value};

/// A claim's type.
#[derive(Clone, Copy)]
enum Type {
    Audience,
    Integer,
    Text,
    Object,
    Methods,
    Boolean,
}

impl Type {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Audience => value.is_string() || value.is_array(),
            Self::Integer => is_integer(value),
            Self::Text => value.is_string(),
            Self::Object => value.is_object(),
            Self::Methods => value
                .as_array()
                .is_some_and(|all| all.iter().all(|m| m.is_string() || m.is_object())),
            Self::Boolean => value.is_boolean(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Audience => "[string,array]",
            Self::Integer => "integer",
            Self::Text => "string",
            Self::Object => "object",
            Self::Methods => "array of strings and objects",
            Self::Boolean => "boolean",
        }
    }
}

/// The claims that our own code and people's policies rely on: their names, types, and whether a token
/// must have them. Any others are the hook's affair.
const CLAIMS: [(&str, Type, bool); 17] = [
    ("aud", Type::Audience, true),
    ("exp", Type::Integer, true),
    ("iat", Type::Integer, true),
    ("sub", Type::Text, true),
    ("email", Type::Text, true),
    ("phone", Type::Text, true),
    ("role", Type::Text, true),
    ("aal", Type::Text, true),
    ("session_id", Type::Text, true),
    ("is_anonymous", Type::Boolean, true),
    ("jti", Type::Text, false),
    ("iss", Type::Text, false),
    ("nbf", Type::Integer, false),
    ("app_metadata", Type::Object, false),
    ("user_metadata", Type::Object, false),
    ("amr", Type::Methods, false),
    ("client_id", Type::Text, false),
];

/// One line for each claim that is missing or of another type; none if the claims will do.
pub(super) fn complaints(claims: &Map<String, Value>) -> Vec<String> {
    CLAIMS
        .iter()
        .filter_map(|(name, kind, required)| match claims.get(*name) {
            None => required.then(|| format!("(root): {name} is required")),
            Some(value) if kind.fits(value) => None,
            Some(value) => Some(format!(
                "{name}: Invalid type. Expected: {}, given: {}",
                kind.name(),
                type_of(value)
            )),
        })
        .collect()
}

/// JSON Schema's integer: 1.0 is one.
fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
