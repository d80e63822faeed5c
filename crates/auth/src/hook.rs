//! Code of the project that takes part in signing in: a PostgreSQL function, or a server of its own.
//!
//! A hook is given a payload (see [`payload`]) and answers with JSON, which [`interpret`] reads. An
//! HTTP hook is called by [`HttpHook::call`]; a function is called by whoever has a connection, with
//! the statement of [`FunctionHook`].

mod answer;
mod claims;
mod configured;
mod error;
mod function;
mod http;
pub mod payload;
mod signature;
mod uri;

pub use answer::{Outcome, interpret};
pub use configured::{Hooks, HooksError};
pub use error::HookError;
pub use function::{FUNCTION_TIMEOUT, FunctionHook};
pub use http::{HttpHook, MAX_ANSWER};
pub use signature::{SecretError, Secrets};
pub use uri::{UriError, parse};

/// A place in the flow at which a project's code is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// Before an account is made. May refuse.
    BeforeUserCreated,
    /// Once an account is there. It stays, whatever is answered; an error ends the request.
    AfterUserCreated,
    /// Whenever an access token is issued. Gives the claims.
    CustomAccessToken,
    /// Instead of sending a text message.
    SendSms,
    /// Instead of sending an e-mail.
    SendEmail,
    /// After a factor's code was compared. May refuse.
    MfaVerificationAttempt,
    /// After a password was compared. May refuse.
    PasswordVerificationAttempt,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::BeforeUserCreated,
        Self::AfterUserCreated,
        Self::CustomAccessToken,
        Self::SendSms,
        Self::SendEmail,
        Self::MfaVerificationAttempt,
        Self::PasswordVerificationAttempt,
    ];

    /// The name in a configuration: `[auth.hook.<name>]`, `GOTRUE_HOOK_<NAME>_URI`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::BeforeUserCreated => "before_user_created",
            Self::AfterUserCreated => "after_user_created",
            Self::CustomAccessToken => "custom_access_token",
            Self::SendSms => "send_sms",
            Self::SendEmail => "send_email",
            Self::MfaVerificationAttempt => "mfa_verification_attempt",
            Self::PasswordVerificationAttempt => "password_verification_attempt",
        }
    }

    /// The name in a payload's `metadata.name`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeUserCreated => "before-user-created",
            Self::AfterUserCreated => "after-user-created",
            Self::CustomAccessToken => "customize-access-token",
            Self::SendSms => "send-sms",
            Self::SendEmail => "send-email",
            Self::MfaVerificationAttempt => "mfa-verification",
            Self::PasswordVerificationAttempt => "password-verification",
        }
    }
}

/// What is called.
#[derive(Debug, Clone)]
pub enum Hook {
    /// A function of the project's database.
    Function(FunctionHook),
    /// A server.
    Http(HttpHook),
}
