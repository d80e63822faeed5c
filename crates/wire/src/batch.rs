//! What travels in one round trip.

use std::sync::Arc;

use bytes::Bytes;

/// One result row: a text-format value per column, `None` for NULL.
pub type Row = Vec<Option<Bytes>>;

/// One statement with its parameters.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text, with `$1 …` for parameters. Statements with equal text share a prepared statement.
    pub sql: Arc<str>,
    /// Text-format values of the parameters, `None` for NULL. At most 65,535.
    pub params: Vec<Option<Bytes>>,
}

/// How a batch shares the server with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lane {
    /// Short work of the processor: few at a time finish sooner than many at once, for each of them.
    Read,
    /// Work that waits for disks or locks, or of unknown cost: many at a time share one commit.
    #[default]
    Write,
}

/// Statements that are sent together and are one transaction.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The role that the statements run as: one half of the prepared-statement cache's key. Setting
    /// the role is the first statement's business; the wire does not know how.
    pub role: Arc<str>,
    /// The statements in order. If one fails, those after it do not run and nothing is kept.
    pub statements: Vec<Statement>,
    /// How it shares the server with others; says nothing about what the statements may do.
    pub lane: Lane,
    /// Undo everything at the end, and still return the rows.
    pub rollback: bool,
}
