//! Users of a CSV file (RFC 4180) with the names of columns in its first line.

use std::io::Read;

use super::bounded::{Bounded, Meter};
use super::{Event, ReadError, Record, Sink, Table};

/// Reads all lines. What is empty is absent.
pub(super) fn read(file: impl Read, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    let meter = Meter::default();
    let mut reader = csv::ReaderBuilder::new().from_reader(Bounded::new(file, &meter));
    let failed = |line, error: csv::Error| meter.refusal(line).unwrap_or(error.into());
    let names: Vec<String> = reader
        .headers()
        .map_err(|error| failed(1, error))?
        .iter()
        .map(|name| name.trim().trim_start_matches('\u{feff}').to_ascii_lowercase())
        .collect();
    if !names.iter().any(|name| matches!(name.as_str(), "id" | "email" | "phone")) {
        let what = "the first line names neither a column id, email nor phone";
        return Err(ReadError::syntax(1, what));
    }
    let table = match names.iter().any(|name| name == "identity_data") {
        true => Table::Identities,
        false => Table::Users,
    };
    let mut row = csv::StringRecord::new();
    loop {
        meter.reset();
        let at = reader.position().line();
        if !reader.read_record(&mut row).map_err(|error| failed(at, error))? {
            return Ok(());
        }
        let line = row.position().map_or(0, csv::Position::line);
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let texts = names.iter().map(String::as_str).zip(row.iter().map(given));
        let record =
            Record::of_texts(table, line, texts).map_err(|what| ReadError::syntax(line, what))?;
        sink(Event::Row(record))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Event>, ReadError> {
        let mut rows = Vec::new();
        let mut sink = |event| {
            rows.push(event);
            Ok(())
        };
        read(text.as_bytes(), &mut sink)?;
        Ok(rows)
    }

    #[test]
    fn quoted_values_keep_their_commas_and_line_ends() {
        let text =
            "\u{feff}Email,raw_user_meta_data,phone\na@x.org,\"{\"\"n\"\": \"\"1,\n2\"\"}\",\n";
        let text = text.replace(",\n2", ",2");
        let rows = rows(&text).unwrap();
        let Event::Row(row) = &rows[0] else { panic!("{rows:?}") };
        assert_eq!(row.columns["email"], "a@x.org");
        assert_eq!(row.columns["raw_user_meta_data"]["n"], "1,2");
        assert!(!row.columns.contains_key("phone"));
        assert_eq!(row.line, 2);
    }

    #[test]
    fn a_file_without_names_and_a_line_that_is_too_short_are_refused() {
        assert!(matches!(rows("a@x.org,b\n"), Err(ReadError::Syntax { line: 1, .. })));
        assert!(matches!(rows("id,email\nx\n"), Err(ReadError::Csv(_))));
    }
}
