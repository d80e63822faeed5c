//! What goes back to the client.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::spoken::Reason;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// What SQL wants the status to be called, instead of its standard name.
    pub reason: Option<Reason>,
    /// The headers, without those of the connection (`Date`, `Content-Length`, …).
    pub headers: HeaderMap,
    /// The body; already empty for HEAD.
    pub body: Bytes,
}

impl Response {
    /// An answer with neither headers nor body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, reason: None, headers: HeaderMap::new(), body: Bytes::new() }
    }
}
