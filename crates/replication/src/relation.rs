//! What the log says of a table whose rows changed.

use std::sync::Arc;

/// A table as it was when its rows changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What old rows of updates and deletes have in them.
    pub identity: ReplicaIdentity,
    /// The published columns, in the table's order. Generated ones are not among them.
    pub columns: Arc<[Column]>,
}

impl Relation {
    /// The place of the column called `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    /// The places of the columns of the replica identity.
    pub fn key(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(|(_, column)| column.key).map(|(place, _)| place)
    }
}

/// What old rows have in them (`alter table … replica identity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// Nothing: updates come without the old row, and deletes are refused by PostgreSQL.
    Nothing,
    /// Everything.
    Full,
    /// The columns of an index.
    Index,
}

/// A column of a [`Relation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Oid of its type.
    pub type_oid: u32,
    /// Modifier of its type, such as the length of a `varchar`; -1 for none.
    pub type_modifier: i32,
    /// It is part of the replica identity. Every column is with [`ReplicaIdentity::Full`].
    pub key: bool,
    /// Name of its type, when that is none of PostgreSQL's own.
    pub type_name: Option<Arc<TypeName>>,
}

/// The name of a type that somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name. Of a domain, the domain's.
    pub name: Arc<str>,
}
