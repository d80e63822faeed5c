//! Runs that wait: for events, and for calls of webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answered, Asked, Response, ok};
use crate::message::answer::Refusal;
use crate::message::item::{self, Headers, Item};
use crate::message::statements;
use crate::value::text;

/// How long is waited when nobody says so, in seconds: a week.
const USUAL_WAIT: f64 = 7.0 * 86_400.0;

/// What a run says that it waits for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wait {
    url: String,
    #[serde(default)]
    timeout: Option<Value>,
    #[serde(default)]
    timeout_url: Option<String>,
    #[serde(default)]
    timeout_body: Option<Value>,
    #[serde(default)]
    timeout_headers: Map<String, Value>,
    step: Map<String, Value>,
}

/// `POST /v2/wait/{event}`: a step that is delivered when the event comes, or the time is over.
pub(super) async fn wait(asked: &Asked<'_>) -> Answered {
    let step = waiting(asked).map_err(Refusal::of_step)?;
    let answer = asked.publish(vec![step]).await?.pop().unwrap_or_default();
    Ok(Response::json(StatusCode::CREATED, &answer))
}

fn waiting(asked: &Asked<'_>) -> Result<Item, Refusal> {
    let mut wait: Wait = asked.request.read()?;
    let event = asked.parameter(0);
    let seconds = match &wait.timeout {
        None | Some(Value::Null) => USUAL_WAIT,
        Some(Value::String(span)) => item::span("timeout", span)?,
        Some(other) => item::span("timeout", &other.to_string())?,
    };
    let headers = asked.headers();
    let run = item::first(&headers, "upstash-workflow-runid").map(str::to_owned);
    let run = run.or_else(|| run_of(&wait.timeout_headers));
    let deadline = jiff::Timestamp::now().as_millisecond() as f64 + seconds * 1000.0;
    // For those who look at the run.
    wait.step.insert("waitTimeoutDuration".to_owned(), json!(format!("{seconds}s")));
    wait.step.insert("waitTimeoutDeadline".to_owned(), json!(deadline.floor()));
    let mut over = wait.step.clone();
    over.insert("waitEventId".to_owned(), json!(event));
    over.insert("waitTimeout".to_owned(), json!(true));
    let body = Value::Object(over).to_string();
    let mut step = Item::read(&wait.url, &own(&headers), body.as_bytes())?;
    step.kind = "s".to_owned();
    step.run = Some(run.ok_or_else(|| Refusal::bad("Upstash-Workflow-RunId is missing"))?);
    step.delay = Some(seconds);
    step.not_before = None;
    step.event = Some(event.to_owned());
    step.step = Some(Value::Object(wait.step));
    let mut request = json!({
        "url": wait.url, "deadline": (deadline / 1000.0).floor(), "headers": wait.timeout_headers,
        "timeoutUrl": wait.timeout_url, "timeoutHeaders": wait.timeout_headers,
    });
    if let Some(body) = wait.timeout_body {
        request["timeoutBody"] = body;
    }
    step.request = Some(request);
    Ok(step)
}

/// The headers of the waiting request that count for its step.
fn own(headers: &Headers) -> Headers {
    let own = headers.iter().filter(|(name, _)| name.starts_with("upstash-"));
    own.map(|(name, values)| (name.clone(), values.clone())).collect()
}

fn run_of(headers: &Map<String, Value>) -> Option<String> {
    let (_, value) =
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("upstash-workflow-runid"))?;
    let value = value.get(0).unwrap_or(value);
    value.as_str().map(str::to_owned)
}

/// `POST /v2/notify/{event}`: to all runs that wait for it.
pub(super) async fn notify(asked: &Asked<'_>) -> Answered {
    told(asked, asked.parameter(0), None, &asked.request.body).await
}

/// `POST /v2/notify/{run}/{event}`: to one run, which may begin to wait later.
pub(super) async fn notify_run(asked: &Asked<'_>) -> Answered {
    told(asked, asked.parameter(1), Some(asked.parameter(0)), &asked.request.body).await
}

/// `GET /v2/waiters/{event}`
pub(super) async fn waiters(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    Ok(ok(&json!(asked.list(&statements::WAITERS, params).await?)))
}

/// `/v2/workflows/hooks/{user}/{run}/{event}`: the request itself is the event's data.
pub(super) async fn hook(asked: &Asked<'_>) -> Answered {
    let request = &asked.request;
    if request.body.len() > super::super::BODY_BYTES {
        return Err(Refusal::too_large(super::super::BODY_BYTES));
    }
    let query =
        if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let data = json!({
        "method": request.method.as_str(),
        "header": asked.headers(),
        "body": STANDARD.encode(&request.body),
        "proto": "http",
        "host": request.host.unwrap_or("localhost"),
        "url": format!("{}{}{query}", request.prefix, request.path),
    });
    told(asked, asked.parameter(2), Some(asked.parameter(1)), data.to_string().as_bytes()).await?;
    // Whoever calls learns nothing of the run.
    Ok(Response::empty(StatusCode::OK))
}

async fn told(asked: &Asked<'_>, event: &str, run: Option<&str>, data: &[u8]) -> Answered {
    if data.len() > 2 * super::super::BODY_BYTES {
        return Err(Refusal::too_large(super::super::BODY_BYTES));
    }
    let params = vec![text(event), run.and_then(text), text(STANDARD.encode(data))];
    let answers = asked.one(&statements::NOTIFY, params).await?;
    asked.messages.wake.notify_one();
    Ok(ok(&answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_named_by_the_headers_of_its_timeout() {
        let headers = json!({"Upstash-Workflow-Runid": ["wfr_1"], "Other": ["x"]});
        assert_eq!(run_of(headers.as_object().unwrap()).as_deref(), Some("wfr_1"));
        assert_eq!(run_of(&Map::new()), None);
        assert_eq!(crate::message::delay::seconds("7d"), Some(USUAL_WAIT));
    }
}
