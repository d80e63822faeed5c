//! Logic trees: the values of `and=(…)` and `or=(…)`.

use super::cursor::{Cursor, Expected};
use super::field::{self, Text};
use super::filter::{self, Filter};
use super::list;
use crate::Error;

/// Logic trees deeper than this are refused.
const MAX_DEPTH: usize = 64;

/// `and` or `or`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connective {
    And,
    Or,
}

/// A tree of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logic<'a> {
    Filter(Filter<'a>),
    Group { negated: bool, connective: Connective, items: Vec<Logic<'a>> },
}

/// The operand inside a logic tree: as in a list, but `{…}` may hold commas and parentheses.
fn operand<'a>(cursor: &mut Cursor<'a>) -> Text<'a> {
    let rest = cursor.rest();
    if rest.starts_with('{')
        && let Some(end) = rest[1..].find(['{', '}'])
        && rest.as_bytes()[end + 1] == b'}'
    {
        cursor.advance(end + 2);
        return Text::Borrowed(&rest[..end + 2]);
    }
    let start = cursor.position();
    let text = list::element(cursor);
    if cursor.position() == start {
        cursor.miss(Expected::Token("{"));
    }
    text
}

/// Parses the value of `and=(…)`, `or=(…)`, with or without `not.` in the parameter's name.
pub(crate) fn logic<'a>(
    negated: bool,
    connective: Connective,
    value: &'a str,
) -> Result<Logic<'a>, Error> {
    let word = if connective == Connective::And { "and" } else { "or" };
    let shift = word.len() + if negated { "not.".len() } else { 0 };
    let mut cursor = Cursor::new(value);
    match group(&mut cursor, negated, connective, 0) {
        Some(logic) => Ok(logic),
        None => Err(cursor.error(&format!("failed to parse logic tree ({value})"), shift)),
    }
}

fn group<'a>(
    cursor: &mut Cursor<'a>,
    negated: bool,
    connective: Connective,
    depth: usize,
) -> Option<Logic<'a>> {
    cursor.blanks();
    if !cursor.token("(") {
        return None;
    }
    cursor.blanks();
    let mut items = Vec::new();
    loop {
        items.push(tree(cursor, depth + 1)?);
        cursor.blanks();
        if cursor.token(",") {
            cursor.commit();
            cursor.blanks();
            continue;
        }
        if !cursor.token(")") {
            return None;
        }
        cursor.blanks();
        return Some(Logic::Group { negated, connective, items });
    }
}

fn tree<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Option<Logic<'a>> {
    if depth > MAX_DEPTH {
        cursor.miss(Expected::Label("a less deeply nested logic tree"));
        return None;
    }
    let mark = cursor.mark();
    if let Some(filter) = logic_filter(cursor) {
        return Some(Logic::Filter(filter));
    }
    cursor.rewind(mark);
    let negated = cursor.rest().starts_with("not.");
    if negated || starts_group(cursor.rest()) {
        // From here on it can only be a group: what the filter expected is beside the point.
        cursor.forget(mark);
    }
    if negated {
        cursor.advance("not.".len());
    } else {
        cursor.labelled("negation operator (not)", |cursor| cursor.token("not").then_some(()));
        cursor.rewind(mark);
    }
    let connective = cursor.labelled("logic operator (and, or)", |cursor| {
        if cursor.token("and") {
            return Some(Connective::And);
        }
        cursor.token("or").then_some(Connective::Or)
    })?;
    group(cursor, negated, connective, depth)
}

fn starts_group(rest: &str) -> bool {
    rest.starts_with("and") || rest.starts_with("or")
}

fn logic_filter<'a>(cursor: &mut Cursor<'a>) -> Option<Filter<'a>> {
    let field = field::field(cursor)?;
    if !field::delimiter(cursor) {
        return None;
    }
    let (negated, operation) = filter::operation(cursor, &operand)?;
    Some(Filter { field, negated, operation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::filter::{IsValue, Operation};

    fn explain(error: &Error) -> (String, String) {
        let message = error.message.rsplit_once('(').unwrap().1.to_owned();
        (format!("({message}"), error.details.as_str().unwrap().to_owned())
    }

    fn or(value: &str) -> Result<Logic<'_>, Error> {
        logic(false, Connective::Or, value)
    }

    #[test]
    fn logic_trees_nest() {
        let parsed = or("(a.eq.1,not.and(b->>c.in.(x,y),d.not.is.null))").unwrap();
        let Logic::Group { negated: false, connective: Connective::Or, items } = parsed else {
            panic!()
        };
        let Logic::Group { negated: true, connective: Connective::And, items } = &items[1] else {
            panic!()
        };
        let Logic::Filter(filter) = &items[1] else { panic!() };
        assert!(filter.negated);
        assert_eq!(filter.operation, Operation::Is(IsValue::Null));
    }

    #[test]
    fn operands_in_logic_trees_may_be_quoted_or_arrays() {
        let parsed = or(r#"(a.cs.{1,2},b.eq."x,y)",c.eq.z)"#).unwrap();
        let Logic::Group { items, .. } = parsed else { panic!() };
        let texts: Vec<_> = items
            .iter()
            .map(|item| match item {
                Logic::Filter(Filter { operation: Operation::Simple(_, text), .. })
                | Logic::Filter(Filter { operation: Operation::Quant(_, _, text), .. }) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, ["{1,2}", "x,y)", "z"]);
    }

    #[test]
    fn broken_logic_trees_say_where() {
        let told = |value| explain(&or(value).unwrap_err());
        let (at, details) = told("()");
        assert_eq!(at, "(line 1, column 4)");
        assert_eq!(
            details,
            "unexpected \")\" expecting field name (* or [a..z0..9_$]), negation operator (not) or \
             logic operator (and, or)"
        );
        let (at, details) = told("(id.in.1,2,id.eq.3)");
        assert_eq!(
            (at.as_str(), details.as_str()),
            ("(line 1, column 10)", "unexpected \"1\" expecting \"(\"")
        );
        assert_eq!(told(")(").1, "unexpected \")\" expecting \"(\"");
        let (at, details) = told("(id.eq.1,not.xor(id.eq.2,id.eq.3))");
        assert_eq!(at, "(line 1, column 16)");
        assert_eq!(details, "unexpected \"x\" expecting logic operator (and, or)");
        let and = logic(false, Connective::And, "(ord(id.eq.1,id.eq.1),id.eq.2)").unwrap_err();
        assert_eq!(
            explain(&and),
            ("(line 1, column 7)".into(), "unexpected \"d\" expecting \"(\"".into())
        );
    }

    #[test]
    fn deep_logic_trees_are_refused() {
        let deep = format!("({}a.eq.1{})", "and(".repeat(500), ")".repeat(500));
        assert!(or(&deep).is_err());
    }
}
