//! The only table from situation to wire code, status, message and hint.

mod database;
mod schema;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::{Reason, Response};

pub use database::DatabaseFacts;
pub(crate) use database::{Raised, raise_prefix};

/// An error as the client sees it; its parts are read as fields (`error.code`, `error.status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<ErrorParts>);

/// What an [`Error`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// HTTP status.
    pub status: StatusCode,
    /// What SQL wants the status to be called.
    pub reason: Option<Reason>,
    /// `PGRST…` or a SQLSTATE.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// More facts; often an object or a list, most often text or null.
    pub details: Value,
    /// What to try instead.
    pub hint: Option<String>,
    /// Headers besides `Content-Type`, such as `WWW-Authenticate`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Error {
    /// An error of no details and no hint.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            status,
            reason: None,
            code: code.to_owned(),
            message: message.into(),
            details: Value::Null,
            hint: None,
            headers: Vec::new(),
        }))
    }

    fn with_details(mut self, details: impl Into<Value>) -> Self {
        self.details = details.into();
        self
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The answer to send.
    pub fn to_response(&self) -> Response {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, json);
        if let Ok(status) = HeaderValue::from_str(&format!("PostgREST; error={}", self.code)) {
            headers.insert("proxy-status", status);
        }
        headers.extend(self.headers.iter().cloned());
        let (status, reason) = (self.status, self.reason.clone());
        Response { status, reason, headers, body: self.body() }
    }

    /// The answer to send where errors are told without details and hint.
    pub fn to_terse_response(&self) -> Response {
        let body = serde_json::json!({ "code": self.code, "message": self.message });
        Response { body: Bytes::from(body.to_string()), ..self.to_response() }
    }

    /// The JSON object that describes it.
    pub(crate) fn body(&self) -> Bytes {
        let body = serde_json::json!({
            "code": self.code, "details": self.details, "hint": self.hint, "message": self.message,
        });
        Bytes::from(body.to_string())
    }
}

/// Connection trouble.
impl Error {
    /// `PGRST000`: no connection could be opened.
    pub fn connection(details: &str) -> Self {
        Self::unavailable("PGRST000", "Database connection error.").with_details(details)
    }

    /// `PGRST001`: a connection broke in use.
    pub fn connection_lost(details: &str) -> Self {
        Self::unavailable("PGRST001", "Database client error. Retrying the connection.")
            .with_details(details)
    }

    /// `PGRST002`: the catalog could not be read yet.
    pub fn no_catalog() -> Self {
        let message = "Could not query the database for the schema cache. Retrying.";
        Self::unavailable("PGRST002", message)
    }

    /// `PGRST003`: no connection became free in time.
    pub fn pool_timeout() -> Self {
        let message = "Timed out acquiring connection from connection pool.";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "PGRST003", message)
    }

    fn unavailable(code: &str, message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

/// Tokens.
impl Error {
    /// `PGRST300`: a token came, but no secret is configured to verify it.
    pub fn jwt_secret_missing() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "PGRST300", "Server lacks JWT secret")
    }

    /// `PGRST301`: the token cannot be decoded or verified (`No suitable key or wrong key type`,
    /// `Expected 3 parts in JWT; got 2`, …).
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

    fn unauthorized(code: &str, message: &str) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, code, message);
        let quoted = message.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{quoted}\"");
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            error.headers.push((header::WWW_AUTHENTICATE, value));
        }
        error
    }
}

/// Requests that cannot be understood.
impl Error {
    fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn parse(message: String, details: String) -> Self {
        Self::bad_request("PGRST100", message).with_details(details)
    }

    pub(crate) fn too_many_values(bound: usize) -> Self {
        let message = "\"failed to parse query string\"".to_owned();
        Self::parse(message, format!("more than {bound} values"))
    }

    pub(crate) fn invalid_rpc_method(method: &str) -> Self {
        let message = format!("Cannot use the {method} method on RPC");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "PGRST101", message)
    }

    pub(crate) fn invalid_body(message: &str) -> Self {
        Self::bad_request("PGRST102", message)
    }

    fn invalid_range(details: impl Into<Value>) -> Self {
        let message = "Requested range not satisfiable";
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "PGRST103", message).with_details(details)
    }

    pub(crate) fn negative_limit() -> Self {
        Self::invalid_range("Limit should be greater than or equal to zero.")
    }

    pub(crate) fn range_reversed() -> Self {
        Self::invalid_range(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
        )
    }

    pub(crate) fn out_of_bounds(lower: i64, total: u64) -> Self {
        Self::invalid_range(format!(
            "An offset of {lower} was requested, but there are only {total} rows."
        ))
    }

    pub(crate) fn invalid_filters() -> Self {
        let message = "Filters must include all and only primary key columns with 'eq' operators";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "PGRST105", message)
    }

    pub(crate) fn unacceptable_schema(schema: &str, exposed: &[String]) -> Self {
        let message = format!("Invalid schema: {schema}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "PGRST106", message)
            .with_hint(format!("Only the following schemas are exposed: {}", exposed.join(", ")))
    }

    pub(crate) fn media_type(accepted: &[String]) -> Self {
        let message = format!("None of these media types are available: {}", accepted.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "PGRST107", message)
    }

    pub(crate) fn not_embedded(name: &str) -> Self {
        Self::bad_request(
            "PGRST108",
            format!("'{name}' is not an embedded resource in this request"),
        )
        .with_hint(format!("Verify that '{name}' is included in the 'select' query parameter."))
    }

    /// The embed is there, but it has an alias.
    pub(crate) fn embedded_as(name: &str, alias: &str) -> Self {
        Self::not_embedded(name)
            .with_details("Target names are not allowed in filters if they have an alias")
            .with_hint(format!("Change '{name}' to '{alias}' in filters, orders or limits."))
    }

    pub(crate) fn response_headers() -> Self {
        let message = "response.headers guc must be a JSON array composed of objects with a single key \
                       and a string value";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "PGRST111", message)
    }

    pub(crate) fn response_status() -> Self {
        let message = "response.status guc must be a valid status code";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "PGRST112", message)
    }

    pub(crate) fn put_with_limit() -> Self {
        let message = "limit/offset querystring parameters are not allowed for PUT";
        Self::bad_request("PGRST114", message)
    }

    fn put_mismatch() -> Self {
        Self::bad_request("PGRST115", "Payload values do not match URL in primary key column(s)")
    }

    pub(crate) fn not_singular(rows: u64) -> Self {
        let message = "Cannot coerce the result to a single JSON object";
        Self::new(StatusCode::NOT_ACCEPTABLE, "PGRST116", message)
            .with_details(format!("The result contains {rows} rows"))
    }

    pub(crate) fn unsupported_method(method: &str) -> Self {
        let message = format!("Unsupported HTTP method: {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "PGRST117", message)
    }

    pub(crate) fn related_order(origin: &str, target: &str) -> Self {
        let message = format!("A related order on '{target}' is not possible");
        Self::bad_request("PGRST118", message).with_details(format!(
            "'{origin}' and '{target}' do not form a many-to-one or one-to-one relationship"
        ))
    }

    pub(crate) fn invalid_preferences(unknown: &[String]) -> Self {
        Self::bad_request("PGRST122", "Invalid preferences given with handling=strict")
            .with_details(format!("Invalid preferences: {}", unknown.join(", ")))
    }

    pub(crate) fn aggregates_disabled() -> Self {
        Self::bad_request("PGRST123", "Use of aggregate functions is not allowed")
    }

    fn max_affected(rows: u64) -> Self {
        Self::bad_request("PGRST124", "Query result exceeds max-affected preference constraint")
            .with_details(format!("The query affects {rows} rows"))
    }

    pub(crate) fn invalid_path() -> Self {
        let message = "Invalid path specified in request URL";
        Self::new(StatusCode::NOT_FOUND, "PGRST125", message)
    }

    pub(crate) fn openapi_disabled() -> Self {
        Self::new(StatusCode::NOT_FOUND, "PGRST126", "Root endpoint metadata is disabled")
    }

    pub(crate) fn not_implemented(details: &str) -> Self {
        Self::bad_request("PGRST127", "Feature not implemented").with_details(details)
    }

    pub(crate) fn max_affected_of_single() -> Self {
        let message = "Function must return SETOF or TABLE when max-affected preference is used with \
                       handling=strict";
        Self::bad_request("PGRST128", message)
    }

    /// A result of another shape than the statement has: a bug, told apart from the client's mistakes.
    pub(crate) fn unexpected_result() -> Self {
        let message = "The database answered with rows of another shape than was asked for";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "PGRSTX00", message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_four_keys_in_order() {
        let response = Error::not_singular(2).to_response();
        assert_eq!(response.status, StatusCode::NOT_ACCEPTABLE);
        assert_eq!(response.headers["proxy-status"], "PostgREST; error=PGRST116");
        assert_eq!(response.headers["content-type"], "application/json; charset=utf-8");
        let body = r#"{"code":"PGRST116","details":"The result contains 2 rows","hint":null,"message":"Cannot coerce the result to a single JSON object"}"#;
        assert_eq!(response.body, body);
    }

    #[test]
    fn refused_tokens_are_challenged() {
        let response = Error::jwt_claims("JWT expired").to_response();
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        let challenge = r#"Bearer error="invalid_token", error_description="JWT expired""#;
        assert_eq!(response.headers["www-authenticate"], challenge);
        assert_eq!(Error::anonymous_disabled().to_response().headers["www-authenticate"], "Bearer");
        assert!(
            !Error::jwt_secret_missing().to_response().headers.contains_key("www-authenticate")
        );
    }
}
