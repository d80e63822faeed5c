//! Rows become a response.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::openapi::Document;
use crate::plan::call::Shape;
use crate::render::Columns;
use crate::request::prefer::{Count, Resolution};
use crate::request::query;
use crate::request::range::Range;
use crate::rows::{self, Encoded};
use crate::spoken;
use crate::{Error, Response, Row};

/// What was done.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    Read { head: bool },
    Create { resolution: Option<Resolution> },
    Upsert,
    Update,
    Delete,
    Call { shape: Shape, head: bool },
    Explain,
    OpenApi(Box<Document>),
}

/// Everything that the answer depends on besides the rows, the same for all requests of one shape.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) columns: Columns,
    /// Whether the body is bytes, which come as hexadecimal digits.
    pub(crate) hex_body: bool,
    /// Whether rows that were written are the body.
    pub(crate) representation: bool,
    /// Whether exactly one row is asked for.
    pub(crate) singular: bool,
    pub(crate) content_type: HeaderValue,
    /// The value of `Content-Profile`.
    pub(crate) profile: Option<String>,
    /// The value of `Preference-Applied`.
    pub(crate) applied: Option<String>,
    pub(crate) count: Option<Count>,
    pub(crate) max_rows: Option<u64>,
    pub(crate) range: Range,
    /// What the value of `Location` starts with.
    pub(crate) location: String,
    /// The value of `Warning`.
    pub(crate) warning: Option<String>,
    /// What is known of rows that come in binary.
    pub(crate) rows: rows::Plan,
}

/// The numbers and texts of the main statement's row.
struct Page {
    rows: u64,
    total: Option<u64>,
    body: Bytes,
    /// The value of `Content-Location`.
    location: Option<Bytes>,
}

impl Plan {
    /// The answer to the rows of every statement; `location` is that of a page.
    pub(crate) fn respond(
        &self,
        location: Option<Bytes>,
        results: &[Vec<Row>],
    ) -> Result<Response, Error> {
        match &self.kind {
            Kind::Explain => return Ok(self.explained(results)),
            Kind::OpenApi(document) => return document.respond(results, self.profile.as_deref()),
            _ => {}
        }
        let row = results.first().and_then(|rows| rows.first());
        let row = row.ok_or_else(Error::unexpected_result)?;
        let page = self.page(row, location, results.get(1).map(Vec::as_slice))?;
        if self.singular && page.rows != 1 && !matches!(self.kind, Kind::Upsert) {
            return Err(Error::not_singular(page.rows));
        }
        let inserted = number(row, self.columns.inserted);
        let mut response = match self.kind {
            Kind::Read { head } => self.read(page, head),
            Kind::Create { resolution } => self.created(row, page, resolution, inserted),
            Kind::Upsert => self.upserted(page, inserted),
            Kind::Update => self.updated(page),
            Kind::Delete => self.deleted(page),
            Kind::Call { shape, head } => self.called(page, shape, head),
            Kind::Explain | Kind::OpenApi(_) => return Err(Error::unexpected_result()),
        };
        self.set_notes(&mut response.headers);
        override_by_settings(&mut response, row, self.columns)?;
        Ok(response)
    }

    /// The answer to a read whose rows were made JSON here.
    pub(crate) fn respond_rows(
        &self,
        location: Option<Bytes>,
        encoded: Encoded,
        others: &[Vec<Row>],
    ) -> Result<Response, Error> {
        let Encoded { count: rows, total, json: mut array } = encoded;
        if self.singular {
            if rows != 1 {
                return Err(Error::not_singular(rows));
            }
            array.pop();
        }
        let body = Bytes::from(array).slice(usize::from(self.singular)..);
        let total = self.total(total.or(Some(rows)), others.first().map(Vec::as_slice));
        let mut response = self.read(Page { rows, total, body, location }, false);
        self.set_notes(&mut response.headers);
        Ok(response)
    }

    fn page(
        &self,
        row: &Row,
        location: Option<Bytes>,
        planned: Option<&[Row]>,
    ) -> Result<Page, Error> {
        let rows = number(row, Some(0)).ok_or_else(Error::unexpected_result)?;
        let body = self.columns.body.and_then(|index| row.get(index)?.clone()).unwrap_or_default();
        let body = if self.hex_body { from_hex(&body)? } else { body };
        let counted = number(row, self.columns.total).or(Some(rows));
        Ok(Page { rows, total: self.total(counted, planned), body, location })
    }

    /// The total that the client asked for, from what was counted and what the planner guesses.
    fn total(&self, counted: Option<u64>, planned: Option<&[Row]>) -> Option<u64> {
        match self.count {
            None => None,
            Some(Count::Exact) => counted,
            Some(Count::Planned) => planned.and_then(planned_rows).or(counted),
            Some(Count::Estimated) if counted > self.max_rows => {
                counted.max(planned.and_then(planned_rows))
            }
            Some(Count::Estimated) => counted,
        }
    }

    fn read(&self, page: Page, head: bool) -> Response {
        let (status, range) = window(self.range, page.rows, page.total);
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return self.out_of_bounds(page, &range, head);
        }
        let mut response = Response {
            headers: HeaderMap::with_capacity(6),
            body: page.body,
            ..Response::empty(status)
        };
        set(&mut response.headers, "content-range", &range);
        set_location(&mut response.headers, page.location);
        self.set_type(&mut response.headers);
        if head {
            response.body = Bytes::new();
        }
        response
    }

    fn out_of_bounds(&self, page: Page, range: &str, head: bool) -> Response {
        let error = Error::out_of_bounds(self.range.lower, page.total.unwrap_or_default());
        let mut response = error.to_response();
        // The rows were read; this is no error of the kind that a proxy is told of.
        response.headers.remove("proxy-status");
        set(&mut response.headers, "content-range", range);
        if let Some(profile) = &self.profile {
            set(&mut response.headers, "content-profile", profile);
        }
        set_location(&mut response.headers, page.location);
        if head {
            response.body = Bytes::new();
        }
        response
    }

    fn created(
        &self,
        row: &Row,
        page: Page,
        resolution: Option<Resolution>,
        inserted: Option<u64>,
    ) -> Response {
        let merged = resolution == Some(Resolution::Merge);
        // Columns to conflict on may be missing, and then nothing counted what was new.
        let none_new = self.columns.inserted.is_some() && inserted.unwrap_or_default() == 0;
        let status = if merged && none_new { StatusCode::OK } else { StatusCode::CREATED };
        let mut response = self.written(status, status, &page);
        let location = self.columns.location.and_then(|index| row.get(index)?.as_deref());
        if let Some(location) = location.and_then(|key| self.location_of(key)) {
            set(&mut response.headers, "location", &location);
        }
        set(&mut response.headers, "content-range", &content_range(1, 0, page.total));
        response
    }

    /// `/table?id=eq.1` from the JSON pairs of the primary key.
    fn location_of(&self, key: &[u8]) -> Option<String> {
        let pairs: Vec<(String, String)> = serde_json::from_slice(key).ok()?;
        let mut location = self.location.clone();
        for (index, (column, condition)) in pairs.iter().enumerate() {
            location.push(if index == 0 { '?' } else { '&' });
            location.push_str(&format!("{}={}", query::encode(column), query::encode(condition)));
        }
        Some(location)
    }

    fn upserted(&self, page: Page, inserted: Option<u64>) -> Response {
        let new = inserted.unwrap_or_default() > 0;
        let with_body = if new { StatusCode::CREATED } else { StatusCode::OK };
        self.written(with_body, StatusCode::NO_CONTENT, &page)
    }

    fn updated(&self, page: Page) -> Response {
        let mut response = self.written(StatusCode::OK, StatusCode::NO_CONTENT, &page);
        let upper = i64::try_from(page.rows).unwrap_or(i64::MAX) - 1;
        set(&mut response.headers, "content-range", &content_range(0, upper, page.total));
        response
    }

    fn deleted(&self, page: Page) -> Response {
        let mut response = self.written(StatusCode::OK, StatusCode::NO_CONTENT, &page);
        set(&mut response.headers, "content-range", &content_range(1, 0, page.total));
        response
    }

    /// The answer of a write, with or without the rows.
    fn written(&self, with_body: StatusCode, without: StatusCode, page: &Page) -> Response {
        if !self.representation {
            return Response::empty(without);
        }
        let mut response = Response::empty(with_body);
        response.body = page.body.clone();
        self.set_type(&mut response.headers);
        response
    }

    fn called(&self, page: Page, shape: Shape, head: bool) -> Response {
        let (status, range) = window(self.range, page.rows, page.total);
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return self.out_of_bounds(page, &range, head);
        }
        let mut response = Response::empty(status);
        set(&mut response.headers, "content-range", &range);
        if shape == Shape::Void {
            response.status = StatusCode::NO_CONTENT;
            return response;
        }
        self.set_type(&mut response.headers);
        if !head {
            response.body = page.body;
        }
        response
    }

    fn explained(&self, results: &[Vec<Row>]) -> Response {
        let mut body = Vec::new();
        for line in results.first().into_iter().flatten().filter_map(|row| row.first()?.as_ref()) {
            body.extend_from_slice(line);
            body.push(b'\n');
        }
        let mut response = Response::empty(StatusCode::OK);
        self.set_type(&mut response.headers);
        response.body = body.into();
        response
    }

    /// What was made of the client's preferences, and of its use of names.
    fn set_notes(&self, headers: &mut HeaderMap) {
        if let Some(applied) = &self.applied {
            set(headers, "preference-applied", applied);
        }
        if let Some(warning) = &self.warning {
            set(headers, "warning", warning);
        }
    }

    fn set_type(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        if let Some(profile) = &self.profile {
            set(headers, "content-profile", profile);
        }
    }
}

/// Sets `Content-Location` to what was encoded already; as [`set`] does, but without copying it.
fn set_location(headers: &mut HeaderMap, location: Option<Bytes>) {
    if let Some(location) = location.filter(|it| it.is_ascii())
        && let Ok(value) = HeaderValue::from_maybe_shared(location)
    {
        headers.insert(header::CONTENT_LOCATION, value);
    }
}

/// Sets a header whose value is legal; what is not (a line break in a table's name) is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn number(row: &Row, index: Option<usize>) -> Option<u64> {
    std::str::from_utf8(row.get(index?)?.as_deref()?).ok()?.parse().ok()
}

fn from_hex(digits: &[u8]) -> Result<Bytes, Error> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.map(Bytes::from).ok_or_else(Error::unexpected_result)
}

/// The estimate in the output of `explain (format json)`.
fn planned_rows(rows: &[Row]) -> Option<u64> {
    let text = rows.first()?.first()?.as_deref()?;
    let plan: Value = serde_json::from_slice(text).ok()?;
    plan.pointer("/0/Plan/Plan Rows")?.as_u64()
}

/// Status and `Content-Range` of a page.
fn window(range: Range, rows: u64, total: Option<u64>) -> (StatusCode, String) {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let lower = range.lower;
    let upper = lower.saturating_add(rows) - 1;
    let status = match total.map(|total| i64::try_from(total).unwrap_or(i64::MAX)) {
        Some(total) if lower > total => StatusCode::RANGE_NOT_SATISFIABLE,
        Some(total) if rows < total => StatusCode::PARTIAL_CONTENT,
        _ => StatusCode::OK,
    };
    (status, content_range(lower, upper, total))
}

/// `0-9/100`, `*/0`, `0-9/*`
fn content_range(lower: i64, upper: i64, total: Option<u64>) -> String {
    let mut text = String::with_capacity(24);
    // Writing into a string cannot fail.
    let _ = match total == Some(0) || lower > upper {
        true => text.write_str("*/"),
        false => write!(text, "{lower}-{upper}/"),
    };
    let _ = match total {
        Some(total) => write!(text, "{total}"),
        None => text.write_str("*"),
    };
    text
}

/// Applies `response.status` and `response.headers`, which functions and triggers may have set.
fn override_by_settings(response: &mut Response, row: &Row, columns: Columns) -> Result<(), Error> {
    let text = |index: Option<usize>| index.and_then(|index| row.get(index)?.as_deref());
    if let Some(status) = text(columns.response_status) {
        response.status =
            leading_number(status).and_then(spoken::status).ok_or_else(Error::response_status)?;
    }
    if let Some(headers) = text(columns.response_headers) {
        let headers = parse_headers(headers).ok_or_else(Error::response_headers)?;
        for (name, _) in &headers {
            response.headers.remove(name);
        }
        for (name, value) in headers {
            response.headers.append(name, value);
        }
    }
    Ok(())
}

/// The number that a text begins with: a status may be followed by its name, as in `418 I'm a teapot`.
fn leading_number(text: &[u8]) -> Option<u16> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// `[{"Name": "value"}, …]`, without those that SQL has no say in.
fn parse_headers(json: &[u8]) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let list: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(json).ok()?;
    let parse = |object: serde_json::Map<String, Value>| {
        let mut entries = object.into_iter();
        let (name, value) = entries.next()?;
        let header = spoken::header(&name, value.as_str()?)?;
        entries.next().is_none().then_some(header)
    };
    let all: Option<Vec<_>> = list.into_iter().map(parse).collect();
    all.map(|all| all.into_iter().filter(|(name, _)| spoken::may_set(name)).collect())
}

/// The answer to OPTIONS: which methods there are.
pub(crate) fn allow(methods: &str) -> Response {
    let mut response = Response::empty(StatusCode::OK);
    set(&mut response.headers, "allow", methods);
    let any = HeaderValue::from_static("*");
    response.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_rows_and_total() {
        assert_eq!(content_range(0, 9, Some(100)), "0-9/100");
        assert_eq!(content_range(0, -1, None), "*/*");
        assert_eq!(content_range(0, -1, Some(0)), "*/0");
        assert_eq!(content_range(1, 0, Some(3)), "*/3");
        assert_eq!(content_range(5, 5, None), "5-5/*");
    }

    #[test]
    fn bytes_are_read_from_hexadecimal_digits() {
        assert_eq!(from_hex(b"00ffA1").unwrap(), [0, 255, 161].as_slice());
        assert_eq!(from_hex(b"").unwrap(), b"".as_slice());
        for broken in ["0", "zz", "\\x00", "é"] {
            assert!(from_hex(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn status_follows_rows_and_total() {
        let status =
            |lower, rows, total| window(Range { lower, upper: None }, rows, total).0.as_u16();
        assert_eq!(status(0, 5, None), 200);
        assert_eq!(status(0, 5, Some(5)), 200);
        assert_eq!(status(0, 5, Some(6)), 206);
        assert_eq!(status(7, 0, Some(6)), 416);
        assert_eq!(status(6, 0, Some(6)), 206);
        assert_eq!(status(0, 0, Some(0)), 200);
    }

    #[test]
    fn a_status_may_be_followed_by_its_name() {
        assert_eq!(leading_number(b"418 I'm a teapot"), Some(418));
        assert_eq!(leading_number(b"205"), Some(205));
        for text in ["", "teapot", " 418", "-1", "99999"] {
            assert_eq!(leading_number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn header_settings_are_a_list_of_single_pairs() {
        let parsed = parse_headers(br#"[{"X-A":"1"},{"X-A":"2"},{"set-cookie":"x=y"}]"#).unwrap();
        assert_eq!(parsed.len(), 3);
        let framing = parse_headers(br#"[{"Content-Length":"1"},{"x":"y"}]"#).unwrap();
        assert_eq!(framing.len(), 1);
        for broken in
            ["{}", "[{\"a\":1}]", "[{\"a\":\"1\",\"b\":\"2\"}]", "[{}]", "x", "[{\"a b\":\"\"}]"]
        {
            assert!(parse_headers(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
