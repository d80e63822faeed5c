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

pub(crate) use plan::{Plan, plan};

use std::sync::{Arc, OnceLock};

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

/// Rows as JSON.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) count: u64,
    /// The total that came with the rows, when one was asked for.
    pub(crate) total: Option<u64>,
    /// All of them as one array.
    pub(crate) json: Vec<u8>,
}

/// What writes rows of known columns.
#[derive(Debug)]
struct Encoder {
    /// The columns' names and types, and how the session prints them.
    columns: Vec<(Box<str>, u32)>,
    printing: Printing,

    kinds: Vec<Kind>,
    /// Whether a total comes after them.
    total: bool,
    /// What comes before each value: `{"id":`, `,"name":`.
    keys: Vec<Vec<u8>>,
}

/// The encoder of a plan's first rows, for the next ones. It follows from rows and plan, so it makes no plan another.
#[derive(Debug, Default)]
struct LastEncoder(OnceLock<Arc<Encoder>>);

impl PartialEq for LastEncoder {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Writes rows that are as planned. `None` when there is a type that only PostgreSQL can print in a
/// session like theirs, when there are too many bytes, or when the total is not known for lack of rows.
pub(crate) fn encode(rows: &BinaryRows<'_>, plan: &Plan, printing: Printing) -> Option<Encoded> {
    let own;
    let encoder =
        match plan.encoder.0.get().filter(|encoder| encoder.is_for(&rows.columns, printing)) {
            Some(encoder) => encoder,
            None => {
                own = Arc::new(Encoder::new(&rows.columns, plan, printing)?);
                let _ = plan.encoder.0.set(own.clone());
                &own
            }
        };
    let bytes: usize = rows.messages.iter().map(Bytes::len).sum();
    if bytes > MAX_BYTES {
        return None;
    }
    let mut json = Vec::with_capacity(bytes + bytes / 2 + 64);
    json.push(b'[');
    let mut count = 0;
    let mut total = (plan.total && plan.from_first).then_some(0);
    for mut rest in rows.messages.iter().map(|messages| &messages[..]) {
        while !rest.is_empty() {
            if count > 0 {
                json.extend_from_slice(SEPARATOR);
            }
            count += 1;
            let last;
            (last, rest) = encoder.message(rest, &mut json)?;
            if plan.total {
                total = Some(value::count(last)?);
            }
        }
    }
    json.push(b']');
    (total.is_some() || !plan.total).then_some(Encoded { count, total, json })
}

impl Encoder {
    fn new(columns: &[Column<'_>], plan: &Plan, printing: Printing) -> Option<Self> {
        let all = columns.iter().map(|column| (column.name.into(), column.type_oid)).collect();
        let columns = if plan.total { columns.split_last()?.1 } else { columns };
        let kinds = columns.iter().map(|it| types::kind(it.type_oid, plan, printing));
        let key = |(index, column): (usize, &Column<'_>)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            text::string(&mut key, column.name.as_bytes());
            key.push(b':');
            key
        };
        let keys = columns.iter().enumerate().map(key).collect();
        let kinds = kinds.collect::<Option<_>>()?;
        Some(Self { columns: all, printing, kinds, total: plan.total, keys })
    }

    /// Whether it writes such rows: a column may have become another one since.
    fn is_for(&self, columns: &[Column<'_>], printing: Printing) -> bool {
        self.printing == printing
            && self.columns.len() == columns.len()
            && self
                .columns
                .iter()
                .zip(columns)
                .all(|((name, oid), column)| *oid == column.type_oid && **name == *column.name)
    }

    /// Writes one row as an object. Returns what comes after its values, and what follows its message.
    fn message<'b>(&self, message: &'b [u8], json: &mut Vec<u8>) -> Option<(&'b [u8], &'b [u8])> {
        let (tag, rest) = message.split_first()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        let (body, next) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (columns, mut values) = body.get(4..)?.split_first_chunk::<2>()?;
        let expected = self.kinds.len() + usize::from(self.total);
        if *tag != b'D' || usize::from(u16::from_be_bytes(*columns)) != expected {
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
        Some((values, next))
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
        let encoded = encode(&rows, &Plan::default(), Printing::default())?;
        Some(String::from_utf8(encoded.json).unwrap())
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
    fn rows_of_a_plan_may_have_other_columns_than_those_before() {
        let plan = Plan::default();
        let printing = Printing { utc: true, ..Printing::default() };
        let json = |name: &str, type_oid, value: &[u8], printing| {
            let messages = [Bytes::from(message(&[Some(value)]))];
            let rows = BinaryRows { columns: vec![Column { name, type_oid }], messages: &messages };
            Some(String::from_utf8(encode(&rows, &plan, printing)?.json).unwrap())
        };
        for _ in 0..2 {
            let one = 1_i32.to_be_bytes();
            assert_eq!(json("a", INT4, &one, printing).unwrap(), "[{\"a\":1}]");
            assert_eq!(json("b", INT4, &one, printing).unwrap(), "[{\"b\":1}]");
            assert_eq!(json("a", TEXT, b"x", printing).unwrap(), "[{\"a\":\"x\"}]");
            assert!(json("at", 1184, &[0; 8], printing).is_some());
            assert_eq!(json("at", 1184, &[0; 8], Printing::default()), None);
        }
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
