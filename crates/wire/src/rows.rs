//! What statements answer.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::Pieces;

/// One result row: a text-format value per column, `None` for NULL.
pub type Row = Vec<Option<Bytes>>;

/// How the values of a statement's rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As text; each row is taken apart.
    #[default]
    Text,
    /// As text, and when the answer is one large row, its last value comes in pieces. For the last
    /// statement of a batch of [`Lane::Read`](crate::Lane::Read) only: what comes after the value is
    /// not looked at.
    Pieces,
    /// In binary; rows stay as they came from the socket, with a description of their columns.
    Binary,
}

/// The rows of one statement.
#[derive(Debug)]
pub enum Rows {
    /// Of a statement of [`Format::Text`].
    Text(Vec<Row>),
    /// Of a statement of [`Format::Pieces`] that answers a large row: all values but the last, and that
    /// one.
    Large(Row, Pieces),
    /// Of a statement of [`Format::Binary`].
    Binary(BinaryRows),
}

impl Rows {
    /// The rows of a statement that answers in text; none for one in binary. A large row is without its
    /// last value.
    pub fn text(&self) -> &[Row] {
        match self {
            Self::Text(rows) => rows,
            Self::Large(row, _) => std::slice::from_ref(row),
            Self::Binary(_) => &[],
        }
    }

    /// As [`Rows::text`], taken.
    pub fn into_text(self) -> Vec<Row> {
        match self {
            Self::Text(rows) => rows,
            Self::Large(row, _) => vec![row],
            Self::Binary(_) => Vec::new(),
        }
    }
}

/// Rows with binary values, not taken apart: whoever reads them goes through the bytes once, and
/// nothing is allocated per row or per value.
#[derive(Debug, Clone)]
pub struct BinaryRows {
    /// The columns of every row.
    pub columns: Arc<[Column]>,
    /// Whole `DataRow` messages (PostgreSQL "Message Formats"), one or more in each of the byte
    /// strings, in order.
    pub messages: Vec<Bytes>,
}

/// One column of a result, as PostgreSQL describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: Box<str>,
    /// The type's object id; of a domain, that of its base type.
    pub type_oid: u32,
}

/// The columns of a prepared statement's rows, known once the server has described it.
pub(crate) type Description = Arc<OnceLock<Arc<[Column]>>>;
