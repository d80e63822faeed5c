//! The older API of Inbucket, which suites written before Mailpit use: a mailbox is the part of an address before the `@`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::message::{Person, same_address};
use super::{Answer, Mailbox, Message};

/// `/api/v1/mailbox/{name}[/{id}[/source]]`.
pub(super) fn answer(mailbox: &Mailbox, method: &str, name: &str, rest: &[&str]) -> Answer {
    let belongs = |message: &Message| message.recipients.iter().any(|to| is_box(to, name));
    let found = |id: &str| mailbox.store.find_in(id, belongs);
    match (method, rest) {
        ("GET" | "HEAD", []) => {
            let listing = mailbox.messages().into_iter().filter(|message| belongs(message)).rev();
            Answer::json(&listing.map(|message| head(name, &message)).collect::<Vec<_>>())
        }
        ("DELETE", []) => {
            mailbox.store.delete(belongs);
            Answer::json(&"OK")
        }
        ("GET" | "HEAD", [id]) => found(id).map_or_else(Answer::not_found, |message| {
            message.set_read(true);
            Answer::json(&whole(name, &message))
        }),
        ("DELETE", [id]) => found(id).map_or_else(Answer::not_found, |message| {
            mailbox.store.delete(|kept| kept.id == message.id);
            Answer::json(&"OK")
        }),
        ("GET" | "HEAD", [id, "source"]) => {
            found(id).map_or_else(Answer::not_found, |message: Arc<Message>| {
                Answer::of(200, "text/plain; charset=utf-8", message.source.clone())
            })
        }
        _ => Answer::not_found(),
    }
}

/// Headers with all their values.
pub(super) fn headers(message: &Message) -> BTreeMap<&str, Vec<&str>> {
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &message.headers {
        headers.entry(name).or_default().push(value);
    }
    headers
}

fn is_box(recipient: &str, name: &str) -> bool {
    let local = recipient.rsplit_once('@').map_or(recipient, |(local, _)| local);
    same_address(recipient, name) || same_address(local, name)
}

fn head(name: &str, message: &Message) -> Value {
    json!({
        "mailbox": name,
        "id": message.id,
        "from": shown(&message.from),
        "to": message.to.iter().map(shown).collect::<Vec<_>>(),
        "subject": message.subject,
        "date": message.created,
        "posix-millis": message.created_ms,
        "size": message.source.len(),
        "seen": message.is_read(),
    })
}

fn whole(name: &str, message: &Message) -> Value {
    let mut value = head(name, message);
    value["body"] = json!({ "text": message.text, "html": message.html });
    value["header"] = json!(headers(message));
    value["attachments"] = json!([]);
    value
}

fn shown(person: &Person) -> String {
    if person.name.is_empty() {
        format!("<{}>", person.address)
    } else {
        format!("\"{}\" <{}>", person.name, person.address)
    }
}
