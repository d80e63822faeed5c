//! Functions that a request may call.

use crate::{Column, QualifiedName};

/// `pg_proc.provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    /// Always the same answer.
    Immutable,
    /// The same answer within one statement.
    Stable,
    /// May change data.
    Volatile,
}

/// One input parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The name; empty when the parameter has none.
    pub name: String,
    /// The type as SQL text that is valid in a cast and keeps the whole value: `bit` and `character` are here
    /// without their length of one.
    pub type_name: String,
    /// The type as it was declared.
    pub declared_type: String,
    /// Whether the caller must give it (it has no default).
    pub required: bool,
    /// Whether it is the trailing `variadic` parameter; `type_name` is then the array type.
    pub variadic: bool,
}

/// What a function gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnType {
    /// `void`.
    Void,
    /// One value of a type that is not a row, by its SQL name.
    Scalar(String),
    /// Rows of a relation or composite type: `returns tasks`, `returns setof tasks`.
    Composite(QualifiedName),
    /// Rows with columns of the function's own: `returns table (…)` and several `out` parameters.
    Table(Vec<Column>),
    /// `record` whose shape is not known before the call.
    Record,
}

/// One overload of a function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Schema and name.
    pub name: QualifiedName,
    /// Input parameters in order (`in`, `inout`, `variadic`).
    pub parameters: Vec<Parameter>,
    /// The type of one result.
    pub returns: ReturnType,
    /// Whether it returns a set (`setof`, `table`).
    pub returns_set: bool,
    /// Its volatility.
    pub volatility: Volatility,
    /// `comment on function …`.
    pub comment: Option<String>,
    /// Settings of `create function … set name = value`.
    pub settings: Vec<(String, String)>,
}

impl Function {
    /// The value of a setting of `create function … set name = value`.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
