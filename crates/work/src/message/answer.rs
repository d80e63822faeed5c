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
    /// What stands before it in the URL that the client called: begins with `/`, or is empty.
    pub prefix: &'a str,
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

    /// The same of a step that a run appends. Clients take 400 there for word that their run is over and fall silent, and come
    /// back after any other status but 412, which fails the run with this message.
    pub(super) fn of_step(self) -> Self {
        match self.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::PAYLOAD_TOO_LARGE => {
                Self { status: StatusCode::PRECONDITION_FAILED, ..self }
            }
            _ => self,
        }
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

    /// The query as a filter, as the statements of lists take it: names with their values.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where a moment is none.
    pub(super) fn filter(&self) -> Result<Value, Refusal> {
        let mut filter = Map::new();
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            // `[]` behind a name says the same as repeating it.
            put(&mut filter, name.trim_end_matches("[]"), &value)?;
        }
        Ok(Value::Object(filter))
    }

    /// What a change is for: the query as a filter, and the body, where older clients have it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where it cannot be read: the change would be for more than is meant.
    pub(super) fn selection(&self) -> Result<Value, Refusal> {
        let mut filter = self.filter()?;
        let body: Map<String, Value> = self.read()?;
        let Value::Object(names) = &mut filter else { return Ok(filter) };
        for (name, value) in &body {
            let several = value.as_array();
            if several.is_some_and(Vec::is_empty) {
                // Of none, which is not the same as of any.
                names.insert(one(name).to_owned(), json!([]));
            }
            for value in several.map_or(std::slice::from_ref(value), Vec::as_slice) {
                put(names, name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
            }
        }
        Ok(filter)
    }

    /// One value of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Where a list goes on, as `read` understands it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when no list gave that: beginning at the front would never end.
    pub(super) fn cursor<T>(
        &self,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(cursor) = self.parameter("cursor").filter(|cursor| !cursor.is_empty()) else {
            return Ok(None);
        };
        let wrong = || Refusal::bad(format!("`{cursor}` is no cursor that this list gave"));
        read(&cursor).map(Some).ok_or_else(wrong)
    }

    /// How many entries of a list are asked for.
    pub(super) fn count(&self, usual: usize, most: usize) -> usize {
        let asked = self.parameter("count").and_then(|count| count.parse().ok());
        asked.unwrap_or(usual).clamp(1, most)
    }
}

/// `messageIds` as `messageId`: whatever may be named once may be named several times.
fn one(name: &str) -> &str {
    match name {
        "messageIds" | "dlqIds" | "workflowRunIds" => &name[..name.len() - 1],
        other => other,
    }
}

/// Adds a value to those that a filter asks for under a name.
fn put(filter: &mut Map<String, Value>, name: &str, value: &str) -> Result<(), Refusal> {
    let name = match name {
        // How much of a list is asked for, and in what form.
        "count" | "cursor" | "groupBy" | "order" | "trimBody" => return Ok(()),
        "fromDate" | "toDate" => {
            let moment = value.parse::<f64>().ok().filter(|at| at.abs() < 1e15);
            let moment = moment.ok_or_else(|| {
                Refusal::bad(format!("{name} is a moment in milliseconds since 1970"))
            })?;
            filter.insert(name.to_owned(), json!(moment));
            return Ok(());
        }
        "messageIds" | "dlqIds" | "workflowRunIds" => {
            return value.split(',').try_for_each(|id| put(filter, one(name), id));
        }
        name => name,
    };
    let values = filter.entry(name).or_insert_with(|| json!([]));
    if let Some(values) = values.as_array_mut() {
        values.push(json!(value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn with<T>(query: &str, body: &'static str, read: impl FnOnce(Request<'_>) -> T) -> T {
        let headers = HeaderMap::new();
        read(Request {
            method: &Method::GET,
            path: "/v2/dlq",
            prefix: "",
            query,
            headers: &headers,
            body: Bytes::from_static(body.as_bytes()),
            client_ip: Ipv4Addr::LOCALHOST.into(),
            host: None,
            is_service: true,
        })
    }

    #[test]
    fn queries_become_filters() {
        let query =
            "dlqIds=a&dlqIds=b,c&url=https%3A%2F%2Fa.test&label=&label=x&toDate=5&count=5000";
        let wanted = json!({"dlqId": ["a", "b", "c"], "url": ["https://a.test"], "label": ["", "x"], "toDate": 5.0});
        assert_eq!(with(query, "", |request| request.filter()).unwrap(), wanted);
        assert_eq!(with(query, "", |request| request.count(100, 1000)), 1000);
        assert!(with("fromDate=yesterday", "", |request| request.filter()).is_err());
    }

    #[test]
    fn changes_are_for_no_more_than_their_bodies_say() {
        let selection = |query: &str, body| with(query, body, |request| request.selection());
        let body = r#"{"dlqIds": ["a", "b"], "workflowUrl": "https://a.test"}"#;
        let wanted = json!({"dlqId": ["a", "b"], "workflowUrl": ["https://a.test"]});
        assert_eq!(selection("count=2", body).unwrap(), wanted);
        assert_eq!(selection("", r#"{"messageIds": []}"#).unwrap(), json!({"messageId": []}));
        assert_eq!(selection("", "").unwrap(), json!({}));
        for body in ["nonsense", r#"["a"]"#] {
            assert!(selection("", body).is_err(), "{body}");
        }
    }
}
