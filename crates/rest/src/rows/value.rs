//! Values of each kind.

use super::number;
use super::text::{hex, quoted, string};
use super::time;
use super::types::{Kind, Scalar};

/// Takes the next value, its length before it; the inner `None` is NULL.
pub(super) fn next(values: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = values.split_first_chunk::<4>()?;
    match u32::from_be_bytes(*length) {
        u32::MAX => Some((None, rest)),
        length => {
            let (value, rest) = rest.split_at_checked(length as usize)?;
            Some((Some(value), rest))
        }
    }
}

/// The number in the only value, a `bigint`, that is left.
pub(super) fn count(values: &[u8]) -> Option<u64> {
    let (value, _) = next(values)?;
    u64::try_from(i64::from_be_bytes(fixed(value?)?)).ok()
}

impl Kind {
    /// Appends a value; `None` when it is not what the type's binary format is.
    pub(super) fn write(self, json: &mut Vec<u8>, value: &[u8]) -> Option<()> {
        match self {
            Self::One(scalar) => scalar.write(json, value),
            Self::Array(scalar) => array(json, scalar, value),
        }
    }
}

impl Scalar {
    fn write(self, json: &mut Vec<u8>, value: &[u8]) -> Option<()> {
        match self {
            Self::Bool => {
                let [value] = fixed(value)?;
                json.extend_from_slice(if value == 0 { b"false" } else { b"true" });
            }
            Self::Int2 => number::integer(json, i16::from_be_bytes(fixed(value)?).into()),
            Self::Int4 => number::integer(json, i32::from_be_bytes(fixed(value)?).into()),
            Self::Int8 => number::integer(json, i64::from_be_bytes(fixed(value)?)),
            Self::Oid => {
                let oid = u32::from_be_bytes(fixed(value)?);
                quoted(json, |json| number::integer(json, oid.into()));
            }
            Self::Float4 => number::float4(json, f32::from_be_bytes(fixed(value)?)),
            Self::Float8 => number::float8(json, f64::from_be_bytes(fixed(value)?)),
            Self::Numeric => number::numeric(json, value)?,
            Self::Text => string(json, value),
            Self::Uuid => uuid(json, &fixed(value)?),
            Self::Date => time::date(json, i32::from_be_bytes(fixed(value)?)),
            Self::Time => {
                let time = i64::from_be_bytes(fixed(value)?);
                quoted(json, |json| time::time_of_day(json, time));
            }
            Self::TimeTz => {
                let (time, zone) = value.split_first_chunk::<8>()?;
                time::time_tz(json, i64::from_be_bytes(*time), i32::from_be_bytes(fixed(zone)?));
            }
            Self::Timestamp => time::timestamp(json, i64::from_be_bytes(fixed(value)?), b""),
            Self::TimestampUtc => {
                time::timestamp(json, i64::from_be_bytes(fixed(value)?), b"+00:00");
            }
            Self::Json => json.extend_from_slice(value),
            Self::Jsonb => match value.split_first()? {
                // The version of the format.
                (1, text) => json.extend_from_slice(text),
                _ => return None,
            },
            Self::Bytea => {
                json.extend_from_slice(b"\"\\\\x");
                hex(json, value);
                json.push(b'"');
            }
        }
        Some(())
    }
}

fn fixed<const SIZE: usize>(value: &[u8]) -> Option<[u8; SIZE]> {
    value.try_into().ok()
}

fn uuid(json: &mut Vec<u8>, value: &[u8; 16]) {
    let mut before = b'"';
    for part in [&value[..4], &value[4..6], &value[6..8], &value[8..10], &value[10..]] {
        json.push(before);
        hex(json, part);
        before = b'-';
    }
    json.push(b'"');
}

/// Most dimensions of an array (PostgreSQL's `MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// An array as nested JSON arrays; where its dimensions begin does not show.
fn array(json: &mut Vec<u8>, of: Scalar, value: &[u8]) -> Option<()> {
    let (dimensions, rest) = value.split_first_chunk::<4>()?;
    let dimensions = u32::from_be_bytes(*dimensions) as usize;
    if dimensions == 0 {
        json.extend_from_slice(b"[]");
        return Some(());
    }
    // Whether there are NULLs and the type of the elements; then length and lower bound of each.
    let (sizes, mut elements) = rest.get(8..)?.split_at_checked(dimensions.checked_mul(8)?)?;
    let (sizes, _) = sizes.as_chunks::<8>();
    if dimensions > MAX_DIMENSIONS {
        return None;
    }
    let sizes: Vec<u32> =
        sizes.iter().map(|[a, b, c, d, ..]| u32::from_be_bytes([*a, *b, *c, *d])).collect();
    nested(json, of, &sizes, &mut elements)
}

fn nested(json: &mut Vec<u8>, of: Scalar, sizes: &[u32], elements: &mut &[u8]) -> Option<()> {
    let Some((&size, inner)) = sizes.split_first() else {
        let value;
        (value, *elements) = next(elements)?;
        match value {
            Some(value) => of.write(json, value)?,
            None => json.extend_from_slice(b"null"),
        }
        return Some(());
    };
    json.push(b'[');
    for index in 0..size {
        if index > 0 {
            json.push(b',');
        }
        nested(json, of, inner, elements)?;
    }
    json.push(b']');
    Some(())
}
