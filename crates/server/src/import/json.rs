//! Users as JSON: the list of the admin API, an array, or one after the other.

use std::cell::RefCell;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::bounded::{Bounded, Meter};
use super::{Event, ReadError, Record, Sink, Table};

/// Reads all documents of a file, row by row.
pub(super) fn read(file: impl Read, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    let meter = Meter::default();
    let rows = RefCell::new(Rows { sink, meter: meter.clone(), count: 0, failure: None });
    let mut file = std::io::BufReader::new(file);
    loop {
        if at_end(&mut file)? {
            return Ok(());
        }
        let mut reader = serde_json::Deserializer::from_reader(Bounded::new(&mut file, &meter));
        let read = (&mut reader).deserialize_any(Document(&rows));
        if let Some(failure) = rows.borrow_mut().failure.take() {
            return Err(failure);
        }
        let count = rows.borrow().count;
        read.map_err(|error| meter.refusal(count + 1).unwrap_or(error.into()))?;
    }
}

/// Skips the space before the next document.
fn at_end(file: &mut impl std::io::BufRead) -> std::io::Result<bool> {
    loop {
        let buffer = file.fill_buf()?;
        let space = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if buffer.is_empty() {
            return Ok(true);
        }
        let more = space < buffer.len();
        file.consume(space);
        if more {
            return Ok(false);
        }
    }
}

/// Where rows go.
struct Rows<'a, 'b> {
    sink: &'a mut Sink<'b>,
    meter: Meter,
    count: u64,
    /// What ended the reading, which serde's errors cannot carry.
    failure: Option<ReadError>,
}

impl Rows<'_, '_> {
    fn take<E: serde::de::Error>(&mut self, row: Map<String, Value>) -> Result<(), E> {
        self.count += 1;
        self.meter.reset();
        let records = records(row, self.count);
        let taken = records
            .map_err(|what| ReadError::syntax(self.count, format!("(row) {what}")))
            .and_then(|records| {
                records.into_iter().try_for_each(|record| (self.sink)(Event::Row(record)))
            });
        taken.map_err(|failure| {
            self.failure = Some(failure);
            E::custom("given up")
        })
    }
}

/// A whole document: an array of rows, an object with a list `users`, or a row.
struct Document<'r, 'a, 'b>(&'r RefCell<Rows<'a, 'b>>);

impl<'de> Visitor<'de> for Document<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element::<Map<String, Value>>()? {
            self.0.borrow_mut().take(row)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut row = Map::new();
        let mut is_list = false;
        while let Some(name) = fields.next_key::<String>()? {
            if name == "users" {
                is_list = true;
                fields.next_value_seed(List(self.0))?;
            } else {
                row.insert(name, fields.next_value()?);
            }
        }
        if is_list { Ok(()) } else { self.0.borrow_mut().take(row) }
    }
}

/// The value of `users`.
struct List<'r, 'a, 'b>(&'r RefCell<Rows<'a, 'b>>);

impl<'de> DeserializeSeed<'de> for List<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_seq(Document(self.0))
    }
}

/// What the admin API calls otherwise than the columns.
const USER: [(&str, &str); 5] = [
    ("app_metadata", "raw_app_meta_data"),
    ("user_metadata", "raw_user_meta_data"),
    ("password_hash", "encrypted_password"),
    ("new_email", "email_change"),
    ("new_phone", "phone_change"),
];

/// The rows that an object of the file stands for: a user with the identities in it, or an identity.
fn records(mut row: Map<String, Value>, line: u64) -> Result<Vec<Record>, String> {
    if row.contains_key("identity_data") {
        return Ok(vec![identity(row, line)?]);
    }
    let identities = match row.remove("identities") {
        Some(Value::Array(identities)) => identities,
        _ => Vec::new(),
    };
    for (name, column) in USER {
        if let Some(value) = row.remove(name) {
            row.entry(column).or_insert(value);
        }
    }
    row.retain(|_, value| !value.is_null());
    if !["id", "email", "phone"].iter().any(|name| row.contains_key(*name)) {
        return Err("has neither id, email nor phone".to_owned());
    }
    let mut records = vec![Record { table: Table::Users, line, columns: row }.checked()?];
    for one in identities {
        let Value::Object(one) = one else { return Err("an identity is no object".to_owned()) };
        records.push(identity(one, line)?);
    }
    Ok(records)
}

fn identity(mut row: Map<String, Value>, line: u64) -> Result<Record, String> {
    // The admin API says `identity_id` for `id`, and `id` for `provider_id`.
    if let Some(id) = row.remove("identity_id") {
        if let Some(provider_id) = row.remove("id") {
            row.entry("provider_id").or_insert(provider_id);
        }
        row.insert("id".to_owned(), id);
    }
    row.retain(|_, value| !value.is_null());
    Record { table: Table::Identities, line, columns: row }.checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f";

    fn rows(text: &str) -> Result<Vec<Record>, ReadError> {
        let mut rows = Vec::new();
        let mut sink = |event| {
            let Event::Row(row) = event else { panic!("{event:?}") };
            rows.push(row);
            Ok(())
        };
        read(text.as_bytes(), &mut sink)?;
        Ok(rows)
    }

    #[test]
    fn users_are_found_in_every_shape() {
        let user = format!(r#"{{"id": "{ID}", "email": "a@x.org"}}"#);
        for text in [
            user.clone(),
            format!("{user}\n{user}\n\n"),
            format!("[{user}, {user}]"),
            format!(r#"{{"aud": "authenticated", "users": [{user}], "total": 1}}"#),
        ] {
            let rows = rows(&text).unwrap();
            assert_eq!(rows.len(), text.matches("@x.org").count(), "{text}");
            assert!(rows.iter().all(|row| row.columns["email"] == "a@x.org"));
        }
        assert!(rows("[]").unwrap().is_empty());
    }

    #[test]
    fn the_names_of_the_admin_api_become_columns() {
        let text = format!(
            r#"{{"id": "{ID}", "phone": "", "app_metadata": {{"a": 1}}, "user_metadata": null, "identities": [
                {{"identity_id": "{ID}", "id": "1234", "user_id": "{ID}", "provider": "github", "identity_data": {{}}}}]}}"#
        );
        let rows = rows(&text).unwrap();
        assert_eq!(rows[0].columns["raw_app_meta_data"]["a"], 1);
        assert!(!rows[0].columns.contains_key("raw_user_meta_data"));
        assert_eq!(rows[1].table, Table::Identities);
        assert_eq!(
            (&rows[1].columns["id"], &rows[1].columns["provider_id"]),
            (&ID.into(), &"1234".into())
        );
    }

    #[test]
    fn what_is_no_user_is_refused_by_its_number() {
        let text = format!(r#"[{{"id": "{ID}"}}, {{"name": "x"}}]"#);
        assert!(matches!(rows(&text), Err(ReadError::Syntax { line: 2, .. })));
        for text in ["[1]", "{\"users\": 1}", "{", "nonsense"] {
            assert!(rows(text).is_err(), "{text}");
        }
    }
}
