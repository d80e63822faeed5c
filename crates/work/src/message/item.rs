//! What a publisher asks for, from headers to what `plinth.publish_messages` takes.

mod header;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Refusal;
use header::{address, flow, kind, labels, named, not_before, run_id, seen, settings};
pub(super) use header::{first, is_name, is_step, queue, span};

/// Most bytes of a message.
pub const BODY_BYTES: usize = 1 << 20;

/// Most bytes of a step, which may hold the answer of a call, twice quoted.
const STEP_BYTES: usize = 8 * BODY_BYTES;

/// Longest time that a delivery may take, in seconds.
pub(super) const MAX_TIMEOUT: f64 = 900.0;

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
        Self::checked(destination, headers, body).map_err(|refusal| match is_step(headers) {
            true => refusal.of_step(),
            false => refusal,
        })
    }

    /// Whether a run appends it: a run that ended meanwhile takes no more of these.
    pub(super) fn is_step(&self) -> bool {
        matches!(self.kind.as_str(), "s" | "c" | "b") || self.parent.is_some()
    }

    fn checked(destination: &str, headers: &Headers, body: &[u8]) -> Result<Self, Refusal> {
        let item = Self::read_long(destination, headers, body)?;
        let most = if item.kind == "s" { STEP_BYTES } else { BODY_BYTES };
        if body.len() > most {
            return Err(Refusal::too_large(most));
        }
        Ok(item)
    }

    /// As [`Item::read`], with a body that somebody else bounds.
    pub(super) fn read_long(
        destination: &str,
        headers: &Headers,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let one = |name: &str| first(headers, name);
        let mut item = Self { body: STANDARD.encode(body), ..Self::default() };
        item.address(destination)?;
        item.settings = settings(headers)?;
        for callback in [&item.settings.callback, &item.settings.failure].into_iter().flatten() {
            // What it asks for is refused now rather than lost later.
            Self::read(&callback.url, &callback.header, b"")?;
        }
        item.queue = one("upstash-queue-name").map(queue).transpose()?;
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
            run_id(item.run.get_or_insert_with(new_run))?;
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
            ("upstash-callback", "https://user:secret@app.example.test"),
        ] {
            assert!(item(&[(name, value)]).is_err(), "{name}: {value}");
        }
        for value in ["", "parallelism=x", "speed=1", "rate", "parallelism=-1"] {
            let headers =
                [("upstash-flow-control-key", "k"), ("upstash-flow-control-value", value)];
            assert!(item(&headers).is_err(), "{value}");
        }
        for destination in
            ["", "ftp://x", "two words", "http://", "http://user@a.test", "http://:p@a.test"]
        {
            assert!(Item::read(destination, &Headers::new(), b"").is_err(), "{destination}");
        }
        let large = vec![0; BODY_BYTES + 1];
        assert!(Item::read("https://a.test", &Headers::new(), &large).is_err());
    }

    #[test]
    fn a_step_may_hold_an_answer_of_the_greatest_length() {
        let headers = |init: &str| {
            let run = ("upstash-workflow-runid".to_owned(), vec!["wfr_1".to_owned()]);
            Headers::from([run, ("upstash-workflow-init".to_owned(), vec![init.to_owned()])])
        };
        let answer = serde_json::json!({"status": 200, "body": "\"".repeat(BODY_BYTES)});
        let step = serde_json::json!({"stepId": 1, "out": answer.to_string()}).to_string();
        assert!(Item::read("https://a.test", &headers("false"), step.as_bytes()).is_ok());
        assert!(Item::read("https://a.test", &headers("true"), step.as_bytes()).is_err());
        let larger = vec![0; STEP_BYTES + 1];
        assert!(Item::read("https://a.test", &headers("false"), &larger).is_err());
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
