//! What is published when a delivery is over: callbacks, and the word of a failure.

use serde_json::{Value, json};

use super::item::{BODY_BYTES, Callback, Item};
use super::work::Work;

/// Most bytes of a callback. Base64 makes four bytes of three.
const TOLD_BYTES: usize = 4 * BODY_BYTES;

/// The messages that follow from a delivery; `dead` is the dead letter that it became.
pub(super) fn after(work: &Work, response: &Value, dead: Option<&str>) -> Vec<Item> {
    let settings = &work.settings;
    // Deliveries of a run have no callbacks of their own.
    let callback = settings.callback.as_ref().filter(|_| !work.is_of_run());
    let failure = settings.failure.as_ref().filter(|_| dead.is_some() && work.kind != "f");
    let callback = callback.and_then(|callback| item(callback, told(work, response, None)));
    let failure = failure.and_then(|failure| item(failure, told(work, response, dead)));
    let follow = callback.into_iter().chain(failure);
    follow.map(|item| Item { holds: work.queue.clone(), ..item }).collect()
}

fn item(callback: &Callback, body: Value) -> Option<Item> {
    let mut header = callback.header.clone();
    header.entry("content-type".to_owned()).or_insert_with(|| vec!["application/json".to_owned()]);
    match Item::read_long(&callback.url, &header, fitting(body).as_bytes()) {
        // Its run may have ended meanwhile.
        Ok(item) => Some(Item { late: true, ..item }),
        Err(refusal) => {
            tracing::warn!(error = refusal.message, "a callback cannot be published");
            None
        }
    }
}

/// The text of a callback, which has room for two bodies of the greatest length; one that is longer, as a callback of a
/// callback may have, is left out.
fn fitting(mut body: Value) -> String {
    let mut text = body.to_string();
    for part in ["sourceBody", "body"] {
        if text.len() > TOLD_BYTES {
            tracing::warn!(message.id = %body["sourceMessageId"], part, "what a callback tells is too long");
            body[part] = json!("");
            body[format!("{part}Truncated")] = json!(true);
            text = body.to_string();
        }
    }
    text
}

/// The body of a callback.
fn told(work: &Work, response: &Value, dead: Option<&str>) -> Value {
    let source = work.payload.as_ref().filter(|_| work.is_of_run()).unwrap_or(&work.body);
    let mut told = json!({
        "status": response["status"],
        "header": response["header"],
        "body": response["body"],
        "retried": work.retried,
        "maxRetries": work.settings.retries,
        "sourceMessageId": work.id,
        "topicName": work.topic.as_deref().unwrap_or_default(),
        "endpointName": work.endpoint.as_deref().unwrap_or_default(),
        "url": work.url,
        "method": work.settings.method,
        "sourceHeader": work.settings.header,
        "sourceBody": source,
        "notBefore": work.due.to_string(),
        "createdAt": work.created.to_string(),
        "scheduleId": work.schedule.as_deref().unwrap_or_default(),
        "callerIP": work.settings.caller_ip.as_deref().unwrap_or_default(),
    });
    if let Some(dead) = dead {
        told["dlqId"] = json!(dead);
    }
    if let (Some(run), Some(created)) = (&work.run, work.run_created) {
        told["workflowRunId"] = json!(run);
        told["workflowCreatedAt"] = json!(created);
    }
    told
}
