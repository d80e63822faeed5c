//! The values of a row.

use bytes::Bytes;

use super::DecodeError;
use super::reader::Reader;

/// The values of a row, as they came; one allocation at most, however many columns.
///
/// Invariant: the bytes are exactly `columns` well-formed values: reading it has gone through them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    columns: u16,
    bytes: Bytes,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// SQL's NULL, or a column that is not part of a key.
    Null,
    /// A large value that an update left alone, so that the log does not have it again.
    Unchanged,
    /// The type's text, in UTF-8.
    Text(&'a [u8]),
    /// The type's binary form.
    Binary(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The text, if it is one.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

impl Tuple {
    /// Reads a row and checks all of it.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let columns = reader.u16()?;
        let start = reader.at();
        for _ in 0..columns {
            match reader.u8()? {
                b'n' | b'u' => {}
                b't' | b'b' => {
                    let length = reader.count()?;
                    reader.skip(length)?;
                }
                kind => return Err(DecodeError::UnknownKind { of: "value", kind }),
            }
        }
        Ok(Self { columns, bytes: reader.since(start) })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.columns.into()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// The values, in the order of the table's columns.
    pub fn values(&self) -> Values<'_> {
        Values { left: self.columns, bytes: &self.bytes }
    }

    /// The value of a column. Goes through those before it: who wants all takes [`Tuple::values`].
    pub fn get(&self, column: usize) -> Option<Value<'_>> {
        self.values().nth(column)
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The values of a [`Tuple`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    left: u16,
    bytes: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (kind, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        match kind {
            b'n' => return Some(Value::Null),
            b'u' => return Some(Value::Unchanged),
            _ => {}
        }
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.bytes = rest;
        Some(if *kind == b't' { Value::Text(value) } else { Value::Binary(value) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for Values<'_> {}
