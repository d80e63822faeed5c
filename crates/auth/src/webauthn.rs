//! WebAuthn (W3C "Web Authentication" Level 3): passkeys, and security keys as a second factor.
//!
//! A ceremony has two halves. The first makes *options* for the browser and *session data* for the database; the second takes
//! the session data and what the browser answered. Nothing is kept in memory between them, so any instance can finish what
//! another began. This module neither stores nor looks anything up: the caller keeps the session data until its time is up,
//! **deletes it before it verifies** (which is what makes a challenge good for one attempt), and finds the credential.
//!
//! | | first half | second half |
//! |---|---|---|
//! | add a passkey | [`RelyingParty::passkey_registration_options`] | [`RelyingParty::finish_registration`] |
//! | sign in with a passkey | [`RelyingParty::passkey_authentication_options`] | [`RelyingParty::finish_passkey_authentication`] |
//! | enrol a factor | [`RelyingParty::factor_registration_options`] | [`RelyingParty::finish_registration`] |
//! | pass a factor | [`RelyingParty::factor_authentication_options`] | [`RelyingParty::finish_factor_authentication`] |
//!
//! # What goes over the wire
//!
//! Binary values are base64url without padding. `PublicKeyCredentialCreationOptionsJSON`, of a passkey:
//!
//! ```json
//! {
//!   "rp": { "id": "localhost", "name": "Paradyze" },
//!   "user": { "id": "<the user's uuid as 36 characters>", "name": "ada@example.com", "displayName": "ada@example.com" },
//!   "challenge": "<16 random bytes>",
//!   "pubKeyCredParams": [{ "type": "public-key", "alg": -8 }, { "…": "-7, -35, -257" }],
//!   "timeout": 300000,
//!   "excludeCredentials": [{ "type": "public-key", "id": "…", "transports": ["internal"] }],
//!   "authenticatorSelection": { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
//!   "attestation": "none"
//! }
//! ```
//!
//! Of a factor, `authenticatorSelection` is `{"residentKey": "discouraged", "requireResidentKey": false, "userVerification":
//! "preferred"}`: keys without a PIN are welcome as a second factor, not as the only one. `excludeCredentials` is left out when
//! empty. `PublicKeyCredentialRequestOptionsJSON`:
//!
//! ```json
//! { "challenge": "…", "timeout": 300000, "rpId": "localhost", "userVerification": "required",
//!   "allowCredentials": [{ "type": "public-key", "id": "…", "transports": ["usb"] }] }
//! ```
//!
//! Of a passkey, `allowCredentials` is left out: the authenticator says who is there. The answers are `RegistrationResponseJSON`
//! and `AuthenticationResponseJSON`, as `PublicKeyCredential.toJSON()` makes them. Of their fields, `id` and
//! `response.{clientDataJSON, attestationObject}` or `response.{clientDataJSON, authenticatorData, signature, userHandle}` are
//! needed; unknown fields, unknown transports and base64 padding are tolerated.
//!
//! How the endpoints wrap them:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /passkeys/registration/options` (bearer) | `{}` | `{challenge_id, options, expires_at}` |
//! | `POST /passkeys/registration/verify` (bearer) | `{challenge_id, credential}` | `{id, friendly_name, created_at}` |
//! | `POST /passkeys/authentication/options` | `{gotrue_meta_security?}` | `{challenge_id, options, expires_at}` |
//! | `POST /passkeys/authentication/verify` | `{challenge_id, credential}` | a session |
//! | `POST /factors/{id}/challenge` (bearer) | `{factorId, webauthn?}` | `{id, type, expires_at, webauthn: {type, credential_options: {publicKey: options}}}` |
//! | `POST /factors/{id}/verify` (bearer) | `{challenge_id, webauthn: {type, credential_response}}` | a session |
//!
//! There, `webauthn.type` is `create` while the factor is unverified and `request` afterwards; `expires_at` is in Unix seconds.

mod authentication;
mod authenticators;
mod cose;
mod credential;
mod error;
mod registration;
mod response;
mod session;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use uuid::Uuid;
use webauthn_rp::bin::Decode as _;
use webauthn_rp::request::register::UserHandle;
use webauthn_rp::request::{AsciiDomain, RpId};
use webauthn_rp::response::Origin;

pub use authentication::PasskeyAssertion;
pub use authenticators::authenticator_name;
pub use credential::Credential;
pub use error::{RelyingPartyError, WebAuthnError};

/// How long a challenge is good for unless the settings say otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// Length of a user handle: a UUID as text, which is what other servers of this protocol hand to authenticators.
const HANDLE_LENGTH: usize = 36;
type Handle = UserHandle<HANDLE_LENGTH>;

/// For whom credentials are made and by whom they are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingPartySettings {
    /// The domain that credentials are bound to, such as `example.com`: the pages' host or a parent of it. Never an address.
    pub id: String,
    /// What authenticators show as the name of the site.
    pub display_name: String,
    /// Where ceremonies may take place, such as `https://app.example.com`: scheme, host, and port unless it is the scheme's own.
    pub origins: Vec<String>,
    /// How long a challenge is good for.
    pub timeout: Duration,
}

/// A project's side of the ceremonies: what it offers to authenticators and how it checks their answers.
#[derive(Debug)]
pub struct RelyingParty {
    id: RpId,
    display_name: String,
    origins: Vec<AllowedOrigin>,
    timeout: NonZeroU32,
}

impl RelyingParty {
    /// Checks `settings`.
    ///
    /// # Errors
    ///
    /// [`RelyingPartyError`] when the id is not a domain, when there is no origin, when an origin is more or less than one, or
    /// when the timeout is nought or beyond 49 days.
    pub fn new(settings: &RelyingPartySettings) -> Result<Self, RelyingPartyError> {
        let not_a_domain = || RelyingPartyError::Id(settings.id.clone());
        // webauthn_rp takes any printable text for a domain.
        let Ok(url::Host::Domain(domain)) = url::Host::parse(&settings.id) else {
            return Err(not_a_domain());
        };
        let id = AsciiDomain::try_from(domain).map_err(|_| not_a_domain())?;
        let origins = settings
            .origins
            .iter()
            .map(|origin| AllowedOrigin::parse(origin))
            .collect::<Result<Vec<_>, _>>()?;
        if origins.is_empty() {
            return Err(RelyingPartyError::NoOrigin);
        }
        let timeout = u32::try_from(settings.timeout.as_millis()).ok().and_then(NonZeroU32::new);
        let timeout = timeout.ok_or(RelyingPartyError::Timeout(settings.timeout))?;
        Ok(Self {
            id: RpId::Domain(id),
            display_name: settings.display_name.clone(),
            origins,
            timeout,
        })
    }

    /// The earliest moment at which a ceremony begun now is over.
    fn expiry(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(u64::from(self.timeout.get()))
    }
}

/// An origin that answers are accepted from, compared byte by byte as the standard demands.
#[derive(Debug)]
struct AllowedOrigin(String);

impl AllowedOrigin {
    /// The host need not be within the relying party's domain: browsers see to that, and make exceptions that the domain
    /// allows ("related origins", Level 3 §5.11). Native applications' origins have no host and are taken as they are.
    fn parse(origin: &str) -> Result<Self, RelyingPartyError> {
        if origin.starts_with("android:apk-key-hash:") {
            return Ok(Self(origin.to_owned()));
        }
        let malformed = || RelyingPartyError::Origin(origin.to_owned());
        let url = url::Url::parse(origin).map_err(|_| malformed())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if bare && anonymous && matches!(url.scheme(), "http" | "https") {
            Ok(Self(url.origin().ascii_serialization()))
        } else {
            Err(malformed())
        }
    }
}

impl PartialEq<Origin<'_>> for AllowedOrigin {
    fn eq(&self, other: &Origin<'_>) -> bool {
        self.0 == other.0
    }
}

/// Whose credential is made, and what the authenticator shows of them.
#[derive(Clone, Copy, Debug)]
pub struct CeremonyUser<'a> {
    /// Becomes the user handle, by which a passkey says whose it is.
    pub id: Uuid,
    /// Tells accounts apart: the address or phone number.
    pub name: &'a str,
    /// How the person is called. May equal the name.
    pub display_name: &'a str,
}

/// The first half of a ceremony.
#[derive(Debug)]
pub struct Ceremony {
    /// What the browser is given.
    pub options: Value,
    /// What the second half needs: holds the challenge, so it belongs in the database and nowhere else.
    pub session_data: Value,
    /// When the challenge is no longer good. The second half refuses by itself from then on.
    pub expires_at: SystemTime,
}

/// The handle under which an authenticator knows the user.
fn handle_of(user: Uuid) -> Handle {
    let mut text = [0; HANDLE_LENGTH];
    user.hyphenated().encode_lower(&mut text);
    match Handle::decode(text) {
        Ok(handle) => handle,
        Err(never) => match never {},
    }
}

/// The user that `handle` stands for, or nothing when it was not made by [`handle_of`].
fn user_of(handle: &Handle) -> Option<Uuid> {
    std::str::from_utf8(handle.as_ref()).ok().and_then(|text| Uuid::parse_str(text).ok())
}
