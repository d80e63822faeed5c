//! The body of a write or a call.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use indexmap::IndexSet;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::csv::{self, CsvError};
use super::field::Text;
use super::media::MediaType;
use super::query;
use crate::Error;

/// A body that was understood as far as planning needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// JSON, and the keys of its objects (or those of `columns=`), sorted.
    Json { text: Bytes, keys: Vec<String> },
    /// An array of JSON objects that were lines of CSV: the keys of the objects are the positions of
    /// `names`, which are sorted.
    Lines { json: Bytes, names: Vec<String> },
    /// A form that is the arguments of a function.
    Form(Vec<(String, String)>),
    /// Bytes for a function with a single unnamed parameter.
    Raw(Bytes),
}

impl Payload {
    /// The keys, sorted and without repetition.
    pub(crate) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Json { keys, .. } | Self::Lines { names: keys, .. } => {
                keys.iter().map(String::as_str).collect()
            }
            Self::Form(pairs) => {
                let keys: BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
                keys.into_iter().collect()
            }
            Self::Raw(_) => Vec::new(),
        }
    }
}

/// Whether JSON text is one object rather than an array of them.
pub(crate) fn is_object(text: &[u8]) -> bool {
    text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) == Some(&b'{')
}

/// Reads the body of a write (`call` false) or of a function call.
///
/// # Errors
///
/// `PGRST102` with the reason.
pub(crate) fn parse(
    body: &Bytes,
    content_type: &MediaType,
    columns: Option<&[Text<'_>]>,
    call: bool,
) -> Result<Payload, Error> {
    match (content_type, call) {
        (MediaType::Json, _) => json(body, columns, call),
        (MediaType::Csv, _) => from_csv(body, call),
        (MediaType::Form, true) => Ok(Payload::Form(form(body))),
        (MediaType::Form, false) => Ok(form_as_json(&form(body))),
        (MediaType::PlainText | MediaType::Xml | MediaType::OctetStream, true) => {
            Ok(Payload::Raw(body.clone()))
        }
        (other, _) => {
            Err(Error::invalid_body(&format!("Content-Type not acceptable: {}", other.name())))
        }
    }
}

fn json(body: &Bytes, columns: Option<&[Text<'_>]>, call: bool) -> Result<Payload, Error> {
    if let Some(columns) = columns {
        // The client names the columns, so objects of any keys will do; PostgreSQL reads them.
        let keys: BTreeSet<String> = columns.iter().map(|it| it.clone().into_owned()).collect();
        return Ok(Payload::Json { text: body.clone(), keys: keys.into_iter().collect() });
    }
    if body.is_empty() && call {
        return Ok(Payload::Json { text: Bytes::from_static(b"{}"), keys: Vec::new() });
    }
    match shape(body) {
        Some(Shape::Keys(mut keys)) => {
            keys.sort_unstable();
            Ok(Payload::Json { text: body.clone(), keys: keys.into_iter().collect() })
        }
        Some(Shape::Nothing) => {
            Ok(Payload::Json { text: Bytes::from_static(b"[]"), keys: Vec::new() })
        }
        Some(Shape::Uneven) => Err(Error::invalid_body("All object keys must match")),
        None => Err(Error::invalid_body("Empty or invalid json")),
    }
}

fn from_csv(body: &Bytes, call: bool) -> Result<Payload, Error> {
    let keys = if call { csv::Keys::Names } else { csv::Keys::Positions };
    let table = csv::to_json(body, keys).map_err(|error| {
        Error::invalid_body(match error {
            CsvError::Empty => "parse error (not enough input) at \"\"",
            CsvError::Uneven => "All lines must have same number of fields",
            CsvError::Quotes => "A quoted field of the CSV does not end where it should",
            CsvError::Encoding => "The CSV is not UTF-8",
        })
    })?;
    let names = if table.json == "[]" { Vec::new() } else { table.names };
    let json = Bytes::from(table.json);
    Ok(if call {
        Payload::Json { text: json, keys: names }
    } else {
        Payload::Lines { json, names }
    })
}

fn form(body: &Bytes) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let parts = text.split(['&', ';']).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    pairs
        .map(|(name, value)| (query::decode(name).into_owned(), query::decode(value).into_owned()))
        .collect()
}

fn form_as_json(pairs: &[(String, String)]) -> Payload {
    let object: serde_json::Map<String, serde_json::Value> =
        pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let keys: BTreeSet<String> = object.keys().cloned().collect();
    let text = serde_json::Value::Object(object).to_string();
    Payload::Json { text: text.into(), keys: keys.into_iter().collect() }
}

/// What JSON is made of, without its values.
enum Shape {
    /// One object, or objects with the same keys.
    Keys(IndexSet<String>),
    /// An empty array, or no object at all.
    Nothing,
    /// Objects with different keys, or other things among objects.
    Uneven,
}

/// Walks the text once without building its values; `None` when it is no JSON.
fn shape(text: &[u8]) -> Option<Shape> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let shape = json.deserialize_any(ShapeVisitor).ok()?;
    json.end().ok()?;
    Some(shape)
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape, A::Error> {
        let keys = Keys { like: None }.visit_map(map)?;
        Ok(Shape::Keys(keys.unwrap_or_default()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let Some(first) = items.next_element_seed(Keys { like: None })? else {
            return Ok(Shape::Nothing);
        };
        let mut keys = first;
        while let Some(next) = items.next_element_seed(Keys { like: keys.as_ref() })? {
            if next.is_none() {
                keys = None;
            }
        }
        Ok(keys.map_or(Shape::Uneven, Shape::Keys))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
}

/// The keys of one object as they come. With `like`, gives nothing new when they are the same, so that
/// a long array of equal objects allocates next to nothing; `None` when they differ. An object can have
/// as many keys as a body has room for, so none is looked for among all others.
struct Keys<'k> {
    like: Option<&'k IndexSet<String>>,
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = Option<IndexSet<String>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

/// A key as text, borrowed from the body where it can be.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Text<'a>);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = Option<IndexSet<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(like) = self.like else {
            let mut own = IndexSet::new();
            while let Some((Key(key), IgnoredAny)) = map.next_entry::<Key<'de>, IgnoredAny>()? {
                own.insert(key.into_owned());
            }
            return Ok(Some(own));
        };
        let mut seen = vec![false; like.len()];
        let (mut same, mut next) = (true, 0);
        while let Some((Key(key), IgnoredAny)) = map.next_entry::<Key<'de>, IgnoredAny>()? {
            // Objects of one array mostly have their keys in one order.
            let here = like.get_index(next).is_some_and(|known| *known == key).then_some(next);
            match here.or_else(|| like.get_index_of(key.as_ref())) {
                Some(index) => {
                    seen[index] = true;
                    next = index + 1;
                }
                None => same = false,
            }
        }
        Ok((same && seen.iter().all(|seen| *seen)).then(IndexSet::new))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<Payload, Error> {
        parse(&Bytes::from_static(body.as_bytes()), &MediaType::Json, None, false)
    }

    fn keys(body: &'static str) -> Vec<String> {
        read(body).unwrap().keys().into_iter().map(str::to_owned).collect()
    }

    fn refusal(body: &'static str) -> String {
        let error = read(body).unwrap_err();
        assert_eq!((error.code.as_str(), error.status.as_u16()), ("PGRST102", 400));
        error.message.clone()
    }

    #[test]
    fn objects_with_the_same_keys_are_rows() {
        assert_eq!(keys(r#"{"b":1,"a":{"x":[]},"é\n":null}"#), ["a", "b", "é\n"]);
        assert_eq!(keys(r#"[{"a":1,"b":2},{"b":1,"a":2},{"a":1,"a":2,"b":3}]"#), ["a", "b"]);
        assert_eq!(keys("[]"), [""; 0]);
        assert_eq!(keys("[{},{}]"), [""; 0]);
    }

    #[test]
    fn what_is_no_object_at_all_is_no_row() {
        for body in ["1", "\"text\"", "null", "true", "-1.5", "[]"] {
            let expected = Payload::Json { text: Bytes::from_static(b"[]"), keys: Vec::new() };
            assert_eq!(read(body).unwrap(), expected);
        }
    }

    #[test]
    fn uneven_rows_are_refused() {
        for body in [
            r#"[{"a":1},{"b":1}]"#,
            r#"[{"a":1},{"a":1,"b":1}]"#,
            r#"[{"a":1,"b":1},{"a":1}]"#,
            "[1]",
            r#"[{"a":1},[]]"#,
            "[{},2]",
        ] {
            assert_eq!(refusal(body), "All object keys must match", "{body}");
        }
    }

    /// Looking each name up among all others would take most of a minute.
    #[test]
    fn as_many_names_as_a_body_has_room_for_are_told_apart() {
        const NAMES: usize = 50_000;
        let names = |order: &mut dyn Iterator<Item = usize>| {
            let members: Vec<String> = order.map(|name| format!("\"{name}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        let body = [names(&mut (0..NAMES)), names(&mut (0..NAMES).rev())].join(",");
        let body = Bytes::from(format!("[{body}]"));
        assert_eq!(parse(&body, &MediaType::Json, None, false).unwrap().keys().len(), NAMES);
        let header: Vec<String> = (0..NAMES).map(|name| name.to_string()).collect();
        let body = Bytes::from(format!("{0}\n{0}", header.join(",")));
        assert_eq!(parse(&body, &MediaType::Csv, None, false).unwrap().keys().len(), NAMES);
    }

    #[test]
    fn broken_json_is_refused() {
        for body in ["", "{", "{\"a\":}", "[{}", "{} {}", "nul", "[1,]"] {
            assert_eq!(refusal(body), "Empty or invalid json", "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&Bytes::from(deep), &MediaType::Json, None, false).is_err());
    }

    #[test]
    fn named_columns_make_any_keys_do() {
        let columns = [Text::Borrowed("b"), Text::Borrowed("a"), Text::Borrowed("b")];
        let body = Bytes::from_static(b"not even json");
        let payload = parse(&body, &MediaType::Json, Some(&columns), false).unwrap();
        assert_eq!(payload, Payload::Json { text: body, keys: vec!["a".into(), "b".into()] });
    }

    #[test]
    fn forms_are_objects_or_arguments() {
        let body = Bytes::from_static(b"a=x+y&b=%C3%A9&a=z");
        let payload = parse(&body, &MediaType::Form, None, false).unwrap();
        let Payload::Json { text, .. } = payload else { panic!() };
        assert_eq!(text, Bytes::from_static("{\"a\":\"z\",\"b\":\"é\"}".as_bytes()));
        let arguments = parse(&body, &MediaType::Form, None, true).unwrap();
        assert_eq!(arguments.keys(), ["a", "b"]);
    }

    #[test]
    fn other_types_are_refused() {
        let body = Bytes::from_static(b"x");
        let error = parse(&body, &MediaType::PlainText, None, false).unwrap_err();
        assert_eq!(error.message, "Content-Type not acceptable: text/plain");
        assert!(parse(&body, &MediaType::PlainText, None, true).is_ok());
        assert!(parse(&body, &MediaType::parse("image/png"), None, true).is_err());
    }

    #[test]
    fn csv_has_its_header_as_keys() {
        let body = Bytes::from_static(b"b,a\n1,2\n");
        let payload = parse(&body, &MediaType::Csv, None, false).unwrap();
        assert_eq!(payload.keys(), ["a", "b"]);
        let Payload::Lines { json, .. } = payload else { panic!() };
        assert_eq!(json, r#"[{"1":"1","0":"2"}]"#);
        let arguments = parse(&body, &MediaType::Csv, None, true).unwrap();
        let text = Bytes::from_static(br#"[{"b":"1","a":"2"}]"#);
        assert_eq!(arguments, Payload::Json { text, keys: vec!["a".into(), "b".into()] });
        let header = Bytes::from_static(b"b,a\n");
        assert!(parse(&header, &MediaType::Csv, None, false).unwrap().keys().is_empty());
        let uneven = Bytes::from_static(b"a,b\n1\n");
        let error = parse(&uneven, &MediaType::Csv, None, false).unwrap_err();
        assert_eq!(error.message, "All lines must have same number of fields");
    }
}
