//! The only table from situation to wire code, status, message and hint.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::Response;

/// An error as PostgreSQL reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseFacts<'a> {
    /// SQLSTATE.
    pub code: &'a str,
    /// Primary message.
    pub message: &'a str,
    /// DETAIL.
    pub detail: Option<&'a str>,
    /// HINT.
    pub hint: Option<&'a str>,
}

/// An error as the client sees it; its parts are read as fields (`error.code`, `error.status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<ErrorParts>);

/// What an [`Error`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// HTTP status.
    pub status: StatusCode,
    /// `PGRST…` or a SQLSTATE.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// More facts; often an object or a list, most often text or null.
    pub details: serde_json::Value,
    /// What to try instead.
    pub hint: Option<String>,
    /// Headers besides `Content-Type`, such as `WWW-Authenticate`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Error {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            status,
            code: code.to_owned(),
            message: message.into(),
            details: serde_json::Value::Null,
            hint: None,
            headers: Vec::new(),
        }))
    }

    /// What a failed statement means; `anonymous` when the caller gave no token.
    pub fn from_database(facts: &DatabaseFacts<'_>, _anonymous: bool) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, facts.code, facts.message);
        error.details = facts.detail.into();
        error.hint = facts.hint.map(str::to_owned);
        error
    }

    /// `PGRST000`: no connection could be opened.
    pub fn connection(details: &str) -> Self {
        Self::unavailable(
            "PGRST000",
            "Database connection error. Retrying the connection.",
            details,
        )
    }

    /// `PGRST001`: a connection broke in use.
    pub fn connection_lost(details: &str) -> Self {
        Self::unavailable("PGRST001", "Database client error. Retrying the connection.", details)
    }

    /// `PGRST002`: the catalog could not be read yet.
    pub fn no_catalog() -> Self {
        let message = "Could not query the database for the schema cache. Retrying.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "PGRST002", message)
    }

    /// `PGRST003`: no connection became free in time.
    pub fn pool_timeout() -> Self {
        let message = "Timed out acquiring connection from connection pool.";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "PGRST003", message)
    }

    /// `PGRST300`: a token came, but no secret is configured to verify it.
    pub fn jwt_secret_missing() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "PGRST300", "Server lacks JWT secret")
    }

    /// `PGRST301`: the token cannot be decoded or verified.
    pub fn jwt_invalid(message: &str) -> Self {
        Self::unauthorized("PGRST301", message)
    }

    /// `PGRST302`: no token came, and anonymous access is off.
    pub fn anonymous_disabled() -> Self {
        let mut error =
            Self::new(StatusCode::UNAUTHORIZED, "PGRST302", "Anonymous access is disabled");
        error.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        error
    }

    /// `PGRST303`: the token is genuine, but its claims are refused (`JWT expired`, …).
    pub fn jwt_claims(message: &str) -> Self {
        Self::unauthorized("PGRST303", message)
    }

    fn unavailable(code: &str, message: &str, details: &str) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        error.details = details.into();
        error
    }

    fn unauthorized(code: &str, message: &str) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, code, message);
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{message}\"");
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            error.headers.push((header::WWW_AUTHENTICATE, value));
        }
        error
    }

    /// The answer to send.
    pub fn to_response(&self) -> Response {
        let body = serde_json::json!({
            "code": self.code, "details": self.details, "hint": self.hint, "message": self.message,
        });
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, json);
        headers.extend(self.headers.iter().cloned());
        Response { status: self.status, headers, body: Bytes::from(body.to_string()) }
    }
}

impl std::ops::Deref for Error {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl std::ops::DerefMut for Error {
    fn deref_mut(&mut self) -> &mut ErrorParts {
        &mut self.0
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.message)
    }
}

impl std::error::Error for Error {}
