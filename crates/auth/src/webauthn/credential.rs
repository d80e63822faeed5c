//! A credential as it is stored: as columns for a passkey, as one JSON object for a factor.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rp::AuthenticatedCredential;
use webauthn_rp::bin::Decode as _;
use webauthn_rp::request::PublicKeyCredentialDescriptor;
use webauthn_rp::response::register::{
    AuthenticatorExtensionOutputStaticState, CredentialProtectionPolicy, DynamicState, StaticState,
};
use webauthn_rp::response::{
    AuthTransports, AuthenticatorAttachment, AuthenticatorTransport, Backup, CredentialId,
};

use super::cose::{self, PublicKey};
use super::{HANDLE_LENGTH, Handle, WebAuthnError};

/// The transports that the standard names, by name.
pub(super) const TRANSPORTS: [(&str, AuthenticatorTransport); 6] = [
    ("ble", AuthenticatorTransport::Ble),
    ("hybrid", AuthenticatorTransport::Hybrid),
    ("internal", AuthenticatorTransport::Internal),
    ("nfc", AuthenticatorTransport::Nfc),
    ("smart-card", AuthenticatorTransport::SmartCard),
    ("usb", AuthenticatorTransport::Usb),
];

/// What is known of a credential ("credential record", WebAuthn §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The authenticator's name for it: 16 to 1,023 bytes, unique among all users.
    pub id: Vec<u8>,
    /// COSE_Key, in the authenticator's own bytes.
    pub public_key: Vec<u8>,
    /// The attestation statement's format: `none`, or `packed` when the key vouched for itself.
    pub attestation_type: String,
    /// The authenticator's model; all noughts when it would not say.
    pub aaguid: Uuid,
    /// How many signatures the authenticator has made, by its own count. Stays 0 where passkeys are synchronised.
    pub sign_count: u32,
    /// How the authenticator can be reached, by the standard's names: a hint for browsers.
    pub transports: Vec<String>,
    /// Whether the credential may be copied to other devices. Never changes.
    pub backup_eligible: bool,
    /// Whether it has been.
    pub backed_up: bool,
    /// Whether the authenticator has ever verified its user (PIN, fingerprint).
    pub user_verified: bool,
}

impl Credential {
    /// As it is kept in `auth.mfa_factors.web_authn_credential`. Bytes are base64 with padding.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let record = Record {
            id: BASE64_STANDARD.encode(&self.id),
            public_key: BASE64_STANDARD.encode(&self.public_key),
            attestation_type: self.attestation_type.clone(),
            transport: Some(self.transports.clone()),
            flags: Flags {
                user_present: true,
                user_verified: self.user_verified,
                backup_eligible: self.backup_eligible,
                backup_state: self.backed_up,
            },
            authenticator: Authenticator {
                aaguid: Some(BASE64_STANDARD.encode(self.aaguid)),
                sign_count: self.sign_count,
                clone_warning: false,
            },
        };
        // Strings, numbers and booleans under string keys always are JSON.
        serde_json::to_value(record).unwrap_or_default()
    }

    /// Reads what [`Credential::to_json`], or another server of this protocol, wrote.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::StoredCredential`].
    pub fn from_json(stored: &Value) -> Result<Self, WebAuthnError> {
        let record = Record::deserialize(stored).map_err(|_| WebAuthnError::StoredCredential)?;
        let bytes =
            |text: &str| BASE64_STANDARD.decode(text).map_err(|_| WebAuthnError::StoredCredential);
        let aaguid = match record.authenticator.aaguid.as_deref() {
            None | Some("") => Uuid::nil(),
            Some(text) => {
                Uuid::from_slice(&bytes(text)?).map_err(|_| WebAuthnError::StoredCredential)?
            }
        };
        Ok(Self {
            id: bytes(&record.id)?,
            public_key: bytes(&record.public_key)?,
            attestation_type: record.attestation_type,
            aaguid,
            sign_count: record.authenticator.sign_count,
            transports: record.transport.unwrap_or_default(),
            backup_eligible: record.flags.backup_eligible,
            backed_up: record.flags.backup_state,
            user_verified: record.flags.user_verified,
        })
    }

    /// How options name it to a browser.
    pub(super) fn descriptor(
        &self,
    ) -> Result<PublicKeyCredentialDescriptor<Vec<u8>>, WebAuthnError> {
        let id = CredentialId::<Vec<u8>>::decode(self.id.clone())
            .map_err(|_| WebAuthnError::StoredCredential)?;
        Ok(PublicKeyCredentialDescriptor { id, transports: transports_named(&self.transports)? })
    }

    /// As webauthn_rp wants it for checking an assertion of `owner`.
    pub(super) fn to_checked<'a>(
        &'a self,
        owner: &'a Handle,
    ) -> Result<AuthenticatedCredential<'a, 'a, HANDLE_LENGTH, PublicKey>, WebAuthnError> {
        let id =
            CredentialId::<&[u8]>::decode(&self.id).map_err(|_| WebAuthnError::StoredCredential)?;
        let credential_public_key =
            cose::decode(&self.public_key).ok_or(WebAuthnError::StoredCredential)?;
        // Extensions are never asked for, so there is nothing to remember of them.
        let extensions = AuthenticatorExtensionOutputStaticState {
            cred_protect: CredentialProtectionPolicy::None,
            hmac_secret: None,
        };
        let changing = DynamicState {
            user_verified: self.user_verified,
            backup: match (self.backup_eligible, self.backed_up) {
                (false, _) => Backup::NotEligible,
                (true, false) => Backup::Eligible,
                (true, true) => Backup::Exists,
            },
            sign_count: self.sign_count,
            authenticator_attachment: AuthenticatorAttachment::None,
        };
        AuthenticatedCredential::new(
            id,
            owner,
            StaticState { credential_public_key, extensions },
            changing,
        )
        .map_err(|_| WebAuthnError::StoredCredential)
    }

    /// The same credential after an assertion that left it in the state `seen`.
    pub(super) fn after(&self, seen: DynamicState) -> Self {
        let (backup_eligible, backed_up) = backup_flags(seen.backup);
        Self {
            sign_count: seen.sign_count,
            backup_eligible,
            backed_up,
            user_verified: seen.user_verified,
            ..self.clone()
        }
    }
}

/// Eligible, and backed up.
pub(super) fn backup_flags(backup: Backup) -> (bool, bool) {
    (!matches!(backup, Backup::NotEligible), matches!(backup, Backup::Exists))
}

/// The names of `transports`, in the standard's order.
pub(super) fn transport_names(transports: AuthTransports) -> Vec<String> {
    TRANSPORTS
        .iter()
        .filter(|(_, one)| transports.contains(*one))
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// The transports among `names` that have a meaning here.
fn transports_named(names: &[String]) -> Result<AuthTransports, WebAuthnError> {
    let known: Vec<&str> = TRANSPORTS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| names.iter().any(|given| given == name))
        .collect();
    AuthTransports::deserialize(json!(known)).map_err(|_| WebAuthnError::StoredCredential)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    public_key: String,
    #[serde(default)]
    attestation_type: String,
    transport: Option<Vec<String>>,
    #[serde(default)]
    flags: Flags,
    #[serde(default)]
    authenticator: Authenticator,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flags {
    user_present: bool,
    user_verified: bool,
    backup_eligible: bool,
    backup_state: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Authenticator {
    #[serde(rename = "AAGUID")]
    aaguid: Option<String>,
    sign_count: u32,
    clone_warning: bool,
}
