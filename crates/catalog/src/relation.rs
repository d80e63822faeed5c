//! Tables, views and their columns.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::{QualifiedName, Representation};

/// What kind of thing a relation is (`pg_class.relkind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table (the parent, not a partition).
    PartitionedTable,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
}

/// One table-like object that a request may name.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Schema and name.
    pub name: QualifiedName,
    /// What kind of relation it is.
    pub kind: RelationKind,
    /// `comment on table …`.
    pub comment: Option<String>,
    /// Columns in attribute order, by name.
    pub columns: IndexMap<String, Column>,
    /// Columns of the primary key in key order; empty when there is none. For a view: those of its base tables,
    /// where all columns of a table's key are visible in the view under some name.
    pub primary_key: Vec<String>,
    /// Whether `insert` is possible (a table, or a view that is updatable or has triggers).
    pub insertable: bool,
    /// Whether `update` is possible.
    pub updatable: bool,
    /// Whether `delete` is possible.
    pub deletable: bool,
}

/// One column of a relation, or one attribute of a composite type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The declared type as SQL text that is valid in a cast, with modifiers
    /// (`character varying(255)`, `public.mood`, `vector(1536)`; from `format_type`, with an empty
    /// search path, so that every type outside `pg_catalog` is qualified).
    pub type_name: String,
    /// As `type_name` without modifiers, domains resolved to their base type.
    pub base_type: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// The default's SQL text, that of the column's domain included; also set for identity and generated columns.
    pub default: Option<String>,
    /// `generated always as identity` or `generated always as (…) stored`: may not be written.
    pub generated: bool,
    /// `generated … as identity` of either kind.
    pub identity: bool,
    /// Length limit of `varchar(n)` and `char(n)` in characters, of `bit(n)` and `varbit(n)` in bits.
    pub max_length: Option<i32>,
    /// The enum type of the column or of its elements, when it is one.
    pub enum_type: Option<QualifiedName>,
    /// The composite type (a table's row type included) of the column, when it is one.
    pub composite_type: Option<QualifiedName>,
    /// Whether the type is an array.
    pub is_array: bool,
    /// The column's type, or that of its domain, when it is made by people and its values are just texts.
    pub text_type: Option<TextType>,
    /// `comment on column …`.
    pub comment: Option<String>,
    /// How its values look to clients, when the column's type is a domain with casts of its own.
    pub representation: Option<Arc<Representation>>,
}

/// A type that this database has and others have not, whose values are texts in both formats and in JSON: an enum, or
/// one that borrows the functions of `text` (`citext`), without a cast to `json`; or an array of such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextType {
    /// The object id (`pg_type.oid`).
    pub oid: u32,
    /// Whether it is an array.
    pub array: bool,
}

impl Column {
    /// A plain nullable column of a built-in type, for catalogs made by hand.
    pub fn plain(name: &str, type_name: &str) -> Self {
        Self {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            base_type: type_name.to_owned(),
            nullable: true,
            default: None,
            generated: false,
            identity: false,
            max_length: None,
            enum_type: None,
            composite_type: None,
            is_array: type_name.ends_with("[]"),
            text_type: None,
            comment: None,
            representation: None,
        }
    }
}
