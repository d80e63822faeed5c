//! What the answer of people's own code says about a job.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use plinth_outgoing::Answer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::MAX_ANSWER;
use crate::action::Outcome;
use crate::journal::Until;
use crate::manifest::parse_millis;

/// The field that makes an answer an instruction, and of a request what it is told besides its input.
pub(super) const FIELD: &str = "plinth";

/// The field of an instruction that says what the request used; alone it leaves the rest of the answer as it is.
const USAGE: &str = "usage";

/// Longest time that an answer may put a job off or have it wait.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long an event is waited for when nothing is said.
const WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Steps of one answer.
const MAX_STEPS: usize = 100;

/// Bytes of an answer that an error repeats.
const SHOWN: usize = 300;

/// What an answer asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// That is what it came to.
    Outcome(Outcome),
    /// Steps to journal; with an outcome, that is what the job came to, without one the job goes on.
    Steps(Vec<(String, What)>, Option<Outcome>),
}

/// What is known of a step.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// Its result.
    Done(Value),
    /// What it waits for.
    Waits(Until),
}

/// `{"plinth": …}` of an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Instruction {
    outcome: Option<Word>,
    #[serde(default)]
    out: Value,
    error: Option<String>,
    not_before: Option<Value>,
    #[serde(default)]
    steps: Vec<Step>,
    /// Read by itself: it counts even where the rest cannot be followed.
    #[serde(rename = "usage")]
    _usage: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Done,
    Failed,
    Never,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    out: Option<Value>,
    sleep: Option<Value>,
    wait: Option<Wait>,
    call: Option<Call>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    event: String,
    key: Option<String>,
    timeout: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    binding: String,
    row: Option<Value>,
    #[serde(default)]
    input: Value,
}

/// What the answer says, and what it used. `host` is for errors.
pub(super) fn understand(host: &str, answer: &Answer) -> (Said, Option<Value>) {
    if answer.is_cut {
        return (Said::Outcome(by_status(host, answer, Value::Null)), None);
    }
    let mut value = value_of(&answer.headers, &answer.body);
    let Some(fields) = value.as_object_mut() else {
        return (Said::Outcome(by_status(host, answer, value)), None);
    };
    let Some(instruction) = fields.get(FIELD) else {
        return (Said::Outcome(by_status(host, answer, value)), None);
    };
    let usage = instruction.get(USAGE).filter(|usage| !usage.is_null()).cloned();
    let only_usage = instruction.as_object().is_some_and(|said| said.keys().eq([USAGE]));
    if only_usage {
        fields.remove(FIELD);
        return (Said::Outcome(by_status(host, answer, value)), usage);
    }
    let said = instructed(instruction).unwrap_or_else(|error| {
        Said::Outcome(Outcome::Failed(format!("what {host} says cannot be followed: {error}")))
    });
    (said, usage)
}

fn by_status(host: &str, answer: &Answer, value: Value) -> Outcome {
    let status = answer.status;
    if status.is_success() && answer.is_cut {
        // Another one would be as long.
        return Outcome::Never(format!("the answer of {host} is longer than {MAX_ANSWER} bytes"));
    }
    if status.is_success() {
        return Outcome::Done(value);
    }
    let error = format!("{host} answered {}{}", status.as_u16(), shown(&answer.body));
    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    if busy.contains(&status)
        && let Some(wait) = retry_after(&answer.headers)
    {
        return Outcome::NotBefore(wait, error);
    }
    match status {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::CONFLICT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => Outcome::Failed(error),
        status if status.is_redirection() => {
            Outcome::Never(format!("{error}; redirects are not followed"))
        }
        status if status.is_client_error() => Outcome::Never(error),
        _ => Outcome::Failed(error),
    }
}

/// The beginning of a body, on one line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ").replace('\0', "\u{fffd}");
    let end = (0..=SHOWN.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    let line = &line[..end.unwrap_or_default()];
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

/// JSON where it is JSON, else a text; null when there is nothing.
fn value_of(headers: &HeaderMap, body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let may_be_json = essence.is_empty() || essence.ends_with("json");
    if may_be_json && let Ok(value) = serde_json::from_slice(body) {
        return value;
    }
    // PostgreSQL has no NUL in texts.
    Value::String(String::from_utf8_lossy(body).replace('\0', "\u{fffd}"))
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()),
    };
    Some(wait.min(LONGEST))
}

fn until(time: jiff::Timestamp) -> Duration {
    SystemTime::from(time).duration_since(SystemTime::now()).unwrap_or_default()
}

fn instructed(instruction: &Value) -> Result<Said, String> {
    let said = Instruction::deserialize(instruction).map_err(|error| error.to_string())?;
    if said.steps.len() > MAX_STEPS {
        return Err(format!("more than {MAX_STEPS} steps at once"));
    }
    let goes_on = !said.steps.is_empty() && said.outcome.is_none() && said.not_before.is_none();
    let steps: Vec<_> = said.steps.into_iter().map(step).collect::<Result<_, _>>()?;
    if goes_on {
        return Ok(Said::Steps(steps, None));
    }
    let error = said.error.unwrap_or_else(|| "no reason was given".to_owned());
    let outcome = match (said.outcome, said.not_before) {
        (None | Some(Word::Failed), Some(time)) => Outcome::NotBefore(length(&time)?, error),
        (Some(_), Some(_)) => {
            return Err("`not_before` goes with no outcome but `failed`".to_owned());
        }
        (Some(Word::Done), None) => Outcome::Done(said.out),
        (Some(Word::Failed), None) => Outcome::Failed(error),
        (Some(Word::Never), None) => Outcome::Never(error),
        (Some(Word::Unknown), None) => Outcome::Unknown(error),
        (None, None) => return Err("neither `outcome` nor `not_before` nor `steps`".to_owned()),
    };
    if steps.is_empty() {
        Ok(Said::Outcome(outcome))
    } else {
        Ok(Said::Steps(steps, Some(outcome)))
    }
}

fn step(step: Step) -> Result<(String, What), String> {
    let name = step.name;
    if name.is_empty() {
        return Err("a step has no name".to_owned());
    }
    let what = match (step.out, step.sleep, step.wait, step.call) {
        (out, None, None, None) => What::Done(out.unwrap_or_default()),
        (None, Some(time), None, None) => What::Waits(Until::Time(length(&time)?)),
        (None, None, Some(wait), None) => {
            let limit = wait.timeout.as_ref().map_or(Ok(WAIT), length)?;
            What::Waits(Until::Keyed { event: wait.event, key: wait.key, limit })
        }
        (None, None, None, Some(call)) => {
            let key =
                call.row.map(|row| row.as_str().map_or_else(|| row.to_string(), str::to_owned));
            What::Waits(Until::Row { binding: call.binding, key, input: call.input })
        }
        _ => {
            return Err(format!(
                "step `{name}` has more than one of `out`, `sleep`, `wait`, `call`"
            ));
        }
    };
    Ok((name, what))
}

/// A length of time: seconds, `2m`, or a time in the future (RFC 3339).
fn length(value: &Value) -> Result<Duration, String> {
    let known = match value {
        Value::Number(seconds) => {
            seconds.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        }
        Value::String(text) => match parse_millis(text) {
            Some(millis) => Some(Duration::from_millis(millis)),
            None => text.parse().ok().map(until),
        },
        _ => None,
    };
    known.map(|length| length.min(LONGEST)).ok_or_else(|| format!("{value} is no length of time"))
}

/// What a request says: its input, and the steps so far when there are some.
pub(super) fn body(input: &Value, steps: Map<String, Value>) -> Value {
    if steps.is_empty() {
        return input.clone();
    }
    let mut fields = match input {
        Value::Object(fields) => fields.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("input".to_owned(), other.clone())]),
    };
    fields.insert(FIELD.to_owned(), serde_json::json!({ "steps": steps }));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Said {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer {
            status,
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
            is_cut: false,
        };
        understand("https://a.example", &answer).0
    }

    fn outcome(status: u16, headers: &[(&'static str, &str)], body: &str) -> Outcome {
        match answer(status, headers, body) {
            Said::Outcome(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn says(instruction: Value) -> Said {
        answer(200, &[], &json!({ "plinth": instruction }).to_string())
    }

    #[test]
    fn success_is_done_with_json_or_text_or_nothing() {
        let json_type = ("content-type", "application/json; charset=utf-8");
        assert_eq!(outcome(200, &[json_type], r#"{"a":1}"#), Outcome::Done(json!({"a": 1})));
        assert_eq!(outcome(201, &[], "[1]"), Outcome::Done(json!([1])));
        assert_eq!(
            outcome(200, &[("content-type", "text/plain")], "12"),
            Outcome::Done(json!("12"))
        );
        assert_eq!(outcome(200, &[json_type], "{no"), Outcome::Done(json!("{no")));
        assert_eq!(outcome(204, &[], ""), Outcome::Done(Value::Null));
        assert_eq!(outcome(200, &[], "a\0b"), Outcome::Done(json!("a\u{fffd}b")));
    }

    #[test]
    fn a_refusal_is_for_good_and_trouble_is_not() {
        for status in [400, 401, 403, 404, 410, 422, 301, 307] {
            assert!(matches!(outcome(status, &[], "no"), Outcome::Never(_)), "{status}");
        }
        for status in [408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(outcome(status, &[], "no"), Outcome::Failed(_)), "{status}");
        }
        let told = Outcome::Failed("https://a.example answered 500: it broke here".to_owned());
        assert_eq!(outcome(500, &[], "it\nbroke  here"), told);
        let Outcome::Failed(long) = outcome(500, &[], &"é".repeat(1000)) else { panic!() };
        assert!(long.len() < SHOWN + 50, "{long}");
    }

    #[test]
    fn busy_servers_say_when_to_come_back() {
        for status in [429, 503] {
            let Outcome::NotBefore(wait, _) = outcome(status, &[("retry-after", " 120 ")], "")
            else {
                panic!()
            };
            assert_eq!(wait, Duration::from_secs(120));
        }
        let past = [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert!(matches!(outcome(503, &past, ""), Outcome::NotBefore(Duration::ZERO, _)));
        let far = [("retry-after", "99999999999")];
        assert!(matches!(outcome(503, &far, ""), Outcome::NotBefore(LONGEST, _)));
        assert!(matches!(outcome(503, &[("retry-after", "soon")], ""), Outcome::Failed(_)));
        assert!(matches!(outcome(500, &[("retry-after", "9")], ""), Outcome::Failed(_)));
    }

    #[test]
    fn an_instruction_sets_the_outcome() {
        let is = |instruction, wanted| assert_eq!(says(instruction), Said::Outcome(wanted));
        is(json!({"outcome": "done", "out": [1]}), Outcome::Done(json!([1])));
        is(json!({"outcome": "failed", "error": "a"}), Outcome::Failed("a".to_owned()));
        is(json!({"outcome": "never", "error": "a"}), Outcome::Never("a".to_owned()));
        is(json!({"outcome": "unknown", "error": "a"}), Outcome::Unknown("a".to_owned()));
        let later = |wait| Outcome::NotBefore(wait, "no reason was given".to_owned());
        is(json!({"not_before": "2m"}), later(Duration::from_secs(120)));
        is(json!({"not_before": 1.5}), later(Duration::from_millis(1500)));
        is(json!({"not_before": "2020-01-01T00:00:00Z"}), later(Duration::ZERO));
        // Whatever the status is.
        assert_eq!(
            outcome(500, &[], r#"{"plinth": {"outcome": "never", "error": "a"}}"#),
            Outcome::Never("a".to_owned())
        );
    }

    #[test]
    fn the_status_of_an_answer_that_is_too_long_counts() {
        let cut = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            let body = br#"{"plinth": {"outcome": "done"#.to_vec();
            let answer = Answer { status, headers: HeaderMap::new(), body, is_cut: true };
            understand("a.example", &answer).0
        };
        let never = "the answer of a.example is longer than 8388608 bytes";
        assert_eq!(cut(200), Said::Outcome(Outcome::Never(never.to_owned())));
        assert!(matches!(cut(500), Said::Outcome(Outcome::Failed(_))));
        assert!(matches!(cut(404), Said::Outcome(Outcome::Never(_))));
    }

    #[test]
    fn what_was_used_is_said_beside_everything_else_or_alone() {
        let said = |status, body: Value| {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer {
                status,
                headers: HeaderMap::new(),
                body: body.to_string().into_bytes(),
                is_cut: false,
            };
            understand("a.example", &answer)
        };
        let usage = json!({"tokens": 3});
        let done = |out| Said::Outcome(Outcome::Done(out));
        let alone = json!({"text": "hi", "plinth": {"usage": usage}});
        assert_eq!(said(200, alone), (done(json!({"text": "hi"})), Some(usage.clone())));
        let beside = json!({"plinth": {"outcome": "done", "out": 1, "usage": usage}});
        assert_eq!(said(200, beside), (done(json!(1)), Some(usage.clone())));
        let (failed, used) = said(500, json!({"plinth": {"usage": usage}}));
        assert!(matches!(failed, Said::Outcome(Outcome::Failed(_))) && used.is_some());
        let (wrong, used) = said(200, json!({"plinth": {"usage": usage, "outcome": "fine"}}));
        assert!(matches!(wrong, Said::Outcome(Outcome::Failed(_))) && used.is_some());
        assert_eq!(said(200, json!({"plinth": {"outcome": "done", "usage": null}})).1, None);
    }

    #[test]
    fn an_instruction_has_steps() {
        let event = |key: Option<&str>, limit| {
            let (event, key) = ("e".to_owned(), key.map(str::to_owned));
            What::Waits(Until::Keyed { event, key, limit })
        };
        let call = |key: Option<&str>, input| {
            let (binding, key) = ("b".to_owned(), key.map(str::to_owned));
            What::Waits(Until::Row { binding, key, input })
        };
        let said = says(json!({"steps": [
            {"name": "a", "out": {"x": 1}},
            {"name": "b"},
            {"name": "c", "sleep": "1h"},
            {"name": "d", "wait": {"event": "e"}},
            {"name": "e", "wait": {"event": "e", "key": "k", "timeout": 3}},
            {"name": "f", "call": {"binding": "b", "row": 7}},
            {"name": "g", "call": {"binding": "b", "input": {"y": 2}}},
        ]}));
        let Said::Steps(steps, None) = said else { panic!("{said:?}") };
        let steps: Vec<_> = steps.into_iter().map(|(_, what)| what).collect();
        assert_eq!(
            steps,
            [
                What::Done(json!({"x": 1})),
                What::Done(Value::Null),
                What::Waits(Until::Time(Duration::from_secs(3600))),
                event(None, WAIT),
                event(Some("k"), Duration::from_secs(3)),
                call(Some("7"), Value::Null),
                call(None, json!({"y": 2})),
            ]
        );
        let said = says(json!({"steps": [{"name": "a"}], "outcome": "done"}));
        assert!(
            matches!(said, Said::Steps(steps, Some(Outcome::Done(Value::Null))) if steps.len() == 1)
        );
    }

    #[test]
    fn what_cannot_be_followed_is_a_failure() {
        for wrong in [
            json!({}),
            json!(null),
            json!("done"),
            json!({"outcome": "fine"}),
            json!({"outcomes": "done"}),
            json!({"outcome": "done", "not_before": "1s"}),
            json!({"not_before": "soon"}),
            json!({"not_before": -1}),
            json!({"steps": [{"out": 1}]}),
            json!({"steps": [{"name": "", "out": 1}]}),
            json!({"steps": [{"name": "a", "out": 1, "sleep": "1s"}]}),
            json!({"steps": [{"name": "a", "sleep": "later"}]}),
            json!({"steps": [{"name": "a", "wait": {"key": "k"}}]}),
            json!({"steps": [{"name": "a", "call": {}}]}),
            json!({"steps": vec![json!({"name": "a"}); MAX_STEPS + 1]}),
        ] {
            let said = says(wrong.clone());
            assert!(matches!(said, Said::Outcome(Outcome::Failed(_))), "{wrong}: {said:?}");
        }
    }

    #[test]
    fn a_request_has_its_steps_beside_its_input() {
        let steps = || Map::from_iter([("a".to_owned(), json!(1))]);
        assert_eq!(body(&json!({"x": 1}), Map::new()), json!({"x": 1}));
        assert_eq!(body(&json!({"x": 1}), steps()), json!({"x": 1, "plinth": {"steps": {"a": 1}}}));
        assert_eq!(
            body(&json!([1]), steps()),
            json!({"input": [1], "plinth": {"steps": {"a": 1}}})
        );
        assert_eq!(body(&Value::Null, steps()), json!({"plinth": {"steps": {"a": 1}}}));
    }
}
