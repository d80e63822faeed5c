//! Messages of the output plugin `pgoutput` (PostgreSQL "Logical Replication Message Formats"), protocol versions 1 and 2.
//!
//! Whatever bytes come, the outcome is a message or a [`DecodeError`]. Nothing is copied but names: tuples are slices of the
//! message they came in.

mod reader;
mod tuple;

use std::sync::Arc;

use bytes::Bytes;

use self::reader::Reader;
pub use self::tuple::{Tuple, Value, Values};
use crate::{Lsn, Old, PgTime, ReplicaIdentity};

/// Why a message cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("a message ends too early")]
    Short,
    /// It goes on after its end.
    #[error("a message has {0} bytes too many")]
    Trailing(usize),
    /// A message of a kind that does not exist in the versions spoken here.
    #[error("unknown message {0:#04x}")]
    UnknownMessage(u8),
    /// Something inside a message is of an unknown kind.
    #[error("unknown kind {kind:#04x} of {of}")]
    UnknownKind {
        /// What it is a kind of.
        of: &'static str,
        /// The kind.
        kind: u8,
    },
    /// A name is not UTF-8.
    #[error("a name is not UTF-8")]
    NotUtf8,
    /// A number that counts things is negative.
    #[error("a negative count")]
    NegativeCount,
    /// A change of a table that was not described.
    #[error("table {0} was not described")]
    UnknownRelation(u32),
    /// A row has another number of columns than its table.
    #[error("a row of {found} columns in a table of {expected}")]
    Columns {
        /// Columns of the table.
        expected: usize,
        /// Columns of the row.
        found: usize,
    },
    /// A message where it cannot be.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
    /// Transactions that are not yet committed hold more bytes than they may.
    #[error("transactions under way hold more than {0} bytes")]
    SpoolFull(usize),
    /// More tables were described than may be.
    #[error("more than {0} tables")]
    TooManyRelations(usize),
}

/// A message. `Relation` and `Type` describe what later messages refer to by oid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields have the names of PostgreSQL's documentation")]
pub enum Message {
    /// A committed transaction begins.
    Begin { final_lsn: Lsn, commit_time: PgTime, xid: u32 },
    /// It ends.
    Commit { commit_lsn: Lsn, end_lsn: Lsn, commit_time: PgTime },
    /// The transaction was replicated from elsewhere.
    Origin { commit_lsn: Lsn, name: Arc<str> },
    /// A table.
    Relation(RelationMessage),
    /// A type that is none of PostgreSQL's own.
    Type { oid: u32, schema: Arc<str>, name: Arc<str> },
    /// A row was inserted.
    Insert { relation: u32, new: Tuple },
    /// A row was updated.
    Update { relation: u32, old: Option<Old>, new: Tuple },
    /// A row was deleted.
    Delete { relation: u32, old: Old },
    /// Tables were truncated.
    Truncate { relations: Vec<u32>, cascade: bool, restart_identity: bool },
    /// Of `pg_logical_emit_message`.
    Logical { transactional: bool, lsn: Lsn, prefix: Arc<str>, content: Bytes },
    /// A part of a transaction that is not yet committed begins.
    StreamStart { xid: u32, first: bool },
    /// The part ends.
    StreamStop,
    /// A transaction that came in parts was committed.
    StreamCommit { xid: u32, commit_lsn: Lsn, end_lsn: Lsn, commit_time: PgTime },
    /// A transaction that came in parts was rolled back, or, when the two differ, one of its subtransactions.
    StreamAbort { xid: u32, subxid: u32 },
}

/// A table's description, with the oids of its types.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields have the names of PostgreSQL's documentation")]
pub struct RelationMessage {
    pub oid: u32,
    pub schema: Arc<str>,
    pub name: Arc<str>,
    pub identity: ReplicaIdentity,
    pub columns: Vec<ColumnMessage>,
}

/// A column in a [`RelationMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields have the names of PostgreSQL's documentation")]
pub struct ColumnMessage {
    pub key: bool,
    pub name: Arc<str>,
    pub type_oid: u32,
    pub type_modifier: i32,
}

/// A message that was not looked into yet but for its kind, so that a change nobody wants costs nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    tag: u8,
    xid: Option<u32>,
    body: Bytes,
}

impl Raw {
    /// Takes kind and transaction off a message. Inside a part of a transaction that is not yet committed, messages name
    /// the (sub)transaction that they belong to.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Short`].
    pub fn split(message: Bytes, in_part: bool) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message);
        let tag = reader.u8()?;
        let named = in_part && matches!(tag, b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M');
        let xid = if named { Some(reader.u32()?) } else { None };
        Ok(Self { tag, xid, body: reader.rest() })
    }

    /// The (sub)transaction that the message names.
    pub fn xid(&self) -> Option<u32> {
        self.xid
    }

    /// The table, if it is a change of one row.
    pub fn changed_relation(&self) -> Option<u32> {
        match self.tag {
            b'I' | b'U' | b'D' => {
                self.body.first_chunk().map(|oid: &[u8; 4]| u32::from_be_bytes(*oid))
            }
            _ => None,
        }
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.body.len()
    }

    /// Looks into it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is not what it should be, to the last byte.
    pub fn decode(self) -> Result<Message, DecodeError> {
        let mut reader = Reader::new(self.body);
        let message = message(self.tag, &mut reader)?;
        match reader.left() {
            0 => Ok(message),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

fn message(tag: u8, reader: &mut Reader) -> Result<Message, DecodeError> {
    Ok(match tag {
        b'I' => insert(reader)?,
        b'U' => update(reader)?,
        b'D' => delete(reader)?,
        b'B' => Message::Begin {
            final_lsn: reader.lsn()?,
            commit_time: reader.time()?,
            xid: reader.u32()?,
        },
        b'C' => {
            reader.u8()?; // flags, none of which exists yet
            let (commit_lsn, end_lsn) = (reader.lsn()?, reader.lsn()?);
            Message::Commit { commit_lsn, end_lsn, commit_time: reader.time()? }
        }
        b'O' => Message::Origin { commit_lsn: reader.lsn()?, name: reader.name()? },
        b'R' => Message::Relation(relation(reader)?),
        b'Y' => Message::Type { oid: reader.u32()?, schema: reader.name()?, name: reader.name()? },
        b'T' => truncate(reader)?,
        b'M' => logical(reader)?,
        b'S' => Message::StreamStart { xid: reader.u32()?, first: reader.u8()? == 1 },
        b'E' => Message::StreamStop,
        b'c' => stream_commit(reader)?,
        b'A' => stream_abort(reader)?,
        unknown => return Err(DecodeError::UnknownMessage(unknown)),
    })
}

fn insert(reader: &mut Reader) -> Result<Message, DecodeError> {
    let relation = reader.u32()?;
    match reader.u8()? {
        b'N' => Ok(Message::Insert { relation, new: Tuple::read(reader)? }),
        kind => Err(DecodeError::UnknownKind { of: "inserted row", kind }),
    }
}

fn update(reader: &mut Reader) -> Result<Message, DecodeError> {
    let relation = reader.u32()?;
    let (old, kind) = match reader.u8()? {
        b'K' => (Some(Old::Key(Tuple::read(reader)?)), reader.u8()?),
        b'O' => (Some(Old::Row(Tuple::read(reader)?)), reader.u8()?),
        kind => (None, kind),
    };
    match kind {
        b'N' => Ok(Message::Update { relation, old, new: Tuple::read(reader)? }),
        kind => Err(DecodeError::UnknownKind { of: "updated row", kind }),
    }
}

fn delete(reader: &mut Reader) -> Result<Message, DecodeError> {
    let relation = reader.u32()?;
    let old = match reader.u8()? {
        b'K' => Old::Key(Tuple::read(reader)?),
        b'O' => Old::Row(Tuple::read(reader)?),
        kind => return Err(DecodeError::UnknownKind { of: "deleted row", kind }),
    };
    Ok(Message::Delete { relation, old })
}

fn truncate(reader: &mut Reader) -> Result<Message, DecodeError> {
    let count = reader.count()?;
    let options = reader.u8()?;
    // The bytes are asked for first: a count of billions in a message of ten bytes allocates nothing.
    let mut oids = Reader::new(reader.take(count.checked_mul(4).ok_or(DecodeError::Short)?)?);
    let relations = (0..count).map(|_| oids.u32()).collect::<Result<_, _>>()?;
    let (cascade, restart_identity) = (options & 1 != 0, options & 2 != 0);
    Ok(Message::Truncate { relations, cascade, restart_identity })
}

fn logical(reader: &mut Reader) -> Result<Message, DecodeError> {
    let transactional = reader.u8()? & 1 != 0;
    let (lsn, prefix, length) = (reader.lsn()?, reader.name()?, reader.count()?);
    Ok(Message::Logical { transactional, lsn, prefix, content: reader.take(length)? })
}

fn relation(reader: &mut Reader) -> Result<RelationMessage, DecodeError> {
    let (oid, schema, name) = (reader.u32()?, reader.name()?, reader.name()?);
    let identity = match reader.u8()? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        kind => return Err(DecodeError::UnknownKind { of: "replica identity", kind }),
    };
    let count = reader.u16()?;
    let columns = (0..count).map(|_| column(reader)).collect::<Result<_, _>>()?;
    // PostgreSQL's own schema is sent as nothing.
    let schema = if schema.is_empty() { "pg_catalog".into() } else { schema };
    Ok(RelationMessage { oid, schema, name, identity, columns })
}

fn column(reader: &mut Reader) -> Result<ColumnMessage, DecodeError> {
    let key = reader.u8()? & 1 != 0;
    let (name, type_oid) = (reader.name()?, reader.u32()?);
    Ok(ColumnMessage { key, name, type_oid, type_modifier: reader.i32()? })
}

fn stream_commit(reader: &mut Reader) -> Result<Message, DecodeError> {
    let xid = reader.u32()?;
    reader.u8()?; // flags, none of which exists yet
    let (commit_lsn, end_lsn) = (reader.lsn()?, reader.lsn()?);
    Ok(Message::StreamCommit { xid, commit_lsn, end_lsn, commit_time: reader.time()? })
}

fn stream_abort(reader: &mut Reader) -> Result<Message, DecodeError> {
    let (xid, subxid) = (reader.u32()?, reader.u32()?);
    if reader.left() > 0 {
        // Place and time of the abort, of those who asked for parallel streams.
        reader.lsn()?;
        reader.time()?;
    }
    Ok(Message::StreamAbort { xid, subxid })
}
