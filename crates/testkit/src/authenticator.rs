//! A WebAuthn authenticator and the browser in front of it, in software, that can be told to misbehave.
//!
//! It holds one credential. [`Authenticator::create`] and [`Authenticator::get`] take the options that a server hands to
//! browsers and answer what `PublicKeyCredential.toJSON()` would. `tests/clients/lib/authenticator.mjs` is the same for clients.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::KitError;

mod key;

pub use key::Algorithm;
use key::Key;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const ATTESTED_DATA: u8 = 0x40;

/// What an authenticator does wrong, or does differently. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// The page's origin, instead of the authenticator's own.
    pub origin: Option<String>,
    /// The domain that is signed for, instead of the authenticator's own.
    pub rp_id: Option<String>,
    /// The challenge that is signed, instead of the options'.
    pub challenge: Option<String>,
    /// The page is a frame in a page of another origin.
    pub cross_origin: bool,
    /// The client data say `webauthn.get` where it should be `webauthn.create`, and the other way round.
    pub other_ceremony: bool,
    /// Nobody touched the authenticator.
    pub user_absent: bool,
    /// Nobody entered a PIN.
    pub user_unverified: bool,
    /// The signature counter stays where it is, as in a copy that does not know of the other's use.
    pub frozen_counter: bool,
    /// The authenticator counts no signatures: its counter is nought for ever, as where passkeys are synchronised.
    pub no_counter: bool,
    /// One bit of the signature is wrong.
    pub bad_signature: bool,
    /// The credential may be copied to other devices, and whether it has been.
    pub backup: Option<bool>,
    /// The answer does not say whose credential it is. Real ones do so with credentials that are not discoverable.
    pub no_user_handle: bool,
}

/// An authenticator with one credential. A clone of it has the same private key.
#[derive(Clone, Debug)]
pub struct Authenticator {
    rp_id: String,
    origin: String,
    key: Arc<Key>,
    public_key: Vec<u8>,
    credential_id: [u8; 32],
    user_handle: Option<Value>,
    sign_count: u32,
    /// What it does wrong from now on.
    pub quirks: Quirks,
}

impl Authenticator {
    /// An authenticator with a fresh ES256 key, in a browser that shows a page of `origin`.
    ///
    /// # Errors
    ///
    /// [`KitError`] when the system has no random numbers.
    pub fn new(rp_id: &str, origin: &str) -> Result<Self, KitError> {
        Self::signing(Algorithm::Es256, rp_id, origin)
    }

    /// As [`Authenticator::new`], with a key of another kind.
    ///
    /// # Errors
    ///
    /// [`KitError`] when the system has no random numbers.
    pub fn signing(algorithm: Algorithm, rp_id: &str, origin: &str) -> Result<Self, KitError> {
        let failed = KitError::setup("making an authenticator");
        let key = Key::generate(algorithm).map_err(&failed)?;
        let public_key = key.cose();
        let mut credential_id = [0; 32];
        rand::fill(&mut credential_id).map_err(failed)?;
        Ok(Self {
            rp_id: rp_id.to_owned(),
            origin: origin.to_owned(),
            key: Arc::new(key),
            public_key,
            credential_id,
            user_handle: None,
            sign_count: 0,
            quirks: Quirks::default(),
        })
    }

    /// The credential's id, as it is in JSON.
    #[must_use]
    pub fn credential_id(&self) -> String {
        encode(&self.credential_id)
    }

    /// Pretends to be another credential, with the same key.
    pub fn rename(&mut self, credential_id: [u8; 32]) {
        self.credential_id = credential_id;
    }

    /// Answers as if for another user.
    pub fn claim(&mut self, user_handle: &[u8]) {
        self.user_handle = Some(json!(encode(user_handle)));
    }

    /// `navigator.credentials.create()`: takes the user's handle and answers a `RegistrationResponseJSON`.
    pub fn create(&mut self, options: &Value) -> Value {
        self.user_handle = Some(options["user"]["id"].clone());
        let mut data = self.authenticator_data(ATTESTED_DATA);
        data.extend([0; 16]); // The model: it would rather not say.
        data.extend([0, 32]);
        data.extend(self.credential_id);
        data.extend(&self.public_key);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData");
        match u8::try_from(data.len()) {
            Ok(length) => object.extend([0x58, length]),
            Err(_) => object.extend([&[0x59][..], &data.len().to_be_bytes()[6..]].concat()),
        }
        object.extend(&data);
        let client_data =
            self.client_data(if self.quirks.other_ceremony { "get" } else { "create" }, options);
        self.answer(json!({
            "clientDataJSON": encode(client_data.as_bytes()),
            "attestationObject": encode(&object),
            "transports": ["usb"],
        }))
    }

    /// `navigator.credentials.get()`: signs the challenge and answers an `AuthenticationResponseJSON`.
    ///
    /// # Errors
    ///
    /// [`KitError`] when the system has no random numbers.
    pub fn get(&mut self, options: &Value) -> Result<Value, KitError> {
        if !self.quirks.frozen_counter && !self.quirks.no_counter {
            self.sign_count += 1;
        }
        let data = self.authenticator_data(0);
        let client_data =
            self.client_data(if self.quirks.other_ceremony { "create" } else { "get" }, options);
        let signed = [&data[..], digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let mut signature = self.key.sign(&signed).map_err(KitError::setup("signing"))?;
        if let (true, Some(last)) = (self.quirks.bad_signature, signature.last_mut()) {
            *last ^= 1;
        }
        let mut response = json!({
            "clientDataJSON": encode(client_data.as_bytes()),
            "authenticatorData": encode(&data),
            "signature": encode(&signature),
        });
        if let (false, Some(handle)) = (self.quirks.no_user_handle, &self.user_handle) {
            response["userHandle"] = handle.clone();
        }
        Ok(self.answer(response))
    }

    fn answer(&self, response: Value) -> Value {
        json!({
            "id": self.credential_id(),
            "rawId": self.credential_id(),
            "type": "public-key",
            "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
            "response": response,
        })
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> String {
        let challenge = self.quirks.challenge.as_deref().or(options["challenge"].as_str());
        json!({
            "type": format!("webauthn.{ceremony}"),
            "challenge": challenge,
            "origin": self.quirks.origin.as_ref().unwrap_or(&self.origin),
            "crossOrigin": self.quirks.cross_origin,
        })
        .to_string()
    }

    /// WebAuthn §6.1, without attested data and extensions.
    fn authenticator_data(&self, more_flags: u8) -> Vec<u8> {
        let mut flags = more_flags;
        for (set, flag) in [
            (!self.quirks.user_absent, USER_PRESENT),
            (!self.quirks.user_unverified, USER_VERIFIED),
            (self.quirks.backup.is_some(), BACKUP_ELIGIBLE),
            (self.quirks.backup == Some(true), BACKED_UP),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let rp_id = self.quirks.rp_id.as_ref().unwrap_or(&self.rp_id);
        let count = if self.quirks.no_counter { 0 } else { self.sign_count };
        [digest(&SHA256, rp_id.as_bytes()).as_ref(), &[flags], &count.to_be_bytes()].concat()
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
