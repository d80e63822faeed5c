//! Text messages: phone numbers, what is said, and who carries it.

mod messagebird;
mod phone;
mod provider;
mod template;
mod test_sms;
mod textlocal;
mod twilio;
mod vonage;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use plinth_wire::Secret;

pub use messagebird::Messagebird;
pub use phone::{PhoneError, TestCodes, normalize};
pub use provider::{HttpSms, Provider};
pub use template::{DEFAULT_TEMPLATE, render};
pub use test_sms::{SentSms, TestSms};
pub use textlocal::Textlocal;
pub use twilio::{Twilio, TwilioVerify};
pub use vonage::Vonage;

/// By what a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// `sms`
    #[default]
    Sms,
    /// `whatsapp`
    Whatsapp,
}

impl Channel {
    /// The channel of that name in a request. An empty name is SMS.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "" | "sms" => Some(Self::Sms),
            "whatsapp" => Some(Self::Whatsapp),
            _ => None,
        }
    }

    /// `sms` or `whatsapp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
        }
    }
}

/// A message to send.
#[derive(Clone, Copy)]
pub struct Sms<'a> {
    /// To whom: [`normalize`]d, digits only.
    pub phone: &'a str,
    /// What is said, code included.
    pub text: &'a str,
    /// The code alone, for carriers with templates of their own.
    pub code: &'a str,
    /// By what it goes.
    pub channel: Channel,
}

impl fmt::Debug for Sms<'_> {
    /// The code lets its reader in, and the number is personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sms").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// The carrier's name for a sent message; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId(pub String);

/// Why a message was not sent. Clients are told 422 `sms_send_failed`, `Error sending … OTP to
/// provider: ` and this.
#[derive(Debug, thiserror::Error)]
pub enum SmsError {
    /// The carrier does not know the channel.
    #[error("channel type {channel:?} is not supported for {provider}")]
    Channel {
        /// The carrier.
        provider: &'static str,
        /// The channel's name.
        channel: &'static str,
    },
    /// The carrier did not answer in ten seconds.
    #[error("{0} did not answer in time")]
    Timeout(&'static str),
    /// The carrier could not be reached, or broke off.
    #[error("{provider} could not be reached")]
    Unreachable {
        /// The carrier.
        provider: &'static str,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The carrier says no.
    #[error("{provider} error: {message}")]
    Refused {
        /// The carrier.
        provider: &'static str,
        /// Its words.
        message: String,
    },
    /// The carrier's answer has none of its documented forms.
    #[error("{0} gave an answer that cannot be read")]
    Unreadable(&'static str),
}

/// Work under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that carries messages.
pub trait SmsSender: fmt::Debug + Send + Sync {
    /// The carrier's name, as `/settings` shows it.
    fn name(&self) -> &'static str;

    /// Whether it knows the channel.
    fn supports(&self, channel: Channel) -> bool;

    /// Sends one message, within ten seconds, once: a repetition could be a second message.
    fn send<'a>(&'a self, sms: Sms<'a>) -> Pending<'a, Result<MessageId, SmsError>>;

    /// Whether the carrier makes and compares the codes itself (Twilio Verify). Then [`check`] judges
    /// what users type, and codes of our own reach nobody.
    ///
    /// [`check`]: SmsSender::check
    fn makes_codes(&self) -> bool {
        false
    }

    /// Has the carrier compare `code` with the one it sent to `phone`. `false` from carriers that make
    /// none.
    fn check<'a>(
        &'a self,
        phone: &'a str,
        code: &'a Secret,
    ) -> Pending<'a, Result<bool, SmsError>> {
        let (_, _) = (phone, code);
        Box::pin(std::future::ready(Ok(false)))
    }
}
