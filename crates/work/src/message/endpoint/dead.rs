//! Dead letters: reading, discarding, delivering again, and taking up their runs.

use serde_json::{Map, Value, json};

use super::sent::{MOST, USUAL};
use super::{Answered, Asked, ok};
use crate::message::answer::Refusal;
use crate::message::item::{Flow, Headers, Item, first};
use crate::message::statements;
use crate::store::Shared;
use crate::value::{self, text};

/// `GET /v2/dlq`: the newest first.
pub(super) async fn list(asked: &Asked<'_>) -> Answered {
    let count = asked.request.count(USUAL, MOST);
    let filter = of_workflows(asked, asked.request.filter()?);
    let params = vec![text(filter), text(count), asked.request.cursor(place)?.and_then(text)];
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
    let page = page(asked, ANY).await?;
    let deleted = asked.one(&statements::DEAD_DELETE, page.params()).await?;
    Ok(ok(&page.answer("deleted", deleted)))
}

/// `POST /v2/dlq/retry`: delivers again, each as a new message.
pub(super) async fn retry(asked: &Asked<'_>) -> Answered {
    let page = page(asked, PLAIN).await?;
    let responses = asked.list(&statements::DEAD_RETRY, page.params()).await?;
    asked.messages.wake.notify_one();
    Ok(ok(&page.answer("responses", json!(responses))))
}

/// `POST /v2/workflows/dlq/resume[/{id}]` and `…/restart[/{id}]`: the runs of dead letters go on, or begin anew.
pub(super) async fn again(asked: &Asked<'_>, how: &Shared) -> Answered {
    let single = !asked.parameters.is_empty();
    let page = match single {
        true => Page { letters: vec![json!(asked.parameter(0))], next: None },
        false => page(asked, OF_RUNS).await?,
    };
    let (changes, flow) = changes(&asked.headers())?;
    let key = flow.as_ref().map(|(key, _)| key.clone());
    if let Some((key, value)) = flow {
        asked.one(&statements::FLOW_SET, vec![text(key), text(json!(value))]).await?;
    }
    let mut params = page.params();
    params.extend([text(changes), key.and_then(text)]);
    let mut runs = asked.list(how, params).await?;
    asked.messages.wake.notify_one();
    if single {
        return runs.pop().map(|run| ok(&run)).ok_or_else(|| Refusal::missing("the dead letter"));
    }
    Ok(ok(&page.answer("workflowRuns", json!(runs))))
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

/// Kinds of letters that are delivered again as they are, those of runs, and all.
const PLAIN: &str = "pf";
const OF_RUNS: &str = "sb";
const ANY: &str = "pfsbc";

/// Letters that a change is for.
struct Page {
    letters: Vec<Value>,
    /// Where the page after it begins. Letters die in the order of their ids, and lists begin with the newest: what dies while
    /// somebody goes through the pages, perhaps again, is on none of them.
    next: Option<String>,
}

/// The letters that the request names, else all, so many at once.
async fn page(asked: &Asked<'_>, kinds: &str) -> Result<Page, Refusal> {
    let count = asked.request.count(USUAL, MOST);
    let filter = of_workflows(asked, asked.request.selection()?);
    let cursor = asked.request.cursor(place)?.and_then(text);
    let params = vec![text(filter), text(count), cursor, text(kinds)];
    let letters = asked.list(&statements::DEAD_PAGE, params).await?;
    let last = letters.last().filter(|_| letters.len() == count);
    let next = last.and_then(Value::as_str).map(str::to_owned);
    Ok(Page { letters, next })
}

impl Page {
    /// Of a statement for these letters.
    fn params(&self) -> Vec<value::Value> {
        vec![text(json!({"dlqId": self.letters})), text(self.letters.len())]
    }

    fn answer(&self, name: &str, value: Value) -> Value {
        let mut answer = json!({});
        answer[name] = value;
        if let Some(next) = &self.next {
            answer["cursor"] = json!(next);
        }
        answer
    }
}

/// A place in the list of dead letters: the id of one.
fn place(cursor: &str) -> Option<String> {
    let (moment, random) = cursor.split_once('-')?;
    let digits = moment.bytes().all(|byte| byte.is_ascii_digit());
    let hex = random.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && hex && !moment.is_empty() && !random.is_empty()).then(|| cursor.to_owned())
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
