//! From a message to the request that delivers it, and from the answer to what becomes of the message. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::item::MAX_TIMEOUT;
use super::outside::{NoReply, Reply, ToSend};
use super::sign::{self, Keys};
use super::work::Work;
use super::{delay, follow};

/// A list of steps that is longer than this is fetched by the endpoint instead, in bytes.
const LIST_BYTES: usize = 1 << 20;

/// An answer's body that is longer than this is kept up to here only, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// The header by which whoever is told of an answer sees that its body went on.
pub(super) const CUT: &str = "Plinth-Body-Truncated";

/// The status by which an endpoint says that trying again will not help, with the header below.
const NOT_RETRYABLE: u16 = 489;

/// The request that delivers a message.
///
/// # Errors
///
/// In words, what about the message cannot be sent at all.
pub(super) fn request(work: &Work, keys: &Keys, now: Timestamp) -> Result<ToSend, String> {
    let body = body(work);
    let method = Method::from_bytes(work.settings.method.as_bytes())
        .map_err(|_| "its method is none".to_owned())?;
    let signature = signature(work, keys, &body, now)?;
    let mut headers = HeaderMap::new();
    for (name, values) in &work.settings.header {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{name}` is no name of a header"))?;
        if is_ours(&name) {
            continue;
        }
        for value in values {
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the value of `{name}` cannot be sent"))?;
            headers.append(&name, value);
        }
    }
    for (name, value) in own(work, signature) {
        let value =
            HeaderValue::from_str(&value).map_err(|_| format!("`{name}` cannot be sent"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let timeout = work.settings.timeout.unwrap_or(MAX_TIMEOUT).clamp(0.001, MAX_TIMEOUT);
    Ok(ToSend {
        method,
        url: work.url.clone(),
        headers,
        body: body.into(),
        timeout: Duration::from_secs_f64(timeout),
    })
}

fn signature(work: &Work, keys: &Keys, body: &[u8], now: Timestamp) -> Result<String, String> {
    let id = format!("jwt_{:032x}", rand::random::<u128>());
    let key = keys.signing(work.signing);
    sign::signature(&key, &work.url, body, now.as_second(), &id).map_err(|error| error.to_string())
}

/// Headers that the connection's own side writes.
fn is_ours(name: &HeaderName) -> bool {
    matches!(name.as_str(), "host" | "content-length" | "connection" | "transfer-encoding")
}

fn body(work: &Work) -> Vec<u8> {
    let Some(list) = &work.list else { return work.bytes() };
    let list = list.to_string().into_bytes();
    if list.len() > LIST_BYTES && work.settings.lazy { Vec::new() } else { list }
}

/// Headers that say which message of what it is.
fn own(work: &Work, signature: String) -> Vec<(&'static str, String)> {
    let mut own = vec![
        ("upstash-message-id", work.id.clone()),
        ("upstash-retried", work.retried.to_string()),
        ("upstash-signature", signature),
    ];
    if let Some(schedule) = &work.schedule {
        own.push(("upstash-schedule-id", schedule.clone()));
    }
    if !work.labels.is_empty() {
        own.push(("upstash-label", work.labels.join(",")));
    }
    // Whoever is called by a run need not know of it.
    let Some(run) = work.run.as_ref().filter(|_| work.kind != "c") else { return own };
    own.push(("upstash-workflow-runid", run.clone()));
    own.push(("upstash-workflow-init", "false".to_owned()));
    if let Some(created) = work.run_created {
        own.push(("upstash-workflow-createdat", created.to_string()));
    }
    if let Some(url) = &work.run_url {
        own.push(("upstash-workflow-url", url.clone()));
    }
    if work.is_step() {
        own.push(("upstash-workflow-sdk-version", "1".to_owned()));
    }
    own
}

/// What a delivery came to, for `plinth.finish_message`.
pub(super) fn outcome(work: &Work, reply: Result<Reply, NoReply>, now: Timestamp) -> Value {
    let is_final = reply.as_ref().is_err_and(|none| none.is_final);
    let reply = reply.unwrap_or_else(|none| unreachable(&none.why));
    let response = kept(work, &reply);
    if reply.status.is_success() {
        let items = follow::after(work, &response, None);
        // Lists of runs show what the word of a failure came to.
        let response = (work.kind == "f").then_some(response);
        return json!({"state": "done", "items": items, "response": response});
    }
    let error = match reply.status.as_u16() {
        NOWHERE => String::from_utf8_lossy(&reply.body).into_owned(),
        status => format!("the endpoint answered {status}"),
    };
    if let Some(wait) = again(work, &reply, now).filter(|_| !is_final) {
        let items = follow::after(work, &response, None);
        return json!({
            "state": "retry", "delay": wait.as_secs_f64(), "error": error, "response": response, "items": items,
        });
    }
    // In the order of time, as texts.
    let dead = format!("{:013}-{:08x}", now.as_millisecond(), rand::random::<u32>());
    let items = follow::after(work, &response, Some(&dead));
    json!({"state": "dead", "deadId": dead, "error": error, "response": response, "items": items})
}

/// What is kept and told of an answer.
fn kept(work: &Work, reply: &Reply) -> Value {
    let body = &reply.body[..reply.body.len().min(KEPT_BYTES)];
    let mut header = listed(&reply.headers);
    if reply.is_cut || reply.body.len() > KEPT_BYTES {
        tracing::warn!(
            message.id = work.id,
            limit.bytes = KEPT_BYTES,
            "only the beginning of a long answer is kept"
        );
        header[CUT] = json!(["true"]);
    }
    json!({"status": reply.status.as_u16(), "header": header, "body": STANDARD.encode(body)})
}

/// How long to wait for the next try; `None` when that was the last.
fn again(work: &Work, reply: &Reply, now: Timestamp) -> Option<Duration> {
    let says = reply.headers.get("upstash-nonretryable-error");
    let never = reply.status.as_u16() == NOT_RETRYABLE && says.is_some_and(|value| value == "true");
    if never || work.retried >= work.settings.retries {
        return None;
    }
    let own = || {
        let expression = work.settings.retry_delay.as_ref()?;
        delay::expressed(expression, work.retried).ok()
    };
    let asked = delay::asked(&reply.headers, now);
    Some(asked.or_else(own).unwrap_or_else(|| delay::usual(work.retried + 1)))
}

/// The status of an answer that there is not.
const NOWHERE: u16 = 503;

/// Stands for an answer that did not come: callbacks and dead letters carry a status in any case.
fn unreachable(error: &str) -> Reply {
    Reply {
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(error.as_bytes()),
        is_cut: false,
    }
}

/// Headers by name, each with its values.
fn listed(headers: &HeaderMap) -> Value {
    let mut listed = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).replace('\0', ""))
            .collect();
        listed.insert(canonical(name.as_str()), json!(values));
    }
    Value::Object(listed)
}

/// `content-type` as `Content-Type`, which is how callbacks have it.
fn canonical(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::item::{Callback, Headers, Item};

    fn work() -> Work {
        let work = json!({
            "id": "msg_1", "kind": "p", "attempt": 1, "retried": 0, "url": "http://10.0.0.7/x", "body": "",
            "settings": {"method": "POST", "header": {}, "retries": 3}, "created": 0, "due": 0, "signing": 1,
        });
        serde_json::from_value(work).unwrap()
    }

    fn came_to(reply: Result<Reply, NoReply>) -> Value {
        outcome(&work(), reply, Timestamp::UNIX_EPOCH)
    }

    fn answered(bytes: usize, is_cut: bool) -> Reply {
        let (status, headers, body) = (StatusCode::OK, HeaderMap::new(), vec![b'x'; bytes].into());
        Reply { status, headers, body, is_cut }
    }

    /// The callback that follows from an answer.
    fn told(mut work: Work, reply: Reply) -> Value {
        work.settings.callback =
            Some(Callback { url: "https://a.test/cb".to_owned(), header: Headers::new() });
        let mut came_to = outcome(&work, Ok(reply), Timestamp::UNIX_EPOCH);
        assert_eq!(came_to["state"], "done");
        let item: Item = serde_json::from_value(came_to["items"][0].take()).unwrap();
        serde_json::from_slice(&STANDARD.decode(item.body).unwrap()).unwrap()
    }

    fn length(told: &Value, part: &str) -> usize {
        STANDARD.decode(told[part].as_str().unwrap()).unwrap().len()
    }

    #[test]
    fn an_answer_of_the_greatest_length_is_told_whole() {
        let source = STANDARD.encode(vec![b'y'; KEPT_BYTES]);
        let told = told(Work { body: source, ..work() }, answered(KEPT_BYTES, false));
        assert_eq!((length(&told, "body"), length(&told, "sourceBody")), (KEPT_BYTES, KEPT_BYTES));
        assert_eq!(told["header"], json!({}));
    }

    #[test]
    fn a_longer_answer_is_cut_and_says_so() {
        for reply in [answered(KEPT_BYTES, true), answered(KEPT_BYTES + 1, false)] {
            let told = told(work(), reply);
            assert_eq!(length(&told, "body"), KEPT_BYTES);
            assert_eq!(told["header"][CUT], json!(["true"]));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_says_so() {
        let source = STANDARD.encode(vec![b'y'; 4 * KEPT_BYTES]);
        let told = told(Work { body: source, ..work() }, answered(5, false));
        assert_eq!((length(&told, "body"), length(&told, "sourceBody")), (5, 0));
        assert_eq!(told["sourceBodyTruncated"], true);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing = came_to(Err(NoReply::passing("app could not be reached")));
        assert_eq!(passing["state"], "retry");
        let lasting = came_to(Err(NoReply::lasting("calls to app are not allowed")));
        assert_eq!(
            (&lasting["state"], &lasting["error"]),
            (&json!("dead"), &json!("calls to app are not allowed"))
        );
    }
}
