//! Bytes on their way to the server.

use std::collections::VecDeque;
use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// A parameter of so many bytes or more travels from where it is instead of being copied among the
/// messages: a body of 50 MB would be in memory twice.
const LARGE_BYTES: usize = 64 * 1024;

/// Messages that are not yet written, in order.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// What goes before `messages`: messages and large parameters in turn.
    pieces: VecDeque<Bytes>,
    messages: BytesMut,
}

/// A message is longer than the protocol can say, or has a name with a NUL in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotEncodable;

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self { pieces: VecDeque::new(), messages: BytesMut::with_capacity(4096) }
    }

    /// Where further messages are put.
    pub(crate) fn messages(&mut self) -> &mut BytesMut {
        &mut self.messages
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.messages.is_empty()
    }

    /// Takes back all but the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        let mut excess = self.len().saturating_sub(length);
        let from_messages = excess.min(self.messages.len());
        self.messages.truncate(self.messages.len() - from_messages);
        excess -= from_messages;
        while let Some(piece) = self.pieces.back_mut().filter(|_| excess > 0) {
            let from_piece = excess.min(piece.len());
            piece.truncate(piece.len() - from_piece);
            excess -= from_piece;
            if piece.is_empty() {
                self.pieces.pop_back();
            }
        }
    }

    /// Binds the unnamed portal to a prepared statement; all parameters are text.
    ///
    /// # Errors
    ///
    /// [`NotEncodable`]; a part of the message may then have been put.
    pub(crate) fn bind(
        &mut self,
        statement: &str,
        params: &[Option<Bytes>],
        binary: bool,
    ) -> Result<(), NotEncodable> {
        if params.iter().flatten().any(|value| value.len() >= LARGE_BYTES) {
            return self.bind_large(statement, params, binary);
        }
        let value = |value: &Option<Bytes>, buffer: &mut BytesMut| {
            Ok(match value {
                Some(bytes) => {
                    buffer.put_slice(bytes);
                    IsNull::No
                }
                None => IsNull::Yes,
            })
        };
        let results = binary.then_some(1);
        let encoded = frontend::bind("", statement, [], params, value, results, &mut self.messages);
        encoded.map_err(|_| NotEncodable)
    }

    /// The same message in pieces (PostgreSQL, "Message Formats", Bind).
    fn bind_large(
        &mut self,
        statement: &str,
        params: &[Option<Bytes>],
        binary: bool,
    ) -> Result<(), NotEncodable> {
        let sizes = params.iter().map(|value| 4 + value.as_ref().map_or(0, Bytes::len));
        let length = 4 + 1 + (statement.len() + 1) + 2 + 2 + sizes.sum::<usize>() + 2;
        let length = length + if binary { 2 } else { 0 };
        let length = i32::try_from(length).map_err(|_| NotEncodable)?;
        let count = i16::try_from(params.len()).map_err(|_| NotEncodable)?;
        self.messages.put_u8(b'B');
        self.messages.put_i32(length);
        self.messages.put_u8(0);
        self.messages.put_slice(statement.as_bytes());
        self.messages.put_u8(0);
        self.messages.put_i16(0);
        self.messages.put_i16(count);
        for value in params {
            self.put_value(value.as_ref())?;
        }
        self.messages.put_i16(i16::from(binary));
        if binary {
            self.messages.put_i16(1);
        }
        Ok(())
    }

    fn put_value(&mut self, value: Option<&Bytes>) -> Result<(), NotEncodable> {
        let Some(value) = value else {
            self.messages.put_i32(-1);
            return Ok(());
        };
        self.messages.put_i32(i32::try_from(value.len()).map_err(|_| NotEncodable)?);
        if value.len() < LARGE_BYTES {
            self.messages.put_slice(value);
        } else {
            self.pieces.push_back(self.messages.split().freeze());
            self.pieces.push_back(value.clone());
        }
        Ok(())
    }

    /// Writes as much as `writer` takes now. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub(crate) async fn write_some<W>(&mut self, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let Some(piece) = self.pieces.front_mut() else {
            return writer.write_buf(&mut self.messages).await.map(drop);
        };
        writer.write_buf(piece).await?;
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(())
    }

    /// Writes everything.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub(crate) async fn write_all<W>(&mut self, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(piece) = self.pieces.front_mut() {
            writer.write_all_buf(piece).await?;
            self.pieces.pop_front();
        }
        writer.write_all_buf(&mut self.messages).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(outgoing: &mut Outgoing) -> Vec<u8> {
        let mut bytes = Vec::new();
        outgoing.write_all(&mut bytes).await.unwrap();
        assert!(outgoing.is_empty());
        bytes
    }

    fn large() -> Bytes {
        Bytes::from(vec![b'x'; LARGE_BYTES])
    }

    #[tokio::test]
    async fn a_large_parameter_makes_the_same_message() {
        let params = [Some(Bytes::from_static(b"small")), None, Some(large()), Some(large()), None];
        for binary in [false, true] {
            let mut copied = BytesMut::from(&b"before"[..]);
            let value = |value: &Option<Bytes>, buffer: &mut BytesMut| {
                buffer.put_slice(value.as_deref().unwrap_or_default());
                Ok(if value.is_some() { IsNull::No } else { IsNull::Yes })
            };
            let results = binary.then_some(1);
            frontend::bind("", "s1", [], &params, value, results, &mut copied)
                .map_err(|_| NotEncodable)
                .unwrap();
            frontend::sync(&mut copied);
            let mut outgoing = Outgoing::new();
            outgoing.messages().put_slice(b"before");
            outgoing.bind("s1", &params, binary).unwrap();
            frontend::sync(outgoing.messages());
            assert_eq!(outgoing.len(), copied.len());
            assert_eq!(written(&mut outgoing).await, copied);
        }
    }

    #[tokio::test]
    async fn what_was_put_can_be_taken_back() {
        let mut outgoing = Outgoing::new();
        outgoing.messages().put_slice(b"kept");
        let kept = outgoing.len();
        outgoing.bind("s1", &[Some(large()), Some(large())], false).unwrap();
        outgoing.messages().put_slice(b"more");
        outgoing.truncate(kept);
        assert_eq!(outgoing.len(), kept);
        assert_eq!(written(&mut outgoing).await, b"kept");
    }

    #[tokio::test]
    async fn pieces_are_written_one_after_the_other() {
        let mut outgoing = Outgoing::new();
        outgoing.bind("s1", &[Some(large())], false).unwrap();
        let (length, mut bytes) = (outgoing.len(), Vec::new());
        while !outgoing.is_empty() {
            outgoing.write_some(&mut bytes).await.unwrap();
            assert_eq!(bytes.len() + outgoing.len(), length);
        }
    }
}
