//! Hooks that are servers: signed calls over HTTP.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use jiff::Timestamp;
use reqwest::{Client, Response};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::HookError;
use super::signature::Secrets;
use crate::outgoing::{self, BodyError};

/// How long a call may take, all its attempts and waits together.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a hook is asked that cannot be reached or asks for time.
const ATTEMPTS: u32 = 3;
/// The wait before a hook that could not be reached is asked again, and the longest one that it may
/// ask for.
const BACKOFF: Duration = Duration::from_secs(2);
/// Bytes of an answer.
pub const MAX_ANSWER: usize = 200 * 1024;

/// A server that is asked.
#[derive(Clone)]
pub struct HttpHook {
    client: Client,
    url: Url,
    secrets: Secrets,
    timeout: Duration,
    backoff: Duration,
}

impl HttpHook {
    pub(super) fn new(client: Client, url: Url, secrets: Secrets) -> Self {
        Self { client, url, secrets, timeout: TIMEOUT, backoff: BACKOFF }
    }

    /// Posts `payload` and returns the answer's JSON text for [`interpret`](super::interpret); `None` if
    /// there is none (204).
    ///
    /// The call has the headers of Standard Webhooks. Its attempts, three at most, share one
    /// `webhook-id`, so that a server can tell a repetition. It is repeated when the server cannot be
    /// reached, and after 429 or 503 with `Retry-After`.
    ///
    /// # Errors
    ///
    /// [`HookError`] if there is no such answer within five seconds.
    pub async fn call(&self, payload: &Value) -> Result<Option<Vec<u8>>, HookError> {
        let payload = payload.to_string().into_bytes();
        tokio::time::timeout(self.timeout, self.attempts(&payload))
            .await
            .unwrap_or(Err(HookError::Timeout))
    }

    async fn attempts(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, HookError> {
        let id = Uuid::new_v4().to_string();
        let mut attempt = 1;
        loop {
            let (failure, wait) = match self.post(&id, payload).await {
                Ok(response) => match asked_wait(&response) {
                    Some(wait) => (HookError::Unavailable, wait.min(self.backoff)),
                    None => return read(response).await,
                },
                Err(error) => (HookError::Unreachable(error.without_url()), self.backoff),
            };
            if attempt == ATTEMPTS {
                return Err(failure);
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn post(&self, id: &str, payload: &[u8]) -> Result<Response, reqwest::Error> {
        let timestamp = Timestamp::now().as_second();
        self.client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.secrets.sign(id, timestamp, payload))
            .body(payload.to_vec())
            .send()
            .await
    }
}

impl fmt::Debug for HttpHook {
    /// The URL's path, query and user may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHook")
            .field("host", &self.url.host_str())
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

/// The wait that a busy server asks for. A date, or anything else that is no number, asks for none.
fn asked_wait(response: &Response) -> Option<Duration> {
    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    if !busy.contains(&response.status()) {
        return None;
    }
    let value = response.headers().get(RETRY_AFTER)?.to_str().unwrap_or_default();
    (!value.is_empty()).then(|| Duration::from_secs(value.trim().parse().unwrap_or(0)))
}

async fn read(response: Response) -> Result<Option<Vec<u8>>, HookError> {
    match response.status() {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => answer(response).await,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Err(HookError::Unavailable)
        }
        StatusCode::BAD_REQUEST => Err(HookError::InvalidPayload),
        StatusCode::UNAUTHORIZED => Err(HookError::Unauthorized),
        other => Err(HookError::Status(other.as_u16())),
    }
}

async fn answer(response: Response) -> Result<Option<Vec<u8>>, HookError> {
    match media_type(response.headers()) {
        None if response.status() == StatusCode::NO_CONTENT => return Ok(None),
        None => return Err(HookError::NoContentType),
        Some(given) if is_json(&given) => (),
        Some(given) => return Err(HookError::ContentType(given)),
    }
    match outgoing::body(response, MAX_ANSWER).await {
        Ok(body) => Ok(Some(body)),
        Err(BodyError::TooLarge(_)) => Err(HookError::TooLarge),
        Err(BodyError::Broken(_)) => Err(HookError::NotJson),
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(CONTENT_TYPE)?.to_str().ok()?.trim();
    (!given.is_empty()).then(|| given.to_owned())
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests;
