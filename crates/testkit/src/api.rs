//! A small HTTP client, for what a client library would not send.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Where requests go and what they all carry. Every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Api {
    address: SocketAddr,
    prefix: String,
    headers: HeaderMap,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Api {
    /// Requests to the server at `address`, without any header of their own but `Host`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, prefix: String::new(), headers: HeaderMap::new() }
    }

    /// The same with `prefix` before every path, such as `/p/echelon/rest/v1`.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        Self { prefix: format!("{}{prefix}", self.prefix), ..self.clone() }
    }

    /// The same with one more header; a header of that name is replaced.
    ///
    /// # Panics
    ///
    /// When name or value cannot stand in a header.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        let name: HeaderName = name.parse().expect("a header's name");
        other.headers.insert(name, HeaderValue::from_str(value).expect("a header's value"));
        other
    }

    /// The same with `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// `GET`.
    ///
    /// # Errors
    ///
    /// As [`Api::send`].
    pub async fn get(&self, path: &str) -> Result<Answer, ApiError> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// `POST` of a JSON body.
    ///
    /// # Errors
    ///
    /// As [`Api::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, ApiError> {
        self.json(Method::POST, path, body).await
    }

    /// A JSON body with any method.
    ///
    /// # Errors
    ///
    /// As [`Api::send`].
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Answer, ApiError> {
        let body = Bytes::from(body.to_string());
        self.with(CONTENT_TYPE.as_str(), "application/json").send(method, path, body).await
    }

    /// Sends a request and reads the whole answer. The path goes out as it is, so that malformed ones can be tried.
    ///
    /// # Errors
    ///
    /// [`ApiError`] when there is no connection, or no complete answer.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ApiError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.prefix));
        if let Some(headers) = request.headers_mut() {
            headers.insert(HOST, HeaderValue::from_str(&self.address.to_string())?);
            headers.extend(self.headers.clone());
        }
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = request.body(Full::new(body))?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        // The connection ends with its sender, so that no test leaves one behind; what broke it, the exchange tells.
        let (answer, _) = tokio::join!(exchange, connection);
        answer
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[from] std::io::Error),
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Exchange(#[from] hyper::Error),
    /// The request cannot be written down, such as a path with a blank.
    #[error("not a request")]
    Request(#[from] http::Error),
    /// An address that is no header value.
    #[error("not a header")]
    Header(#[from] http::header::InvalidHeaderValue),
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none; the message shows it.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} {}: {error}", self.status, self.text()))
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Serves one connection: answers with `response` and gives what was asked.
    async fn serve(response: &'static str) -> (Api, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        });
        (Api::new(address), asked)
    }

    #[tokio::test]
    async fn prefix_headers_and_body_arrive() {
        let (api, asked) =
            serve("HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-a: b\r\n\r\n[]").await;
        let api = api.below("/rest/v1").with("apikey", "k").bearer("t");
        let answer = api.post("/a?b=c", &serde_json::json!({ "x": 1 })).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("x-a")), (201, Some("b")));
        assert_eq!(answer.json(), serde_json::json!([]));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /rest/v1/a?b=c HTTP/1.1\r\n"), "{asked}");
        for part in ["apikey: k\r\n", "authorization: Bearer t\r\n", "\r\n\r\n{\"x\":1}"] {
            assert!(asked.contains(part), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_closes_is_an_error() {
        let (api, asked) = serve("").await;
        assert!(api.get("/").await.is_err());
        asked.await.unwrap();
    }
}
