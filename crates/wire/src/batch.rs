//! What travels in one round trip.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::Format;

/// One statement with its parameters.
#[derive(Clone)]
pub struct Statement {
    /// The text, with `$1 …` for parameters. Statements with equal text share a prepared statement.
    pub sql: Arc<str>,
    /// Text-format values of the parameters, `None` for NULL. At most 65,535.
    pub params: Vec<Option<Bytes>>,
    /// How its rows travel.
    pub format: Format,
}

impl fmt::Debug for Statement {
    /// Parameters may be claims, bodies or keys, and are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} parameters", self.sql, self.params.len())
    }
}

/// How a batch shares connections with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lane {
    /// It changes nothing and is probably short: it may travel with others on one connection, and
    /// may be run again elsewhere when one of those turns out to be slow. Its first statement sets
    /// everything that the others depend on; it has no text of a client's own, and calls nothing
    /// that could end its transaction.
    Read,
    /// It changes nothing either, and has a connection to itself.
    ReadAlone,
    /// Everything else has a connection to itself, too: many at a time share one commit.
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
    /// How it shares connections with others.
    pub lane: Lane,
    /// Undo everything at the end, and still return the rows.
    pub rollback: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_not_printed() {
        let params = vec![Some(Bytes::from_static(b"hunter2"))];
        let statement = Statement { sql: "select $1".into(), params, format: Format::Text };
        assert_eq!(format!("{statement:?}"), "\"select $1\" with 1 parameters");
    }
}
