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
        Some(self.client_ip()).filter(|ip| !ip.to_canonical().is_loopback())
    }

    /// The client's address: what the header says that the project's settings name, because a proxy sets
    /// it, and where the request came from when it says nothing.
    pub(crate) fn client_ip(&self) -> IpAddr {
        let header = self.auth.config().rate_limit.header.as_deref();
        let said = header.and_then(|name| self.request.header(name));
        let first = said.and_then(|text| text.split(',').next()?.trim().parse().ok());
        first.unwrap_or(self.request.client_ip)
    }

    /// Counts a request that sends something to `address`; whether anybody is there makes no difference.
    ///
    /// # Errors
    ///
    /// 429 when there were too many, or the last was a moment ago.
    pub(crate) fn limit_message(&self, kind: Kind, address: &str) -> Result<()> {
        self.limit(kind, Some(address))?;
        let config = self.auth.config();
        let by_mail = address.contains('@');
        let pause = if by_mail { config.email.max_frequency } else { config.sms.max_frequency };
        match self.auth.limits().check_frequency(kind, address, pause, Instant::now()) {
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
