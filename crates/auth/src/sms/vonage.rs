//! Vonage's SMS interface.

use plinth_wire::Secret;
use serde::Deserialize;

use super::provider::{Answer, Complaint, Login, Request};
use super::{MessageId, Sms};

/// An account with Vonage.
#[derive(Debug, Clone)]
pub struct Vonage {
    /// The account's key.
    pub api_key: Secret,
    /// Its secret.
    pub api_secret: Secret,
    /// The sender that is shown.
    pub from: String,
}

#[derive(Deserialize)]
struct Reply {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Message {
    #[serde(default)]
    message_id: String,
    status: String,
    #[serde(default)]
    error_text: String,
}

impl Vonage {
    pub(super) fn request(&self, sms: &Sms<'_>) -> Request {
        let mut form = vec![
            ("from", self.from.clone()),
            ("to", sms.phone.to_owned()),
            ("text", sms.text.to_owned()),
            ("api_key", self.api_key.expose().to_owned()),
            ("api_secret", self.api_secret.expose().to_owned()),
        ];
        if !sms.text.is_ascii() {
            form.push(("type", "unicode".to_owned()));
        }
        Request { path: "/sms/json".to_owned(), login: Login::Form, form }
    }

    /// Its errors come with status 200; `status` 0 in the body is success.
    pub(super) fn read(answer: &Answer) -> Result<MessageId, Complaint> {
        let reply: Reply = answer.json()?;
        let first = reply.messages.into_iter().next().ok_or(Complaint::Unreadable)?;
        if first.status != "0" {
            let words = format!("{} (status: {})", first.error_text, first.status);
            return Err(Complaint::Refused(words));
        }
        Ok(MessageId(first.message_id))
    }
}
