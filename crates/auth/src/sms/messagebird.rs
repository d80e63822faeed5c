//! MessageBird's SMS interface.

use plinth_wire::Secret;
use serde::Deserialize;

use super::provider::{Answer, Complaint, Login, Request};
use super::{MessageId, Sms};

/// An account with MessageBird.
#[derive(Debug, Clone)]
pub struct Messagebird {
    /// The sender that is shown.
    pub originator: String,
    /// The account's key.
    pub access_key: Secret,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    recipients: Recipients,
}

#[derive(Deserialize)]
struct Recipients {
    #[serde(rename = "totalSentCount")]
    sent: u32,
}

#[derive(Deserialize)]
struct Failures {
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    description: String,
}

impl Messagebird {
    pub(super) fn request(&self, sms: &Sms<'_>) -> Request {
        Request {
            path: "/messages".to_owned(),
            login: Login::Header(Secret::new(format!("AccessKey {}", self.access_key.expose()))),
            form: vec![
                ("originator", self.originator.clone()),
                ("body", sms.text.to_owned()),
                ("recipients", sms.phone.to_owned()),
                ("type", "sms".to_owned()),
                ("datacoding", "unicode".to_owned()),
            ],
        }
    }

    pub(super) fn read(answer: &Answer) -> Result<MessageId, Complaint> {
        if !answer.status.is_success() {
            let failures: Failures = answer.json()?;
            let first = failures.errors.into_iter().next().ok_or(Complaint::Unreadable)?;
            return Err(Complaint::Refused(first.description));
        }
        let message: Message = answer.json()?;
        if message.recipients.sent == 0 {
            return Err(Complaint::Refused("total sent count is 0".to_owned()));
        }
        Ok(MessageId(message.id))
    }
}
