//! Twilio: Programmable Messaging (`2010-04-01`) and Verify (`v2`).

use http::StatusCode;
use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::json;

use super::provider::{Answer, Complaint, Login, Request};
use super::{Channel, MessageId, Sms};

/// An account of Programmable Messaging.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// `AC…`
    pub account_sid: String,
    /// Its token.
    pub auth_token: Secret,
    /// `MG…`, or the sender's number.
    pub message_service_sid: String,
    /// `HX…`, the approved template of WhatsApp messages.
    pub content_sid: Option<String>,
}

/// An account of Verify.
#[derive(Debug, Clone)]
pub struct TwilioVerify {
    /// `AC…`
    pub account_sid: String,
    /// Its token.
    pub auth_token: Secret,
    /// `VA…`, the Verify service.
    pub message_service_sid: String,
}

#[derive(Deserialize)]
struct Message {
    sid: String,
    #[serde(default)]
    status: String,
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
    more_info: Option<String>,
}

#[derive(Deserialize)]
struct Check {
    status: String,
    #[serde(default)]
    valid: bool,
}

impl Twilio {
    pub(super) fn request(&self, sms: &Sms<'_>) -> Request {
        let mut form = vec![("Channel", sms.channel.name().to_owned())];
        match sms.channel {
            Channel::Sms => form.extend([
                ("To", format!("+{}", sms.phone)),
                ("From", self.message_service_sid.clone()),
                ("Body", sms.text.to_owned()),
            ]),
            Channel::Whatsapp => form.extend(self.whatsapp(sms)),
        }
        let path = format!("/2010-04-01/Accounts/{}/Messages.json", self.account_sid);
        Request { path, login: login(&self.account_sid, &self.auth_token), form }
    }

    /// WhatsApp takes approved templates only, which are given the code.
    fn whatsapp(&self, sms: &Sms<'_>) -> Vec<(&'static str, String)> {
        let sender = &self.message_service_sid;
        let number = super::normalize(sender).is_ok();
        let from = if number { format!("whatsapp:{sender}") } else { sender.clone() };
        let mut form = vec![("To", format!("whatsapp:+{}", sms.phone)), ("From", from)];
        match &self.content_sid {
            Some(template) => form.extend([
                ("ContentSid", template.clone()),
                ("ContentVariables", json!({"1": sms.code}).to_string()),
            ]),
            None => form.push(("Body", sms.text.to_owned())),
        }
        form
    }

    pub(super) fn read(answer: &Answer) -> Result<MessageId, Complaint> {
        let message: Message = accepted(answer)?.json()?;
        if matches!(message.status.as_str(), "failed" | "undelivered") {
            let why = message.error_message.unwrap_or(message.status);
            return Err(Complaint::Refused(format!("{why} for message {}", message.sid)));
        }
        Ok(MessageId(message.sid))
    }
}

impl TwilioVerify {
    pub(super) fn request(&self, sms: &Sms<'_>) -> Request {
        let to = ("To", format!("+{}", sms.phone));
        self.ask("Verifications", vec![to, ("Channel", sms.channel.name().to_owned())])
    }

    pub(super) fn check(&self, phone: &str, code: &str) -> Request {
        let to = ("To", format!("+{phone}"));
        self.ask("VerificationCheck", vec![to, ("Code", code.to_owned())])
    }

    fn ask(&self, what: &str, form: Vec<(&'static str, String)>) -> Request {
        let path = format!("/v2/Services/{}/{what}", self.message_service_sid);
        Request { path, login: login(&self.account_sid, &self.auth_token), form }
    }

    pub(super) fn read(answer: &Answer) -> Result<MessageId, Complaint> {
        let message: Message = accepted(answer)?.json()?;
        Ok(MessageId(message.sid))
    }

    /// 404 is what a code gets that was used, has expired or was wrong too often.
    pub(super) fn read_check(answer: &Answer) -> Result<bool, Complaint> {
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let check: Check = accepted(answer)?.json()?;
        Ok(check.valid && check.status == "approved")
    }
}

fn login(account: &str, token: &Secret) -> Login {
    Login::Basic { user: account.to_owned(), password: token.clone() }
}

fn accepted(answer: &Answer) -> Result<&Answer, Complaint> {
    if matches!(answer.status, StatusCode::OK | StatusCode::CREATED) {
        return Ok(answer);
    }
    let failure: Failure = answer.json()?;
    let more = failure.more_info.map(|more| format!(" More information: {more}"));
    Err(Complaint::Refused(failure.message + more.as_deref().unwrap_or_default()))
}
