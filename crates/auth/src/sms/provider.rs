//! Carriers with an HTTP interface.

use std::time::Duration;

use http::StatusCode;
use plinth_wire::Secret;
use reqwest::{Client, RequestBuilder};

use super::{
    Channel, MessageId, Messagebird, Pending, Sms, SmsError, SmsSender, Textlocal, Twilio,
    TwilioVerify, Vonage,
};
use crate::outgoing;

/// How long a carrier may take for one message.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 64 * 1024;

/// A carrier and the account with it.
#[derive(Debug, Clone)]
pub enum Provider {
    /// Twilio's Programmable Messaging.
    Twilio(Twilio),
    /// Twilio's Verify, which makes the codes itself.
    TwilioVerify(TwilioVerify),
    /// MessageBird.
    Messagebird(Messagebird),
    /// Textlocal.
    Textlocal(Textlocal),
    /// Vonage.
    Vonage(Vonage),
}

impl Provider {
    fn name(&self) -> &'static str {
        match self {
            Self::Twilio(_) => "twilio",
            Self::TwilioVerify(_) => "twilio_verify",
            Self::Messagebird(_) => "messagebird",
            Self::Textlocal(_) => "textlocal",
            Self::Vonage(_) => "vonage",
        }
    }

    fn base(&self) -> &'static str {
        match self {
            Self::Twilio(_) => "https://api.twilio.com",
            Self::TwilioVerify(_) => "https://verify.twilio.com",
            Self::Messagebird(_) => "https://rest.messagebird.com",
            Self::Textlocal(_) => "https://api.textlocal.in",
            Self::Vonage(_) => "https://rest.nexmo.com",
        }
    }

    fn request(&self, sms: &Sms<'_>) -> Request {
        match self {
            Self::Twilio(account) => account.request(sms),
            Self::TwilioVerify(account) => account.request(sms),
            Self::Messagebird(account) => account.request(sms),
            Self::Textlocal(account) => account.request(sms),
            Self::Vonage(account) => account.request(sms),
        }
    }

    fn read(&self, answer: &Answer) -> Result<MessageId, Complaint> {
        match self {
            Self::Twilio(_) => Twilio::read(answer),
            Self::TwilioVerify(_) => TwilioVerify::read(answer),
            Self::Messagebird(_) => Messagebird::read(answer),
            Self::Textlocal(_) => Textlocal::read(answer),
            Self::Vonage(_) => Vonage::read(answer),
        }
    }
}

/// What is posted, as a form.
pub(super) struct Request {
    pub(super) path: String,
    pub(super) login: Login,
    pub(super) form: Vec<(&'static str, String)>,
}

/// How an account proves itself.
pub(super) enum Login {
    /// In the form.
    Form,
    Basic {
        user: String,
        password: Secret,
    },
    Header(Secret),
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Complaint> {
        serde_json::from_slice(&self.body).map_err(|_| Complaint::Unreadable)
    }
}

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    Refused(String),
    Unreadable,
}

/// Sends by one carrier.
#[derive(Debug, Clone)]
pub struct HttpSms {
    client: Client,
    provider: Provider,
    base: String,
    timeout: Duration,
}

impl HttpSms {
    /// Sends by `provider`.
    pub fn new(client: Client, provider: Provider) -> Self {
        let base = provider.base().to_owned();
        Self { client, provider, base, timeout: TIMEOUT }
    }

    /// Sends to another server (scheme, host and port), for tests.
    pub fn with_base(self, base: impl Into<String>) -> Self {
        Self { base: base.into(), ..self }
    }

    async fn post(&self, request: Request) -> Result<Answer, SmsError> {
        let provider = self.provider.name();
        let asked = self.client.post(format!("{}{}", self.base, request.path)).form(&request.form);
        tokio::time::timeout(self.timeout, exchange(sign_in(asked, request.login)))
            .await
            .map_err(|_| SmsError::Timeout(provider))?
            .map_err(|source| SmsError::Unreachable { provider, source })
    }

    fn complain(&self, complaint: Complaint) -> SmsError {
        let provider = self.provider.name();
        match complaint {
            Complaint::Refused(message) => SmsError::Refused { provider, message },
            Complaint::Unreadable => SmsError::Unreadable(provider),
        }
    }
}

fn sign_in(request: RequestBuilder, login: Login) -> RequestBuilder {
    match login {
        Login::Form => request,
        Login::Basic { user, password } => request.basic_auth(user, Some(password.expose())),
        Login::Header(value) => request.header(http::header::AUTHORIZATION, value.expose()),
    }
}

async fn exchange(
    request: RequestBuilder,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    Ok(Answer { status, body: outgoing::body(response, MAX_ANSWER).await? })
}

impl SmsSender for HttpSms {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn supports(&self, channel: Channel) -> bool {
        let twilio = matches!(self.provider, Provider::Twilio(_) | Provider::TwilioVerify(_));
        channel == Channel::Sms || twilio
    }

    fn send<'a>(&'a self, sms: Sms<'a>) -> Pending<'a, Result<MessageId, SmsError>> {
        Box::pin(async move {
            if !self.supports(sms.channel) {
                let (provider, channel) = (self.name(), sms.channel.name());
                return Err(SmsError::Channel { provider, channel });
            }
            let answer = self.post(self.provider.request(&sms)).await?;
            self.provider.read(&answer).map_err(|complaint| self.complain(complaint))
        })
    }

    fn makes_codes(&self) -> bool {
        matches!(self.provider, Provider::TwilioVerify(_))
    }

    fn check<'a>(
        &'a self,
        phone: &'a str,
        code: &'a Secret,
    ) -> Pending<'a, Result<bool, SmsError>> {
        Box::pin(async move {
            let Provider::TwilioVerify(account) = &self.provider else { return Ok(false) };
            let answer = self.post(account.check(phone, code.expose())).await?;
            TwilioVerify::read_check(&answer).map_err(|complaint| self.complain(complaint))
        })
    }
}

#[cfg(test)]
mod tests;
