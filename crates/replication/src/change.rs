//! What listeners get to know.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Lsn, PgTime, Relation, Tuple, Value};

/// A transaction that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its number, without the epoch.
    pub xid: u32,
    /// Where its commit is in the log. Later commits are at later places.
    pub commit_lsn: Lsn,
    /// When it was committed, by the server's clock.
    pub commit_time: PgTime,
    /// Name of the replication origin, when it was replicated from elsewhere.
    pub origin: Option<Arc<str>>,
}

/// One committed change of one row, or of all rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub relation: Arc<Relation>,
    /// The transaction; changes come in order, all of one transaction together.
    pub transaction: Arc<Transaction>,
    /// Where the change itself is in the log. Rows of one `copy` share a place.
    pub lsn: Lsn,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A row was inserted.
    Insert {
        /// The row.
        new: Tuple,
    },
    /// A row was updated.
    Update {
        /// What is known of the row before: nothing when its replica identity did not change, unless that is all of it.
        old: Option<Old>,
        /// The row after. Large values that did not change may be [`Value::Unchanged`].
        new: Tuple,
    },
    /// A row was deleted.
    Delete {
        /// What is known of it.
        old: Old,
    },
    /// All rows were removed at once.
    Truncate {
        /// Tables that refer to it were truncated too.
        cascade: bool,
        /// Sequences that belong to it began anew.
        restart_identity: bool,
    },
}

/// What is known of a row that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Old {
    /// The columns of the replica identity; the others are null.
    Key(Tuple),
    /// The whole row.
    Row(Tuple),
}

impl Old {
    /// Its values.
    pub fn tuple(&self) -> &Tuple {
        match self {
            Self::Key(tuple) | Self::Row(tuple) => tuple,
        }
    }
}

impl Change {
    /// Whether a row was inserted.
    pub fn is_insert(&self) -> bool {
        matches!(self.kind, ChangeKind::Insert { .. })
    }

    /// The row after the change.
    pub fn new_row(&self) -> Option<&Tuple> {
        match &self.kind {
            ChangeKind::Insert { new } | ChangeKind::Update { new, .. } => Some(new),
            ChangeKind::Delete { .. } | ChangeKind::Truncate { .. } => None,
        }
    }

    /// What is known of the row before the change.
    pub fn old_row(&self) -> Option<&Old> {
        match &self.kind {
            ChangeKind::Update { old, .. } => old.as_ref(),
            ChangeKind::Delete { old } => Some(old),
            ChangeKind::Insert { .. } | ChangeKind::Truncate { .. } => None,
        }
    }

    /// The value of a column after the change. One that was left alone and is too large to be in the log again comes
    /// from the old row, when that is known in full.
    pub fn value(&self, column: usize) -> Option<Value<'_>> {
        match (self.new_row()?.get(column)?, self.old_row()) {
            (Value::Unchanged, Some(Old::Row(old))) => old.get(column),
            (value, _) => Some(value),
        }
    }

    /// Bytes that it holds in memory, about.
    pub(crate) fn size(&self) -> usize {
        let old = self.old_row().map_or(0, |old| old.tuple().size());
        size_of::<Self>() + old + self.new_row().map_or(0, Tuple::size)
    }
}

/// A message that somebody wrote into the log with `pg_logical_emit_message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalMessage {
    /// The transaction that it came with; `None` for one that was sent at once.
    pub transaction: Option<Arc<Transaction>>,
    /// Where it is in the log.
    pub lsn: Lsn,
    /// Whom it is for.
    pub prefix: Arc<str>,
    /// The message.
    pub content: Bytes,
}
