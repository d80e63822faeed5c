//! The query string: split, decoded, and every parameter understood by its name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::field::{self, Field, Text};
use super::filter::{self, Condition, Filter};
use super::logic::{self, Connective, Logic};
use super::order::{self, OrderTerm};
use super::range::Range;
use super::select::{self, SelectItem};
use crate::Error;
use crate::request::cursor::Cursor;

/// More parameters than this are refused.
const MAX_PARAMETERS: usize = 4096;

/// Decoded parameters in order. A parameter without `=` has no value.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a>(Vec<(Text<'a>, Option<Text<'a>>)>);

/// Something that applies to the embed at `path`; an empty path is the request's own relation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<'p, T> {
    pub(crate) path: Vec<Text<'p>>,
    pub(crate) what: T,
}

/// Every parameter, parsed.
#[derive(Debug, Default)]
pub(crate) struct Query<'p> {
    pub(crate) select: Vec<SelectItem<'p>>,
    pub(crate) filters: Vec<At<'p, Filter<'p>>>,
    pub(crate) logic: Vec<At<'p, Logic<'p>>>,
    pub(crate) order: Vec<At<'p, Vec<OrderTerm<'p>>>>,
    /// Windows on embeds.
    pub(crate) ranges: Vec<At<'p, Range>>,
    /// `limit` and `offset` of the request's own relation.
    pub(crate) range: Option<Range>,
    pub(crate) columns: Option<Vec<Text<'p>>>,
    pub(crate) on_conflict: Option<Vec<Text<'p>>>,
    /// Parameters that are no filters: arguments of a function.
    pub(crate) arguments: Vec<(Text<'p>, Text<'p>)>,
    /// Names of all filter parameters as written.
    pub(crate) filter_names: Vec<&'p str>,
}

impl<'a> Parameters<'a> {
    /// Splits at `&` and `;`, decodes `%XX` and `+`.
    pub(crate) fn decode(query: &'a str) -> Result<Self, Error> {
        let mut parameters = Vec::new();
        for part in query.split(['&', ';']).filter(|part| !part.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(Error::parse(
                    "\"failed to parse query string\"".to_owned(),
                    format!("more than {MAX_PARAMETERS} parameters"),
                ));
            }
            parameters.push(match part.split_once('=') {
                Some((name, value)) => (decode(name), Some(decode(value))),
                None => (decode(part), None),
            });
        }
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name)?.1.as_deref()
    }

    fn valued(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_ref(), value.as_deref()?)))
    }

    /// The parameters sorted by name and encoded again, values of equal names joined by commas.
    pub(crate) fn canonical(&self) -> String {
        fn value<'v>(value: &'v Option<Text<'_>>) -> percent_encoding::PercentEncode<'v> {
            encode(value.as_deref().unwrap_or_default())
        }
        if let [(name, only)] = self.0.as_slice() {
            return format!("{}={}", encode(name), value(only));
        }
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut text = String::new();
        let mut last: Option<&str> = None;
        for (name, given) in sorted {
            if last == Some(name.as_ref()) {
                text.push(',');
            } else {
                if last.is_some() {
                    text.push('&');
                }
                text.push_str(&encode(name).to_string());
                text.push('=');
            }
            text.push_str(&value(given).to_string());
            last = Some(name);
        }
        text
    }

    /// Understands every parameter; with `arguments`, what is no filter is a function's argument.
    pub(crate) fn parse(&self, arguments: bool) -> Result<Query<'_>, Error> {
        let mut query = Query::default();
        let (mut limits, mut offsets) = (Vec::new(), Vec::new());
        for (name, value) in self.valued() {
            match name.rsplit('.').next().unwrap_or(name) {
                "order" => query.add_order(name, value)?,
                "and" | "or" => query.add_logic(name, value)?,
                "limit" => limits.push((name.strip_suffix("limit").unwrap_or_default(), value)),
                "offset" => offsets.push((name.strip_suffix("offset").unwrap_or_default(), value)),
                _ => {}
            }
        }
        query.columns = self.get("columns").map(|it| select::columns("columns", it)).transpose()?;
        query.select = select::select(self.get("select").unwrap_or("*"))?;
        for (name, value) in self.valued().filter(|(name, _)| is_filter(name)) {
            query.add_filter(name, value, arguments)?;
        }
        let on_conflict = self.get("on_conflict");
        query.on_conflict = on_conflict.map(|it| select::columns("on_conflict", it)).transpose()?;
        query.add_ranges(&limits, &offsets)?;
        Ok(query)
    }
}

fn is_filter(name: &str) -> bool {
    !matches!(name, "select" | "columns" | "on_conflict")
        && !matches!(
            name.rsplit('.').next().unwrap_or(name),
            "order" | "limit" | "offset" | "and" | "or"
        )
}

impl<'p> Query<'p> {
    fn add_order(&mut self, name: &'p str, value: &'p str) -> Result<(), Error> {
        let (path, _) = tree_path(name)?;
        self.order.push(At { path, what: order::order(value)? });
        Ok(())
    }

    fn add_filter(&mut self, name: &'p str, value: &'p str, arguments: bool) -> Result<(), Error> {
        let (path, field) = tree_path(name)?;
        match filter::condition(value, arguments)? {
            Condition::Operation { negated, operation } => {
                self.filters.push(At { path, what: Filter { field, negated, operation } });
            }
            Condition::Argument => self.arguments.push((field.name, Text::Borrowed(value))),
        }
        self.filter_names.push(name);
        Ok(())
    }

    /// `a.b.not.or=(…)`: embeds, an optional negation, the connective.
    fn add_logic(&mut self, name: &'p str, value: &'p str) -> Result<(), Error> {
        let mut cursor = Cursor::new(name);
        let mut path = Vec::new();
        loop {
            match field::name(&mut cursor) {
                Some(part) => path.push(part),
                None => {
                    return Err(cursor.error(&format!("failed to parse logic path ({name})"), 0));
                }
            }
            if !field::delimiter(&mut cursor) {
                break;
            }
        }
        let connective =
            if path.pop().as_deref() == Some("and") { Connective::And } else { Connective::Or };
        let before = path.len();
        path.retain(|part| part != "not");
        let negated = path.len() < before;
        self.logic.push(At { path, what: logic::logic(negated, connective, value)? });
        Ok(())
    }

    fn add_ranges(
        &mut self,
        limits: &[(&'p str, &'p str)],
        offsets: &[(&'p str, &'p str)],
    ) -> Result<(), Error> {
        let mut places: Vec<&'p str> = Vec::new();
        for (place, _) in limits.iter().chain(offsets) {
            if !places.contains(place) {
                places.push(place);
            }
        }
        for place in places {
            let last = |given: &[(&'p str, &'p str)]| {
                given.iter().rev().find(|(it, _)| *it == place).map(|(_, text)| *text)
            };
            let range = Range::of_texts(last(limits), last(offsets));
            if place.is_empty() {
                self.range = Some(range);
                continue;
            }
            let (mut path, last) = tree_path(place.strip_suffix('.').unwrap_or(place))?;
            path.push(last.name);
            self.ranges.push(At { path, what: range });
        }
        Ok(())
    }
}

fn tree_path(name: &str) -> Result<(Vec<Text<'_>>, Field<'_>), Error> {
    let mut cursor = Cursor::new(name);
    field::tree_path(&mut cursor)
        .ok_or_else(|| cursor.error(&format!("failed to parse tree path ({name})"), 0))
}

/// Decodes one name or value of a form: `+` is a blank, bytes that are no UTF-8 are replaced.
pub(crate) fn decode(text: &str) -> Text<'_> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8_lossy();
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Everything but letters, digits and `-_.~`.
const RESERVED: percent_encoding::AsciiSet =
    percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes one name or value of a query string.
pub(crate) fn encode(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, &RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(query: &str, check: impl FnOnce(Query<'_>) -> T) -> T {
        check(Parameters::decode(query).unwrap().parse(false).unwrap())
    }

    fn failure(query: &str) -> Error {
        Parameters::decode(query).unwrap().parse(false).map(|_| ()).unwrap_err()
    }

    #[test]
    fn parameters_are_told_apart_by_their_last_word() {
        with(
            "id=eq.1&a.b.c=gt.2&a.order=x&a.limit=3&a.offset=1&not.or=(x.eq.1)&limit=5",
            |query| {
                assert_eq!(query.filters.len(), 2);
                assert_eq!(query.filters[1].path, ["a", "b"]);
                assert_eq!(query.order[0].path, ["a"]);
                assert_eq!(query.ranges[0].path, ["a"]);
                assert_eq!(query.ranges[0].what, Range::of(Some(3), Some(1)));
                assert_eq!(query.range, Some(Range::of(Some(5), None)));
                assert!(matches!(query.logic[0].what, Logic::Group { negated: true, .. }));
                assert_eq!(query.select.len(), 1);
            },
        );
    }

    #[test]
    fn values_are_decoded_before_they_are_parsed() {
        with("name=eq.a%20b%2Bc+d&x=eq.%FF", |query| {
            let operands: Vec<_> = query.filters.iter().map(|it| &it.what.operation).collect();
            let expected = filter::Operation::Quant(
                filter::QuantOperator::Equal,
                None,
                Text::Borrowed("a b+c d"),
            );
            assert_eq!(*operands[0], expected);
        });
    }

    #[test]
    fn numbers_that_are_none_are_ignored_and_the_last_counts() {
        with("limit=x", |query| assert_eq!(query.range, Some(Range::ALL)));
        with("offset=", |query| assert_eq!(query.range, Some(Range::ALL)));
        with("limit=1&limit=2", |query| assert_eq!(query.range, Some(Range::of(Some(2), None))));
        with("limit=99999999999999999999999", |query| assert!(query.range.is_some()));
    }

    #[test]
    fn the_canonical_form_is_sorted_and_joined() {
        let canonical = |query| Parameters::decode(query).unwrap().canonical();
        assert_eq!(canonical("a=1&c=3&b=2&d"), "a=1&b=2&c=3&d=");
        assert_eq!(canonical("id=gt.1&id=lt.5&a=x%2Fy"), "a=x%2Fy&id=gt.1,lt.5");
        assert_eq!(canonical("select=*"), "select=%2A");
        assert_eq!(canonical(""), "");
    }

    #[test]
    fn broken_names_are_told() {
        assert!(failure("..a=eq.1").message.starts_with("\"failed to parse tree path (..a)\""));
        assert!(failure("id=1").message.starts_with("\"failed to parse filter (1)\""));
        assert!(
            failure(".or=(a.eq.1)").message.starts_with("\"failed to parse logic path (.or)\"")
        );
        let many = "a&".repeat(MAX_PARAMETERS + 1);
        assert!(Parameters::decode(&many).is_err());
    }

    #[test]
    fn a_function_takes_what_is_no_filter() {
        let parameters = Parameters::decode("a=1&b=eq.2&a=3").unwrap();
        let query = parameters.parse(true).unwrap();
        assert_eq!(query.arguments.len(), 2);
        assert_eq!(query.filters.len(), 1);
    }
}
