//! CSV bodies (RFC 4180) as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Why a CSV body cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CsvError {
    /// No header line.
    Empty,
    /// A line has more or fewer fields than the header.
    Uneven,
    /// A quote that does not end, or text after one.
    Quotes,
    /// Not UTF-8.
    Encoding,
}

/// What the keys of the objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// The names in the header.
    Names,
    /// Where a name stands among all names in alphabetical order. A name of ten letters in every row
    /// would make the JSON several times as long as the CSV.
    Positions,
}

/// A CSV body as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// The names in the header, sorted and without repetition.
    pub(crate) names: Vec<String>,
    /// An array of objects whose values are text, or null for `NULL`.
    pub(crate) json: String,
}

/// Reads a body in one pass, which copies each field once.
pub(crate) fn to_json(body: &[u8], keys: Keys) -> Result<Table, CsvError> {
    let text = std::str::from_utf8(body).map_err(|_| CsvError::Encoding)?;
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text) };
    let header = reader.header()?;
    let names: BTreeSet<&String> = header.iter().collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let openings: Vec<String> =
        header.iter().enumerate().map(|(at, name)| opening(at, name, keys, &names)).collect();
    let mut json = String::with_capacity(json_bytes(body, &openings));
    json.push('[');
    while reader.begins_record() {
        if json.len() > 1 {
            json.push(',');
        }
        reader.record(&openings, &mut json)?;
    }
    json.push(']');
    Ok(Table { names, json })
}

/// About how long the JSON becomes: a buffer that had to grow would be in memory twice meanwhile, one
/// that is too large costs nothing.
fn json_bytes(body: &[u8], openings: &[String]) -> usize {
    let lines = 1 + body.iter().filter(|byte| **byte == b'\n').count();
    let line = openings.iter().map(|opening| opening.len() + 2).sum::<usize>() + 2;
    lines.saturating_mul(line).saturating_add(body.len()).min(body.len().saturating_mul(4))
}

/// What stands before the value of a column: `{"key":` or `,"key":`.
fn opening(at: usize, name: &str, keys: Keys, names: &[String]) -> String {
    let mut text = String::from(if at == 0 { "{\"" } else { ",\"" });
    match keys {
        Keys::Names => push_escaped(&mut text, name),
        Keys::Positions => {
            let (Ok(position) | Err(position)) = names.binary_search_by(|it| it.as_str().cmp(name));
            text.push_str(&position.to_string());
        }
    }
    text.push_str("\":");
    text
}

/// One field as it stands in the body.
#[derive(Clone, Copy)]
enum Field<'a> {
    Plain(&'a str),
    /// The text between the quotes, in which a quote is written twice.
    Quoted(&'a str),
}

impl Field<'_> {
    fn push_value(self, json: &mut String) {
        let (Self::Plain(text) | Self::Quoted(text)) = self;
        if text == "NULL" {
            json.push_str("null");
            return;
        }
        json.push('"');
        match self {
            Self::Plain(text) => push_escaped(json, text),
            Self::Quoted(text) => {
                for (at, part) in text.split("\"\"").enumerate() {
                    json.push_str(if at == 0 { "" } else { "\\\"" });
                    push_escaped(json, part);
                }
            }
        }
        json.push('"');
    }
}

/// Appends text as it stands inside a JSON string.
fn push_escaped(json: &mut String, text: &str) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        json.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            // Writing to a string cannot fail.
            control => drop(write!(json, "\\u{control:04x}")),
        }
    }
    json.push_str(&text[from..]);
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Whether there is a further line that is not empty.
    fn begins_record(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches(['\r', '\n']);
        !self.rest.is_empty()
    }

    fn header(&mut self) -> Result<Vec<String>, CsvError> {
        if !self.begins_record() {
            return Err(CsvError::Empty);
        }
        let mut names = Vec::new();
        loop {
            names.push(match self.field()? {
                Field::Plain(text) => text.to_owned(),
                Field::Quoted(text) => text.replace("\"\"", "\""),
            });
            if !self.comma() {
                return Ok(names);
            }
        }
    }

    /// One line as an object.
    fn record(&mut self, openings: &[String], json: &mut String) -> Result<(), CsvError> {
        for (at, opening) in openings.iter().enumerate() {
            if at > 0 && !self.comma() {
                return Err(CsvError::Uneven);
            }
            json.push_str(opening);
            self.field()?.push_value(json);
        }
        json.push('}');
        if self.comma() { Err(CsvError::Uneven) } else { Ok(()) }
    }

    /// Takes the comma that a further field comes after.
    fn comma(&mut self) -> bool {
        let after = self.rest.strip_prefix(',');
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn field(&mut self) -> Result<Field<'a>, CsvError> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let ends = |byte| matches!(byte, b',' | b'\r' | b'\n');
            let end = self.rest.bytes().position(ends).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(Field::Plain(field));
        };
        let mut end = 0;
        loop {
            end += quoted[end..].find('"').ok_or(CsvError::Quotes)?;
            if !quoted[end + 1..].starts_with('"') {
                break;
            }
            end += 2;
        }
        self.rest = &quoted[end + 1..];
        match self.rest.as_bytes().first() {
            None | Some(b',' | b'\r' | b'\n') => Ok(Field::Quoted(&quoted[..end])),
            Some(_) => Err(CsvError::Quotes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(body: &[u8]) -> Result<String, CsvError> {
        to_json(body, Keys::Names).map(|table| table.json)
    }

    #[test]
    fn rows_become_objects() {
        let table = to_json(b"b,a\r\n1,\"x, \"\"y\"\"\nz\"\r\n\n2,NULL\n", Keys::Names).unwrap();
        assert_eq!(table.names, ["a", "b"]);
        assert_eq!(table.json, r#"[{"b":"1","a":"x, \"y\"\nz"},{"b":"2","a":null}]"#);
        assert_eq!(named(b"a,b\n").unwrap(), "[]");
        assert_eq!(named(b"a,b\n,\"\"").unwrap(), r#"[{"a":"","b":""}]"#);
        assert_eq!(named("\u{feff}a\n\"\"\"\"".as_bytes()).unwrap(), r#"[{"a":"\""}]"#);
        assert_eq!(named(b"\"q\"\"\"\n\\\t\x01").unwrap(), r#"[{"q\"":"\\\t\u0001"}]"#);
    }

    #[test]
    fn keys_may_be_positions_of_the_sorted_names() {
        let table = to_json(b"name,id,name\nfirst,1,last\n", Keys::Positions).unwrap();
        assert_eq!(table.names, ["id", "name"]);
        assert_eq!(table.json, r#"[{"1":"first","0":"1","1":"last"}]"#);
    }

    #[test]
    fn broken_bodies_are_refused() {
        assert_eq!(named(b""), Err(CsvError::Empty));
        assert_eq!(named(b"a,b\n1"), Err(CsvError::Uneven));
        assert_eq!(named(b"a,b\n1,2,3"), Err(CsvError::Uneven));
        assert_eq!(named(b"a\n\"open"), Err(CsvError::Quotes));
        assert_eq!(named(b"a\n\"open\"\""), Err(CsvError::Quotes));
        assert_eq!(named(b"a\n\"x\"y"), Err(CsvError::Quotes));
        assert_eq!(named(b"a\n\xff"), Err(CsvError::Encoding));
    }

    #[test]
    fn what_is_written_is_json() {
        let odd = "a\n\"\u{1}\u{7f}\u{2028}é\\\"\"/\u{1f600}\"\n";
        let rows: serde_json::Value =
            serde_json::from_str(&named(odd.as_bytes()).unwrap()).unwrap();
        assert_eq!(rows[0]["a"], "\u{1}\u{7f}\u{2028}é\\\"/\u{1f600}");
    }
}
