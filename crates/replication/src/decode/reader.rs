//! Reads the parts of a message, never beyond its end.

use std::sync::Arc;

use bytes::Bytes;

use super::DecodeError;
use crate::{Lsn, PgTime};

/// What of a message was not read yet.
pub(super) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// All that is left.
    pub(super) fn rest(mut self) -> Bytes {
        self.bytes.split_off(self.at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let found = *found.ok_or(DecodeError::Short)?;
        self.at += N;
        Ok(found)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A signed number of things.
    pub(super) fn count(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.i32()?).map_err(|_| DecodeError::NegativeCount)
    }

    pub(super) fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        self.array().map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    pub(super) fn time(&mut self) -> Result<PgTime, DecodeError> {
        self.array().map(|bytes| PgTime(i64::from_be_bytes(bytes)))
    }

    /// A text that ends with a NUL.
    pub(super) fn name(&mut self) -> Result<Arc<str>, DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0).ok_or(DecodeError::Short)?;
        let text = rest.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| DecodeError::NotUtf8)?.into();
        self.at += length + 1;
        Ok(text)
    }

    /// The next `length` bytes, without copying them.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let end = self.skip(length)?;
        Ok(self.bytes.slice(end - length..end))
    }

    /// Passes the next `length` bytes; returns where they end.
    pub(super) fn skip(&mut self, length: usize) -> Result<usize, DecodeError> {
        if length > self.left() {
            return Err(DecodeError::Short);
        }
        self.at += length;
        Ok(self.at)
    }

    /// What was passed since the reader was at `start`, without copying it.
    pub(super) fn since(&self, start: usize) -> Bytes {
        self.bytes.slice(start..self.at)
    }

    /// Where it is.
    pub(super) fn at(&self) -> usize {
        self.at
    }
}
