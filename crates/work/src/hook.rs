//! Inbound webhooks: `POST /hooks/v1/{name}`. A delivery is verified over its bytes, kept once, and becomes a job in the
//! same transaction; the answer waits for that and for nothing else.

mod delivery;
mod verify;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plinth_wire::{Secret, WireError};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::verify::{Doubt, Proof, unhex};
use crate::manifest::{HookSpec, Scheme};
use crate::store::{Kept, NewEvent, Store, StoredHook};

/// Longest body of a delivery, in bytes; whoever reads it from the network reads no more.
pub const BODY_BYTES: usize = 1 << 20;

/// What is known of hooks is read again at most so often because somebody unknown asks for it.
const RELOAD: Duration = Duration::from_secs(1);

/// So often a delivery is verified again because its hook changed meanwhile.
const TRIES: usize = 3;

/// The value of a secret, by the name of its environment variable.
pub type Secrets = Arc<dyn Fn(&str) -> Option<Secret> + Send + Sync>;

/// Told that there is a new job.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A request below `/hooks/v1`.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path below the prefix, as it was written: `/{name}`, or `/{name}/{token}`.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, of at most [`BODY_BYTES`].
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The hooks of a project.
pub struct Hooks {
    store: Arc<Store>,
    secrets: Secrets,
    wake: Wake,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    hooks: HashMap<String, Arc<Hook>>,
    loaded: Option<Instant>,
}

/// A hook that deliveries can be verified by.
struct Hook {
    stored: StoredHook,
    spec: HookSpec,
    secrets: Vec<Secret>,
}

/// Why a delivery is not taken.
enum Refusal {
    NoHook,
    Unproved(Doubt),
    /// None of its secrets is set.
    NoSecret,
    /// It changes faster than deliveries are verified.
    Unsteady,
    /// It says that it is JSON, and is not.
    BrokenJson,
    Database(WireError),
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Database(error)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Hooks {
    /// The hooks that are in the database of `store`. Their secrets are asked of `secrets` when a hook is read.
    pub fn new(store: Arc<Store>, secrets: Secrets, wake: Wake) -> Self {
        Self { store, secrets, wake, known: Mutex::default() }
    }

    /// Answers a request; `None` when there is no such hook, which has the answer of every path that leads nowhere.
    pub async fn answer(&self, request: Request<'_>) -> Option<Response> {
        let (name, token) = split(request.path)?;
        if request.method != Method::POST {
            let mut answer = respond(StatusCode::METHOD_NOT_ALLOWED, "only POST is answered here");
            answer.headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Some(answer);
        }
        if request.body.len() > BODY_BYTES {
            return Some(respond(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"));
        }
        match self.receive(name, token, &request).await {
            Ok(kept) => {
                tracing::debug!(
                    hook.name = name,
                    repeated = kept == Kept::Repeat,
                    "took a delivery"
                );
                Some(respond(StatusCode::OK, "ok"))
            }
            Err(Refusal::NoHook) => None,
            Err(refusal) => Some(refuse(name, &refusal)),
        }
    }

    async fn receive(
        &self,
        name: &str,
        token: Option<&str>,
        request: &Request<'_>,
    ) -> Result<Kept, Refusal> {
        let mut hook = self.find(name).await?;
        for _ in 0..TRIES {
            if token.is_some() && hook.spec.verify.scheme != Scheme::PathToken {
                return Err(Refusal::NoHook);
            }
            if let Err(refusal) = hook.believes(token, request) {
                // It may be the manifest that is new, and not the sender that is wrong.
                hook = self.newer(&hook, false).await?.ok_or(refusal)?;
                continue;
            }
            let kind = content_type(request);
            if delivery::is_broken_json(kind, &request.body) {
                return Err(Refusal::BrokenJson);
            }
            match self.keep(&hook, request).await? {
                Kept::Outdated => {
                    hook = self.newer(&hook, true).await?.ok_or(Refusal::Unsteady)?;
                }
                kept => {
                    if kept == Kept::New {
                        (self.wake)();
                    }
                    return Ok(kept);
                }
            }
        }
        Err(Refusal::Unsteady)
    }

    async fn keep(&self, hook: &Hook, request: &Request<'_>) -> Result<Kept, WireError> {
        let (verify, body) = (&hook.spec.verify, &request.body);
        let event = delivery::event_id(hook.spec.event_id.as_ref(), request.headers, body);
        let headers = delivery::kept_headers(verify, request.headers);
        let json = delivery::body_json(content_type(request), body);
        let body_hex = verify::hex(body);
        let new = |body| NewEvent { event: &event, headers: &headers, body_hex: &body_hex, body };
        match self.store.event_store(&hook.stored, &new(&json)).await {
            // JSON that is beyond the bounds of `jsonb`, such as a number with twenty thousand places.
            Err(WireError::Database(error)) if error.code.starts_with("22") => {
                let text = Value::String(String::from_utf8_lossy(body).into_owned()).to_string();
                self.store.event_store(&hook.stored, &new(&text)).await
            }
            kept => kept,
        }
    }

    async fn find(&self, name: &str) -> Result<Arc<Hook>, Refusal> {
        let mut known = self.known.lock().await;
        if !known.hooks.contains_key(name) {
            self.load(&mut known, false).await?;
        }
        known.hooks.get(name).cloned().ok_or(Refusal::NoHook)
    }

    /// The hook as it is by now, if it is another one.
    async fn newer(&self, hook: &Hook, now: bool) -> Result<Option<Arc<Hook>>, Refusal> {
        let mut known = self.known.lock().await;
        let found = |known: &Known| known.hooks.get(&hook.spec.name).cloned();
        let same = found(&known).is_some_and(|found| found.stored == hook.stored);
        if same {
            self.load(&mut known, now).await?;
        }
        let found = found(&known).ok_or(Refusal::NoHook)?;
        Ok((found.stored != hook.stored).then_some(found))
    }

    /// Reads the hooks, unless that was done a moment ago.
    async fn load(&self, known: &mut Known, now: bool) -> Result<(), WireError> {
        if !now && known.loaded.is_some_and(|loaded| loaded.elapsed() < RELOAD) {
            return Ok(());
        }
        let stored = self.store.hook_list().await?;
        known.loaded = Some(Instant::now());
        known.hooks = stored
            .into_iter()
            .filter_map(|stored| self.read(stored))
            .map(|hook| (hook.spec.name.clone(), Arc::new(hook)))
            .collect();
        Ok(())
    }

    fn read(&self, stored: StoredHook) -> Option<Hook> {
        let spec: HookSpec = match serde_json::from_value(stored.spec.clone()) {
            Ok(spec) => spec,
            Err(error) => {
                tracing::error!(binding.id = stored.binding, error = %error, "cannot read a hook");
                return None;
            }
        };
        let mut secrets = Vec::new();
        for name in &spec.verify.secrets {
            match (self.secrets)(name).filter(|secret| !secret.expose().is_empty()) {
                Some(secret) => secrets.push(secret),
                None => {
                    tracing::warn!(
                        hook.name = spec.name,
                        variable = name,
                        "a hook's secret is not set"
                    );
                }
            }
        }
        Some(Hook { stored, spec, secrets })
    }
}

impl Hook {
    fn believes(&self, token: Option<&str>, request: &Request<'_>) -> Result<(), Refusal> {
        if self.secrets.is_empty() && self.spec.verify.scheme != Scheme::None {
            return Err(Refusal::NoSecret);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let proof = Proof { headers: request.headers, body: &request.body, token, now };
        verify::verify(&self.spec.verify, &self.secrets, proof).map_err(Refusal::Unproved)
    }
}

/// Name and token of a path.
fn split(path: &str) -> Option<(&str, Option<&str>)> {
    let rest = path.strip_prefix('/')?;
    let (name, token) = match rest.split_once('/') {
        Some((name, token)) => (name, Some(token)),
        None => (rest, None),
    };
    let sound =
        !name.is_empty() && token.is_none_or(|token| !token.is_empty() && !token.contains('/'));
    sound.then_some((name, token))
}

fn content_type<'a>(request: &Request<'a>) -> Option<&'a str> {
    request.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
}

fn refuse(name: &str, refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Unproved(doubt) => {
            tracing::info!(hook.name = name, reason = %doubt, "refused a delivery");
            return respond(StatusCode::UNAUTHORIZED, "not authorised");
        }
        Refusal::BrokenJson => {
            tracing::info!(hook.name = name, "refused a delivery that says that it is JSON");
            return respond(StatusCode::BAD_REQUEST, "the body is no JSON");
        }
        Refusal::Database(error) => {
            tracing::warn!(hook.name = name, error = %error, "cannot keep a delivery");
        }
        Refusal::NoSecret => {
            tracing::error!(
                hook.name = name,
                "refused a delivery: none of the hook's secrets is set"
            );
        }
        Refusal::NoHook | Refusal::Unsteady => {}
    }
    // Its sender comes again.
    respond(StatusCode::SERVICE_UNAVAILABLE, "try again later")
}

fn respond(status: StatusCode, message: &str) -> Response {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, json);
    let body = Bytes::from(serde_json::json!({ "message": message }).to_string());
    Response { status, headers, body }
}

/// Which deliveries to list, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this hook only.
    pub hook: Option<String>,
    /// With this id only.
    pub event: Option<String>,
    /// Older than the one with this number.
    pub before: Option<i64>,
    /// At most so many.
    pub most: u32,
}

/// A delivery that was kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoredEvent {
    /// Its number.
    pub id: i64,
    /// The hook's name.
    pub hook: String,
    /// The sender's id of it, or the hash of its body.
    pub event: String,
    /// When it came, in ISO 8601.
    pub received_at: String,
    /// The job that it made last.
    pub job: i64,
    /// Length of its body.
    pub body_bytes: u64,
}

/// Deliveries that were kept.
///
/// # Errors
///
/// [`WireError`] when the database cannot be asked.
pub async fn events(store: &Store, filter: &EventFilter) -> Result<Vec<StoredEvent>, WireError> {
    store.event_list(filter).await
}

/// Queues a job of the delivery with this number once more, whatever became of the jobs before; the job's number. `None`
/// when the delivery or its hook is gone.
///
/// # Errors
///
/// [`WireError`] when the database cannot be asked.
pub async fn replay(store: &Store, event: i64) -> Result<Option<i64>, WireError> {
    let Some((body, kind)) = store.event_body(event).await? else { return Ok(None) };
    let body = unhex(&body).unwrap_or_default();
    let json = delivery::body_json(kind.as_deref(), &body);
    match store.event_replay(event, &json).await {
        Err(WireError::Database(error)) if error.code.starts_with("22") => {
            let text = Value::String(String::from_utf8_lossy(&body).into_owned()).to_string();
            store.event_replay(event, &text).await
        }
        job => job,
    }
}
