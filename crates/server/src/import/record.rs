//! One row that is taken over.

use plinth_auth::password;
use serde::Serialize;
use serde_json::{Map, Value};

/// The tables that rows are taken over from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `auth.users`
    Users,
    /// `auth.identities`
    Identities,
}

impl Table {
    /// The table that a dump calls `schema`.`name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "auth.users" => Some(Self::Users),
            "auth.identities" => Some(Self::Identities),
            _ => None,
        }
    }

    /// As the temporary table says it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Users => "user",
            Self::Identities => "identity",
        }
    }
}

/// A row: columns by their names. Texts are as PostgreSQL reads them, documents are documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it is from.
    pub table: Table,
    /// Where in the file it stands, from 1; of a JSON document, which row it is.
    pub line: u64,
    /// Its columns.
    pub columns: Map<String, Value>,
}

/// Columns that hold documents.
const DOCUMENTS: [&str; 3] = ["raw_app_meta_data", "raw_user_meta_data", "identity_data"];

impl Record {
    /// A row of texts, in which documents are read.
    ///
    /// # Errors
    ///
    /// A sentence that names the column.
    pub(super) fn of_texts<'a>(
        table: Table,
        line: u64,
        texts: impl Iterator<Item = (&'a str, Option<String>)>,
    ) -> Result<Self, String> {
        let mut columns = Map::new();
        for (column, text) in texts {
            let Some(text) = text else { continue };
            let value = match DOCUMENTS.contains(&column) {
                false => Value::String(text),
                true if text.is_empty() => continue,
                true => serde_json::from_str(&text)
                    .map_err(|error| format!("column {column} is no JSON: {error}"))?,
            };
            columns.insert(column.to_owned(), value);
        }
        Self { table, line, columns }.checked()
    }

    /// What every row must have, whatever its format.
    ///
    /// # Errors
    ///
    /// A sentence that names the column.
    pub(super) fn checked(mut self) -> Result<Self, String> {
        // Before there was a column `provider_id`, `id` was what is in it now.
        if self.table == Table::Identities
            && !self.columns.contains_key("provider_id")
            && let Some(id) = self.columns.remove("id")
        {
            self.columns.insert("provider_id".to_owned(), id);
        }
        for column in ["id", "user_id"] {
            let Some(value) = self.columns.get(column) else { continue };
            let text = value.as_str().unwrap_or_default();
            if !value.is_null() && text.parse::<uuid::Uuid>().is_err() {
                return Err(format!("column {column} is no UUID: {value}"));
            }
        }
        for column in DOCUMENTS {
            let value = self.columns.get(column);
            if value.is_some_and(|value| !value.is_object() && !value.is_null()) {
                return Err(format!("column {column} is no JSON object"));
            }
        }
        Ok(self)
    }
}

impl Record {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        self.columns.iter().map(|(name, value)| name.len() + weight(value)).sum()
    }
}

fn weight(value: &Value) -> usize {
    let within = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + weight(value)).sum()
        }
    };
    within + size_of::<Value>()
}

/// How many passwords of each kind there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hashes {
    /// `$2a$`, `$2b$`, `$2y$`
    pub bcrypt: u64,
    /// `$argon2id$` and its siblings.
    pub argon2: u64,
    /// Firebase's scrypt.
    pub scrypt: u64,
    /// Users without a password.
    pub none: u64,
    /// Hashes that cannot be verified here: these users have to recover their passwords.
    pub unsupported: u64,
}

impl Hashes {
    /// Counts the password of a user.
    pub fn count(&mut self, user: &Record) {
        let hash = user.columns.get("encrypted_password").and_then(Value::as_str);
        let counter = match hash.unwrap_or_default() {
            "" => &mut self.none,
            hash if !password::is_supported(hash) => &mut self.unsupported,
            hash if hash.starts_with("$2") => &mut self.bcrypt,
            hash if hash.starts_with("$argon2") => &mut self.argon2,
            _ => &mut self.scrypt,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(columns: &[(&str, &str)]) -> Result<Record, String> {
        let texts = columns.iter().map(|(column, text)| (*column, Some((*text).to_owned())));
        Record::of_texts(Table::Users, 7, texts)
    }

    #[test]
    fn documents_are_read_and_other_texts_are_kept() {
        let row = user(&[("raw_user_meta_data", "{\"a\": 1}"), ("created_at", "2024-01-01")]);
        let columns = row.unwrap().columns;
        assert_eq!(columns["raw_user_meta_data"]["a"], 1);
        assert_eq!(columns["created_at"], "2024-01-01");
        assert!(user(&[("raw_user_meta_data", "{")]).unwrap_err().contains("raw_user_meta_data"));
        assert!(user(&[("raw_user_meta_data", "[]")]).is_err());
        assert!(user(&[("id", "7")]).unwrap_err().contains("UUID"));
    }

    #[test]
    fn old_identities_have_their_name_at_the_provider_as_id() {
        let texts = [("id", Some("1234".to_owned())), ("provider", Some("github".to_owned()))];
        let row = Record::of_texts(Table::Identities, 1, texts.into_iter()).unwrap();
        assert_eq!(row.columns["provider_id"], "1234");
        assert!(!row.columns.contains_key("id"));
    }

    #[test]
    fn passwords_are_counted_by_kind() {
        let mut hashes = Hashes::default();
        // "correct horse" by the library of Python.
        let bcrypt = "$2b$06$ICbGi.8WHCEezygh8konMePjH/z587L6ozQel32BtncznYaA.U976";
        for hash in [bcrypt, "", "pbkdf2_sha256$600000$salt$hash"] {
            hashes.count(&user(&[("encrypted_password", hash)]).unwrap());
        }
        let expected = Hashes { bcrypt: 1, none: 1, unsupported: 1, ..Hashes::default() };
        assert_eq!(hashes, expected);
    }
}
