//! A carrier that carries nothing, for tests and development.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{Channel, MessageId, Pending, Sms, SmsError, SmsSender};

/// Messages that are kept; the oldest go first.
const KEPT: usize = 1000;

/// A message that would have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSms {
    /// To whom.
    pub phone: String,
    /// What was said.
    pub text: String,
    /// The code in it.
    pub code: String,
    /// By what it would have gone.
    pub channel: Channel,
}

/// Keeps the last thousand messages instead of sending them.
#[derive(Debug, Default)]
pub struct TestSms {
    sent: Mutex<VecDeque<SentSms>>,
}

impl TestSms {
    /// All that are kept, oldest first.
    pub fn sent(&self) -> Vec<SentSms> {
        self.with(|sent| sent.iter().cloned().collect())
    }

    /// The last one to `phone`.
    pub fn last_to(&self, phone: &str) -> Option<SentSms> {
        self.with(|sent| sent.iter().rev().find(|sms| sms.phone == phone).cloned())
    }

    fn with<R>(&self, change: impl FnOnce(&mut VecDeque<SentSms>) -> R) -> R {
        change(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SmsSender for TestSms {
    fn name(&self) -> &'static str {
        "test"
    }

    fn supports(&self, _channel: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, sms: Sms<'a>) -> Pending<'a, Result<MessageId, SmsError>> {
        self.with(|sent| {
            if sent.len() == KEPT {
                sent.pop_front();
            }
            sent.push_back(SentSms {
                phone: sms.phone.to_owned(),
                text: sms.text.to_owned(),
                code: sms.code.to_owned(),
                channel: sms.channel,
            });
        });
        let id = MessageId(uuid::Uuid::new_v4().to_string());
        Box::pin(std::future::ready(Ok(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_kept_up_to_a_bound() {
        let carrier = TestSms::default();
        for number in 0..KEPT + 5 {
            let (phone, code) = (format!("1{}", number % 10), number.to_string());
            let sms = Sms { phone: &phone, text: "text", code: &code, channel: Channel::Sms };
            carrier.send(sms).await.unwrap();
        }
        let sent = carrier.sent();
        assert_eq!((sent.len(), sent[0].code.as_str()), (KEPT, "5"));
        assert_eq!(carrier.last_to("14").unwrap().code, "1004");
        assert_eq!(carrier.last_to("99"), None);
    }
}
