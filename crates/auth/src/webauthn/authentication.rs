//! Assertions: proofs that a credential is at hand (WebAuthn §7.2).

use serde_json::Value;
use uuid::Uuid;
use webauthn_rp::request::auth::{
    AllowedCredential, AllowedCredentials, AuthenticationVerificationOptions,
    SignatureCounterEnforcement,
};
use webauthn_rp::request::{Credentials as _, UserVerificationRequirement};
use webauthn_rp::response::auth::{DiscoverableAuthentication, NonDiscoverableAuthentication};
use webauthn_rp::{
    DiscoverableAuthenticationServerState, DiscoverableCredentialRequestOptions,
    NonDiscoverableAuthenticationServerState, NonDiscoverableCredentialRequestOptions,
};

use super::session::{self, CeremonyKind};
use super::{
    AllowedOrigin, Ceremony, Credential, HANDLE_LENGTH, RelyingParty, WebAuthnError, handle_of,
    response, user_of,
};

/// What a browser answered to the options of a passkey sign-in: who it claims to be, still to be proved.
#[derive(Debug)]
pub struct PasskeyAssertion {
    answer: DiscoverableAuthentication<HANDLE_LENGTH>,
    user: Uuid,
}

impl PasskeyAssertion {
    /// Reads an `AuthenticationResponseJSON` that names its user.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::Malformed`], [`WebAuthnError::OtherUser`] when the user handle is not one of ours.
    pub fn parse(credential: &Value) -> Result<Self, WebAuthnError> {
        let answer = response::standard_form(credential);
        let answer: DiscoverableAuthentication<HANDLE_LENGTH> =
            DiscoverableAuthentication::from_json_relaxed(&answer)
                .map_err(WebAuthnError::Malformed)?;
        let user = user_of(answer.response().user_handle()).ok_or(WebAuthnError::OtherUser)?;
        Ok(Self { answer, user })
    }

    /// The credential that is to be found and given to [`RelyingParty::finish_passkey_authentication`].
    #[must_use]
    pub fn credential_id(&self) -> &[u8] {
        self.answer.raw_id().into_inner()
    }

    /// Whom the authenticator says it belongs to.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        self.user
    }
}

impl RelyingParty {
    /// Options for signing in with a passkey, whoever it is.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::Begin`].
    pub fn passkey_authentication_options(&self) -> Result<Ceremony, WebAuthnError> {
        let mut options = DiscoverableCredentialRequestOptions::passkey(&self.id);
        options.0.timeout = self.timeout;
        let expires_at = self.expiry();
        let (state, client) = options.start_ceremony().map_err(WebAuthnError::begin)?;
        let mut options = serde_json::to_value(client).map_err(WebAuthnError::begin)?;
        response::leave_out_empty(&mut options);
        Ok(Ceremony {
            options,
            session_data: session::store(CeremonyKind::Passkey, &state)?,
            expires_at,
        })
    }

    /// Checks the assertion against the `stored` credential of `owner`, and gives the credential as it is to be stored now:
    /// with its new counter and backup state.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError`], of which everything that is not [internal](WebAuthnError::is_internal) is the client's.
    pub fn finish_passkey_authentication(
        &self,
        session_data: &Value,
        assertion: &PasskeyAssertion,
        owner: Uuid,
        stored: &Credential,
    ) -> Result<Credential, WebAuthnError> {
        let state: DiscoverableAuthenticationServerState =
            session::load(CeremonyKind::Passkey, session_data)?;
        let owner = handle_of(owner);
        let mut checked = stored.to_checked(&owner)?;
        state.verify(&self.id, &assertion.answer, &mut checked, &self.checks())?;
        Ok(stored.after(checked.dynamic_state()))
    }

    /// Options for passing a second factor with one of the `allowed` credentials.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::StoredCredential`], [`WebAuthnError::Begin`] when none is allowed.
    pub fn factor_authentication_options(
        &self,
        allowed: &[Credential],
    ) -> Result<Ceremony, WebAuthnError> {
        let mut list = AllowedCredentials::with_capacity(allowed.len());
        for credential in allowed {
            list.push(AllowedCredential::from(credential.descriptor()?));
        }
        let mut options = NonDiscoverableCredentialRequestOptions::second_factor(&self.id, list)
            .map_err(WebAuthnError::begin)?;
        options.options().timeout = self.timeout;
        options.options().user_verification = UserVerificationRequirement::Preferred;
        let expires_at = self.expiry();
        let (state, client) = options.start_ceremony().map_err(WebAuthnError::begin)?;
        let mut options = serde_json::to_value(client).map_err(WebAuthnError::begin)?;
        response::leave_out_empty(&mut options);
        Ok(Ceremony {
            options,
            session_data: session::store(CeremonyKind::Factor, &state)?,
            expires_at,
        })
    }

    /// Checks an `AuthenticationResponseJSON` of `user`, and gives the one of the `stored` credentials that made it, as it is
    /// to be stored now.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError`], of which everything that is not [internal](WebAuthnError::is_internal) is the client's.
    pub fn finish_factor_authentication(
        &self,
        session_data: &Value,
        user: Uuid,
        credential: &Value,
        stored: &Credential,
    ) -> Result<Credential, WebAuthnError> {
        let state: NonDiscoverableAuthenticationServerState =
            session::load(CeremonyKind::Factor, session_data)?;
        let answer = response::standard_form(credential);
        let answer: NonDiscoverableAuthentication<HANDLE_LENGTH> =
            NonDiscoverableAuthentication::from_json_relaxed(&answer)
                .map_err(WebAuthnError::Malformed)?;
        let owner = handle_of(user);
        let mut checked = stored.to_checked(&owner)?;
        state.verify(&self.id, &answer, &mut checked, &self.checks())?;
        Ok(stored.after(checked.dynamic_state()))
    }

    /// Frames of other origins are refused, and so is a counter that did not grow.
    fn checks(&self) -> AuthenticationVerificationOptions<'_, '_, AllowedOrigin, AllowedOrigin> {
        AuthenticationVerificationOptions {
            allowed_origins: &self.origins,
            error_on_unsolicited_extensions: false,
            update_uv: true,
            sig_counter_enforcement: SignatureCounterEnforcement::Fail,
            ..Default::default()
        }
    }
}
