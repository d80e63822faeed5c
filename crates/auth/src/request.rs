//! What comes in and what goes out: values of `http`, no server.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result, code};

/// The header by which a client names the version of the interface that it knows.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");
/// The code of a refusal, beside the body.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-sb-error-code");
/// The only version that differs from the first one, as clients write it.
const DATED_VERSION: &str = "2024-01-01";

/// A request below the prefix of the auth part.
#[derive(Clone)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path below the prefix: begins with `/`.
    pub path: &'a str,
    /// Query without `?`, empty when there is none.
    pub query: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body, already bounded.
    pub body: Bytes,
    /// The token of the `Authorization` header, or what the API key stands for when there is none.
    pub bearer: Option<&'a str>,
    /// Where the client is, as far as it can be trusted: whoever asks has read what proxies say, also in the header that
    /// the project's settings name ([`RateLimitConfig::header`](crate::config::RateLimitConfig::header)).
    pub client_ip: IpAddr,
}

/// Which shape of answers a client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// Before versions had dates.
    Initial,
    /// 2024-01-01 or later.
    Dated,
}

impl ApiVersion {
    /// The version that `headers` ask for: a date, else the first.
    pub fn of(headers: &HeaderMap) -> Self {
        let date = headers.get(API_VERSION).and_then(|value| value.to_str().ok());
        match date.and_then(|date| date.parse::<jiff::civil::Date>().ok()) {
            Some(date) if date >= jiff::civil::date(2024, 1, 1) => Self::Dated,
            _ => Self::Initial,
        }
    }
}

impl Request<'_> {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// 400 `bad_json` when it is not what the endpoint reads.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body = if self.body.is_empty() { &b"{}"[..] } else { &self.body };
        let unreadable =
            || Error::bad_request(code::BAD_JSON, "Could not parse request body as JSON");
        // Structs would be read from lists too, field by field, which nobody means.
        let body = if body == b"null" { &b"{}"[..] } else { body };
        if body.trim_ascii_start().first() != Some(&b'{') || has_nul(body) {
            return Err(unreadable());
        }
        serde_json::from_slice(body).map_err(|_unreadable| unreadable())
    }

    /// The first value of a parameter of the query, decoded; `None` when it is absent, empty, or a text
    /// that PostgreSQL cannot have.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .filter(|value| !value.is_empty() && !value.contains('\0'))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `User-Agent`, at most as long as is worth keeping.
    pub fn user_agent(&self) -> &str {
        let agent = self.header(header::USER_AGENT.as_str()).unwrap_or_default();
        agent.get(..512).unwrap_or(agent)
    }
}

/// Whether a text in a JSON document has a NUL character, which no text of PostgreSQL can have.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(escape) = rest.iter().position(|byte| *byte == b'\\') {
        rest = &rest[escape + 1..];
        if rest.starts_with(b"u0000") {
            return true;
        }
        // An escaped backslash escapes nothing.
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Response {
    /// No body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A JSON body.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_default();
        let mut response = Self { body: Bytes::from(body), ..Self::empty(status) };
        let json = HeaderValue::from_static("application/json");
        response.headers.insert(header::CONTENT_TYPE, json);
        response
    }

    /// 200 with a body that is JSON already.
    pub fn json_text(text: String) -> Self {
        let mut response = Self { body: Bytes::from(text), ..Self::empty(StatusCode::OK) };
        let json = HeaderValue::from_static("application/json");
        response.headers.insert(header::CONTENT_TYPE, json);
        response
    }

    /// 200 with a JSON body.
    pub fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// 200 `{}`.
    pub fn done() -> Self {
        Self::ok(&Value::Object(serde_json::Map::new()))
    }

    /// To another address.
    pub fn redirect(status: StatusCode, location: &str) -> Self {
        let mut response = Self::empty(status);
        match HeaderValue::from_str(location) {
            Ok(location) => {
                response.headers.insert(header::LOCATION, location);
                response
            }
            Err(_unprintable) => Self::empty(StatusCode::BAD_REQUEST),
        }
    }

    /// With one header more; left out when its value cannot be one.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Kept by nobody on the way, unless it says for how long it may be.
    #[must_use]
    pub(crate) fn unless_cached(mut self) -> Self {
        let no_store = HeaderValue::from_static("no-store");
        self.headers.entry(header::CACHE_CONTROL).or_insert(no_store);
        self
    }

    /// What a refusal looks like.
    pub fn refusal(error: &Error, version: ApiVersion) -> Self {
        let mut response = Self::json(error.status, &error.body(version));
        response.headers.insert(ERROR_CODE, HeaderValue::from_static(error.code));
        if version == ApiVersion::Dated {
            response.headers.insert(API_VERSION, HeaderValue::from_static(DATED_VERSION));
        }
        if let Some(seconds) = error.retry_after {
            response = response.with(header::RETRY_AFTER, &seconds.to_string());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        for (text, version) in [
            ("2024-01-01", ApiVersion::Dated),
            ("2025-06-30", ApiVersion::Dated),
            ("2023-12-31", ApiVersion::Initial),
            ("", ApiVersion::Initial),
            ("2024-13-01", ApiVersion::Initial),
            ("latest", ApiVersion::Initial),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(API_VERSION, HeaderValue::from_static(text));
            assert_eq!(ApiVersion::of(&headers), version, "{text}");
        }
        assert_eq!(ApiVersion::of(&HeaderMap::new()), ApiVersion::Initial);
    }

    #[test]
    fn a_text_with_a_nul_character_is_noticed() {
        for (json, expected) in [
            (r#"{"a": "b\u0000c"}"#, true),
            (r#"{"a\u0000": 1}"#, true),
            (r#"{"a": "\\\u0000"}"#, true),
            (r#"{"a": "\\u0000"}"#, false),
            (r#"{"a": "\u00001"}"#, true),
            (r#"{"a": "\u0001"}"#, false),
            (r#"{"a": "\"#, false),
        ] {
            assert_eq!(has_nul(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn a_redirect_with_a_line_break_is_refused() {
        let response = Response::redirect(StatusCode::SEE_OTHER, "http://a\r\nx: y");
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
    }
}
