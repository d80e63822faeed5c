//! Dead letters: reading, discarding, delivering again, and taking up their runs.

use serde_json::{Map, Value, json};

use super::sent::{MOST, USUAL};
use super::{Answered, Asked, ok};
use crate::message::answer::Refusal;
use crate::message::item::{Flow, Headers, Item, first};
use crate::message::statements;
use crate::store::Shared;
use crate::value::text;

/// `GET /v2/dlq`: the newest first.
pub(super) async fn list(asked: &Asked<'_>) -> Answered {
    let count = asked.request.count(USUAL, MOST);
    let cursor = asked.request.parameter("cursor").filter(|cursor| !cursor.is_empty());
    let filter = of_workflows(asked, asked.request.filter()?);
    let params = vec![text(filter), text(count), cursor.and_then(text)];
    let messages = asked.list(&statements::DEAD_LIST, params).await?;
    let last = messages.last().filter(|_| messages.len() == count);
    let cursor = last.and_then(|message| message["dlqId"].as_str()).unwrap_or_default();
    Ok(ok(&json!({"messages": messages, "cursor": cursor})))
}

/// `GET /v2/dlq/{id}`
pub(super) async fn read(asked: &Asked<'_>) -> Answered {
    let params = vec![text(named(asked)), text(1), None];
    let letter = asked.list(&statements::DEAD_LIST, params).await?.pop();
    letter.map(|letter| ok(&letter)).ok_or_else(|| Refusal::missing("the dead letter"))
}

/// `DELETE /v2/dlq/{id}`
pub(super) async fn delete(asked: &Asked<'_>) -> Answered {
    match asked.one(&statements::DEAD_DELETE, vec![text(named(asked)), text(1)]).await? {
        Value::Number(deleted) if deleted.as_u64() != Some(0) => {
            Ok(ok(&json!({"deleted": deleted})))
        }
        _ => Err(Refusal::missing("the dead letter")),
    }
}

/// `DELETE /v2/dlq`: those that the request names, else all, so many at once.
pub(super) async fn delete_many(asked: &Asked<'_>) -> Answered {
    let count = asked.request.count(USUAL, MOST);
    let filter = of_workflows(asked, asked.request.selection()?);
    let params = vec![text(filter), text(count)];
    let deleted = asked.one(&statements::DEAD_DELETE, params).await?;
    let mut answer = json!({"deleted": deleted});
    more(&mut answer, deleted.as_u64().and_then(|deleted| usize::try_from(deleted).ok()), count);
    Ok(ok(&answer))
}

/// `POST /v2/dlq/retry`: delivers again, each as a new message.
pub(super) async fn retry(asked: &Asked<'_>) -> Answered {
    let count = asked.request.count(USUAL, MOST);
    let params = vec![text(asked.request.selection()?), text(count)];
    let responses = asked.list(&statements::DEAD_RETRY, params).await?;
    asked.messages.wake.notify_one();
    let mut answer = json!({"responses": responses});
    more(&mut answer, Some(responses.len()), count);
    Ok(ok(&answer))
}

/// `POST /v2/workflows/dlq/resume[/{id}]` and `…/restart[/{id}]`: the runs of dead letters go on, or begin anew.
pub(super) async fn again(asked: &Asked<'_>, how: &Shared) -> Answered {
    let single = !asked.parameters.is_empty();
    let count = if single { 1 } else { asked.request.count(USUAL, MOST) };
    let filter = if single { named(asked) } else { asked.request.selection()? };
    let (changes, flow) = changes(&asked.headers())?;
    let key = flow.as_ref().map(|(key, _)| key.clone());
    if let Some((key, value)) = flow {
        asked.one(&statements::FLOW_SET, vec![text(key), text(json!(value))]).await?;
    }
    let params = vec![text(filter), text(count), text(changes), key.and_then(text)];
    let mut runs = asked.list(how, params).await?;
    asked.messages.wake.notify_one();
    if single {
        return runs.pop().map(|run| ok(&run)).ok_or_else(|| Refusal::missing("the dead letter"));
    }
    let mut answer = json!({"workflowRuns": runs});
    more(&mut answer, Some(runs.len()), count);
    Ok(ok(&answer))
}

/// `POST /v2/workflows/dlq/callback/{id}`: tells of a failure once more.
pub(super) async fn failure_call(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    let run = asked.found("the failed callback", &statements::FAILURE_CALL, params).await?;
    asked.messages.wake.notify_one();
    Ok(ok(&run))
}

fn named(asked: &Asked<'_>) -> Value {
    json!({"dlqId": [asked.parameter(0)]})
}

fn of_workflows(asked: &Asked<'_>, mut filter: Value) -> Value {
    if asked.request.path.starts_with("/v2/workflows/") {
        filter["source"] = json!(["workflow"]);
    }
    filter
}

/// There may be more where as many were found as were asked for; those are gone, so the next call begins at the front.
fn more(answer: &mut Value, found: Option<usize>, count: usize) {
    if found == Some(count) {
        answer["cursor"] = json!("more");
    }
}

/// Settings that a run goes on with instead of those that it had, and its flow.
fn changes(headers: &Headers) -> Result<(Value, Option<(String, Flow)>), Refusal> {
    // Read as those of a message, so that they are checked like them.
    let read = Item::read("https://checked.invalid", headers, b"")?;
    let mut changes = Map::new();
    if first(headers, "upstash-retries").is_some() {
        changes.insert("retries".to_owned(), json!(read.settings.retries));
    }
    if let Some(expression) = read.settings.retry_delay {
        changes.insert("retryDelay".to_owned(), json!(expression));
    }
    if let Some(flow) = read.flow_value {
        changes.insert("flow".to_owned(), json!(flow));
    }
    Ok((Value::Object(changes), read.flow.zip(read.flow_value)))
}
