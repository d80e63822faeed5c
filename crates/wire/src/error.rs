//! What can go wrong between a batch and its rows.

use std::io;
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// An error that PostgreSQL reported (PostgreSQL "Error and Notice Message Fields").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseError {
    /// `ERROR`, `FATAL` or `PANIC`.
    pub severity: String,
    /// SQLSTATE, five characters.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// The detail, when there is one.
    pub detail: Option<String>,
    /// The hint, when there is one.
    pub hint: Option<String>,
    /// Character position in the statement, from 1.
    pub position: Option<u32>,
    /// Name of the constraint that was violated.
    pub constraint: Option<String>,
    /// Name of the table that the error is about.
    pub table: Option<String>,
    /// Name of the column that the error is about.
    pub column: Option<String>,
    /// Name of the server's source routine.
    pub routine: Option<String>,
}

impl DatabaseError {
    /// Reads an ErrorResponse.
    ///
    /// # Errors
    ///
    /// When the message is cut short.
    pub fn parse(mut fields: ErrorFields<'_>) -> io::Result<Self> {
        let mut error = Self::default();
        while let Some(field) = fields.next()? {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'V' => error.severity = value,
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                b'P' => error.position = value.parse().ok(),
                b'n' => error.constraint = Some(value),
                b't' => error.table = Some(value),
                b'c' => error.column = Some(value),
                b'R' => error.routine = Some(value),
                _ => {}
            }
        }
        Ok(error)
    }

    /// Whether the server ended the session with this error.
    pub fn is_fatal(&self) -> bool {
        self.severity == "FATAL" || self.severity == "PANIC"
    }

    /// Whether a prepared statement is out of date, so that preparing it again helps: its result
    /// type changed under it, or the session has forgotten it.
    pub(crate) fn is_stale_statement(&self) -> bool {
        (self.code == "0A000" && self.routine.as_deref() == Some("RevalidateCachedQuery"))
            || self.code == "26000"
    }
}

/// Why a batch has no rows.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A statement failed, or the commit did. Nothing was kept.
    #[error("{} ({})", .0.message, .0.code)]
    Database(Box<DatabaseError>),
    /// No connection could be made. Nothing was sent.
    #[error("cannot connect to PostgreSQL")]
    Connect(#[source] io::Error),
    /// The server refused the session (wrong password, unknown database, shutting down, too many
    /// connections). Nothing was sent.
    #[error("PostgreSQL refused the connection: {} ({})", .0.message, .0.code)]
    Refused(Box<DatabaseError>),
    /// The connection broke while the batch was under way; it may or may not have been executed.
    #[error("the connection to PostgreSQL was lost")]
    Lost(#[source] io::Error),
    /// PostgreSQL ended the session (it shuts down, or somebody terminated the backend) while the
    /// batch was under way; it may or may not have been executed.
    #[error("PostgreSQL ended the session: {} ({})", .0.message, .0.code)]
    Terminated(Box<DatabaseError>),
    /// No connection became free in time. Nothing was sent.
    #[error("no connection became free within {} ms", .0.as_millis())]
    PoolTimeout(Duration),
    /// Too many callers wait already. Nothing was sent.
    #[error("{0} callers wait for a connection already")]
    Overloaded(usize),
    /// The answer did not come in time; the batch may or may not have been executed.
    #[error("PostgreSQL did not answer within {} ms", .0.as_millis())]
    AnswerTimeout(Duration),
    /// The pool was closed, because its project was dropped or the process ends.
    #[error("the pool is closed")]
    Closed,
    /// The server does not speak as expected, or wants an authentication that is not supported.
    #[error("unexpected answer from PostgreSQL: {0}")]
    Protocol(String),
    /// The answer is larger than one may be, in bytes; the session was ended.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl WireError {
    pub(crate) fn database(error: DatabaseError) -> Self {
        Self::Database(Box::new(error))
    }
}
