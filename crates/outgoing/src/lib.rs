#![doc = include_str!("../README.md")]

mod address;
mod guarded;
mod hosts;

use std::time::Duration;

use reqwest::redirect::Policy;
pub use reqwest::{Client, Error as ClientError};
use reqwest::{ClientBuilder, Response};

pub use address::is_public;
pub use guarded::{
    Answer, BODY_LIMIT, HostSettings, Outgoing, OutgoingError, OutgoingPolicy, Refusal,
};
pub use hosts::{HostError, Hosts};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that follows no redirects and looks at no proxy settings. One is enough for all that a
/// project calls: it keeps connections.
///
/// # Errors
///
/// If TLS cannot be set up.
pub fn client() -> Result<Client, reqwest::Error> {
    builder().build()
}

/// What all clients have in common.
fn builder() -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .user_agent(concat!("plinth/", env!("CARGO_PKG_VERSION")))
}

/// Why an answer's body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The connection was lost.
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
}

/// Reads a body of at most `limit` bytes, and stops reading there.
///
/// # Errors
///
/// [`BodyError`].
pub async fn body(response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    match beginning(response, limit).await {
        Ok((body, false)) => Ok(body),
        Ok((_, true)) => Err(BodyError::TooLarge(limit)),
        Err(error) => Err(BodyError::Broken(error)),
    }
}

/// The first `limit` bytes of a body, and whether there are more. What is behind them is not read.
async fn beginning(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}
