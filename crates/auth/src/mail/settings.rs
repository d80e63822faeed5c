//! Where mail is handed over, as whom, and how patiently.

use std::net::IpAddr;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, Tokio1Executor};
use plinth_wire::Secret;

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte (RFC 8314 §3.3).
    Implicit,
    /// STARTTLS, and nothing is sent when the server does not offer it.
    StartTls,
    /// None. Chosen by itself only for this very machine.
    Plain,
}

/// How often a mail that could not be handed over is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. 5 by default.
    pub attempts: u32,
    /// The wait after the first attempt. 5 seconds by default.
    pub first: Duration,
    /// Every further wait is four times the one before, up to this. 10 minutes by default.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_secs(5), longest: Duration::from_secs(600) }
    }
}

impl RetryPolicy {
    /// The wait after attempt number `attempt` (from 1), or `None` when that was the last.
    pub(super) fn pause_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let factor = 4_u32.saturating_pow(attempt.saturating_sub(1));
        Some(self.first.saturating_mul(factor).min(self.longest))
    }
}

/// The mail server and what mails say about their sender. The fields have the names of `[auth.email.smtp]`.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Name or address of the server.
    pub host: String,
    /// Its port. 587 by default.
    pub port: u16,
    /// Who signs in; empty for nobody.
    pub user: String,
    /// The password.
    pub pass: Secret,
    /// The sender's address.
    pub admin_email: String,
    /// The sender's name, or empty.
    pub sender_name: String,
    /// `None` decides by port: 465 is [`TlsMode::Implicit`]; any other but 587 is [`TlsMode::Plain`] when the server is this machine;
    /// everything else is [`TlsMode::StartTls`].
    pub tls: Option<TlsMode>,
    /// Certificates (PEM) that are trusted beside the public ones.
    pub extra_roots: Option<Vec<u8>>,
    /// Headers of every mail. `$messageType` in a value stands for the kind of mail.
    pub headers: Vec<(String, String)>,
    /// Limit of connecting. 10 seconds by default.
    pub connect_timeout: Duration,
    /// Limit of one attempt as a whole. 60 seconds by default.
    pub attempt_timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Mails that may wait or be on their way; a further one is refused. 1,000 by default.
    pub queue: usize,
    /// Connections to the server at a time. 4 by default.
    pub connections: usize,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            user: String::new(),
            pass: Secret::new(""),
            admin_email: String::new(),
            sender_name: String::new(),
            tls: None,
            extra_roots: None,
            headers: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            queue: 1_000,
            connections: 4,
        }
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no host.
    #[error("smtp host is missing")]
    NoHost,
    /// The sender's address is none.
    #[error("smtp admin_email is not a mail address")]
    Sender,
    /// A header cannot be set.
    #[error(
        "smtp header `{0}` cannot be set: the name is not valid or belongs to the message itself"
    )]
    Header(String),
    /// The certificates or the host's name cannot be used for TLS.
    #[error("smtp server cannot be reached by TLS")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// The file of trusted certificates holds none.
    #[error("smtp ca_path names a file without a certificate (PEM)")]
    NoCertificate,
    /// A bound of zero would never send anything.
    #[error("smtp `{0}` must not be zero")]
    Zero(&'static str),
}

/// What a certificate in PEM (RFC 7468 §5) begins with.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Headers that the message sets itself.
const OWN_HEADERS: [&str; 12] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "return-path",
];

impl SmtpSettings {
    /// How the connection is protected, decided.
    pub fn tls_mode(&self) -> TlsMode {
        self.tls.unwrap_or(match self.port {
            465 => TlsMode::Implicit,
            587 => TlsMode::StartTls,
            _ if is_this_machine(&self.host) => TlsMode::Plain,
            _ => TlsMode::StartTls,
        })
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// [`SettingsError`], the first thing that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.host.trim().is_empty() {
            return Err(SettingsError::NoHost);
        }
        self.sender()?;
        for (name, _) in &self.headers {
            custom_header(name, "")?;
        }
        let is_pem = |pem: &Vec<u8>| pem.windows(PEM.len()).any(|part| part == PEM);
        if self.extra_roots.as_ref().is_some_and(|pem| !is_pem(pem)) {
            return Err(SettingsError::NoCertificate);
        }
        let bounds = [("queue", self.queue), ("connections", self.connections)];
        if let Some((name, _)) = bounds.iter().find(|(_, bound)| *bound == 0) {
            return Err(SettingsError::Zero(name));
        }
        Ok(())
    }

    pub(super) fn sender(&self) -> Result<Address, SettingsError> {
        self.admin_email.trim().parse().map_err(|_| SettingsError::Sender)
    }

    /// A transport that opens a connection for every mail: mails of this kind are rare, idle connections get closed.
    pub(super) fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SettingsError> {
        let tls = match self.tls_mode() {
            TlsMode::Plain => Tls::None,
            TlsMode::StartTls => Tls::Required(self.tls_parameters().map_err(SettingsError::Tls)?),
            TlsMode::Implicit => Tls::Wrapper(self.tls_parameters().map_err(SettingsError::Tls)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .tls(tls)
            .timeout(Some(self.connect_timeout));
        if !self.user.is_empty() {
            let pass = self.pass.expose().to_owned();
            builder = builder.credentials(Credentials::new(self.user.clone(), pass));
        }
        Ok(builder.build())
    }

    fn tls_parameters(&self) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(pem) = &self.extra_roots {
            builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
        }
        builder.build()
    }
}

/// A configured header. Line ends in the value have become blanks.
pub(super) fn custom_header(name: &str, value: &str) -> Result<HeaderValue, SettingsError> {
    let refused = || SettingsError::Header(name.to_owned());
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let own = OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name));
    if name.is_empty() || own || !name.bytes().all(token) {
        return Err(refused());
    }
    let header = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| refused())?;
    Ok(HeaderValue::new(header, super::message::one_line(value)))
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(host: &str, port: u16) -> TlsMode {
        SmtpSettings { host: host.into(), port, ..SmtpSettings::default() }.tls_mode()
    }

    #[test]
    fn the_port_decides_and_plain_stays_on_this_machine() {
        assert_eq!(mode("mail.example.com", 465), TlsMode::Implicit);
        assert_eq!(mode("127.0.0.1", 465), TlsMode::Implicit);
        assert_eq!(mode("localhost", 587), TlsMode::StartTls);
        assert_eq!(mode("localhost", 1025), TlsMode::Plain);
        assert_eq!(mode("[::1]", 25), TlsMode::Plain);
        for port in [25, 1025, 2525, 587] {
            assert_eq!(mode("mail.example.com", port), TlsMode::StartTls, "{port}");
        }
        assert_eq!(mode("127.0.0.1.example.com", 25), TlsMode::StartTls);
    }

    #[test]
    fn headers_of_the_message_itself_cannot_be_configured() {
        for name in ["Bcc", "SUBJECT", "Content-Type", "X Y", "X:Y", "", "X-A\r\nBcc"] {
            assert!(custom_header(name, "v").is_err(), "{name:?}");
        }
        assert!(custom_header("X-SES-Configuration-Set", "main").is_ok());
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let policy = RetryPolicy::default();
        let pauses: Vec<_> = (1..=5)
            .map(|attempt| policy.pause_after(attempt).map(|pause| pause.as_secs()))
            .collect();
        assert_eq!(pauses, [Some(5), Some(20), Some(80), Some(320), None]);
        let many = RetryPolicy { attempts: 100, ..policy };
        assert_eq!(many.pause_after(90), Some(policy.longest));
    }

    #[test]
    fn passwords_do_not_print() {
        let settings = SmtpSettings { pass: Secret::new("hunter2"), ..SmtpSettings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn unusable_settings_are_named() {
        let good = SmtpSettings {
            host: "localhost".into(),
            admin_email: "admin@example.com".into(),
            ..SmtpSettings::default()
        };
        good.check().unwrap();
        let bad = SmtpSettings { admin_email: "a@b\r\nBcc: c@d".into(), ..good.clone() };
        assert!(matches!(bad.check(), Err(SettingsError::Sender)));
        let roots = Some(b"-----BEGIN PRIVATE KEY-----".to_vec());
        let bad = SmtpSettings { extra_roots: roots, ..good.clone() };
        assert!(matches!(bad.check(), Err(SettingsError::NoCertificate)));
        let bad = SmtpSettings { queue: 0, ..good };
        assert!(matches!(bad.check(), Err(SettingsError::Zero("queue"))));
    }
}
