//! Queues and groups of URLs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answered, Asked, ok};
use crate::message::answer::Refusal;
use crate::message::item::{Headers, Item, is_name, queue};
use crate::message::statements;
use crate::value::text;

/// Most endpoints of a group.
const MAX_ENDPOINTS: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queue {
    queue_name: String,
    #[serde(default)]
    parallelism: Option<i32>,
    #[serde(default)]
    paused: Option<bool>,
}

#[derive(Deserialize)]
struct Endpoints {
    endpoints: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    url: Option<String>,
}

/// `GET /v2/queues`
pub(super) async fn list(asked: &Asked<'_>) -> Answered {
    Ok(ok(&json!(asked.list(&statements::QUEUES, vec![None]).await?)))
}

/// `GET /v2/queues/{name}`
pub(super) async fn read(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    Ok(ok(&asked.found("the queue", &statements::QUEUES, params).await?))
}

/// `POST /v2/queues`: makes or changes one. It may pause the queue, but not resume it: clients say `paused: false` whenever
/// nobody says anything, and what was held back would go out.
pub(super) async fn write(asked: &Asked<'_>) -> Answered {
    let given: Queue = asked.request.read()?;
    if given.parallelism.is_some_and(|parallelism| parallelism < 1) {
        return Err(Refusal::bad("the parallelism of a queue is 1 or more"));
    }
    let name = text(queue(&given.queue_name)?);
    let params =
        vec![name, given.parallelism.and_then(text), text(given.paused.unwrap_or_default())];
    asked.change("the queue", &statements::QUEUE_WRITE, params).await
}

/// `DELETE /v2/queues/{name}`
pub(super) async fn delete(asked: &Asked<'_>) -> Answered {
    asked.one(&statements::QUEUE_DELETE, vec![text(asked.parameter(0))]).await?;
    asked.messages.wake.notify_one();
    Ok(ok(&json!({})))
}

/// `POST /v2/queues/{name}/pause` and `…/resume`
pub(super) async fn pause(asked: &Asked<'_>, paused: bool) -> Answered {
    let params = vec![text(asked.parameter(0)), text(paused)];
    asked.change("the queue", &statements::QUEUE_PAUSE, params).await
}

/// `GET /v2/topics`
pub(super) async fn groups(asked: &Asked<'_>) -> Answered {
    Ok(ok(&json!(asked.list(&statements::GROUPS, vec![None]).await?)))
}

/// `GET /v2/topics/{name}`
pub(super) async fn group(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    Ok(ok(&asked.found("the URL group", &statements::GROUPS, params).await?))
}

/// `DELETE /v2/topics/{name}`
pub(super) async fn delete_group(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    asked.change("the URL group", &statements::GROUP_DELETE, params).await
}

/// `POST /v2/topics/{name}/endpoints`: adds them; one of the same name or URL is replaced.
pub(super) async fn add_endpoints(asked: &Asked<'_>) -> Answered {
    if !is_name(asked.parameter(0)) {
        return Err(Refusal::bad("a group's name has letters, digits, `-`, `_` and `.`"));
    }
    let endpoints = endpoints(asked)?;
    for endpoint in &endpoints {
        let url = endpoint["url"].as_str().filter(|url| url.contains("://"));
        let url = url.ok_or_else(|| Refusal::bad("an endpoint has a URL"))?;
        Item::read(url, &Headers::new(), b"")?;
    }
    let params = vec![text(asked.parameter(0)), text(Value::Array(endpoints))];
    asked.change("the URL group", &statements::GROUP_ADD, params).await
}

/// `DELETE /v2/topics/{name}/endpoints`: those of these names or URLs.
pub(super) async fn remove_endpoints(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0)), text(Value::Array(endpoints(asked)?))];
    asked.change("the URL group", &statements::GROUP_REMOVE, params).await
}

fn endpoints(asked: &Asked<'_>) -> Result<Vec<Value>, Refusal> {
    let given: Endpoints = asked.request.read()?;
    if given.endpoints.len() > MAX_ENDPOINTS {
        return Err(Refusal::bad(format!("a group has at most {MAX_ENDPOINTS} endpoints")));
    }
    let object = |endpoint: Named| {
        let name = endpoint.name.map(|name| ("name".to_owned(), json!(name)));
        let url = endpoint.url.map(|url| ("url".to_owned(), json!(url)));
        Value::Object(name.into_iter().chain(url).collect())
    };
    Ok(given.endpoints.into_iter().map(object).collect())
}
