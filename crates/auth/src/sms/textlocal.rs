//! Textlocal's interface.

use plinth_wire::Secret;
use serde::Deserialize;

use super::provider::{Answer, Complaint, Login, Request};
use super::{MessageId, Sms};

/// An account with Textlocal.
#[derive(Debug, Clone)]
pub struct Textlocal {
    /// The account's key.
    pub api_key: Secret,
    /// The sender that is shown.
    pub sender: String,
}

#[derive(Deserialize)]
struct Reply {
    status: String,
    #[serde(default)]
    errors: Vec<Failure>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Failure {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Message {
    id: serde_json::Value,
}

impl Textlocal {
    pub(super) fn request(&self, sms: &Sms<'_>) -> Request {
        Request {
            path: "/send".to_owned(),
            login: Login::Form,
            form: vec![
                ("sender", self.sender.clone()),
                ("apikey", self.api_key.expose().to_owned()),
                ("message", sms.text.to_owned()),
                ("numbers", sms.phone.to_owned()),
            ],
        }
    }

    /// Its errors come with status 200.
    pub(super) fn read(answer: &Answer) -> Result<MessageId, Complaint> {
        let reply: Reply = answer.json()?;
        if let Some(first) = reply.errors.first() {
            return Err(Complaint::Refused(format!("{} (code: {})", first.message, first.code)));
        }
        if reply.status != "success" {
            return Err(Complaint::Refused(reply.status));
        }
        // Documented as text, but numbers have been seen.
        let id = match reply.messages.into_iter().next().map(|message| message.id) {
            Some(serde_json::Value::String(id)) => id,
            Some(id) => id.to_string(),
            None => String::new(),
        };
        Ok(MessageId(id))
    }
}
