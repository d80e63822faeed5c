//! What travels inside the copy messages of a replication stream (PostgreSQL "Streaming Replication Protocol").

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{DecodeError, Lsn, PgTime};

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// XLogData: a message of the output plugin, and where in the log it comes from.
    Data { lsn: Lsn, message: Bytes },
    /// The server is there, and has read the log up to here.
    Keepalive { end: Lsn, reply_wanted: bool },
}

impl Frame {
    /// Reads the contents of a CopyData message.
    pub(crate) fn read(mut content: Bytes) -> Result<Self, DecodeError> {
        match content.try_get_u8() {
            Ok(b'w') if content.len() >= 24 => {
                let lsn = Lsn(content.get_u64());
                content.advance(16); // the same place again, and the time
                Ok(Self::Data { lsn, message: content })
            }
            Ok(b'k') if content.len() >= 17 => {
                let end = Lsn(content.get_u64());
                content.advance(8); // the time
                Ok(Self::Keepalive { end, reply_wanted: content.get_u8() == 1 })
            }
            Ok(b'w' | b'k') | Err(_) => Err(DecodeError::Short),
            Ok(kind) => Err(DecodeError::UnknownKind { of: "frame", kind }),
        }
    }
}

/// A CopyData message with a standby status update: everything before `position` was taken.
pub(crate) fn put_status(position: Lsn, now: PgTime, reply_wanted: bool, buffer: &mut BytesMut) {
    buffer.put_u8(b'd');
    buffer.put_u32(4 + 1 + 8 + 8 + 8 + 8 + 1);
    buffer.put_u8(b'r');
    for _written_flushed_applied in 0..3 {
        buffer.put_u64(position.0);
    }
    buffer.put_i64(now.0);
    buffer.put_u8(reply_wanted.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_keepalives_are_read() {
        let mut data = BytesMut::from(&b"w"[..]);
        data.put_u64(7);
        data.put_u64(7);
        data.put_i64(1);
        data.put_slice(b"message");
        let message = Bytes::from_static(b"message");
        assert_eq!(Frame::read(data.freeze()), Ok(Frame::Data { lsn: Lsn(7), message }));
        let mut keepalive = BytesMut::from(&b"k"[..]);
        keepalive.put_u64(9);
        keepalive.put_i64(1);
        keepalive.put_u8(1);
        let expected = Frame::Keepalive { end: Lsn(9), reply_wanted: true };
        assert_eq!(Frame::read(keepalive.freeze()), Ok(expected));
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_an_error() {
        for bytes in [&b""[..], b"w", b"k1234567", b"w12345678123456781234567"] {
            assert_eq!(
                Frame::read(Bytes::from_static(bytes)),
                Err(DecodeError::Short),
                "{bytes:?}"
            );
        }
        assert!(matches!(
            Frame::read(Bytes::from_static(b"z")),
            Err(DecodeError::UnknownKind { kind: b'z', .. })
        ));
    }

    #[test]
    fn a_status_has_the_length_that_it_says() {
        let mut buffer = BytesMut::new();
        put_status(Lsn(1), PgTime(2), true, &mut buffer);
        assert_eq!(buffer.len(), 1 + 38);
        assert_eq!(buffer[1..5], 38u32.to_be_bytes());
        assert_eq!(buffer.last(), Some(&1));
    }
}
