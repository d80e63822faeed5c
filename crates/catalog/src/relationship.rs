//! How relations refer to each other, as an embed sees it.

use crate::QualifiedName;

/// A column of the relation where an embed starts, and the column it equals on the other side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnPair {
    /// Column of the starting relation.
    pub from: String,
    /// Column of the relation it is compared with.
    pub to: String,
}

/// How many rows an embed may have on the far side. Candidates for an ambiguous embed are listed in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cardinality {
    /// One row here is pointed to by many there: the embed is an array.
    OneToMany,
    /// Many rows here point to one there: the embed is an object.
    ManyToOne,
    /// One row here is pointed to by one there at most: the embed is an object.
    OneToOne,
    /// Through a junction table: the embed is an array.
    ManyToMany,
}

impl Cardinality {
    /// Whether an embed of this cardinality is one object rather than an array.
    pub fn is_to_one(self) -> bool {
        matches!(self, Self::ManyToOne | Self::OneToOne)
    }
}

/// The table between the two sides of a many-to-many relationship.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Junction {
    /// The junction relation.
    pub relation: QualifiedName,
    /// The foreign key from the junction to the starting relation.
    pub from_constraint: String,
    /// The foreign key from the junction to the target.
    pub to_constraint: String,
    /// Pairs (column of the starting relation, column of the junction).
    pub from_columns: Vec<ColumnPair>,
    /// Pairs (column of the junction, column of the target).
    pub to_columns: Vec<ColumnPair>,
}

/// What a relationship rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// A foreign key between the two relations, in either direction.
    ForeignKey {
        /// The constraint's name.
        constraint: String,
        /// The columns that must be equal.
        columns: Vec<ColumnPair>,
    },
    /// Two foreign keys of a junction table.
    Junction(Junction),
    /// A function that takes the starting row and returns rows of the target.
    Function(QualifiedName),
}

/// One way to get from a relation to another (or to itself).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relationship {
    /// Where an embed starts.
    pub from: QualifiedName,
    /// What it embeds.
    pub to: QualifiedName,
    /// How many rows it may have.
    pub cardinality: Cardinality,
    /// What it rests on.
    pub via: Via,
}

impl Relationship {
    /// Whether both sides are the same relation.
    pub fn is_self(&self) -> bool {
        self.from == self.to
    }
}
