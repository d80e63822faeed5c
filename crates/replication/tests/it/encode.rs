//! Messages as PostgreSQL writes them (PostgreSQL "Logical Replication Message Formats").

use bytes::{BufMut, Bytes, BytesMut};

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Unchanged,
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

/// A message; `xid` is the one that it names inside a part.
pub(crate) struct Encoder {
    xid: Option<u32>,
}

/// Messages of committed transactions.
pub(crate) const PLAIN: Encoder = Encoder { xid: None };

/// Messages of a part, that belong to `xid`.
pub(crate) fn of(xid: u32) -> Encoder {
    Encoder { xid: Some(xid) }
}

impl Encoder {
    fn head(&self, tag: u8) -> BytesMut {
        let mut message = BytesMut::from(&[tag][..]);
        self.xid.into_iter().for_each(|xid| message.put_u32(xid));
        message
    }

    pub(crate) fn relation(&self, oid: u32, name: &str, columns: &[&str]) -> Bytes {
        let mut message = self.head(b'R');
        message.put_u32(oid);
        put_text(&mut message, "public");
        put_text(&mut message, name);
        message.put_u8(b'd');
        message.put_u16(columns.len().try_into().unwrap());
        for (place, column) in columns.iter().enumerate() {
            message.put_u8((place == 0).into());
            put_text(&mut message, column);
            message.put_u32(25);
            message.put_i32(-1);
        }
        message.freeze()
    }

    pub(crate) fn kind(&self, oid: u32, schema: &str, name: &str) -> Bytes {
        let mut message = self.head(b'Y');
        message.put_u32(oid);
        put_text(&mut message, schema);
        put_text(&mut message, name);
        message.freeze()
    }

    pub(crate) fn insert(&self, relation: u32, new: &[Cell]) -> Bytes {
        let mut message = self.head(b'I');
        message.put_u32(relation);
        put_row(&mut message, b'N', new);
        message.freeze()
    }

    /// `old` has the letter of what it is: `K` or `O`.
    pub(crate) fn update(&self, relation: u32, old: Option<(u8, &[Cell])>, new: &[Cell]) -> Bytes {
        let mut message = self.head(b'U');
        message.put_u32(relation);
        old.into_iter().for_each(|(kind, cells)| put_row(&mut message, kind, cells));
        put_row(&mut message, b'N', new);
        message.freeze()
    }

    pub(crate) fn delete(&self, relation: u32, kind: u8, old: &[Cell]) -> Bytes {
        let mut message = self.head(b'D');
        message.put_u32(relation);
        put_row(&mut message, kind, old);
        message.freeze()
    }

    pub(crate) fn truncate(&self, relations: &[u32], options: u8) -> Bytes {
        let mut message = self.head(b'T');
        message.put_i32(relations.len().try_into().unwrap());
        message.put_u8(options);
        relations.iter().for_each(|oid| message.put_u32(*oid));
        message.freeze()
    }

    pub(crate) fn logical(&self, transactional: bool, prefix: &str, content: &[u8]) -> Bytes {
        let mut message = self.head(b'M');
        message.put_u8(transactional.into());
        message.put_u64(5);
        put_text(&mut message, prefix);
        message.put_i32(content.len().try_into().unwrap());
        message.put_slice(content);
        message.freeze()
    }
}

pub(crate) fn begin(xid: u32, lsn: u64, time: i64) -> Bytes {
    let mut message = BytesMut::from(&b"B"[..]);
    message.put_u64(lsn);
    message.put_i64(time);
    message.put_u32(xid);
    message.freeze()
}

pub(crate) fn commit(lsn: u64, end: u64, time: i64) -> Bytes {
    let mut message = BytesMut::from(&b"C\0"[..]);
    message.put_u64(lsn);
    message.put_u64(end);
    message.put_i64(time);
    message.freeze()
}

pub(crate) fn origin(lsn: u64, name: &str) -> Bytes {
    let mut message = BytesMut::from(&b"O"[..]);
    message.put_u64(lsn);
    put_text(&mut message, name);
    message.freeze()
}

pub(crate) fn stream_start(xid: u32, first: bool) -> Bytes {
    let mut message = BytesMut::from(&b"S"[..]);
    message.put_u32(xid);
    message.put_u8(first.into());
    message.freeze()
}

pub(crate) fn stream_stop() -> Bytes {
    Bytes::from_static(b"E")
}

pub(crate) fn stream_commit(xid: u32, lsn: u64, end: u64, time: i64) -> Bytes {
    let mut message = BytesMut::from(&b"c"[..]);
    message.put_u32(xid);
    message.put_slice(&commit(lsn, end, time)[1..]);
    message.freeze()
}

pub(crate) fn stream_abort(xid: u32, subxid: u32) -> Bytes {
    let mut message = BytesMut::from(&b"A"[..]);
    message.put_u32(xid);
    message.put_u32(subxid);
    message.freeze()
}

fn put_text(message: &mut BytesMut, text: &str) {
    message.put_slice(text.as_bytes());
    message.put_u8(0);
}

fn put_row(message: &mut BytesMut, kind: u8, cells: &[Cell]) {
    message.put_u8(kind);
    message.put_u16(cells.len().try_into().unwrap());
    for cell in cells {
        let (tag, value) = match cell {
            Cell::Null => (b'n', None),
            Cell::Unchanged => (b'u', None),
            Cell::Text(value) => (b't', Some(value)),
            Cell::Binary(value) => (b'b', Some(value)),
        };
        message.put_u8(tag);
        if let Some(value) = value {
            message.put_i32(value.len().try_into().unwrap());
            message.put_slice(value);
        }
    }
}
