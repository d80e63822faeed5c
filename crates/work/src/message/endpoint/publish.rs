//! Publishing: one message, one into a queue, many, and the first of a run.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answered, Asked, Response};
use crate::message::answer::Refusal;
use crate::message::item::{Headers, Item, is_step, queue};

/// Most messages of a batch.
const MAX_BATCH: usize = 1000;

/// A message of a batch.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    destination: Value,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    queue: Option<String>,
}

/// `POST /v2/publish/{destination}`
pub(super) async fn publish(asked: &Asked<'_>) -> Answered {
    let item = item(asked, asked.parameter(0))?;
    one(asked, item).await
}

/// `POST /v2/enqueue/{queue}/{destination}`
pub(super) async fn enqueue(asked: &Asked<'_>) -> Answered {
    let mut item = item(asked, asked.parameter(1))?;
    item.queue = Some(queue(asked.parameter(0))?);
    one(asked, item).await
}

/// `POST /v2/trigger/{url}`: begins a run.
pub(super) async fn trigger(asked: &Asked<'_>) -> Answered {
    let mut headers = asked.headers();
    headers.insert("upstash-workflow-init".to_owned(), vec!["true".to_owned()]);
    let destination = destination(asked, asked.parameter(0));
    let item = Item::read(&destination, &headers, &asked.request.body)?;
    one(asked, item).await
}

/// `POST /v2/batch`: all of them or none.
pub(super) async fn batch(asked: &Asked<'_>) -> Answered {
    let entries: Vec<Entry> = asked.request.read()?;
    if entries.len() > MAX_BATCH {
        let refusal = Refusal::bad(format!("a batch has at most {MAX_BATCH} messages"));
        let steps = entries.iter().any(|entry| is_step(&entry.headers()));
        return Err(if steps { refusal.of_step() } else { refusal });
    }
    let items: Result<Vec<Item>, Refusal> = entries.iter().map(Entry::item).collect();
    let answers = asked.publish(items?).await?;
    Ok(Response::json(StatusCode::OK, &json!(answers)))
}

async fn one(asked: &Asked<'_>, item: Item) -> Answered {
    let answer = asked.publish(vec![item]).await?.pop().unwrap_or_default();
    let again = answer.get("deduplicated").is_some_and(|again| again == true);
    let status = if again { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    Ok(Response::json(status, &answer))
}

/// The message of a request whose path ends with its destination.
pub(super) fn item(asked: &Asked<'_>, rest: &str) -> Result<Item, Refusal> {
    Item::read(&destination(asked, rest), &asked.headers(), &asked.request.body)
}

/// The destination as it was written: the end of the path, and the query, which is its own.
pub(super) fn destination(asked: &Asked<'_>, rest: &str) -> String {
    let encoded =
        rest.get(..7).is_some_and(|scheme| scheme.to_ascii_lowercase().starts_with("http"))
            && !rest.contains("://");
    let rest = match encoded {
        true => percent_encoding::percent_decode_str(rest).decode_utf8_lossy().into_owned(),
        false => rest.to_owned(),
    };
    match asked.request.query {
        "" => rest,
        query => format!("{rest}?{query}"),
    }
}

impl Entry {
    fn headers(&self) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in &self.headers {
            let values = match value {
                Value::String(text) => vec![text.clone()],
                Value::Array(list) => {
                    list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
                }
                Value::Null => continue,
                other => vec![other.to_string()],
            };
            headers.entry(name.to_ascii_lowercase()).or_default().extend(values);
        }
        headers.remove("authorization");
        headers
    }

    fn item(&self) -> Result<Item, Refusal> {
        let mut headers = self.headers();
        if let Some(queue) = &self.queue {
            headers.insert("upstash-queue-name".to_owned(), vec![queue.clone()]);
        }
        let body = match &self.body {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let destination = self.destination.as_str().unwrap_or_default();
        Item::read(destination, &headers, body.as_bytes())
    }
}
