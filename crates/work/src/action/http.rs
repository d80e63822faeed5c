//! Requests to people's own code, in any language.

mod answer;
mod sign;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use jiff::Timestamp;
use plinth_outgoing::{Answer, Outgoing, OutgoingError};
use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::answer::{Said, What};
pub use self::sign::signing_secret;
use super::{Action, Call, Outcome, Work};
use crate::journal::{JournalError, Step};
use crate::manifest::ENV;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 8 << 20;

/// Requests of one attempt: an answer may have the job go on at once.
const MAX_REQUESTS: usize = 1000;

/// From this length on, a part of an address that a variable has is taken for a key.
const KEY_BYTES: usize = 16;

/// Headers that are the connection's.
const NOT_SETTABLE: [HeaderName; 4] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];

/// Where requests have secrets from.
pub trait Secrets: Send + Sync {
    /// The variable that a project's manifest names with `env:`; `None` when there is none that it may see.
    fn variable(&self, project: &str, name: &str) -> Option<Secret>;

    /// What a project's requests are signed with when the manifest says nothing; `None`: they are not.
    fn signing_key(&self, project: &str) -> Option<Secret>;
}

/// `http.request`: sends its input as JSON, signed; what is answered is its output, or says what becomes of the job.
///
/// It happens at least once: a time-out, or a crash before the outcome is written, has it sent again with the same
/// `idempotency-key`, by which the other side knows it.
#[derive(Clone)]
pub struct HttpRequest {
    outgoing: Outgoing,
    secrets: Arc<dyn Secrets>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    secret: Option<String>,
}

impl HttpRequest {
    /// Requests through this client. Its time limit should be above that of any attempt, which ends a request as well.
    pub fn new(outgoing: Outgoing, secrets: Arc<dyn Secrets>) -> Self {
        Self { outgoing: outgoing.with_body_limit(MAX_ANSWER), secrets }
    }

    async fn work(&self, call: &Call) -> Result<Outcome, Outcome> {
        let with = With::deserialize(&call.with)
            .map_err(|error| Outcome::Never(format!("`with`: {error}")))?;
        let scope = call.step.as_ref().map(|step| format!("{step}/")).unwrap_or_default();
        for _ in 0..MAX_REQUESTS {
            let steps = finished(call, &scope).await?;
            let request = self.request(call, &with, steps)?;
            let host = request.uri().host().unwrap_or_default().to_owned();
            let answer = self.outgoing.send_cut(request).await.map_err(unanswered)?;
            if let Some(outcome) = follow(call, &scope, &host, &answer).await? {
                return Ok(outcome);
            }
        }
        Err(Outcome::Failed(format!("went on {MAX_REQUESTS} times at once")))
    }

    fn request(
        &self,
        call: &Call,
        with: &With,
        steps: Map<String, Value>,
    ) -> Result<Request<Vec<u8>>, Outcome> {
        let resolve = |text: &str| self.resolve(&call.project, text);
        let address = resolve(&with.url)?;
        let uri: Uri = address.expose().parse().map_err(|_| never("`url` is no address"))?;
        let method = with.method.as_deref().unwrap_or("POST");
        let method = Method::from_bytes(method.as_bytes()).map_err(never)?;
        let id = idempotency_key(call, steps.len());
        let body = match method {
            Method::GET => Vec::new(),
            _ => answer::body(&call.input, steps).to_string().into_bytes(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &with.headers {
            let name = header_name(name).map_err(Outcome::Never)?;
            let mut value = HeaderValue::from_str(resolve(value)?.expose())
                .map_err(|_| never(format!("header `{name}` has a value that cannot be sent")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        for (name, value) in [
            ("plinth-project", call.project.to_string()),
            ("plinth-binding", call.binding.clone()),
            ("plinth-job", call.job.to_string()),
            ("plinth-attempt", call.attempt.to_string()),
            ("plinth-step", call.step.clone().unwrap_or_default()),
            ("idempotency-key", id.clone()),
        ] {
            if !value.is_empty() {
                headers.insert(name, header_value(&value).map_err(Outcome::Never)?);
            }
        }
        self.sign(call, with, &id, &mut request)?;
        Ok(request)
    }

    /// The headers of Standard Webhooks.
    fn sign(
        &self,
        call: &Call,
        with: &With,
        id: &str,
        request: &mut Request<Vec<u8>>,
    ) -> Result<(), Outcome> {
        let secret = match &with.secret {
            Some(secret) => Some(self.resolve(&call.project, secret)?),
            None => self.secrets.signing_key(&call.project),
        };
        let time = Timestamp::now().as_second();
        let signature = match secret {
            Some(secret) => {
                sign::sign(&secret, id, time, request.body()).map(Some).map_err(never)?
            }
            None => None,
        };
        let headers = request.headers_mut();
        let (id, time) = (Some(id.to_owned()), Some(time.to_string()));
        for (name, value) in
            [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)]
        {
            if let Some(value) = value {
                headers.insert(name, header_value(&value).map_err(Outcome::Never)?);
            }
        }
        Ok(())
    }

    /// A setting, which may name a variable. One that is not set may be after the next start.
    fn resolve(&self, project: &str, text: &str) -> Result<Secret, Outcome> {
        match text.strip_prefix(ENV) {
            None => Ok(Secret::new(text)),
            Some(name) => self
                .secrets
                .variable(project, name)
                .ok_or_else(|| Outcome::Failed(format!("there is no variable `{name}`"))),
        }
    }
}

impl Action for HttpRequest {
    fn name(&self) -> &'static str {
        "http.request"
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        let with = With::deserialize(with).map_err(|error| error.to_string())?;
        for name in with.headers.keys() {
            header_name(name)?;
        }
        Ok(())
    }

    fn conceals(&self, project: &str, with: &Value) -> Vec<Secret> {
        let Ok(with) = With::deserialize(with) else { return Vec::new() };
        let value = |text: &str| self.secrets.variable(project, text.strip_prefix(ENV)?);
        let headers = with.headers.values().chain(&with.secret).filter_map(|text| value(text));
        headers.map(token).chain(value(&with.url).into_iter().flat_map(keys)).collect()
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(async { self.work(call).await.unwrap_or_else(|outcome| outcome) })
    }
}

/// What of a header's value is secret: of `Bearer …` and the like not the scheme, which stands in ordinary texts.
fn token(value: Secret) -> Secret {
    match value.expose().split_once(' ') {
        Some((scheme, token)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            Secret::new(token.trim())
        }
        _ => value,
    }
}

/// What of an address is probably secret: values of its query, and parts of its path as long as keys are.
fn keys(address: Secret) -> Vec<Secret> {
    let Ok(uri) = address.expose().parse::<Uri>() else { return vec![address] };
    let values = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let parts = uri.path().split('/').filter(|part| part.len() >= KEY_BYTES);
    values.map(|(_name, value)| value).chain(parts).map(Secret::new).collect()
}

/// What the steps so far came to; one that failed is the attempt's failure, and is done again in the next.
async fn finished(call: &Call, scope: &str) -> Result<Map<String, Value>, Outcome> {
    let mut done = Map::new();
    for (name, step) in call.journal.below(scope) {
        match step {
            Step::Done(value) => drop(done.insert(name, value)),
            Step::Failed(error) => {
                call.journal.forget(&format!("{scope}{name}")).await?;
                return Err(Outcome::Failed(format!("step `{name}`: {error}")));
            }
            Step::Waiting => {}
        }
    }
    Ok(done)
}

/// Does what the answer says; `None`: the job goes on with another request.
async fn follow(
    call: &Call,
    scope: &str,
    host: &str,
    answer: &Answer,
) -> Result<Option<Outcome>, JournalError> {
    let (said, usage) = answer::understand(host, answer);
    usage.into_iter().for_each(|usage| call.used(usage));
    let (steps, outcome) = match said {
        Said::Outcome(outcome) => return Ok(Some(outcome)),
        Said::Steps(steps, outcome) => (steps, outcome),
    };
    let mut is_further = false;
    for (name, what) in steps {
        let name = format!("{scope}{name}");
        if call.journal.get(&name).is_some() {
            continue;
        }
        is_further = true;
        match what {
            What::Done(value) => call.journal.record(&name, value).await?,
            What::Waits(until) => call.journal.wait(&name, until).await?,
        }
    }
    if outcome.is_some() {
        return Ok(outcome);
    }
    let below = call.journal.below(scope).into_iter();
    let waits: Vec<String> = below
        .filter(|(_, step)| *step == Step::Waiting)
        .map(|(name, _)| format!("{scope}{name}"))
        .collect();
    if !waits.is_empty() {
        return Ok(Some(Outcome::Waits(waits)));
    }
    let stuck = || Outcome::Failed(format!("{host} goes on without a new step"));
    Ok((!is_further).then(stuck))
}

fn never(error: impl ToString) -> Outcome {
    Outcome::Never(error.to_string())
}

fn unanswered(error: OutgoingError) -> Outcome {
    match error {
        OutgoingError::Refused(_) | OutgoingError::TooLong(_) => Outcome::Never(error.to_string()),
        OutgoingError::Unreachable { .. }
        | OutgoingError::TimedOut(_)
        | OutgoingError::Client(_) => Outcome::Failed(error.to_string()),
    }
}

/// The same for all attempts of a request, and another for each request that has more steps behind it.
fn idempotency_key(call: &Call, steps: usize) -> String {
    let step = call.step.as_deref().unwrap_or_default();
    let text = format!("{}\0{}\0{}\0{step}\0{steps}", call.project, call.binding, call.job);
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let known = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{}` is no header", name.escape_debug()))?;
    if NOT_SETTABLE.contains(&known) {
        return Err(format!("header `{known}` is the connection's"));
    }
    Ok(known)
}

fn header_value(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value)
        .map_err(|_| format!("`{}` is no header's value", value.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_of_a_variable_is_secret() {
        for (value, secret) in
            [("Bearer abc.def", "abc.def"), ("abc.def", "abc.def"), ("a-b c", "a-b c")]
        {
            assert_eq!(token(Secret::new(value)).expose(), secret);
        }
        for (address, secrets) in [
            ("http://127.0.0.1:8099/work/items", vec![]),
            (
                "https://a.example/hook/abcdefghijklmnop?key=k1&plain",
                vec!["k1", "abcdefghijklmnop"],
            ),
            ("no address", vec!["no address"]),
        ] {
            let found = keys(Secret::new(address));
            assert_eq!(found.iter().map(Secret::expose).collect::<Vec<_>>(), secrets, "{address}");
        }
    }
}
