//! Security keys as a factor: a ceremony makes the key's credential, later ones prove it.

use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::{Value, json};

use super::secret;
use crate::db::Work;
use crate::endpoint::passkey::shown_name;
use crate::error::{Error, Result, code};
use crate::service::Call;
use crate::user::{Factor, User};
use crate::webauthn::{Ceremony, CeremonyUser, Credential, WebAuthnError};

const CREDENTIALS: &str = "\
select jsonb_build_object('factor', id, 'credential', web_authn_credential) from auth.mfa_factors \
where user_id = $1::uuid and factor_type = 'webauthn' and status = 'verified' and web_authn_credential is not null";

/// Fails when the factor has a credential by now, or another factor of the user has this one.
const KEEP_NEW: &str = "\
with kept as ( \
  update auth.mfa_factors set web_authn_credential = $3::jsonb, web_authn_aaguid = $4::uuid \
  where id = $1::uuid and user_id = $2::uuid and status = 'unverified' and not exists ( \
    select from auth.mfa_factors o where o.user_id = $2::uuid and o.id <> $1::uuid \
    and o.web_authn_credential ->> 'id' = $3::jsonb ->> 'id') \
  returning 1) \
select 1 / count(*) from kept";

/// Fails when the key's counter has been seen meanwhile; keys that do not count stay at nought.
const KEEP_USED: &str = "\
with kept as ( \
  update auth.mfa_factors set web_authn_credential = $3::jsonb where id = $1::uuid and user_id = $2::uuid \
  and status = 'verified' and (coalesce((web_authn_credential #>> '{authenticator,signCount}')::bigint, 0) < $4::bigint \
    or $4::bigint = 0 and coalesce((web_authn_credential #>> '{authenticator,signCount}')::bigint, 0) = 0) \
  returning 1) \
select 1 / count(*) from kept";

/// What a browser answers.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(rename = "type", default)]
    kind: String,
    credential_response: Option<Value>,
}

/// A ceremony that has begun.
pub(super) struct Begun {
    /// For the browser.
    pub(super) told: Value,
    /// For the database.
    pub(super) session_data: Value,
    /// In Unix seconds.
    pub(super) expires_at: i64,
}

/// What the second half of a ceremony needs of the first, and of ceremonies before.
pub(super) struct Half<'a> {
    /// What the first half left.
    pub(super) data: Value,
    /// The credential, once there is one.
    pub(super) stored: Option<&'a Value>,
}

#[derive(Deserialize)]
struct Stored {
    factor: uuid::Uuid,
    credential: Value,
}

/// `create` until the factor is verified, `request` from then on.
fn kind_for(factor: &Factor) -> &'static str {
    if factor.is_verified() { "request" } else { "create" }
}

impl Answer {
    /// Whether it is what the factor needs.
    ///
    /// # Errors
    ///
    /// 400 when it is not.
    pub(super) fn is_for(&self, factor: &Factor) -> Result<()> {
        if !["create", "request"].contains(&self.kind.as_str()) {
            return Err(Error::validation("WebAuthn type must be create or request"));
        }
        if self.kind != kind_for(factor) {
            let message = format!("WebAuthn type must be {} for this factor", kind_for(factor));
            return Err(Error::validation(message));
        }
        if self.credential_response.is_none() {
            return Err(Error::validation("credential_response required"));
        }
        Ok(())
    }
}

/// Begins to make the factor's credential, or to prove it.
pub(super) async fn begin(call: &Call<'_>, user: &User, factor: &Factor) -> Result<Begun> {
    let party = call.auth.relying_party()?;
    let rows: Vec<Stored> = call.auth.db().query(CREDENTIALS, &[&user.id]).await?.json_rows(0)?;
    let read = |row: &Stored| Credential::from_json(&row.credential);
    let ceremony: Result<Ceremony, WebAuthnError> = if factor.is_verified() {
        let own = rows.iter().filter(|row| row.factor == factor.id).map(read);
        own.collect::<Result<Vec<_>, _>>().and_then(|own| party.factor_authentication_options(&own))
    } else {
        let name = shown_name(user);
        let person = CeremonyUser { id: user.id, name: &name, display_name: &name };
        let others = rows.iter().map(read).collect::<Result<Vec<_>, _>>();
        others.and_then(|others| party.factor_registration_options(&person, &others))
    };
    let ceremony = ceremony.map_err(|error| refused(factor, &error))?;
    let since = ceremony.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Begun {
        told: json!({
            "type": kind_for(factor),
            "credential_options": {"publicKey": ceremony.options},
        }),
        session_data: ceremony.session_data,
        expires_at: crate::service::seconds(since),
    })
}

/// Checks what the browser answered. Adds to `work` what is to be kept of it.
///
/// # Errors
///
/// 422 when the answer does not prove the factor, 400 when it has not even its form.
pub(super) fn finish(
    call: &Call<'_>,
    work: &mut Work,
    user: &User,
    factor: &Factor,
    half: Half<'_>,
    answer: &Answer,
) -> Result<()> {
    let party = call.auth.relying_party()?;
    let response = answer.credential_response.as_ref().unwrap_or(&Value::Null);
    let refused = |error: WebAuthnError| refused(factor, &error);
    if factor.is_verified() {
        let stored = half.stored.ok_or(WebAuthnError::StoredCredential).map_err(refused)?;
        let stored = Credential::from_json(stored).map_err(refused)?;
        let used = party
            .finish_factor_authentication(&half.data, user.id, response, &stored)
            .map_err(refused)?;
        work.add(KEEP_USED, &[&factor.id, &user.id, &used.to_json(), &used.sign_count]);
    } else {
        let made = party.finish_registration(&half.data, user.id, response).map_err(refused)?;
        work.add(KEEP_NEW, &[&factor.id, &user.id, &made.to_json(), &made.aaguid]);
    }
    Ok(())
}

fn refused(factor: &Factor, error: &WebAuthnError) -> Error {
    if error.is_internal() {
        tracing::error!(factor.id = %factor.id, error = %error, "a WebAuthn ceremony failed");
        return Error::internal("Failed to validate WebAuthn MFA response");
    }
    match error {
        WebAuthnError::Malformed(_) => Error::validation("Invalid credential_response"),
        WebAuthnError::Expired => {
            let message = "MFA challenge has expired, create a new challenge.";
            Error::unprocessable(code::MFA_CHALLENGE_EXPIRED, message)
        }
        _ => secret::wrong(factor),
    }
}
