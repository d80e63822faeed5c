//! `order=column.desc.nullslast,rel(column)`.

use super::cursor::Cursor;
use super::field::{self, Field, Text};
use crate::Error;

/// `asc` or `desc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// `nullsfirst` or `nullslast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    First,
    Last,
}

/// One term of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderTerm<'a> {
    /// The embed whose column it is, for `rel(column)`.
    pub(crate) relation: Option<Text<'a>>,
    pub(crate) field: Field<'a>,
    pub(crate) direction: Option<Direction>,
    pub(crate) nulls: Option<Nulls>,
}

/// Parses the value of `order=…`.
pub(crate) fn order(value: &str) -> Result<Vec<OrderTerm<'_>>, Error> {
    let mut cursor = Cursor::new(value);
    match terms(&mut cursor) {
        Some(terms) => Ok(terms),
        None => Err(cursor.error(&format!("failed to parse order ({value})"), 0)),
    }
}

fn terms<'a>(cursor: &mut Cursor<'a>) -> Option<Vec<OrderTerm<'a>>> {
    let mut terms = Vec::new();
    loop {
        cursor.blanks();
        terms.push(term(cursor)?);
        cursor.blanks();
        if cursor.rest().is_empty() {
            return Some(terms);
        }
        if !cursor.token(",") {
            return None;
        }
        cursor.commit();
    }
}

fn term<'a>(cursor: &mut Cursor<'a>) -> Option<OrderTerm<'a>> {
    let mark = cursor.mark();
    if let Some(term) = related(cursor) {
        return Some(term);
    }
    cursor.forget(mark);
    let field = field::field(cursor)?;
    suffixes(cursor, None, field)
}

/// `rel(column)`
fn related<'a>(cursor: &mut Cursor<'a>) -> Option<OrderTerm<'a>> {
    let relation = field::name(cursor)?;
    if !cursor.token("(") {
        return None;
    }
    let field = field::field(cursor)?;
    if !cursor.token(")") {
        return None;
    }
    suffixes(cursor, Some(relation), field)
}

fn suffixes<'a>(
    cursor: &mut Cursor<'a>,
    relation: Option<Text<'a>>,
    field: Field<'a>,
) -> Option<OrderTerm<'a>> {
    use {Direction as D, Nulls as N};
    let direction = suffix(cursor, [("asc", D::Ascending), ("desc", D::Descending)]);
    let nulls = suffix(cursor, [("nullsfirst", N::First), ("nullslast", N::Last)]);
    let ends = cursor.ahead(",") || cursor.end();
    ends.then_some(OrderTerm { relation, field, direction, nulls })
}

fn suffix<T: Copy>(cursor: &mut Cursor<'_>, words: [(&'static str, T); 2]) -> Option<T> {
    let mark = cursor.mark();
    if !field::delimiter(cursor) {
        return None;
    }
    for (word, value) in words {
        if cursor.token(word) {
            return Some(value);
        }
    }
    cursor.rewind(mark);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(value: &str) -> (String, String) {
        let error = order(value).unwrap_err();
        let message = error.message.rsplit_once('(').unwrap().1.to_owned();
        (format!("({message}"), error.details.as_str().unwrap().to_owned())
    }

    #[test]
    fn terms_have_a_direction_and_a_place_for_nulls() {
        let terms = order("name.desc.nullsfirst,data->a->>0.asc, id.nullslast,rel(x)").unwrap();
        assert_eq!(terms[0].direction, Some(Direction::Descending));
        assert_eq!(terms[0].nulls, Some(Nulls::First));
        assert_eq!(terms[1].field.path.len(), 2);
        assert_eq!((terms[2].direction, terms[2].nulls), (None, Some(Nulls::Last)));
        assert_eq!(terms[3].relation.as_deref(), Some("rel"));
    }

    #[test]
    fn broken_orders_say_where() {
        let directions = "expecting \"asc\", \"desc\", \"nullsfirst\" or \"nullslast\"";
        assert_eq!(
            failure("id.ac"),
            ("(line 1, column 4)".into(), format!("unexpected \"c\" {directions}"))
        );
        assert_eq!(failure("id.smth34").1, format!("unexpected \"s\" {directions}"));
        let (at, details) = failure("id.descc");
        assert_eq!(at, "(line 1, column 8)");
        assert_eq!(details, "unexpected 'c' expecting delimiter (.), \",\" or end of input");
        assert_eq!(
            failure("id.asc.nullslasttt").1,
            "unexpected 't' expecting \",\" or end of input"
        );
        let (at, details) = failure("clients(name,id)");
        assert_eq!(at, "(line 1, column 8)");
        assert_eq!(
            details,
            "unexpected '(' expecting letter, digit, \"-\", \"->>\", \"->\", delimiter (.), \",\" or \
             end of input"
        );
        assert!(order("").is_err());
        assert!(order("a,").is_err());
    }
}
