//! One attempt to hand a message over, and what its failure means.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    /// It may work later.
    Later(String),
    /// It will never work.
    Never(String),
}

/// Hands a message over, within `limit`. Reasons are fit for a log: what a server says is left out, because it likes to repeat the
/// address.
pub(super) async fn attempt(
    transport: &AsyncSmtpTransport<Tokio1Executor>,
    message: &Message,
    limit: Duration,
) -> Outcome {
    let bytes = message.formatted();
    let sending = transport.send_raw(message.envelope(), &bytes);
    match tokio::time::timeout(limit, sending).await {
        Ok(Ok(_)) => Outcome::Sent,
        Ok(Err(error)) => classify(&error),
        Err(_) => Outcome::Later(format!("took longer than {} s", limit.as_secs_f32())),
    }
}

fn classify(error: &lettre::transport::smtp::Error) -> Outcome {
    if let Some(code) = error.status() {
        let reason = format!("the server answered {code}");
        return if error.is_permanent() { Outcome::Never(reason) } else { Outcome::Later(reason) };
    }
    // An error of the client is one of configuration: no STARTTLS, no common way to sign in.
    if error.is_client() { Outcome::Never(chain(error)) } else { Outcome::Later(chain(error)) }
}

fn chain(error: &dyn Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(reason, ": {cause}");
        source = cause.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use plinth_doubles::mailbox::{Mailbox, Refusal, Stage};

    use super::*;
    use crate::mail::message::build;
    use crate::mail::{MailKind, Rendered, SmtpSettings, TlsMode};

    async fn outcome(reply: &str, tls: TlsMode) -> Outcome {
        let mailbox = Mailbox::local().await.unwrap();
        mailbox.refuse_next(Refusal { stage: Stage::Rcpt, reply: reply.into(), times: 1 });
        let settings = SmtpSettings {
            host: "127.0.0.1".into(),
            port: mailbox.smtp_address().port(),
            admin_email: "admin@example.com".into(),
            tls: Some(tls),
            ..SmtpSettings::default()
        };
        let rendered = Rendered { subject: "s".into(), html: "h".into(), text: "t".into() };
        let message = build(&settings, MailKind::Invite, "ada@example.com", rendered).unwrap();
        attempt(&settings.transport().unwrap(), &message, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn what_a_server_says_about_the_address_is_left_out() {
        let later = outcome("451 4.7.1 <ada@example.com> is greylisted", TlsMode::Plain).await;
        assert_eq!(later, Outcome::Later("the server answered 451".into()));
        let never = outcome("550 5.1.1 <ada@example.com> unknown", TlsMode::Plain).await;
        assert_eq!(never, Outcome::Never("the server answered 550".into()));
    }

    #[tokio::test]
    async fn a_server_without_starttls_is_a_matter_of_configuration() {
        let Outcome::Never(reason) = outcome("451 x", TlsMode::StartTls).await else {
            panic!("must not be tried again")
        };
        assert!(reason.contains("STARTTLS is not supported"), "{reason}");
    }

    #[tokio::test]
    async fn a_handshake_that_fails_may_work_later() {
        assert!(matches!(outcome("451 x", TlsMode::Implicit).await, Outcome::Later(_)));
    }
}
