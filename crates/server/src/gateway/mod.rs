//! The HTTP side: project → caller → limits → the part of the product that answers.

mod admin;
mod answer_body;
mod body;
mod caller;
mod client_address;
mod context;
mod cores;
mod cors;
mod data;
mod hooks;
mod inbox;
mod jwt;
mod keys;
mod listen;
mod messages;
mod metrics;
mod pages;
mod patience;
mod response;
mod routes;
mod rows;
mod rules;
mod sign_in;
mod target;
mod timing;
mod token_cache;

pub use admin::{Admin, Served, schema_summary};
pub use answer_body::AnswerBody;
pub use caller::{Access, Caller, ProjectKeys, Refusal, unix_now};
pub use cores::count as serving_threads;
pub use cors::Origins;
pub use jwt::{KeyError, KeySet, MissingRole, NoPath, RolePath, Verified, Verifier, sign};
pub use listen::{Answering, Server, ServerError};
pub use response::Answer;
pub use routes::{Guard, INSTANCE_PATHS, ROUTES, Route, Service};
pub use rules::Rules;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use plinth_doubles::mailbox::Mailbox;
use serde_json::json;
use tokio::sync::Semaphore;

use self::body::Bodies;
use self::data::DataRequest;
use self::response::{Situation, empty, json_answer, rest_answer};
use self::routes::{Selector, Target, resolve};
use self::timing::Stopwatch;
use crate::config::HttpConfig;
use crate::runtime::{Project, Projects};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The request headers that an answer of the data API depends on.
const VARY: HeaderValue = HeaderValue::from_static("Accept, Prefer, Range");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// What is served.
pub enum Site {
    /// Projects below their prefixes.
    Projects(Arc<Projects>),
    /// The data API of one database at the root.
    Alone(Arc<Project>),
}

/// Answers HTTP requests.
pub struct Gateway {
    site: Site,
    limits: HttpConfig,
    under_way: Semaphore,
    bodies: Bodies,
    request_ids: RequestIds,
    /// The mails that were caught, in development.
    inbox: Option<Mailbox>,
}

impl Gateway {
    /// A gateway to `site` within `limits`.
    pub fn new(site: Site, limits: HttpConfig) -> Self {
        let under_way = Semaphore::new(limits.max_requests.min(Semaphore::MAX_PERMITS));
        let bodies = Bodies::new(limits.body_bytes);
        Self { site, limits, under_way, bodies, request_ids: RequestIds::new(), inbox: None }
    }

    /// Shows the mails that `inbox` has caught at `/inbox`, to this machine.
    #[must_use]
    pub fn with_inbox(self, inbox: Option<Mailbox>) -> Self {
        Self { inbox, ..self }
    }
}

impl Answering for Gateway {
    fn limits(&self) -> &HttpConfig {
        &self.limits
    }

    fn threads(&self) -> usize {
        serving_threads()
    }

    async fn handle(&self, request: Request<Incoming>) -> Answer {
        let begun = Instant::now();
        let (mut parts, body) = request.into_parts();
        let id = self.request_ids.of(&parts.headers);
        let alone = match &self.site {
            Site::Alone(project) => Some(project.rules()),
            Site::Projects(_) => {
                // SQL reads the id from the headers, as everything else about the request.
                parts.headers.insert(REQUEST_ID, id.clone());
                None
            }
        };
        let mut answer = match self.under_way.try_acquire() {
            Err(_) => Situation::Busy.answer(),
            Ok(_permit) => {
                tokio::time::timeout(self.limits.request_timeout, self.dispatch(&parts, body))
                    .await
                    .unwrap_or_else(|_elapsed| Situation::RequestTimeout.answer())
            }
        };
        hint_retry(&mut answer);
        if let Some(rules) = alone {
            dress(&rules, &parts, answer.headers_mut());
            log(&parts, &answer, &id, begun, rules.log_from_status);
        } else {
            // A project that allows certain origins only has said so already.
            if answer.extensions().get::<Dressed>().is_none()
                && !cors::is_preflight(&parts.method, &parts.headers)
            {
                cors::decorate(&Origins::Gateway, &parts.headers, answer.headers_mut());
            }
            log(&parts, &answer, &id, begun, 500);
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    }
}

impl Gateway {
    async fn dispatch(&self, parts: &Parts, body: Incoming) -> Answer {
        let projects = match &self.site {
            Site::Alone(project) => return self.alone(project, parts, body).await,
            Site::Projects(projects) => projects,
        };
        if let (Some(inbox), Some(path)) = (&self.inbox, inbox::path(parts.uri.path())) {
            let mut answer = Box::pin(inbox::answer(inbox, &self.bodies, parts, path, body)).await;
            // Nothing of it is for other origins.
            answer.extensions_mut().insert(Dressed);
            return answer;
        }
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let target = resolve(host, parts.uri.path());
        if cors::is_preflight(&parts.method, &parts.headers) {
            let origins = match &target {
                Target::Project { route, .. } => route.service.origins(),
                _ => Origins::Gateway,
            };
            return cors::preflight(&origins, &parts.headers)
                .unwrap_or_else(|| empty(StatusCode::OK));
        }
        match target {
            Target::Instance(path) => Box::pin(instance(projects, parts, path)).await,
            Target::Unrouted(_) => Situation::NoRoute.answer(),
            Target::Project { selector, route, base_path, path } => {
                match select(projects, selector) {
                    Err(situation) => situation.answer(),
                    Ok(project) => {
                        self.project(&project, route, parts, body, (base_path, path)).await
                    }
                }
            }
        }
    }

    async fn project(
        &self,
        project: &Project,
        route: &Route,
        parts: &Parts,
        body: Incoming,
        (base_path, path): (&str, &str),
    ) -> Answer {
        let query = parts.uri.query().unwrap_or_default();
        let rules = project.rules();
        let mut watch = Stopwatch::start(rules.timing);
        match route.guard {
            Guard::ApiKey => {}
            Guard::Proof => {
                return Box::pin(hooks::answer(project, &self.bodies, parts, path, body)).await;
            }
            Guard::Token => {
                let bounds = (&self.bodies, &self.limits);
                let access = &rules.access;
                return Box::pin(messages::answer(
                    project,
                    access,
                    bounds,
                    parts,
                    (base_path, path),
                    body,
                ))
                .await;
            }
            Guard::SignIn => {
                let header = project.client_header();
                let admitted = sign_in::admit(&rules.access, &self.limits, header, parts, path);
                let mut answer = match admitted {
                    // Its future would make that of every request large, which is moved several times.
                    Ok(request) => {
                        Box::pin(sign_in::answer(project, &self.bodies, request, body)).await
                    }
                    Err(refusal) => refusal.answer(),
                };
                cors::decorate(&route.service.origins(), &parts.headers, answer.headers_mut());
                answer.extensions_mut().insert(Dressed);
                return answer;
            }
        }
        let caller = match rules.access.caller(&parts.headers, query) {
            Ok(caller) => caller,
            Err(refusal) => return refusal.answer(),
        };
        watch.lap("jwt");
        let bare_query;
        let query = if caller.key_in_query {
            bare_query = keys::without_apikey(query);
            &bare_query
        } else {
            query
        };
        match route.service {
            Service::NotYet(part) => Situation::NotYet(part).answer(),
            // Their guards have answered.
            Service::Auth | Service::Hooks | Service::Messages => Situation::NoRoute.answer(),
            Service::Rest => {
                let place = (base_path, path, query);
                let mut answer =
                    self.data(project, &rules, &caller, parts, body, place, watch).await;
                if rules.origins != Origins::Gateway || rules.trace_header.is_some() {
                    dress(&rules, parts, answer.headers_mut());
                    answer.extensions_mut().insert(Dressed);
                }
                answer
            }
        }
    }

    async fn alone(&self, project: &Project, parts: &Parts, body: Incoming) -> Answer {
        let rules = project.rules();
        if cors::is_preflight(&parts.method, &parts.headers)
            && let Some(answer) = cors::preflight(&rules.origins, &parts.headers)
        {
            return answer;
        }
        let mut watch = Stopwatch::start(rules.timing);
        let caller = rules.access.caller(&parts.headers, "");
        watch.lap("jwt");
        let caller = match caller {
            Ok(caller) => caller,
            Err(refusal) => return timed(refusal.answer(), &watch),
        };
        let query = parts.uri.query().unwrap_or_default();
        let place = ("", parts.uri.path(), query);
        self.data(project, &rules, &caller, parts, body, place, watch).await
    }

    #[expect(clippy::too_many_arguments, reason = "the request, whose it is, and by which rules")]
    async fn data(
        &self,
        project: &Project,
        rules: &Rules,
        caller: &Caller,
        parts: &Parts,
        body: Incoming,
        (base_path, path, query): (&str, &str, &str),
        mut watch: Stopwatch,
    ) -> Answer {
        // Its room is taken until there is an answer.
        let mut body = match self.bodies.read(body).await {
            Ok(body) => body,
            Err(situation) => return situation.answer(),
        };
        let (method, headers) = (&parts.method, &parts.headers);
        let bytes = std::mem::take(&mut body.bytes);
        let request = DataRequest { method, path, query, headers, body: bytes, base_path };
        let answer = match data::answer(project, rules, caller, request, &mut watch).await {
            Ok((response, body)) => {
                let mut answer = rest_answer(response);
                if let Some(pieces) = body {
                    *answer.body_mut() = AnswerBody::Pieces(pieces);
                }
                answer.headers_mut().entry(header::VARY).or_insert(VARY);
                answer
            }
            Err(error) if rules.terse_errors => rest_answer(error.to_terse_response()),
            Err(error) => rest_answer(error.to_response()),
        };
        timed(answer, &watch)
    }
}

/// Tells a client when to come back, if it was sent away for the moment.
fn hint_retry(answer: &mut Answer) {
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        let soon = HeaderValue::from_static("1");
        answer.headers_mut().entry(header::RETRY_AFTER).or_insert(soon);
    }
}

/// Marks an answer whose headers for other origins were decided already.
#[derive(Clone, Copy)]
struct Dressed;

/// The answer with the time that its steps took, if that was measured.
fn timed(mut answer: Answer, watch: &Stopwatch) -> Answer {
    if let Some(value) = watch.header() {
        answer.headers_mut().insert(SERVER_TIMING, value);
    }
    answer
}

/// Adds what the rules want on every answer.
fn dress(rules: &Rules, parts: &Parts, answer: &mut HeaderMap) {
    let preflight = cors::is_preflight(&parts.method, &parts.headers)
        && answer.contains_key(header::ACCESS_CONTROL_ALLOW_METHODS);
    if !preflight {
        cors::decorate(&rules.origins, &parts.headers, answer);
    }
    if let Some(name) = &rules.trace_header {
        let value = parts.headers.get(name).cloned();
        answer.insert(name.clone(), value.unwrap_or(HeaderValue::from_static("")));
    }
}

fn select<'a>(projects: &Projects, selector: Selector<'a>) -> Result<Arc<Project>, Situation<'a>> {
    match selector {
        Selector::Path(name) | Selector::Host(name) => {
            projects.get(name).ok_or(Situation::UnknownProject(name))
        }
        Selector::Default => projects.default_project().ok_or(Situation::NoDefaultProject),
    }
}

/// The instance's own page and probes.
async fn instance(projects: &Projects, parts: &Parts, path: &str) -> Answer {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Situation::MethodNotAllowed.answer();
    }
    let answer = match path {
        "/health" => json_answer(StatusCode::OK, &json!({"status": "alive"})),
        "/ready" => match projects.ready().await {
            Ok(()) => json_answer(StatusCode::OK, &json!({"status": "ready"})),
            Err(reason) => json_answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({"status": "not ready", "reason": reason}),
            ),
        },
        "/metrics" if inbox::is_stranger(parts) => Situation::NoRoute.answer(),
        "/metrics" => metrics::answer(&projects.work_tallies().await),
        _ => {
            let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let origin = format!("http://{}", host.unwrap_or("localhost"));
            let default = projects.default_project();
            pages::index(
                &origin,
                &projects.names(),
                default.as_ref().map(|project| &**project.name()),
            )
        }
    };
    if parts.method == Method::HEAD { without_body(answer) } else { answer }
}

fn without_body(answer: Answer) -> Answer {
    let mut bare = empty(answer.status());
    *bare.headers_mut() = answer.headers().clone();
    bare
}

/// One line per request for those who debug, and one per failure of ours for everybody. The query
/// string is left out: it holds values, and sometimes a key.
fn log(parts: &Parts, answer: &Answer, id: &HeaderValue, begun: Instant, from_status: u16) {
    let status = answer.status();
    // A probe that finds the instance not ready yet is no failure.
    let expected = status == StatusCode::NOT_IMPLEMENTED || parts.uri.path() == "/ready";
    if status.is_server_error() && !expected && status.as_u16() >= from_status {
        tracing::warn!(
            request.id = ?id,
            http.method = %parts.method,
            http.path = hooks::without_token(parts.uri.path()),
            http.status = status.as_u16(),
            duration_ms = begun.elapsed().as_millis(),
            "a request failed"
        );
    } else if from_status < 500 && status.as_u16() >= from_status {
        tracing::info!(
            http.method = %parts.method,
            http.path = hooks::without_token(parts.uri.path()),
            http.status = status.as_u16(),
            duration_us = begun.elapsed().as_micros(),
            "answered a request"
        );
    } else {
        tracing::debug!(
            request.id = ?id,
            http.method = %parts.method,
            http.path = hooks::without_token(parts.uri.path()),
            http.status = status.as_u16(),
            duration_us = begun.elapsed().as_micros(),
            "answered a request"
        );
    }
}

/// Names for requests: the client's own when it is a harmless one, else a number in this process.
struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        let random = uuid::Uuid::new_v4().as_u128();
        #[expect(clippy::cast_possible_truncation, reason = "any 32 of its random bits will do")]
        let prefix = random as u32;
        Self { prefix, next: AtomicU64::new(1) }
    }

    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let harmless = |value: &&HeaderValue| {
            (1..=MAX_REQUEST_ID).contains(&value.len())
                && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        if let Some(theirs) = headers.get(REQUEST_ID).filter(harmless) {
            return theirs.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = BytesMut::with_capacity(8 + 1 + 16);
        hex(&mut id, self.prefix.into(), 8);
        id.put_u8(b'-');
        hex(&mut id, number, 1);
        HeaderValue::from_maybe_shared(id.freeze()).unwrap_or(HeaderValue::from_static("0"))
    }
}

/// Appends `number` in at least `digits` hexadecimal digits. Every request has one, and `format!` is slow.
fn hex(text: &mut BytesMut, number: u64, digits: u32) {
    let needed = (u64::BITS - number.leading_zeros()).div_ceil(4).max(digits);
    for place in (0..needed).rev() {
        let digit = number >> (4 * place) & 15;
        text.put_u8(b"0123456789abcdef"[usize::try_from(digit).unwrap_or_default()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_taken_over_only_when_it_is_harmless() {
        let ids = RequestIds::new();
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(text).unwrap());
            ids.of(&headers)
        };
        assert_eq!(given("abc-123"), "abc-123");
        for text in ["two words", "", &"x".repeat(129)] {
            assert_ne!(given(text), text);
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }

    #[test]
    fn hexadecimal_digits_are_those_of_format() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 0xdead_beef, u64::MAX] {
            let mut text = BytesMut::new();
            hex(&mut text, number, 1);
            text.put_u8(b'-');
            hex(&mut text, number, 8);
            assert_eq!(text, format!("{number:x}-{number:08x}"));
        }
    }
}
