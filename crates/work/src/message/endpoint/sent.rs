//! Messages that were published: reading, cancelling, and what happened to them.

use serde_json::{Value, json};

use super::{Answered, Asked, ok};
use crate::message::answer::Refusal;
use crate::message::statements;
use crate::value::text;

/// Entries of a list when nobody says how many, and at most.
pub(super) const USUAL: usize = 100;
pub(super) const MOST: usize = 1000;

/// `GET /v2/messages/{id}`
pub(super) async fn read(asked: &Asked<'_>) -> Answered {
    let message =
        asked.found("the message", &statements::MESSAGE, vec![text(asked.parameter(0))]).await?;
    Ok(ok(&message))
}

/// `DELETE /v2/messages/{id}`
pub(super) async fn cancel(asked: &Asked<'_>) -> Answered {
    let filter = json!({"messageId": [asked.parameter(0)]});
    if asked.one(&statements::CANCEL, vec![text(filter), text(1)]).await? == 0 {
        return Err(Refusal::missing("the message"));
    }
    asked.messages.wake.notify_one();
    Ok(ok(&json!({"cancelled": 1})))
}

/// `DELETE /v2/messages`: those that the request names, else all, so many at once.
pub(super) async fn cancel_many(asked: &Asked<'_>) -> Answered {
    let count = asked.request.count(USUAL, MOST);
    let params = vec![text(asked.request.selection()?), text(count)];
    let cancelled = asked.one(&statements::CANCEL, params).await?;
    asked.messages.wake.notify_one();
    Ok(ok(&json!({"cancelled": cancelled})))
}

/// `GET /v2/events`: the newest first.
pub(super) async fn events(asked: &Asked<'_>) -> Answered {
    let mut filter = asked.request.filter()?;
    if filter["state"] == json!(["CANCELLED"]) {
        filter["state"] = json!(["CANCELED"]);
    }
    let count = asked.request.count(USUAL, MOST);
    let cursor = asked.request.cursor(|cursor| cursor.parse::<i64>().ok())?;
    let params = vec![text(filter), text(count), cursor.and_then(text)];
    let mut events = asked.list(&statements::EVENTS, params).await?;
    let last = events.last().filter(|_| events.len() == count).map(|event| event["id"].to_string());
    for event in events.iter_mut().filter_map(Value::as_object_mut) {
        event.remove("id");
    }
    Ok(ok(&json!({"cursor": last.unwrap_or_default(), "events": events})))
}
