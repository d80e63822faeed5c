use std::time::Duration;

use webauthn_rp::response::auth::error::AuthCeremonyErr;
use webauthn_rp::response::register::error::RegCeremonyErr;

/// Why settings do not make a relying party.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RelyingPartyError {
    /// The id is not the name of a domain.
    #[error("`{0}` is not a domain that credentials can be bound to")]
    Id(String),
    /// An origin has a path or no scheme, or is not one of pages.
    #[error("`{0}` is not the origin of pages, such as https://app.example.com")]
    Origin(String),
    /// There is no origin, so nobody could pass.
    #[error("a relying party needs at least one origin")]
    NoOrigin,
    /// The timeout is nought, or does not fit what is told to browsers.
    #[error("a challenge cannot be good for {0:?}")]
    Timeout(Duration),
}

/// Why a ceremony was not begun or not passed.
///
/// To the person at the other end all refusals are one: nobody learns which check an answer failed.
#[derive(Debug, thiserror::Error)]
pub enum WebAuthnError {
    /// The answer does not have the form of a credential.
    #[error("the answer is not a credential of the expected kind")]
    Malformed(#[source] serde_json::Error),
    /// The answer came too late.
    #[error("the challenge has expired")]
    Expired,
    /// A check of "Registering a New Credential" (WebAuthn §7.1) failed.
    #[error("the new credential was refused")]
    Registration(#[source] Box<RegCeremonyErr>),
    /// A check of "Verifying an Authentication Assertion" (WebAuthn §7.2) failed.
    #[error("the assertion was refused")]
    Authentication(#[source] Box<AuthCeremonyErr>),
    /// The signature is good but its counter has been seen: there may be two copies of the private key (WebAuthn §6.1.1).
    #[error("the signature counter did not grow")]
    CounterRegressed,
    /// The ceremony was begun for somebody else.
    #[error("the ceremony belongs to another user")]
    OtherUser,
    /// The stored session data is not that of a ceremony of this kind.
    #[error("the session data is not that of this ceremony")]
    SessionData,
    /// The stored credential cannot be read.
    #[error("the stored credential cannot be read")]
    StoredCredential,
    /// The options could not be made.
    #[error("the ceremony could not be begun")]
    Begin(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl WebAuthnError {
    /// Whether the fault is in what this server stored or did, rather than in the answer.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        match self {
            Self::SessionData | Self::StoredCredential | Self::Begin(_) => true,
            Self::Malformed(_)
            | Self::Expired
            | Self::Registration(_)
            | Self::Authentication(_)
            | Self::CounterRegressed
            | Self::OtherUser => false,
        }
    }

    /// Wraps what kept options from being made.
    pub(super) fn begin(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Begin(Box::new(source))
    }
}

impl From<RegCeremonyErr> for WebAuthnError {
    fn from(error: RegCeremonyErr) -> Self {
        match error {
            RegCeremonyErr::Timeout => Self::Expired,
            other => Self::Registration(Box::new(other)),
        }
    }
}

impl From<AuthCeremonyErr> for WebAuthnError {
    fn from(error: AuthCeremonyErr) -> Self {
        match error {
            AuthCeremonyErr::Timeout => Self::Expired,
            AuthCeremonyErr::SignatureCounter => Self::CounterRegressed,
            other => Self::Authentication(Box::new(other)),
        }
    }
}
