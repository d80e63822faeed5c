//! The way to people's endpoints, which whoever runs this crate provides: it knows where requests may go.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use plinth_outgoing::{Outgoing, OutgoingError};
use url::Url;

/// A request on its way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Reply, NoReply>> + Send + 'a>>;

/// A request that is to be made.
#[derive(Debug, Clone)]
pub struct ToSend {
    /// Method.
    pub method: Method,
    /// The URL, as its owner wrote it.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// How long it may take altogether.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, bounded by whoever read it.
    pub body: Bytes,
    /// Whether it went on behind that.
    pub is_cut: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReply {
    /// In words.
    pub why: String,
    /// Whether trying again would come to the same.
    pub is_final: bool,
}

impl NoReply {
    /// For a reason that may pass.
    pub fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_final: false }
    }

    /// For one that will not.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_final: true }
    }
}

/// Makes requests under a policy for addresses. It follows no redirects.
pub trait Outside: Send + Sync {
    /// Makes one request.
    fn send(&self, request: ToSend) -> Sending<'_>;
}

impl Outside for Outgoing {
    fn send(&self, request: ToSend) -> Sending<'_> {
        Box::pin(async move {
            let request = plain(request).map_err(NoReply::lasting)?;
            let answer = self.send_cut(request).await.map_err(unanswered)?;
            let (status, headers, is_cut) = (answer.status, answer.headers, answer.is_cut);
            Ok(Reply { status, headers, body: answer.body.into(), is_cut })
        })
    }
}

fn unanswered(error: OutgoingError) -> NoReply {
    let why = match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    NoReply { why, is_final: matches!(error, OutgoingError::Refused(_)) }
}

/// The request as [`Outgoing`] takes it, without what only browsers understand of its URL.
fn plain(request: ToSend) -> Result<http::Request<Vec<u8>>, String> {
    let mut url = Url::parse(&request.url).map_err(|error| error.to_string())?;
    url.set_fragment(None);
    let mut plain = http::Request::new(request.body.to_vec());
    *plain.method_mut() = request.method;
    *plain.uri_mut() = url.as_str().parse().map_err(|_| "the URL cannot be called".to_owned())?;
    *plain.headers_mut() = request.headers;
    Ok(plain)
}
