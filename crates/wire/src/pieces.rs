//! Large values that are passed on while they come.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Row;

/// A row of at least so many bytes is passed on in pieces.
const LARGE_BYTES: usize = 256 * 1024;

/// Most bytes of one piece.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Most pieces that wait to be taken.
const WAITING_PIECES: usize = 4;

/// The tag of a `DataRow` message.
const DATA_ROW: u8 = b'D';

/// A value on its way, of which only a few pieces are in memory. The connection that it comes over is
/// in use until the value was taken or this is dropped.
#[derive(Debug)]
pub struct Pieces {
    pieces: Receiver<Bytes>,
    left: usize,
}

/// A value ended before all of it had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value broke off {left} bytes before its end")]
pub struct BrokenOff {
    /// How much is missing, in bytes.
    pub left: usize,
}

impl Pieces {
    /// Bytes that are still to be taken.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Pieces that have come and wait to be taken: at most four.
    pub fn waiting(&self) -> usize {
        self.pieces.len()
    }

    /// The next piece, at most 64 KiB; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`BrokenOff`] when the connection was lost, or this was not read from for too long.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(piece) => {
                self.left = self.left.saturating_sub(piece.len());
                Some(Ok(piece))
            }
            None => Some(Err(BrokenOff { left: self.left })),
        })
    }
}

/// The other end of [`Pieces`], at the connection.
pub(crate) struct Passing {
    /// Bytes that have not come yet, or wait in the read buffer.
    left: usize,
    pieces: Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes to pass on", self.left)
    }
}

impl Passing {
    /// True when the value is complete.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Throws away what has come.
    pub(crate) fn discard(&mut self, incoming: &mut BytesMut) {
        let size = incoming.len().min(self.left);
        incoming.advance(size);
        self.left -= size;
    }

    /// Passes on what has come, one piece of it. False when nobody takes it within `patience`.
    pub(crate) async fn pass(&mut self, incoming: &mut BytesMut, patience: Duration) -> bool {
        let size = incoming.len().min(self.left).min(PIECE_BYTES);
        let piece = incoming.split_to(size).freeze();
        self.left -= size;
        matches!(tokio::time::timeout(patience, self.pieces.send(piece)).await, Ok(Ok(())))
    }
}

/// What the read buffer begins with.
#[derive(Debug)]
pub(crate) enum Head {
    /// No large row, or nothing that can be passed on now.
    Other,
    /// A large row of which the values before the last have not come yet.
    Incomplete,
    /// A large row. Its last value is what the read buffer begins with now.
    Opened(Row, Pieces, Passing),
}

/// Takes the values before the last one out of the read buffer, if it begins with a large row and
/// `places` has a place left.
pub(crate) fn open(incoming: &mut BytesMut, places: &Arc<Semaphore>) -> Head {
    let Some(&[DATA_ROW, l0, l1, l2, l3]) = incoming.first_chunk() else { return Head::Other };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if length < LARGE_BYTES {
        return Head::Other;
    }
    let Some((row, begin, left)) = split(incoming) else {
        // Small values are expected before the large one.
        let incomplete = incoming.len() < PIECE_BYTES;
        return if incomplete { Head::Incomplete } else { Head::Other };
    };
    if begin + left != length + 1 {
        return Head::Other;
    }
    let Ok(permit) = places.clone().try_acquire_owned() else { return Head::Other };
    incoming.advance(begin);
    let (sender, pieces) = mpsc::channel(WAITING_PIECES);
    Head::Opened(row, Pieces { pieces, left }, Passing { left, pieces: sender, _permit: permit })
}

/// The values of a row but the last, where that one begins, and its length.
fn split(message: &[u8]) -> Option<(Row, usize, usize)> {
    let mut at = 5;
    let &count: &[u8; 2] = message.get(at..)?.first_chunk()?;
    at += 2;
    let mut row = Row::new();
    for _ in 1..u16::from_be_bytes(count) {
        let length = length_at(message, &mut at)?;
        row.push(match usize::try_from(length) {
            Ok(length) => {
                let value = message.get(at..at.checked_add(length)?)?;
                at += length;
                Some(Bytes::copy_from_slice(value))
            }
            Err(_null) => None,
        });
    }
    let last = usize::try_from(length_at(message, &mut at)?).ok()?;
    Some((row, at, last))
}

fn length_at(message: &[u8], at: &mut usize) -> Option<i32> {
    let bytes: &[u8; 4] = message.get(*at..)?.first_chunk()?;
    *at += 4;
    Some(i32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    fn row(values: &[Option<&[u8]>]) -> BytesMut {
        let mut body = BytesMut::new();
        body.put_i16(i16::try_from(values.len()).unwrap());
        for value in values {
            body.put_i32(value.map_or(-1, |value| i32::try_from(value.len()).unwrap()));
            body.put_slice(value.unwrap_or_default());
        }
        let mut message = BytesMut::new();
        message.put_u8(DATA_ROW);
        message.put_i32(i32::try_from(body.len() + 4).unwrap());
        message.put_slice(&body);
        message
    }

    #[test]
    fn a_large_row_is_opened_as_soon_as_its_small_values_have_come() {
        let places = Arc::new(Semaphore::new(1));
        let large = vec![b'x'; LARGE_BYTES];
        let whole = row(&[Some(b"12"), None, Some(b""), Some(&large)]);
        let head = whole.len() - large.len();
        for length in 5..head {
            let mut incoming = BytesMut::from(&whole[..length]);
            assert!(matches!(open(&mut incoming, &places), Head::Incomplete), "{length}");
            assert_eq!(incoming.len(), length);
        }
        let mut incoming = BytesMut::from(&whole[..head + 3]);
        let Head::Opened(row, pieces, _passing) = open(&mut incoming, &places) else {
            panic!("it has come");
        };
        let values: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some(&b"12"[..]), None, Some(b"")]);
        assert_eq!((pieces.left(), &incoming[..]), (LARGE_BYTES, &b"xxx"[..]));
        let mut incoming = whole.clone();
        assert!(matches!(open(&mut incoming, &places), Head::Other), "no place is left");
        assert_eq!(incoming, whole);
    }

    #[test]
    fn other_rows_are_left_alone() {
        let places = Arc::new(Semaphore::new(1));
        let large = vec![b'x'; LARGE_BYTES];
        let mut broken = row(&[Some(b"1"), Some(&large)]);
        broken[4] ^= 1;
        for message in [
            row(&[Some(b"1"), Some(b"small")]),
            row(&[]),
            row(&[Some(&large), None]),
            row(&[Some(&large), Some(b"small")]),
            broken,
        ] {
            let kept = if message.len() < 100 { message.len() } else { PIECE_BYTES };
            let mut incoming = BytesMut::from(&message[..kept]);
            assert!(matches!(open(&mut incoming, &places), Head::Other));
            assert_eq!(incoming.len(), kept);
        }
    }
}
