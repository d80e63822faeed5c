//! Key pairs that sign the tokens of a project's users.

use std::time::SystemTime;

use plinth_wire::Secret;

/// Most keys of one project, revoked ones among them: a token may be tried with each.
pub const MAX_SIGNING_KEYS: usize = 32;

/// What a key is used for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyState {
    /// Announced, so that it is known everywhere before it signs.
    Standby,
    /// Signs. A project has one such key, or none and then signs with its JWT secret.
    InUse,
    /// Signs no more; its tokens are good until they expire.
    PreviouslyUsed,
    /// Its tokens are refused.
    Revoked,
}

impl SigningKeyState {
    /// Its name in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::InUse => "in_use",
            Self::PreviouslyUsed => "previously_used",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that name; one that is not known is as good as revoked.
    pub(crate) fn parse(name: &str) -> Self {
        let known = [Self::Standby, Self::InUse, Self::PreviouslyUsed];
        known.into_iter().find(|state| state.as_str() == name).unwrap_or(Self::Revoked)
    }
}

/// A key pair that is to be a project's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSigningKey {
    /// Its name in the headers of tokens.
    pub kid: String,
    /// `ES256`, `RS256` or `EdDSA`.
    pub algorithm: String,
    /// The private JSON Web Key, sealed. What that means is sign-in's business.
    pub sealed: Secret,
    /// The public JSON Web Key as text.
    pub public_jwk: String,
}

/// A key pair of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The pair.
    pub key: NewSigningKey,
    /// What it is used for.
    pub state: SigningKeyState,
    /// When it became the project's.
    pub created_at: SystemTime,
    /// When its state changed.
    pub changed_at: SystemTime,
}
