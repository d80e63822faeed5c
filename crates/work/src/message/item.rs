//! What a publisher asks for, from headers to what `plinth.publish_messages` takes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::answer::Refusal;
use super::{delay, sign};

/// Most bytes of a message.
pub const BODY_BYTES: usize = 1 << 20;

/// Most retries of a message.
const MAX_RETRIES: u32 = 1000;

/// Retries where nobody says how many.
const RETRIES: u32 = 3;

/// Furthest that a message may be put off, in seconds: a year.
const MAX_DELAY: f64 = 366.0 * 86_400.0;

/// Longest time that a delivery may take, in seconds.
pub(super) const MAX_TIMEOUT: f64 = 900.0;

/// Longest identifier that is taken over: of a queue, a group, a flow, a run, a label.
const MAX_NAME: usize = 500;

/// Headers by name, each with its values.
pub(super) type Headers = BTreeMap<String, Vec<String>>;

/// One thing to publish.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Item {
    /// p plain, i first message of a run, s step, c call, b what came of a call, f word of a failed run.
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<String>,
    /// The queue whose next message waits for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flow_value: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schedule: Option<String>,
    pub(super) labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
    /// The run that waits for the one that this begins, and the step there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<Value>,
    /// The event for which this step waits, and what the waiting asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Value>,
    /// What may not be published twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay: Option<f64>,
    /// Seconds since 1970; counts more than `delay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<f64>,
    /// Left out rather than refused when its run has ended.
    pub(super) late: bool,
    pub(super) settings: Settings,
    /// Base64.
    pub(super) body: String,
}

/// How to deliver a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Settings {
    pub(super) method: String,
    /// Delivered as they are.
    pub(super) header: Headers,
    pub(super) retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_delay: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) callback: Option<Callback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Callback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flow: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redact: Option<Redact>,
    #[serde(rename = "callerIP", skip_serializing_if = "Option::is_none")]
    pub(super) caller_ip: Option<String>,
    /// Whether an endpoint fetches the steps of its run by itself when the list is too long to send.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) lazy: bool,
}

/// A message that follows from another one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Callback {
    pub(super) url: String,
    /// Its own settings, as headers that a publisher would send.
    pub(super) header: Headers,
}

/// Limits of a flow; 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) parallelism: u32,
    pub(super) rate: u32,
    /// Seconds.
    pub(super) period: u32,
}

/// What of a message its publisher's lists do not show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Redact {
    pub(super) body: bool,
    /// All of them.
    pub(super) header: bool,
    pub(super) headers: Vec<String>,
}

impl Item {
    /// What these headers ask for, to `destination`. Names of headers are in lower case.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says what is wrong.
    pub(super) fn read(destination: &str, headers: &Headers, body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > BODY_BYTES {
            return Err(Refusal::too_large(BODY_BYTES));
        }
        let one = |name: &str| first(headers, name);
        let mut item = Self { body: STANDARD.encode(body), ..Self::default() };
        item.address(destination)?;
        item.settings = settings(headers)?;
        for callback in [&item.settings.callback, &item.settings.failure].into_iter().flatten() {
            // What it asks for is refused now rather than lost later.
            Self::read(&callback.url, &callback.header, b"")?;
        }
        item.queue = named(one("upstash-queue-name"))?;
        item.labels = labels(one("upstash-label"))?;
        item.delay = one("upstash-delay").map(|text| span("Upstash-Delay", text)).transpose()?;
        item.not_before = one("upstash-not-before").map(not_before).transpose()?;
        if let Some(key) = named(one("upstash-flow-control-key"))? {
            let value = one("upstash-flow-control-value").unwrap_or_default();
            let flow = flow(value)?;
            (item.flow, item.flow_value, item.settings.flow) = (Some(key), Some(flow), Some(flow));
        }
        item.seen = seen(destination, headers, &item.settings, body);
        item.run = named(one("upstash-workflow-runid"))?;
        item.kind = kind(headers, item.run.is_some()).to_owned();
        if item.kind == "i" {
            item.run.get_or_insert_with(new_run);
        }
        if item.kind == "i" && one("upstash-workflow-invoke") == Some("true") {
            item.invoked(body)?;
        }
        Ok(item)
    }

    fn address(&mut self, destination: &str) -> Result<(), Refusal> {
        if destination.contains("://") {
            self.url = Some(address(destination)?);
        } else if is_name(destination) {
            self.topic = Some(destination.to_owned());
        } else {
            return Err(Refusal::bad(
                "the destination is neither a URL nor the name of a URL group",
            ));
        }
        Ok(())
    }

    /// A run that another one begins: what it wraps is its payload, and the step that waits for its end.
    fn invoked(&mut self, body: &[u8]) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Invoke {
            #[serde(default)]
            body: Value,
            workflow_run_id: String,
            step: Value,
        }
        let invoke: Invoke = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("the invocation cannot be read: {error}")))?;
        let payload = match invoke.body {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.body = STANDARD.encode(payload);
        (self.parent, self.step) = (Some(invoke.workflow_run_id), Some(invoke.step));
        Ok(())
    }
}

/// A run's name.
pub(super) fn new_run() -> String {
    let random: u128 = rand::random();
    format!("wfr_{random:032x}")
}

/// The first value of a header that is not empty.
pub(super) fn first<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.get(name)?.iter().map(|value| value.trim()).find(|value| !value.is_empty())
}

fn kind(headers: &Headers, has_run: bool) -> &'static str {
    let one = |name: &str| first(headers, name).unwrap_or_default();
    let call = one("upstash-workflow-calltype").to_ascii_lowercase();
    match (one("upstash-workflow-init"), call.as_str()) {
        ("true", _) => "i",
        (_, "failurecall") if has_run => "f",
        (_, "tocallback") if has_run => "c",
        (_, "fromcallback") if has_run => "b",
        ("false", _) if has_run => "s",
        _ => "p",
    }
}

fn settings(headers: &Headers) -> Result<Settings, Refusal> {
    let one = |name: &str| first(headers, name);
    let method = one("upstash-method").unwrap_or("POST").to_ascii_uppercase();
    if !["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].contains(&&*method) {
        return Err(Refusal::bad(format!("`{method}` is no method")));
    }
    let retries = match one("upstash-retries") {
        None => RETRIES,
        Some(text) => text
            .parse()
            .ok()
            .filter(|retries| *retries <= MAX_RETRIES)
            .ok_or_else(|| Refusal::bad("Upstash-Retries must be a number from 0 to 1000"))?,
    };
    if let Some(expression) = one("upstash-retry-delay") {
        let wrong = |error| Refusal::bad(format!("Upstash-Retry-Delay: {error}"));
        delay::expressed(expression, 0).map_err(wrong)?;
    }
    Ok(Settings {
        method,
        header: forwarded(headers),
        retries,
        retry_delay: one("upstash-retry-delay").map(str::to_owned),
        timeout: one("upstash-timeout").map(|text| span("Upstash-Timeout", text)).transpose()?,
        callback: callback(headers, "upstash-callback")?,
        failure: callback(headers, "upstash-failure-callback")?,
        flow: None,
        redact: one("upstash-redact-fields").map(redact),
        caller_ip: None,
        lazy: one("upstash-feature-set").is_some_and(|set| set.contains("LazyFetch")),
    })
}

fn forwarded(headers: &Headers) -> Headers {
    let mut forwarded: Headers = headers
        .iter()
        .filter_map(|(name, values)| {
            let name = name.strip_prefix("upstash-forward-")?;
            (!name.is_empty()).then(|| (name.to_owned(), values.clone()))
        })
        .collect();
    if let Some(values) = headers.get("content-type") {
        forwarded.entry("content-type".to_owned()).or_insert_with(|| values.clone());
    }
    forwarded
}

/// The callback of that header, with the settings that carry its name as a prefix.
fn callback(headers: &Headers, name: &str) -> Result<Option<Callback>, Refusal> {
    let Some(url) = first(headers, name) else { return Ok(None) };
    let own = headers.iter().filter_map(|(header, values)| {
        let setting = header.strip_prefix(name)?.strip_prefix('-')?;
        Some((format!("upstash-{setting}"), values.clone()))
    });
    Ok(Some(Callback { url: address(url)?, header: own.collect() }))
}

/// The URL, as it was written: what is signed is what the receiver knows.
fn address(text: &str) -> Result<String, Refusal> {
    let url = Url::parse(text).map_err(|_| Refusal::bad(format!("`{text}` is no URL")))?;
    if !matches!(url.scheme(), "http" | "https") || text.len() > 8192 {
        return Err(Refusal::bad("a destination begins with http:// or https://"));
    }
    Ok(text.to_owned())
}

/// Whether that may be the name of a group, a queue or a schedule.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(plain)
}

fn named(text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        Some(name) if name.len() > MAX_NAME || name.contains(['\0', '\n']) => {
            Err(Refusal::bad(format!("a name has at most {MAX_NAME} bytes in one line")))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

fn labels(text: Option<&str>) -> Result<Vec<String>, Refusal> {
    let text = named(text)?.unwrap_or_default();
    let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty());
    Ok(labels.map(str::to_owned).collect())
}

/// Seconds of a header's duration.
pub(super) fn span(name: &str, text: &str) -> Result<f64, Refusal> {
    delay::seconds(text)
        .filter(|seconds| *seconds <= MAX_DELAY)
        .ok_or_else(|| Refusal::bad(format!("{name}: `{text}` is no duration such as 10s or 2h")))
}

fn not_before(text: &str) -> Result<f64, Refusal> {
    let wrong = || Refusal::bad("Upstash-Not-Before is a moment in seconds since 1970");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..253_402_300_800.0).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

/// `parallelism=3, rate=10, period=1m`
fn flow(text: &str) -> Result<Flow, Refusal> {
    let wrong = || Refusal::bad(format!("Upstash-Flow-Control-Value: `{text}` is not understood"));
    let mut flow = Flow { parallelism: 0, rate: 0, period: 1 };
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        let number = || value.trim().parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok());
        match name.trim() {
            "parallelism" => flow.parallelism = number().ok_or_else(wrong)?,
            "rate" | "ratePerSecond" => flow.rate = number().ok_or_else(wrong)?,
            "period" => {
                let seconds = delay::seconds(value).ok_or_else(wrong)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped"
                )]
                let seconds = seconds.ceil().clamp(1.0, MAX_DELAY) as u32;
                flow.period = seconds;
            }
            _ => return Err(wrong()),
        }
    }
    if flow.parallelism == 0 && flow.rate == 0 {
        return Err(wrong());
    }
    Ok(flow)
}

/// `body,header[Authorization]`
fn redact(text: &str) -> Redact {
    let mut redact = Redact::default();
    for part in text.split(',').map(str::trim) {
        match part {
            "body" => redact.body = true,
            "header" => redact.header = true,
            _ => {
                let name = part.strip_prefix("header[").and_then(|name| name.strip_suffix(']'));
                redact.headers.extend(name.map(str::to_ascii_lowercase));
            }
        }
    }
    redact
}

fn seen(destination: &str, headers: &Headers, settings: &Settings, body: &[u8]) -> Option<String> {
    if let Some(id) = first(headers, "upstash-deduplication-id") {
        return Some(sign::fingerprint([b"id".as_slice(), id.as_bytes()]));
    }
    if first(headers, "upstash-content-based-deduplication") != Some("true") {
        return None;
    }
    let forwarded = settings.header.iter().flat_map(|(name, values)| {
        std::iter::once(name.as_bytes()).chain(values.iter().map(String::as_bytes))
    });
    let parts = [b"content".as_slice(), destination.as_bytes(), body];
    Some(sign::fingerprint(parts.into_iter().chain(forwarded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(headers: &[(&str, &str)]) -> Result<Item, Refusal> {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect();
        Item::read("https://app.example.test/a?b=c", &headers, b"{}")
    }

    #[test]
    fn headers_become_settings() {
        let item = item(&[
            ("content-type", "application/json"),
            ("upstash-method", "put"),
            ("upstash-retries", "5"),
            ("upstash-retry-delay", "1000 * (1 + retried)"),
            ("upstash-delay", "1m"),
            ("upstash-forward-x-own", "yes"),
            ("upstash-callback", "https://app.example.test/back"),
            ("upstash-callback-retries", "1"),
            ("upstash-callback-forward-x-more", "m"),
            ("upstash-failure-callback", "https://app.example.test/fail"),
            ("upstash-failure-callback-forward-x-fail", "f"),
            ("upstash-flow-control-key", "k"),
            ("upstash-flow-control-value", "parallelism=3, rate=10, period=1m"),
            ("upstash-label", "one, two"),
            ("upstash-redact-fields", "body,header[Authorization]"),
        ])
        .unwrap();
        assert_eq!(item.url.as_deref(), Some("https://app.example.test/a?b=c"));
        assert_eq!((item.kind.as_str(), item.delay), ("p", Some(60.0)));
        assert_eq!(item.labels, ["one", "two"]);
        assert_eq!(item.flow_value, Some(Flow { parallelism: 3, rate: 10, period: 60 }));
        let settings = item.settings;
        assert_eq!((settings.method.as_str(), settings.retries), ("PUT", 5));
        let names: Vec<_> = settings.header.keys().map(String::as_str).collect();
        assert_eq!(names, ["content-type", "x-own"]);
        let callback = settings.callback.unwrap();
        let names: Vec<_> = callback.header.keys().map(String::as_str).collect();
        assert_eq!(names, ["upstash-forward-x-more", "upstash-retries"]);
        assert_eq!(settings.failure.unwrap().url, "https://app.example.test/fail");
        assert_eq!(settings.redact.unwrap().headers, ["authorization"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, value) in [
            ("upstash-method", "BREW"),
            ("upstash-retries", "-1"),
            ("upstash-retries", "1001"),
            ("upstash-retry-delay", "forever"),
            ("upstash-delay", "later"),
            ("upstash-not-before", "tomorrow"),
            ("upstash-timeout", "x"),
            ("upstash-callback", "ftp://x"),
            ("upstash-callback", "nowhere"),
        ] {
            assert!(item(&[(name, value)]).is_err(), "{name}: {value}");
        }
        for value in ["", "parallelism=x", "speed=1", "rate", "parallelism=-1"] {
            let headers =
                [("upstash-flow-control-key", "k"), ("upstash-flow-control-value", value)];
            assert!(item(&headers).is_err(), "{value}");
        }
        for destination in ["", "ftp://x", "two words", "http://"] {
            assert!(Item::read(destination, &Headers::new(), b"").is_err(), "{destination}");
        }
        let large = vec![0; BODY_BYTES + 1];
        assert!(Item::read("https://a.test", &Headers::new(), &large).is_err());
    }

    #[test]
    fn runs_are_told_by_their_headers() {
        let kind = |headers: &[(&str, &str)]| item(headers).map(|item| item.kind).unwrap();
        let run = ("upstash-workflow-runid", "wfr_1");
        let not_first = ("upstash-workflow-init", "false");
        assert_eq!(kind(&[]), "p");
        assert_eq!(kind(&[run, ("upstash-workflow-init", "true")]), "i");
        assert_eq!(kind(&[run, not_first]), "s");
        assert_eq!(kind(&[run, not_first, ("upstash-workflow-calltype", "toCallback")]), "c");
        assert_eq!(kind(&[run, not_first, ("upstash-workflow-calltype", "fromCallback")]), "b");
        assert_eq!(kind(&[run, not_first, ("upstash-workflow-calltype", "failureCall")]), "f");
        let begun = item(&[("upstash-workflow-init", "true")]).unwrap();
        assert!(begun.run.unwrap().starts_with("wfr_"));
    }

    #[test]
    fn the_same_content_is_seen_again_and_other_content_is_not() {
        let on = ("upstash-content-based-deduplication", "true");
        let seen = |headers: &[(&str, &str)]| item(headers).unwrap().seen;
        assert_eq!(seen(&[]), None);
        assert_eq!(seen(&[on]), seen(&[on, ("upstash-delay", "1s")]));
        assert_ne!(seen(&[on]), seen(&[on, ("upstash-forward-a", "b")]));
        assert_eq!(
            seen(&[on, ("upstash-deduplication-id", "x")]),
            seen(&[("upstash-deduplication-id", "x")])
        );
    }
}
