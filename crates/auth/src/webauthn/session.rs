//! Session data: what is stored between the halves of a ceremony.
//!
//! `{"ceremony": "registration", "state": "<base64url>"}`. The state is webauthn_rp's own encoding of the challenge, its expiry
//! and what was asked for. The name keeps one ceremony's challenge from being spent in another.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webauthn_rp::bin::{Decode, Encode};

use super::WebAuthnError;

/// Which ceremony session data belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CeremonyKind {
    /// A new credential, passkey or factor.
    Registration,
    /// A sign-in by a passkey.
    Passkey,
    /// A check of a second factor.
    Factor,
}

#[derive(Serialize, Deserialize)]
struct SessionData {
    ceremony: CeremonyKind,
    state: String,
}

/// Turns the state of a ceremony into what is stored.
pub(super) fn store<'a, S>(ceremony: CeremonyKind, state: &'a S) -> Result<Value, WebAuthnError>
where
    S: Encode<Output<'a> = Vec<u8>> + 'a,
    S::Err: std::error::Error + Send + Sync + 'static,
{
    let bytes = state.encode().map_err(WebAuthnError::begin)?;
    let data = SessionData { ceremony, state: BASE64_URL_SAFE_NO_PAD.encode(bytes) };
    serde_json::to_value(data).map_err(WebAuthnError::begin)
}

/// Reads what [`store`] made, if it is of the expected kind.
pub(super) fn load<S>(expected: CeremonyKind, stored: &Value) -> Result<S, WebAuthnError>
where
    S: for<'a> Decode<Input<'a> = &'a [u8]>,
{
    let data = SessionData::deserialize(stored).map_err(|_| WebAuthnError::SessionData)?;
    if data.ceremony != expected {
        return Err(WebAuthnError::SessionData);
    }
    let bytes =
        BASE64_URL_SAFE_NO_PAD.decode(data.state).map_err(|_| WebAuthnError::SessionData)?;
    S::decode(&bytes).map_err(|_| WebAuthnError::SessionData)
}
