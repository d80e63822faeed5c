//! What comes in and what goes out: values of `http`, no server.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plinth_wire::WireError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// A request below `/work`.
#[derive(Clone)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path below the prefix, as the client wrote it: begins with `/`.
    pub path: &'a str,
    /// Query without `?`, empty when there is none.
    pub query: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body, already bounded.
    pub body: Bytes,
    /// Where the client is.
    pub client_ip: IpAddr,
    /// The host by which the client knows this server, for what it is told of webhooks.
    pub host: Option<&'a str>,
    /// Whether the caller showed one of the project's keys for servers.
    pub is_service: bool,
}

/// An answer.
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
    /// JSON.
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers, body: body.to_string().into() }
    }

    /// Nothing but that it went well.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

/// Why a request is refused, in words for whoever sent it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn missing(what: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("{what} not found") }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("a message has at most {limit} bytes");
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, message }
    }

    pub(super) fn answer(&self) -> Response {
        Response::json(self.status, &json!({"error": self.message}))
    }
}

impl From<WireError> for Refusal {
    /// Only what our own functions say on purpose is for the client.
    fn from(error: WireError) -> Self {
        match &error {
            WireError::Database(database) if database.code == "PLM00" => {
                Self::bad(database.message.clone())
            }
            WireError::Database(database) if database.code == "PLM04" => {
                Self { status: StatusCode::NOT_FOUND, message: database.message.clone() }
            }
            _ => {
                tracing::warn!(error = %error, "messages cannot reach their tables");
                let message = "the database cannot be reached, or refused".to_owned();
                Self { status: StatusCode::SERVICE_UNAVAILABLE, message }
            }
        }
    }
}

impl Request<'_> {
    /// The body as JSON; an empty one is an empty object.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it is something else.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let body = if self.body.is_empty() { b"{}" } else { &self.body[..] };
        serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("the body cannot be read: {error}")))
    }

    /// The query as a filter: names with their value, lists for those that may come several times.
    pub(super) fn filter(&self) -> Value {
        let mut filter = Map::new();
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            // `[]` behind a name says the same as repeating it.
            let name = name.trim_end_matches("[]").to_owned();
            if matches!(&*name, "messageIds" | "dlqIds" | "workflowRunIds") {
                let list = filter.entry(name).or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.extend(value.split(',').map(|id| json!(id)));
                }
            } else if matches!(&*name, "fromDate" | "toDate") {
                // Milliseconds; what is none limits nothing.
                let moment = value.parse::<f64>().ok().filter(|at| at.abs() < 1e15);
                filter.extend(moment.map(|at| (name, json!(at))));
            } else if !value.is_empty() {
                filter.insert(name, json!(value));
            }
        }
        Value::Object(filter)
    }

    /// One value of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// How many entries of a list are asked for.
    pub(super) fn count(&self, usual: usize, most: usize) -> usize {
        let asked = self.parameter("count").and_then(|count| count.parse().ok());
        asked.unwrap_or(usual).clamp(1, most)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn queries_become_filters() {
        let headers = HeaderMap::new();
        let request = Request {
            method: &Method::GET,
            path: "/v2/dlq",
            query: "dlqIds=a&dlqIds=b,c&url=https%3A%2F%2Fa.test&label=&count=5000",
            headers: &headers,
            body: Bytes::new(),
            client_ip: Ipv4Addr::LOCALHOST.into(),
            host: None,
            is_service: true,
        };
        let wanted = json!({"dlqIds": ["a", "b", "c"], "url": "https://a.test", "count": "5000"});
        assert_eq!(request.filter(), wanted);
        assert_eq!(request.count(100, 1000), 1000);
        assert!(request.read::<Value>().is_ok());
        let request = Request { body: Bytes::from_static(b"nonsense"), ..request };
        assert!(request.read::<Value>().is_err());
    }
}
