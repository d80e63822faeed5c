//! Users of another system: reading their files, and taking them over into `auth.users` and `auth.identities`.
//!
//! A file is read once, from its beginning to its end, one row at a time; rows wait in a temporary table of the
//! project's database, where all decisions are made in SQL, in one transaction.

mod bounded;
mod csv;
mod json;
mod record;
mod source;
mod sql;
mod store;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

pub use record::{Hashes, Record, Table};
pub use store::{Conflicts, Options, Rows, Store, StoreError};

/// Bytes of one row, and of one value: a profile picture in the metadata is fine, a film is not.
const MAX_ROW: usize = 16 * 1024 * 1024;
/// What is looked at to tell formats apart.
const PEEK: usize = 64 * 1024;

/// How rows are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A dump: `COPY` blocks and `INSERT`s, as `pg_dump --data-only` and `supabase db dump --data-only` write them.
    Sql,
    /// A line of column names, then a line per user.
    Csv,
    /// The list of the admin API, an array of rows, or a row per line.
    Json,
}

/// What a file has in it, in its order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A row of one of the two tables.
    Row(Record),
    /// A row of another table.
    Other(String),
}

/// Takes what is read; an error of its own ends the reading.
pub type Sink<'a> = dyn FnMut(Event) -> Result<(), ReadError> + 'a;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system says no.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// Something stands where something else is expected.
    #[error("line {line}: {what}")]
    Syntax {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The lines of the CSV file do not fit together.
    #[error("the CSV cannot be read")]
    Csv(#[from] ::csv::Error),
    /// It is no JSON, or rows of another shape.
    #[error("the JSON cannot be read")]
    Json(#[from] serde_json::Error),
    /// Nobody takes any more rows.
    #[error("the import was given up")]
    Stopped,
}

impl ReadError {
    fn syntax(line: u64, what: impl Into<String>) -> Self {
        Self::Syntax { line, what: what.into() }
    }
}

/// Opens a file, or standard input for `-`.
///
/// # Errors
///
/// Those of the file system.
pub fn open(path: &Path) -> std::io::Result<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(path)?))
}

/// Reads all of `file`. What is no [`Format`] by `format` is found out by looking at the beginning.
///
/// # Errors
///
/// [`ReadError`], of which `sink` may be the source.
pub fn read(
    file: Box<dyn Read + Send>,
    format: Option<Format>,
    sink: &mut Sink<'_>,
) -> Result<(), ReadError> {
    let mut file = BufReader::with_capacity(PEEK, file);
    let format = match format {
        Some(format) => format,
        None => guess(file.fill_buf()?),
    };
    match format {
        Format::Sql => sql::read(file, sink),
        Format::Csv => csv::read(file, sink),
        Format::Json => json::read(file, sink),
    }
}

/// The format of a file that begins with `start`.
fn guess(start: &[u8]) -> Format {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let first = text.lines().next().unwrap_or_default().to_ascii_lowercase();
    let words = ["--", "/*", "set ", "copy ", "insert ", "begin", "select ", "\\"];
    if text.starts_with(['{', '[']) {
        Format::Json
    } else if words.iter().any(|word| first.starts_with(word)) || !first.contains(',') {
        Format::Sql
    } else {
        Format::Csv
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_row_that_is_too_long_is_refused_in_every_format_and_not_read_to_its_end() {
        let before = [
            (Format::Sql, "COPY auth.users (email) FROM stdin;\na@x.org\n"),
            (Format::Sql, "insert into auth.users (email) values ('a@x.org'), ('"),
            (Format::Csv, "email,raw_user_meta_data\na@x.org,\n"),
            (Format::Csv, "email,raw_user_meta_data\na@x.org,\nb@x.org,\""),
            (Format::Json, "{\"users\": [{\"email\": \"a@x.org\"}, {\"email\": \""),
            (Format::Json, "{\"email\": \"a@x.org\"}{\"x\": [\"\", \""),
        ];
        for (format, start) in before {
            let mut rows = 0;
            let mut sink = |event| {
                assert!(matches!(event, Event::Row(_)));
                rows += 1;
                Ok(())
            };
            // It has no end.
            let file = Cursor::new(start).chain(std::io::repeat(b'x'));
            let error = read(Box::new(file), Some(format), &mut sink).unwrap_err();
            assert!(error.to_string().contains("more than 16777216 bytes"), "{start}: {error}");
            assert_eq!(rows, 1, "{start}");
        }
    }

    #[test]
    fn many_rows_together_may_be_longer_than_one() {
        let row = format!("{{\"email\": \"a@x.org\", \"x\": \"{}\"}}\n", "x".repeat(1 << 20));
        let line = format!("a@x.org,{}\n", "x".repeat(1 << 20));
        for (format, start, row) in [(Format::Json, "", row), (Format::Csv, "email,x\n", line)] {
            let mut rows = 0;
            let mut sink = |_| {
                rows += 1;
                Ok(())
            };
            let file = Cursor::new(format!("{start}{}", row.repeat(20)));
            read(Box::new(file), Some(format), &mut sink).unwrap();
            assert_eq!(rows, 20, "{format:?}");
        }
    }

    #[test]
    fn formats_are_told_apart_by_how_they_begin() {
        for (start, format) in [
            ("SET session_replication_role = replica;\n", Format::Sql),
            ("--\n-- PostgreSQL database dump\n", Format::Sql),
            ("\\restrict abc\n", Format::Sql),
            ("COPY auth.users (id, email) FROM stdin;\n", Format::Sql),
            ("insert into auth.users (id, email) values", Format::Sql),
            ("id,email,encrypted_password\n", Format::Csv),
            ("\u{feff}\"id\",\"email\"\n", Format::Csv),
            ("\n {\"users\": []}", Format::Json),
            ("[]", Format::Json),
        ] {
            assert_eq!(guess(start.as_bytes()), format, "{start}");
        }
    }
}
