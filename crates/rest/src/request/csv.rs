//! CSV bodies (RFC 4180) as JSON.

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

/// The header, and the rows as a JSON array of objects whose values are text, or null for `NULL`.
pub(crate) fn to_json(body: &[u8]) -> Result<(Vec<String>, String), CsvError> {
    let text = std::str::from_utf8(body).map_err(|_| CsvError::Encoding)?;
    let mut records = Records { rest: text.strip_prefix('\u{feff}').unwrap_or(text) };
    let header = records.next_record()?.ok_or(CsvError::Empty)?;
    let mut json = String::with_capacity(body.len() * 2);
    json.push('[');
    while let Some(record) = records.next_record()? {
        if record.len() != header.len() {
            return Err(CsvError::Uneven);
        }
        json.push_str(if json.len() > 1 { ",{" } else { "{" });
        for (index, (name, value)) in header.iter().zip(&record).enumerate() {
            if index > 0 {
                json.push(',');
            }
            push_json(&mut json, name);
            json.push(':');
            if value == "NULL" {
                json.push_str("null");
            } else {
                push_json(&mut json, value);
            }
        }
        json.push('}');
    }
    json.push(']');
    Ok((header, json))
}

fn push_json(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

struct Records<'a> {
    rest: &'a str,
}

impl Records<'_> {
    /// The next line that is not empty.
    fn next_record(&mut self) -> Result<Option<Vec<String>>, CsvError> {
        self.rest = self.rest.trim_start_matches(['\r', '\n']);
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            fields.push(self.next_field()?);
            match self.rest.as_bytes().first() {
                Some(b',') => self.rest = &self.rest[1..],
                _ => return Ok(Some(fields)),
            }
        }
    }

    fn next_field(&mut self) -> Result<String, CsvError> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(field.to_owned());
        };
        let mut field = String::new();
        let mut rest = quoted;
        loop {
            let (part, after) = rest.split_once('"').ok_or(CsvError::Quotes)?;
            field.push_str(part);
            rest = after;
            match rest.strip_prefix('"') {
                Some(after) => {
                    field.push('"');
                    rest = after;
                }
                None => break,
            }
        }
        self.rest = rest;
        match rest.as_bytes().first() {
            None | Some(b',' | b'\r' | b'\n') => Ok(field),
            Some(_) => Err(CsvError::Quotes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_objects() {
        let (header, json) = to_json(b"a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n2,NULL\n").unwrap();
        assert_eq!(header, ["a", "b"]);
        assert_eq!(json, r#"[{"a":"1","b":"x, \"y\"\nz"},{"a":"2","b":null}]"#);
        assert_eq!(to_json(b"a,b\n").unwrap().1, "[]");
    }

    #[test]
    fn broken_bodies_are_refused() {
        assert_eq!(to_json(b""), Err(CsvError::Empty));
        assert_eq!(to_json(b"a,b\n1"), Err(CsvError::Uneven));
        assert_eq!(to_json(b"a\n\"open"), Err(CsvError::Quotes));
        assert_eq!(to_json(b"a\n\"x\"y"), Err(CsvError::Quotes));
        assert_eq!(to_json(b"a\n\xff"), Err(CsvError::Encoding));
    }
}
