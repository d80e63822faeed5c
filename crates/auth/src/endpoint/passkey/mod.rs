//! `/passkeys`: signing in with a key that a device keeps, and the user's passkeys.

mod authentication;
mod manage;
mod registration;
mod store;

pub(super) use authentication::{begin_sign_in, sign_in};
pub(super) use manage::{list, remove, rename};
pub(super) use registration::{begin_registration, register};
pub(super) use store::{delete_of, list_of};

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::request::Response;
use crate::service::Call;
use crate::user::User;
use crate::webauthn::{Ceremony, WebAuthnError};

/// Challenges that are swept when a new one is made, so that abandoned ones do not pile up.
const SWEEP: &str = "\
delete from auth.webauthn_challenges where id in ( \
  select id from auth.webauthn_challenges where expires_at < now() order by expires_at limit 100 for update skip locked)";

const KEEP: &str = "\
insert into auth.webauthn_challenges (id, user_id, challenge_type, session_data, created_at, expires_at) \
values ($1::uuid, $2::uuid, $3, $4::jsonb, now(), to_timestamp($5::bigint))";

/// A challenge is good for one answer: it is gone before the answer is looked at.
const TAKE: &str = "\
delete from auth.webauthn_challenges where id = $1::uuid and challenge_type = $2 and user_id is not distinct from $3::uuid \
returning jsonb_build_object('session_data', session_data, 'expired', expires_at <= now())";

/// What a browser answers.
#[derive(Deserialize)]
struct Answer {
    challenge_id: Option<String>,
    credential: Option<Value>,
}

/// The first half of a ceremony, as it was kept.
#[derive(Deserialize)]
struct Kept {
    session_data: Value,
    expired: bool,
}

impl Answer {
    /// The challenge and the credential.
    fn parts(self) -> Result<(Uuid, Value)> {
        let id = self.challenge_id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Error::validation("challenge_id is required"))?;
        let credential = self.credential.filter(|credential| !credential.is_null());
        let credential = credential.ok_or_else(|| Error::validation("credential is required"))?;
        let id = id
            .parse()
            .map_err(|_no_uuid| Error::validation("challenge_id must be a valid UUID"))?;
        Ok((id, credential))
    }
}

/// 404 unless the project has passkeys.
pub(super) fn enabled(call: &Call<'_>) -> Result<()> {
    if call.auth.config().passkey.enabled {
        return Ok(());
    }
    Err(Error::not_found(code::PASSKEY_DISABLED, "Passkeys are disabled"))
}

/// 403 when the user has a second factor that the session has not proved: a passkey signs in.
fn may_manage(call: &Call<'_>, user: &User) -> Result<()> {
    if user.verified_factors().next().is_some() && !call.is_strong()? {
        let message = "AAL2 required to manage passkeys";
        return Err(Error::forbidden(code::INSUFFICIENT_AAL, message));
    }
    Ok(())
}

/// By what name authenticators show the user.
pub(super) fn shown_name(user: &User) -> String {
    match (user.email(), user.phone()) {
        ("", "") => user.id.to_string(),
        ("", phone) => phone.to_owned(),
        (email, _) => email.to_owned(),
    }
}

/// Keeps the first half of a ceremony and answers with what the browser needs.
async fn begun(
    call: &Call<'_>,
    user: Option<Uuid>,
    kind: &str,
    ceremony: Result<Ceremony, WebAuthnError>,
) -> Result<Response> {
    let ceremony = ceremony.map_err(|error| refused(&error))?;
    let since = ceremony.expires_at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let expires_at = crate::service::seconds(since);
    let id = Uuid::new_v4();
    let mut work = Work::of(SWEEP, &[]);
    work.add(KEEP, &[&id, &user, &kind, &ceremony.session_data, &expires_at]);
    call.auth.db().run(work).await?;
    Ok(Response::ok(&json!({
        "challenge_id": id,
        "options": ceremony.options,
        "expires_at": expires_at,
    })))
}

/// The first half of a ceremony, if there still is one.
fn in_time(kept: Option<Kept>) -> Result<Value> {
    let not_found = || {
        let message = "Challenge not found or already used";
        Error::bad_request(code::WEBAUTHN_CHALLENGE_NOT_FOUND, message)
    };
    let kept = kept.ok_or_else(not_found)?;
    if kept.expired { Err(expired()) } else { Ok(kept.session_data) }
}

fn expired() -> Error {
    Error::bad_request(code::WEBAUTHN_CHALLENGE_EXPIRED, "Challenge has expired")
}

/// What a ceremony's failure amounts to. Nobody learns which check an answer failed.
fn refused(error: &WebAuthnError) -> Error {
    if error.is_internal() {
        tracing::error!(error = %error, "a ceremony of passkeys failed");
        return Error::internal("Failed to generate WebAuthn options");
    }
    if matches!(error, WebAuthnError::Expired) { expired() } else { not_proved() }
}

/// 400: not a passkey of ours, or not its answer.
fn not_proved() -> Error {
    let message = "Credential verification failed";
    Error::bad_request(code::WEBAUTHN_VERIFICATION_FAILED, message)
}
