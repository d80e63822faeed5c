//! Transactions that are sent before they are committed.

use std::collections::HashMap;

use crate::decode::Raw;
use crate::{DecodeError, Lsn};

/// A message that waits for the commit.
#[derive(Debug)]
pub(super) struct Entry {
    /// The subtransaction that it belongs to, or the transaction itself.
    pub(super) subxid: u32,
    pub(super) lsn: Lsn,
    pub(super) raw: Raw,
}

impl Entry {
    fn size(&self) -> usize {
        size_of::<Self>() + self.raw.size()
    }
}

/// Cost of a transaction under way, beside its messages.
const OPEN_BYTES: usize = 128;

/// The messages of transactions under way, by transaction.
#[derive(Debug)]
pub(super) struct Spools {
    open: HashMap<u32, Vec<Entry>>,
    bytes: usize,
    bound: usize,
}

impl Spools {
    pub(super) fn new(bound: usize) -> Self {
        Self { open: HashMap::new(), bytes: 0, bound }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A part of a transaction comes, the first or a further one.
    pub(super) fn open(&mut self, xid: u32, first: bool) -> Result<(), DecodeError> {
        if first == self.open.contains_key(&xid) {
            return Err(DecodeError::OutOfPlace("a part of a transaction"));
        }
        if first {
            self.open.insert(xid, Vec::new());
            self.grow(OPEN_BYTES)?;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, xid: u32, entry: Entry) -> Result<(), DecodeError> {
        self.grow(entry.size())?;
        let entries = self.open.get_mut(&xid).ok_or(DecodeError::OutOfPlace("a change"))?;
        entries.push(entry);
        Ok(())
    }

    /// The messages of a transaction that was committed.
    pub(super) fn take(&mut self, xid: u32) -> Result<Vec<Entry>, DecodeError> {
        let unknown = DecodeError::OutOfPlace("the commit of an unknown transaction");
        let entries = self.open.remove(&xid).ok_or(unknown)?;
        self.shrink(OPEN_BYTES + size_of_all(&entries));
        Ok(entries)
    }

    /// Forgets a transaction, or one of its subtransactions.
    pub(super) fn abort(&mut self, xid: u32, subxid: u32) -> Result<(), DecodeError> {
        if xid == subxid {
            return self.take(xid).map(drop);
        }
        let unknown = DecodeError::OutOfPlace("the abort of an unknown transaction");
        let entries = self.open.get_mut(&xid).ok_or(unknown)?;
        let before = size_of_all(entries);
        entries.retain(|entry| entry.subxid != subxid);
        let freed = before - size_of_all(entries);
        self.shrink(freed);
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.bytes += bytes;
        match self.bytes > self.bound {
            true => Err(DecodeError::SpoolFull(self.bound)),
            false => Ok(()),
        }
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn size_of_all(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::size).sum()
}
