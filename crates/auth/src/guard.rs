//! What is checked before anything costly is done: how often somebody may ask, and whether a password will do.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use plinth_wire::Secret;
use serde_json::{Value, json};

use crate::endpoint::{busy, too_many_mails, too_many_messages};
use crate::error::{Error, Result, code};
use crate::limits::{Caller, CodeDecision, Decision, Kind};
use crate::one_time::expired;
use crate::password::PasswordProblem;
use crate::service::Call;

impl Call<'_> {
    /// Counts a request of `kind`, about `identity` if that is known.
    ///
    /// # Errors
    ///
    /// 429 when there were too many.
    pub(crate) fn limit(&self, kind: Kind, identity: Option<&str>) -> Result<()> {
        let caller = Caller { ip: self.known_ip(), identity };
        match self.auth.limits().check(kind, caller, Instant::now()) {
            Decision::Allowed => Ok(()),
            Decision::Refused { retry_after } => {
                let message = "Request rate limit reached";
                Err(Error::too_many(code::OVER_REQUEST_RATE_LIMIT, message, retry_after))
            }
        }
    }

    /// The client's address, unless it is this machine: then a proxy asks for many clients, or a developer.
    pub(crate) fn known_ip(&self) -> Option<IpAddr> {
        Some(self.request.client_ip).filter(|ip| !ip.to_canonical().is_loopback())
    }

    /// Counts a request of `kind` that sends something to `address`. To be called before anybody is
    /// looked for: whether somebody is there makes no difference to what is counted and refused.
    ///
    /// # Errors
    ///
    /// As those of [`Call::limit`] and [`Call::pace`].
    pub(crate) fn limit_message(&self, kind: Kind, address: &str) -> Result<()> {
        self.limit(kind, Some(address))?;
        self.pace(kind, address, address)
    }

    /// Counts a message to `address` that `whom` has asked for, as [`Call::limit_message`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Call::deliverable`]; 429 when the last was a moment ago, or the project has sent too many.
    pub(crate) fn pace(&self, kind: Kind, whom: &str, address: &str) -> Result<()> {
        self.deliverable(address)?;
        let by_mail = address.contains('@');
        self.pause(paced(kind, by_mail), whom, by_mail)?;
        // Many who ask for one address together get no more mails to it, and codes to try, than one.
        if whom != address {
            self.pause(paced(kind, by_mail), address, by_mail)?;
        }
        match by_mail {
            true => self.count_mail(),
            // Numbers whose codes are set are sent nothing.
            false if self.test_code(address).is_some() => Ok(()),
            false => self.count_sms(),
        }
    }

    /// Whether the last message of this kind was long enough ago.
    fn pause(&self, kind: Kind, whom: &str, by_mail: bool) -> Result<()> {
        let config = self.auth.config();
        let pause = if by_mail { config.email.max_frequency } else { config.sms.max_frequency };
        match self.auth.limits().check_frequency(kind, whom, pause, Instant::now()) {
            Decision::Allowed => Ok(()),
            Decision::Refused { retry_after } => {
                let message = format!(
                    "For security purposes, you can only request this after {retry_after} seconds."
                );
                let code = match by_mail {
                    true => code::OVER_EMAIL_SEND_RATE_LIMIT,
                    false => code::OVER_SMS_SEND_RATE_LIMIT,
                };
                Err(Error::too_many(code, message, retry_after))
            }
        }
    }

    /// Whether something could be sent to `address`, whoever is there.
    ///
    /// # Errors
    ///
    /// 400 when the project sends mails to others only, 500 when it has no mail server, 422 when it has no carrier of
    /// messages.
    pub(crate) fn deliverable(&self, address: &str) -> Result<()> {
        let config = self.auth.config();
        if address.contains('@') {
            if !is_authorized(&config.email.authorized_addresses, address) {
                let message =
                    format!("Email address {address:?} cannot be used as it is not authorized");
                return Err(Error::bad_request(code::EMAIL_ADDRESS_NOT_AUTHORIZED, message));
            }
            if self.auth.mailer().is_none() && !config.hooks.contains_key("send_email") {
                tracing::error!("a mail cannot be sent: no mail server is configured");
                return Err(Error::internal("Error sending email: no mail server is configured"));
            }
            return Ok(());
        }
        let carried = self.auth.sms().is_some() || config.hooks.contains_key("send_sms");
        if carried || self.test_code(address).is_some() {
            return Ok(());
        }
        let message = "Error sending confirmation OTP to provider: no provider is configured";
        Err(Error::unprocessable(code::SMS_SEND_FAILED, message))
    }

    /// Counts a mail.
    ///
    /// # Errors
    ///
    /// 429 when the project has sent too many.
    pub(crate) fn count_mail(&self) -> Result<()> {
        match self.auth.limits().check_email(Instant::now()) {
            Decision::Allowed => Ok(()),
            Decision::Refused { retry_after } => Err(too_many_mails(retry_after)),
        }
    }

    /// Counts a text message.
    ///
    /// # Errors
    ///
    /// 429 when the project has sent too many.
    pub(crate) fn count_sms(&self) -> Result<()> {
        match self.auth.limits().check_sms(Instant::now()) {
            Decision::Allowed => Ok(()),
            Decision::Refused { retry_after } => Err(too_many_messages(retry_after)),
        }
    }

    /// Counts a try at the digits that `address` was sent.
    ///
    /// # Errors
    ///
    /// As for a wrong code, when there were too many.
    pub(crate) fn begin_attempt(&self, address: &str) -> Result<()> {
        let config = self.auth.config();
        let lifetime: Duration = config.email.otp_expiry.max(config.sms.otp_expiry);
        match self.auth.codes().begin(address, lifetime, Instant::now()) {
            CodeDecision::Open { .. } => Ok(()),
            CodeDecision::Dead | CodeDecision::Locked { .. } => Err(expired()),
        }
    }

    /// The last try was right.
    pub(crate) fn attempt_was_right(&self, address: &str) {
        self.auth.codes().correct(address);
    }

    /// `address` was sent other digits.
    pub(crate) fn renewed(&self, address: &str) {
        self.auth.codes().renewed(address);
    }

    /// Whether a new password will do.
    ///
    /// # Errors
    ///
    /// 422 `weak_password` with the reasons; 400 when it is too long.
    pub(crate) async fn check_password(&self, password: &Secret) -> Result<()> {
        let Err(problem) = self.auth.passwords().check(password.expose()).await else {
            return Ok(());
        };
        let message = problem.to_string();
        Err(match problem {
            PasswordProblem::TooLong => Error::validation(message),
            PasswordProblem::Weak { reasons, .. } => {
                let mut error = Error::unprocessable(code::WEAK_PASSWORD, message);
                error.weak_password = reasons;
                error
            }
            PasswordProblem::Unavailable => Error::internal(message),
        })
    }

    /// What is weak about a password that is in use already, for its user to know.
    pub(crate) async fn weakness(&self, password: &Secret) -> Option<Value> {
        let error = self.check_password(password).await.err()?;
        let reasons = &error.weak_password;
        (!reasons.is_empty()).then(|| json!({"message": error.message, "reasons": reasons}))
    }

    /// The hash of a password.
    ///
    /// # Errors
    ///
    /// 429 when too many are being hashed.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String> {
        self.auth.hasher().hash(password.expose()).await.map_err(|_busy| busy())
    }
}

/// Requests that send the same kind of message share a pause.
fn paced(kind: Kind, by_mail: bool) -> Kind {
    match kind {
        Kind::SignUp | Kind::Resend if by_mail => Kind::SignUp,
        Kind::Otp | Kind::MagicLink | Kind::Recover if by_mail => Kind::Otp,
        // One code for all of them.
        Kind::SignUp | Kind::Resend | Kind::Otp => Kind::Otp,
        kind => kind,
    }
}

/// Whether mail may go to `address`: to all when nobody is listed. A label (`ada+label@example.com`) makes no difference.
fn is_authorized(listed: &[String], address: &str) -> bool {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let plain = local.split('+').next().unwrap_or_default();
    let same = |listed: &str| {
        let (local, at) = listed.rsplit_once('@').unwrap_or((listed, ""));
        at.eq_ignore_ascii_case(domain) && local.eq_ignore_ascii_case(plain)
    };
    listed.is_empty() || listed.iter().any(|listed| same(listed.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_goes_to_those_who_are_listed_if_any_is() {
        let listed = ["Ada@Example.com".to_owned()];
        for (address, authorized) in [
            ("ada@example.com", true),
            ("ada+test@example.com", true),
            ("eve@example.com", false),
            ("ada@example.com.evil.example", false),
            ("eve+ada@example.com", false),
            ("ada@evil.example", false),
        ] {
            assert_eq!(is_authorized(&listed, address), authorized, "{address}");
            assert!(is_authorized(&[], address));
        }
    }
}
