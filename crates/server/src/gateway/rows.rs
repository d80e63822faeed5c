//! Rows in binary on their way from the wire to the request language.

use bytes::Bytes;
use plinth_rest::{BinaryRows, Column, Error, Prepared, Printing, Response};
use plinth_wire::Rows;

/// The answer to a read whose rows came in binary. `results` begins with that of *enter*, whose last
/// columns say how the session prints. `None` when the request has to be asked again as JSON.
pub(super) fn answer(
    prepared: Prepared,
    mut results: impl Iterator<Item = Rows>,
) -> Option<Result<Response, Error>> {
    let printing = printing(&results.next()?)?;
    let Rows::Binary(rows) = results.next()? else { return None };
    let columns = rows.columns.iter();
    let rows = BinaryRows {
        columns: columns.map(|it| Column { name: &it.name, type_oid: it.type_oid }).collect(),
        messages: &rows.messages,
    };
    let others: Vec<_> = results.map(Rows::into_text).collect();
    prepared.respond_rows(&rows, &others, printing)
}

fn printing(entered: &Rows) -> Option<Printing> {
    let values = entered.text().first()?.last_chunk::<{ plinth_postgres::PRINTING.len() }>()?;
    Some(Printing::of(values.each_ref().map(text)))
}

fn text(value: &Option<Bytes>) -> &str {
    value.as_deref().and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_reports_what_printing_depends_on_in_that_order() {
        assert_eq!(plinth_postgres::PRINTING, Printing::SETTINGS);
        let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let row = vec![value("anon"), value("Etc/UTC"), value("1"), value("hex")];
        let expected = Printing { utc: true, exact_floats: true, hex_bytea: true };
        assert_eq!(printing(&Rows::Text(vec![row])), Some(expected));
        assert_eq!(printing(&Rows::Text(vec![])), None);
    }
}
