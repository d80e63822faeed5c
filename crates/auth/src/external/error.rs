use crate::outgoing::OutgoingError;

/// Why signing in by an outside provider failed.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The provider's settings cannot work; the text says which.
    #[error("provider {provider}: {problem}")]
    Settings {
        /// The provider's key.
        provider: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A call to the provider had no answer, or the policy does not allow it.
    #[error("the provider could not be asked")]
    Outgoing(#[from] OutgoingError),
    /// The provider's document was not to be had a moment ago, and it is too early to ask again.
    #[error("the provider's {0} is not available")]
    Unavailable(&'static str),
    /// The provider refused, in the words of RFC 6749 §5.2: a code that is used up, a wrong secret.
    #[error("the provider answered {code}")]
    Denied {
        /// Its `error`, at most 64 characters.
        code: String,
        /// Its `error_description`, at most 256 characters.
        description: Option<String>,
    },
    /// The provider answered with a status that is no success.
    #[error("the provider answered with status {0}")]
    Status(u16),
    /// The provider's answer is not what its documentation says; the text names the part.
    #[error("the provider's {0} cannot be understood")]
    Malformed(&'static str),
    /// The ID token is not acceptable.
    #[error("bad ID token")]
    IdToken(#[from] IdTokenError),
    /// The provider gave no address and the settings require one.
    #[error("the provider gave no e-mail address")]
    NoEmail,
    /// This provider issues no ID tokens that could be verified.
    #[error("the provider issues no ID tokens")]
    NoIdTokens,
}

/// Why an ID token is refused (OpenID Connect Core 1.0 §3.1.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is no signed JWT, or too long.
    #[error("not a signed token")]
    Malformed,
    /// It is signed by an algorithm that is not accepted: only RS256, ES256 and EdDSA are.
    #[error("signed by an algorithm that is not accepted")]
    Algorithm,
    /// The issuer has no such key.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The signature does not belong to the token.
    #[error("the signature is wrong")]
    Signature,
    /// It was issued by somebody else.
    #[error("from another issuer")]
    Issuer,
    /// It was issued for another client.
    #[error("Unacceptable audience in id_token")]
    Audience,
    /// It was issued for several clients, and not requested by ours.
    #[error("requested by another client")]
    AuthorizedParty,
    /// It says nobody's name.
    #[error("Missing sub claim in id_token")]
    Subject,
    /// Its time is over, or it has no end.
    #[error("expired")]
    Expired,
    /// It was issued in the future, or must not be used yet.
    #[error("not valid yet")]
    NotYetValid,
    /// One of the two nonces is missing.
    #[error("Passed nonce and nonce in id_token should either both exist or not.")]
    NonceMissing,
    /// The nonces differ.
    #[error("Nonces mismatch")]
    NonceMismatch,
    /// It was issued together with another access token.
    #[error("issued with another access token")]
    AccessToken,
}
