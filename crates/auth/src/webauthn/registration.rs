//! New credentials (WebAuthn §7.1).

use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rp::request::register::{
    AuthenticatorAttachmentReq, AuthenticatorSelectionCriteria, CoseAlgorithmIdentifiers,
    CredProtect, Extension, PublicKeyCredentialCreationOptions, PublicKeyCredentialUserEntity,
    RegistrationVerificationOptions, ResidentKeyRequirement,
};
use webauthn_rp::request::{
    Challenge, CredentialMediationRequirement, UserVerificationRequirement,
};
use webauthn_rp::response::register::Attestation;
use webauthn_rp::{RegisteredCredential, Registration, RegistrationServerState};

use super::credential::{backup_flags, transport_names};
use super::session::{self, CeremonyKind};
use super::{
    AllowedOrigin, Ceremony, CeremonyUser, Credential, HANDLE_LENGTH, RelyingParty, WebAuthnError,
    cose, handle_of, response, user_of,
};

impl RelyingParty {
    /// Options for a new passkey: discoverable, and only by an authenticator that verifies its user, because a passkey alone
    /// signs in. `existing` are the user's passkeys, so that a device does not make a second one.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::StoredCredential`], [`WebAuthnError::Begin`].
    pub fn passkey_registration_options(
        &self,
        user: &CeremonyUser<'_>,
        existing: &[Credential],
    ) -> Result<Ceremony, WebAuthnError> {
        let (key, verification) =
            (ResidentKeyRequirement::Required, UserVerificationRequirement::Required);
        self.begin_registration(user, existing, key, verification)
    }

    /// Options for a new second factor: any authenticator will do. `existing` are the user's other factors of this type.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::StoredCredential`], [`WebAuthnError::Begin`].
    pub fn factor_registration_options(
        &self,
        user: &CeremonyUser<'_>,
        existing: &[Credential],
    ) -> Result<Ceremony, WebAuthnError> {
        let (key, verification) =
            (ResidentKeyRequirement::Discouraged, UserVerificationRequirement::Preferred);
        self.begin_registration(user, existing, key, verification)
    }

    fn begin_registration(
        &self,
        user: &CeremonyUser<'_>,
        existing: &[Credential],
        resident_key: ResidentKeyRequirement,
        user_verification: UserVerificationRequirement,
    ) -> Result<Ceremony, WebAuthnError> {
        let handle = handle_of(user.id);
        let options = PublicKeyCredentialCreationOptions {
            mediation: CredentialMediationRequirement::Optional,
            rp_id: &self.id,
            user: PublicKeyCredentialUserEntity::from(&handle),
            challenge: Challenge::new(),
            pub_key_cred_params: CoseAlgorithmIdentifiers::default(),
            timeout: self.timeout,
            exclude_credentials: existing
                .iter()
                .map(Credential::descriptor)
                .collect::<Result<_, _>>()?,
            authenticator_selection: AuthenticatorSelectionCriteria {
                authenticator_attachment: AuthenticatorAttachmentReq::default(),
                resident_key,
                user_verification,
            },
            extensions: Extension {
                cred_props: None,
                cred_protect: CredProtect::None,
                min_pin_length: None,
                prf: None,
            },
        };
        let expires_at = self.expiry();
        let (state, client) = options.start_ceremony().map_err(WebAuthnError::begin)?;
        let mut options = serde_json::to_value(client).map_err(WebAuthnError::begin)?;
        self.dress(&mut options, user);
        Ok(Ceremony {
            options,
            session_data: session::store(CeremonyKind::Registration, &state)?,
            expires_at,
        })
    }

    /// Puts in what webauthn_rp does not carry: the site's name, and names of people that need not be RFC 8265 user names.
    fn dress(&self, options: &mut Value, user: &CeremonyUser<'_>) {
        options["rp"]["name"] = json!(self.display_name);
        options["user"]["name"] = json!(user.name);
        options["user"]["displayName"] = json!(user.display_name);
        response::leave_out_empty(options);
    }

    /// Checks what a browser answered to registration options, and gives the credential to store.
    ///
    /// `user` is who is signed in. That the credential's id is new among all users is for the database to say.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError`], of which everything that is not [internal](WebAuthnError::is_internal) is the client's.
    pub fn finish_registration(
        &self,
        session_data: &Value,
        user: Uuid,
        credential: &Value,
    ) -> Result<Credential, WebAuthnError> {
        let state: RegistrationServerState<HANDLE_LENGTH> =
            session::load(CeremonyKind::Registration, session_data)?;
        let answer = response::standard_form(credential);
        let answer = Registration::from_json_relaxed(&answer).map_err(WebAuthnError::Malformed)?;
        let checks = RegistrationVerificationOptions::<'_, '_, AllowedOrigin, AllowedOrigin> {
            allowed_origins: &self.origins,
            error_on_unsolicited_extensions: false,
            ..Default::default()
        };
        let made = state.verify(&self.id, &answer, &checks)?;
        if user_of(made.user_id()) != Some(user) {
            return Err(WebAuthnError::OtherUser);
        }
        record_of(&made)
    }
}

fn record_of(made: &RegisteredCredential<'_, HANDLE_LENGTH>) -> Result<Credential, WebAuthnError> {
    let (seen, about) = (made.dynamic_state(), made.metadata());
    let (backup_eligible, backed_up) = backup_flags(seen.backup);
    Ok(Credential {
        id: made.id().as_ref().to_vec(),
        public_key: cose::encode(&made.static_state().credential_public_key)
            .ok_or(WebAuthnError::StoredCredential)?,
        attestation_type: match about.attestation {
            Attestation::None => "none",
            Attestation::Surrogate => "packed",
        }
        .to_owned(),
        aaguid: Uuid::from_slice(about.aaguid.data()).unwrap_or_default(),
        sign_count: seen.sign_count,
        transports: transport_names(made.transports()),
        backup_eligible,
        backed_up,
        user_verified: seen.user_verified,
    })
}
