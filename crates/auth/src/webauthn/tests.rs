//! Whole ceremonies, with an authenticator that does as it is told.

use std::time::{Duration, SystemTime};

use plinth_testkit::authenticator::{Algorithm, Authenticator, Quirks};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rp::response::auth::error::AuthCeremonyErr;
use webauthn_rp::response::register::error::RegCeremonyErr;

use super::*;

mod assertions;
mod options;
mod passing;
mod registrations;
mod state;

const ORIGIN: &str = "http://localhost:5173";
const ADA: Uuid = Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0001);
const BEN: Uuid = Uuid::from_u128(0xb000_0000_0000_4000_8000_0000_0000_0002);

fn settings() -> RelyingPartySettings {
    RelyingPartySettings {
        id: "localhost".to_owned(),
        display_name: "Paradyze".to_owned(),
        origins: vec![ORIGIN.to_owned(), "http://app.localhost".to_owned()],
        timeout: DEFAULT_TIMEOUT,
    }
}

fn site() -> RelyingParty {
    RelyingParty::new(&settings()).unwrap()
}

fn ada() -> CeremonyUser<'static> {
    CeremonyUser { id: ADA, name: "ada@example.com", display_name: "Ada Lovelace" }
}

fn device() -> Authenticator {
    Authenticator::new("localhost", ORIGIN).unwrap()
}

/// Session data on their way through a `jsonb` column.
fn stored(ceremony: &Ceremony) -> Value {
    serde_json::from_str(&ceremony.session_data.to_string()).unwrap()
}

/// Ada adds `device` as a passkey.
fn add_passkey(device: &mut Authenticator) -> Result<Credential, WebAuthnError> {
    let begun = site().passkey_registration_options(&ada(), &[]).unwrap();
    let answer = device.create(&begun.options);
    site().finish_registration(&stored(&begun), ADA, &answer)
}

/// Somebody signs in with `device`, as the owner of `credential`, who is Ada.
fn sign_in(
    device: &mut Authenticator,
    credential: &Credential,
) -> Result<Credential, WebAuthnError> {
    let begun = site().passkey_authentication_options().unwrap();
    let answer = device.get(&begun.options).unwrap();
    finish(&begun, &answer, credential)
}

fn finish(
    begun: &Ceremony,
    answer: &Value,
    credential: &Credential,
) -> Result<Credential, WebAuthnError> {
    let assertion = PasskeyAssertion::parse(answer)?;
    site().finish_passkey_authentication(&stored(begun), &assertion, ADA, credential)
}

/// How registration with these quirks is refused.
fn refused_registration(quirks: Quirks) -> RegCeremonyErr {
    let mut device = device();
    device.quirks = quirks;
    match add_passkey(&mut device).unwrap_err() {
        WebAuthnError::Registration(reason) => *reason,
        other => panic!("{other:?}"),
    }
}

/// How a sign-in with these quirks, of a passkey added without them, is refused.
fn refused_sign_in(quirks: Quirks) -> AuthCeremonyErr {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    device.quirks = quirks;
    reason(sign_in(&mut device, &credential))
}

fn reason(outcome: Result<Credential, WebAuthnError>) -> AuthCeremonyErr {
    match outcome.unwrap_err() {
        WebAuthnError::Authentication(reason) => *reason,
        other => panic!("{other:?}"),
    }
}
