//! `/factors`: second factors of the user who asks.

mod ceremony;
mod challenge;
mod enrol;
mod pass;
mod remove;
mod secret;
mod verify;

pub(super) use challenge::challenge;
pub(super) use enrol::{enrol, normalized_name, refused as enrolment_refused};
pub(super) use remove::remove;
pub(super) use verify::verify;

use crate::config::{FactorConfig, MfaConfig};
use crate::error::{Error, Result, code};
use crate::service::{Call, seconds};
use crate::user::{Factor, User};

/// What a second factor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An authenticator app.
    Totp,
    /// Codes by text message.
    Phone,
    /// A security key.
    WebAuthn,
}

impl Kind {
    /// By its name in requests and in the database.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "totp" => Some(Self::Totp),
            "phone" => Some(Self::Phone),
            "webauthn" => Some(Self::WebAuthn),
            _ => None,
        }
    }

    /// Its name in requests and in the database.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Phone => "phone",
            Self::WebAuthn => "webauthn",
        }
    }

    /// How access tokens name a session that was strengthened by it.
    fn method(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Phone => "mfa/phone",
            Self::WebAuthn => "mfa/webauthn",
        }
    }

    fn settings(self, config: &MfaConfig) -> FactorConfig {
        match self {
            Self::Totp => config.totp,
            Self::Phone => config.phone.factor,
            Self::WebAuthn => config.web_authn,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Totp => "TOTP",
            Self::Phone => "Phone",
            Self::WebAuthn => "WebAuthn",
        }
    }

    /// 422 unless such factors may be enrolled.
    fn may_be_enrolled(self, config: &MfaConfig) -> Result<()> {
        if self.settings(config).enroll {
            return Ok(());
        }
        let code = match self {
            Self::Totp => code::MFA_TOTP_ENROLL_NOT_ENABLED,
            Self::Phone => code::MFA_PHONE_ENROLL_NOT_ENABLED,
            Self::WebAuthn => code::MFA_WEBAUTHN_ENROLL_NOT_ENABLED,
        };
        Err(Error::unprocessable(code, format!("MFA enroll is disabled for {}", self.title())))
    }

    /// 422 unless such factors may be used.
    fn may_be_verified(self, config: &MfaConfig) -> Result<()> {
        if self.settings(config).verify {
            return Ok(());
        }
        let code = match self {
            Self::Totp => code::MFA_TOTP_VERIFY_NOT_ENABLED,
            Self::Phone => code::MFA_PHONE_VERIFY_NOT_ENABLED,
            Self::WebAuthn => code::MFA_WEBAUTHN_VERIFY_NOT_ENABLED,
        };
        let message = format!("MFA verification is disabled for {}", self.title());
        Err(Error::unprocessable(code, message))
    }
}

/// The user who asks, if it is somebody.
pub(super) fn somebody<'c>(call: &'c Call<'_>) -> Result<&'c User> {
    let user = call.user()?;
    if user.is_anonymous {
        let message = "Anonymous user not allowed to perform these actions";
        return Err(Error::forbidden(code::NO_AUTHORIZATION, message));
    }
    Ok(user)
}

/// The factor that the path names at `place`, if it is one of `user`'s.
pub(super) fn named<'u>(
    call: &Call<'_>,
    place: usize,
    user: &'u User,
) -> Result<(&'u Factor, Kind)> {
    let id = call
        .id(place)
        .ok_or_else(|| Error::not_found(code::VALIDATION_FAILED, "factor_id must be an UUID"))?;
    let factor = user.factors.iter().find(|factor| factor.id == id).ok_or_else(unknown)?;
    let kind = Kind::of_name(&factor.factor_type).ok_or_else(unknown)?;
    Ok((factor, kind))
}

/// 404: there is none, or it is somebody else's.
pub(super) fn unknown() -> Error {
    Error::not_found(code::MFA_FACTOR_NOT_FOUND, "Factor not found")
}

/// Whether nobody has verified the factor in time.
fn is_expired(call: &Call<'_>, factor: &Factor) -> bool {
    let lifetime = seconds(call.auth.config().mfa.factor_expiry);
    !factor.is_verified() && call.now.as_second() - factor.created_at.as_second() > lifetime
}

/// Locks the user's row until the end of the transaction: of two changes of a user's factors at once, the second sees
/// what the first has done.
fn lock(work: &mut crate::db::Work, user: &User) {
    work.add("select 1 from auth.users where id = $1::uuid for no key update", &[&user.id]);
}
