//! What a subscription is told.

use std::sync::Arc;

use crate::{Change, LogicalMessage, Lsn};

/// What a subscription is told, in order.
#[derive(Debug, Clone)]
pub enum Event {
    /// Whatever is committed after this event comes. Who reads a table now and follows the changes misses nothing, but
    /// may see changes that the read has seen already. The place is that of the last commit before.
    Live {
        /// Where the log was.
        from: Lsn,
    },
    /// A row changed.
    Change(Arc<Change>),
    /// Somebody wrote a message into the log.
    Message(Arc<LogicalMessage>),
    /// From here on changes are missing. What comes after it in the queue is complete again once [`Event::Live`] came.
    Gap {
        /// Why.
        reason: GapReason,
    },
}

impl Event {
    /// Bytes that it holds in memory, about.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Change(change) => change.size(),
                Self::Message(message) => message.prefix.len() + message.content.len(),
                Self::Live { .. } | Self::Gap { .. } => 0,
            }
    }
}

/// Why changes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The connection to PostgreSQL ended: it restarts, the network failed, an administrator ended the sender, or PostgreSQL did
    /// because the slot held more log than it may (`max_slot_wal_keep_size`), which it says in its own log only.
    Lost,
    /// PostgreSQL cannot go on: the slot or a publication is gone.
    Withdrawn,
    /// PostgreSQL has no place for a slot or a sender, or does not write what a slot reads (`wal_level`), or refuses.
    Unavailable,
    /// What came could not be understood, or was larger than may be held.
    Unreadable,
    /// This subscription was too slow; so many events were dropped.
    Slow {
        /// Events that were waiting.
        dropped: u64,
    },
}

/// Why a subscription has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Ended {
    /// It was too slow and is one of those that are cut off then.
    #[error("cut off: the listener was too slow")]
    TooSlow,
    /// The hub was closed.
    #[error("the hub was closed")]
    Closed,
}
