//! Rows in PostgreSQL's binary format become the JSON text that `json_agg` would have made of them,
//! byte for byte.
//!
//! Only types whose `to_json` is known exactly are written here; a type that is not in [`types`]
//! means that the rows are asked for again, as JSON.

mod number;
mod plan;
mod text;
mod time;
mod types;
mod value;

pub(crate) use plan::plan;

use bytes::Bytes;
use plinth_catalog::Printing;

use types::Kind;

/// Rows that hold more bytes than this are asked for again as JSON, which is one value to the wire
/// and holds up nothing else while it is written.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Between two rows of an array.
const SEPARATOR: &[u8] = b", \n ";

/// One column of rows in binary.
#[derive(Debug, Clone, Copy)]
pub struct Column<'r> {
    /// The name.
    pub name: &'r str,
    /// The type's object id; of a domain, that of its base type.
    pub type_oid: u32,
}

/// Rows of a statement that was asked to answer in binary.
#[derive(Debug, Clone)]
pub struct BinaryRows<'r> {
    /// The columns of every row.
    pub columns: Vec<Column<'r>>,
    /// Whole `DataRow` messages, one or more in each byte string (PostgreSQL "Message Formats").
    pub messages: &'r [Bytes],
}

/// What writes rows of known columns.
#[derive(Debug)]
struct Encoder {
    kinds: Vec<Kind>,
    /// What comes before each value: `{"id":`, `,"name":`.
    keys: Vec<Vec<u8>>,
}

/// How many rows there are, and all of them as one JSON array. `None` when there is a type that only
/// PostgreSQL can print in a session like theirs, or when there are too many bytes.
pub(crate) fn encode(rows: &BinaryRows<'_>, printing: Printing) -> Option<(u64, Vec<u8>)> {
    let encoder = Encoder::new(&rows.columns, printing)?;
    let bytes: usize = rows.messages.iter().map(Bytes::len).sum();
    if bytes > MAX_BYTES {
        return None;
    }
    let mut json = Vec::with_capacity(bytes + bytes / 2 + 64);
    json.push(b'[');
    let mut count = 0;
    for mut rest in rows.messages.iter().map(|messages| &messages[..]) {
        while !rest.is_empty() {
            if count > 0 {
                json.extend_from_slice(SEPARATOR);
            }
            count += 1;
            rest = encoder.message(rest, &mut json)?;
        }
    }
    json.push(b']');
    Some((count, json))
}

impl Encoder {
    fn new(columns: &[Column<'_>], printing: Printing) -> Option<Self> {
        let kinds = columns.iter().map(|column| types::kind(column.type_oid, printing));
        let key = |(index, column): (usize, &Column<'_>)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            text::string(&mut key, column.name.as_bytes());
            key.push(b':');
            key
        };
        let keys = columns.iter().enumerate().map(key).collect();
        Some(Self { kinds: kinds.collect::<Option<_>>()?, keys })
    }

    /// Writes one row as an object, and returns what follows its message.
    fn message<'b>(&self, message: &'b [u8], json: &mut Vec<u8>) -> Option<&'b [u8]> {
        let (tag, rest) = message.split_first()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        let (body, next) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (columns, mut values) = body.get(4..)?.split_first_chunk::<2>()?;
        if *tag != b'D' || usize::from(u16::from_be_bytes(*columns)) != self.kinds.len() {
            return None;
        }
        for (kind, key) in self.kinds.iter().zip(&self.keys) {
            json.extend_from_slice(key);
            let value;
            (value, values) = value::next(values)?;
            match value {
                Some(value) => kind.write(json, value)?,
                None => json.extend_from_slice(b"null"),
            }
        }
        json.extend_from_slice(if self.kinds.is_empty() { b"{}" } else { b"}" });
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT4: u32 = 23;
    const TEXT: u32 = 25;

    fn message(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = (values.len() as u16).to_be_bytes().to_vec();
        for value in values {
            body.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
            body.extend(value.unwrap_or_default());
        }
        let mut message = vec![b'D'];
        message.extend((body.len() as u32 + 4).to_be_bytes());
        message.extend(body);
        message
    }

    fn json(columns: &[(&'static str, u32)], messages: &[Vec<u8>]) -> Option<String> {
        let messages = [Bytes::from(messages.concat())];
        let columns = columns.iter().map(|&(name, type_oid)| Column { name, type_oid });
        let rows = BinaryRows { columns: columns.collect(), messages: &messages };
        let (_, json) = encode(&rows, Printing::default())?;
        Some(String::from_utf8(json).unwrap())
    }

    #[test]
    fn rows_are_laid_out_as_json_agg_does() {
        let columns = [("id", INT4), ("a \"name\"", TEXT)];
        let one = message(&[Some(&1_i32.to_be_bytes()), Some(b"x\ny")]);
        let two = message(&[Some(&(-2_i32).to_be_bytes()), None]);
        assert_eq!(
            json(&columns, &[one, two]).unwrap(),
            "[{\"id\":1,\"a \\\"name\\\"\":\"x\\ny\"}, \n {\"id\":-2,\"a \\\"name\\\"\":null}]"
        );
        assert_eq!(json(&columns, &[]).unwrap(), "[]");
        assert_eq!(json(&[], &[message(&[])]).unwrap(), "[{}]");
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let columns = [("id", INT4)];
        let whole = message(&[Some(&1_i32.to_be_bytes())]);
        for end in 1..whole.len() {
            assert_eq!(json(&columns, &[whole[..end].to_vec()]), None, "{end}");
        }
        assert_eq!(json(&columns, &[message(&[Some(b"123")])]), None);
        assert_eq!(json(&columns, &[message(&[None, None])]), None);
        assert_eq!(json(&columns, &[b"C\0\0\0\x06\0\x01\xff\xff\xff\xff".to_vec()]), None);
        assert_eq!(json(&[("point", 600)], &[]), None, "an unknown type");
    }
}
