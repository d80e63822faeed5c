//! Identifiers and literals for the few statements that take no parameters (`create role`, `alter database`, …).

/// A name as a quoted identifier, and a text as a literal that means the same whatever `standard_conforming_strings` says.
pub use postgres_protocol::escape::{escape_identifier as ident, escape_literal as literal};
