//! What goes back to the client.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those of the connection (`Date`, `Content-Length`, …).
    pub headers: HeaderMap,
    /// The body; already empty for HEAD.
    pub body: Bytes,
}

impl Response {
    /// An answer with neither headers nor body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }
}
