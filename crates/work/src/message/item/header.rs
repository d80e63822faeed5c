//! What single headers of a publisher say.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::{Callback, Flow, Headers, Redact, Settings};
use crate::message::answer::Refusal;
use crate::message::{delay, sign};

/// Most retries of a message.
const MAX_RETRIES: u32 = 1000;

/// Retries where nobody says how many.
const RETRIES: u32 = 3;

/// Furthest that a message may be put off, in seconds: a year.
const MAX_DELAY: f64 = 366.0 * 86_400.0;

/// Longest identifier that is taken over: of a queue, a group, a flow, a run, a label.
const MAX_NAME: usize = 500;

/// The first value of a header that is not empty.
pub(in crate::message) fn first<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.get(name)?.iter().map(|value| value.trim()).find(|value| !value.is_empty())
}

pub(super) fn kind(headers: &Headers, has_run: bool) -> &'static str {
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

/// Whether these are the headers of a step that a run appends; a run that it begins is one.
pub(in crate::message) fn is_step(headers: &Headers) -> bool {
    match kind(headers, first(headers, "upstash-workflow-runid").is_some()) {
        "s" | "c" | "b" => true,
        "i" => first(headers, "upstash-workflow-invoke") == Some("true"),
        _ => false,
    }
}

pub(super) fn settings(headers: &Headers) -> Result<Settings, Refusal> {
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
        header: forwarded(headers)?,
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

fn forwarded(headers: &Headers) -> Result<Headers, Refusal> {
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
    for (name, values) in &forwarded {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Refusal::bad(format!("`{name}` cannot be the name of a header")))?;
        for value in values {
            // Rather than failing attempt by attempt.
            HeaderValue::from_str(value).map_err(|_| {
                Refusal::bad(format!("the value of the header `{name}` has control characters"))
            })?;
        }
    }
    Ok(forwarded)
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
pub(super) fn address(text: &str) -> Result<String, Refusal> {
    let url = Url::parse(text).map_err(|_| Refusal::bad(format!("`{text}` is no URL")))?;
    if !matches!(url.scheme(), "http" | "https") || text.len() > 8192 {
        return Err(Refusal::bad("a destination begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Lists, logs and callbacks show URLs.
        return Err(Refusal::bad(
            "a URL has no user and no password: send them in the header Upstash-Forward-Authorization",
        ));
    }
    Ok(text.to_owned())
}

/// Whether that may be the name of a group, a queue or a schedule.
pub(in crate::message) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(plain)
}

/// The name of a queue.
pub(in crate::message) fn queue(name: &str) -> Result<String, Refusal> {
    if is_name(name) {
        return Ok(name.to_owned());
    }
    Err(Refusal::bad(format!(
        "a queue's name has 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`"
    )))
}

/// Checks a run's id. It stands in headers and in paths, where clients write it as it is: with anything else, nobody could end
/// the run.
pub(super) fn run_id(id: &str) -> Result<(), Refusal> {
    let fits = |c: char| c == ' ' || c.is_ascii_graphic() && !"/\\?#%,".contains(c);
    if id.chars().all(fits) && !matches!(id, "." | "..") {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "`{id}` cannot be the id of a workflow run: use letters and digits of ASCII, `-`, `_`, `.`, `:` or other signs, but \
         none of `/`, `\\`, `?`, `#`, `%` and `,`"
    )))
}

pub(super) fn named(text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        Some(name) if name.len() > MAX_NAME || name.contains(['\0', '\n']) => {
            Err(Refusal::bad(format!("a name has at most {MAX_NAME} bytes in one line")))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

pub(super) fn labels(text: Option<&str>) -> Result<Vec<String>, Refusal> {
    let text = named(text)?.unwrap_or_default();
    let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty());
    Ok(labels.map(str::to_owned).collect())
}

/// Seconds of a header's duration.
pub(in crate::message) fn span(name: &str, text: &str) -> Result<f64, Refusal> {
    delay::seconds(text)
        .filter(|seconds| *seconds <= MAX_DELAY)
        .ok_or_else(|| Refusal::bad(format!("{name}: `{text}` is no duration such as 10s or 2h")))
}

pub(super) fn not_before(text: &str) -> Result<f64, Refusal> {
    let wrong = || Refusal::bad("Upstash-Not-Before is a moment in seconds since 1970");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..253_402_300_800.0).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

/// `parallelism=3, rate=10, period=1m`
pub(super) fn flow(text: &str) -> Result<Flow, Refusal> {
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

pub(super) fn seen(
    destination: &str,
    headers: &Headers,
    settings: &Settings,
    body: &[u8],
) -> Option<String> {
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
