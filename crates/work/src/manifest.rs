//! The manifest of a blueprint: `blueprint.toml`, from text to values that an engine can work with.

pub mod bounds;
mod name;
mod problem;
mod spell;
mod sql;

pub use name::Name;
pub use problem::{FILE, Problem};
pub use sql::{Rendered, STATEMENTS, Sql, SqlError};
