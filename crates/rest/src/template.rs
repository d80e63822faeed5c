//! What reads of one shape have in common, so that the second of them needs no planning.
//!
//! Two requests have one [`Shape`] when they differ in the values of plain filters only. A [`Template`] is made of a
//! prepared request, and by trial rather than by knowledge of the planner: the same request is prepared with other values,
//! and whatever does not differ exactly by these values has no template.

use bytes::Bytes;
use http::{HeaderName, Method, header};
use plinth_catalog::Catalog;

use crate::request::field::Text;
use crate::request::query;
use crate::{Config, Outcome, Prepared, RawRequest, prepare_rows};

/// Every header that preparing a read of a relation looks at. A new one must come here too.
static HEARD: [HeaderName; 5] = [
    header::ACCEPT,
    HeaderName::from_static("prefer"),
    header::RANGE,
    HeaderName::from_static("accept-profile"),
    header::CONTENT_TYPE,
];

/// Operators, with what follows them, whose operand is one value and goes to PostgreSQL as it is.
const OPERATORS: [&str; 6] = ["eq.", "neq.", "gt.", "gte.", "lt.", "lte."];

/// Requests with a longer shape have none.
const MAX_SHAPE_BYTES: usize = 2048;

/// Nor have requests with more values, or with a longer one (encoded bytes).
const MAX_VALUES: usize = 8;
const MAX_VALUE_BYTES: usize = 1024;

/// A read without the values of its plain filters.
#[derive(Debug)]
pub struct Shape<'a> {
    key: Vec<u8>,
    holes: Vec<Hole<'a>>,
}

/// A value that was taken out.
#[derive(Debug)]
struct Hole<'a> {
    /// Where it begins in the query string, and its encoded bytes.
    start: usize,
    encoded: &'a str,
    value: Text<'a>,
}

impl<'a> Shape<'a> {
    /// The shape of a GET of a relation. `None` for other requests, and for those that are too long or too odd.
    pub fn of(request: &RawRequest<'a>) -> Option<Self> {
        let path = request.path;
        let relation = path.len() > 1 && !path.starts_with("/rpc/");
        let size = path.len() + request.query.len() + request.base_path.len();
        let plain = relation && request.body.is_empty() && size <= MAX_SHAPE_BYTES;
        if *request.method != Method::GET || !plain {
            return None;
        }
        let key = Vec::with_capacity(size + 128);
        let mut shape = Self { key, holes: Vec::with_capacity(1) };
        shape.put(b'b', request.base_path);
        shape.put(b'p', path);
        let mut start = 0;
        // As `Parameters::decode` splits.
        for part in request.query.split(['&', ';']) {
            shape.parameter(part, start)?;
            start += part.len() + 1;
        }
        for (name, tag) in HEARD.iter().zip(b'0'..) {
            for value in request.headers.get_all(name) {
                shape.put(tag, value.as_bytes());
            }
        }
        (shape.key.len() <= MAX_SHAPE_BYTES).then_some(shape)
    }

    /// What is the same for requests of this shape and for no others.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Appends one part, so that no two sequences of parts make the same bytes.
    fn put(&mut self, tag: u8, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.key.push(tag);
        self.key.extend_from_slice(&length.to_ne_bytes());
        self.key.extend_from_slice(part);
    }

    fn parameter(&mut self, part: &'a str, start: usize) -> Option<()> {
        let Some(before) = before_value(part) else {
            self.put(b'q', part);
            return Some(());
        };
        let (name, encoded) = part.split_at(before);
        let value = query::decode(encoded);
        // PostgreSQL knows no NUL, and bytes that are no UTF-8 were replaced.
        let odd = value.contains(['\0', char::REPLACEMENT_CHARACTER]);
        if odd || encoded.len() > MAX_VALUE_BYTES || self.holes.len() == MAX_VALUES {
            return None;
        }
        self.put(b'v', name);
        self.holes.push(Hole { start: start + before, encoded, value });
        Some(())
    }

    /// The query string with other values.
    fn query_with(&self, query: &str, values: &[String]) -> String {
        let mut other = String::with_capacity(query.len() + 256);
        let mut end = 0;
        for (hole, value) in self.holes.iter().zip(values) {
            other.push_str(&query[end..hole.start]);
            other.extend(query::encode(value));
            end = hole.start + hole.encoded.len();
        }
        other.push_str(&query[end..]);
        other
    }
}

/// How much of a parameter comes before its value, if it is a plain filter of the request's own relation.
fn before_value(part: &str) -> Option<usize> {
    let equals = part.find('=')?;
    let (name, condition) = (&part[..equals], &part[equals + 1..]);
    let reserved = matches!(
        name,
        "select" | "columns" | "on_conflict" | "order" | "limit" | "offset" | "and" | "or"
    );
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if reserved || !plain {
        return None;
    }
    let operator = OPERATORS.into_iter().find(|operator| condition.starts_with(operator))?;
    Some(equals + 1 + operator.len())
}

/// A prepared read, whose values come from the request at hand.
#[derive(Debug)]
pub struct Template {
    prepared: Prepared,
    /// Statement and parameter where a value goes, and which value.
    places: Vec<(usize, usize, usize)>,
    /// `Content-Location`: texts, and the value that follows each of them.
    location: Vec<(Box<str>, Option<usize>)>,
}

impl Template {
    /// The template of all requests of `shape`, which is that of `request`. `prepared` is what became of it
    /// ([`prepare_rows`], by the same catalog and configuration).
    ///
    /// `None` when requests of this shape have to be prepared one by one.
    pub fn of(
        shape: &Shape<'_>,
        request: &RawRequest<'_>,
        prepared: &Prepared,
        catalog: &Catalog,
        config: &Config,
    ) -> Option<Self> {
        if prepared.calls || !prepared.read_only {
            return None;
        }
        let prepare = |values: &[String]| {
            let query = shape.query_with(request.query, values);
            let request = RawRequest { query: &query, ..request.clone() };
            match prepare_rows(&request, catalog, config, || {}) {
                Ok(Outcome::Query(prepared)) => Some(prepared),
                _ => None,
            }
        };
        let trials = trial_values(shape.holes.len());
        let prepared_trials = [prepare(&trials[0])?, prepare(&trials[1])?];
        let template = Self::from_trial(prepared_trials[0].clone(), &trials[0]);
        let same = prepared_trials
            .iter()
            .zip(&trials)
            .all(|(prepared, values)| template.with(|hole| &values[hole]) == *prepared);
        (same && template.fill(shape) == *prepared).then_some(template)
    }

    /// The request of that shape, as [`prepare_rows`] prepares it.
    pub fn fill(&self, shape: &Shape<'_>) -> Prepared {
        self.with(|hole| &shape.holes[hole].value)
    }

    fn with<'v>(&self, value: impl Fn(usize) -> &'v str) -> Prepared {
        let mut prepared = self.prepared.clone();
        for &(statement, parameter, hole) in &self.places {
            let value = Bytes::copy_from_slice(value(hole).as_bytes());
            prepared.statements[statement].params[parameter] = Some(value);
        }
        if self.location.iter().any(|(_, hole)| hole.is_some()) {
            let mut location = String::with_capacity(256);
            for (text, hole) in &self.location {
                location.push_str(text);
                location.extend(hole.iter().flat_map(|hole| query::encode(value(*hole))));
            }
            prepared.location = Some(location.into());
        }
        prepared
    }

    /// What `prepared` is besides `values`.
    fn from_trial(prepared: Prepared, values: &[String]) -> Self {
        let hole = |parameter: &Option<Bytes>| {
            values.iter().position(|value| parameter.as_deref() == Some(value.as_bytes()))
        };
        let mut places = Vec::new();
        for (index, statement) in prepared.statements.iter().enumerate() {
            let holes = statement.params.iter().map(hole).enumerate();
            places.extend(holes.filter_map(|(at, hole)| Some((index, at, hole?))));
        }
        let location = prepared.location.as_deref().and_then(|it| std::str::from_utf8(it).ok());
        let location = pieces(location.unwrap_or_default(), values);
        Self { prepared, places, location }
    }
}

/// Values that cannot stand in a request by chance: some hold what means something elsewhere, others are plain.
fn trial_values(count: usize) -> [Vec<String>; 2] {
    let odd = |index| format!("\u{1}{index} é*%+&;=,.:(\"'\\){{}}<\u{1}");
    let plain = |index| format!("{index}000000007");
    [(0..count).map(odd).collect(), (0..count).map(plain).collect()]
}

/// Cuts `text` at the places where one of the values stands encoded.
fn pieces(text: &str, values: &[String]) -> Vec<(Box<str>, Option<usize>)> {
    let values: Vec<String> = values.iter().map(|it| query::encode(it).to_string()).collect();
    let mut pieces = Vec::new();
    let mut rest = text;
    let next = |rest: &str| {
        let found = |(hole, value): (usize, &String)| Some((rest.find(&**value)?, hole));
        values.iter().enumerate().filter_map(found).min()
    };
    while let Some((at, hole)) = next(rest) {
        pieces.push((rest[..at].into(), Some(hole)));
        rest = &rest[at + values[hole].len()..];
    }
    pieces.push((rest.into(), None));
    pieces
}
