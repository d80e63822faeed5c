//! Codes that people type: how their secrets are kept, and whether one is right.

use std::time::Instant;

use plinth_wire::Secret;
use uuid::Uuid;

use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::hook::HookKind;
use crate::limits::CodeDecision;
use crate::random::same;
use crate::seal::SealError;
use crate::service::Call;
use crate::totp;
use crate::user::Factor;

/// What the secrets of authenticator apps are sealed for; the row is the factor.
pub(super) const TOTP: &str = "totp";
/// What codes that were sent are sealed for; the row is the challenge.
pub(super) const SENT: &str = "mfa_code";

/// Remembers the step of a code that was accepted; fails when it or a later one was accepted before.
const USE_STEP: &str = "\
with used as ( \
  insert into plinth.totp_step as known (factor_id, step) values ($1::uuid, $2::bigint) \
  on conflict (factor_id) do update set step = excluded.step where known.step < excluded.step returning 1) \
select 1 / count(*) from used";

const SEAL_ANEW: &str = "update auth.mfa_factors set secret = $2 where id = $1::uuid";

/// Seals `plain` for the row `row`.
///
/// # Errors
///
/// 500 when it cannot be sealed.
pub(super) fn sealed(call: &Call<'_>, purpose: &str, row: Uuid, plain: &str) -> Result<String> {
    call.auth.sealer().seal(purpose, &row.to_string(), plain.as_bytes()).map_err(|error| {
        tracing::error!(error = %error, "a secret of a factor cannot be sealed");
        Error::internal("Unexpected failure, please check server logs for more information")
    })
}

/// Counts a try at the codes of `factor`, before it is compared.
///
/// # Errors
///
/// As for a wrong code, when there were too many.
pub(super) fn begin(call: &Call<'_>, factor: &Factor) -> Result<()> {
    let lifetime = call.auth.config().mfa.challenge_expiry;
    match call.auth.codes().begin(&subject(factor), lifetime, Instant::now()) {
        CodeDecision::Open { .. } => Ok(()),
        CodeDecision::Dead | CodeDecision::Locked { .. } => Err(wrong(factor)),
    }
}

/// The last try was right.
pub(super) fn was_right(call: &Call<'_>, factor: &Factor) {
    call.auth.codes().correct(&subject(factor));
}

/// Another code was sent.
pub(super) fn renewed(call: &Call<'_>, factor: &Factor) {
    call.auth.codes().renewed(&subject(factor));
}

fn subject(factor: &Factor) -> String {
    format!("factor:{}", factor.id)
}

/// Whether an authenticator app with the stored `secret` shows `code` now. Adds to `work` that it is used up.
///
/// # Errors
///
/// 422 when it is wrong; 500 when the secret cannot be opened.
pub(super) fn check_totp(
    call: &Call<'_>,
    work: &mut Work,
    factor: &Factor,
    secret: Option<&str>,
    code: &str,
) -> Result<()> {
    let stored = secret.unwrap_or_default();
    let plain = opened(call, factor, stored)?;
    let now = u64::try_from(call.now.as_second()).unwrap_or_default();
    let step = totp::verify(&plain, code, now).map_err(|error| unreadable(factor, &error))?;
    let step = step.and_then(|step| i64::try_from(step).ok()).ok_or_else(|| wrong(factor))?;
    work.add(USE_STEP, &[&factor.id, &step]);
    if !stored.starts_with("v1.") || call.auth.sealer().is_outdated(stored) {
        let anew = sealed(call, TOTP, factor.id, plain.expose())?;
        work.add(SEAL_ANEW, &[&factor.id, &anew]);
    }
    Ok(())
}

/// The secret of an authenticator app. One that is not sealed came with a user from elsewhere.
fn opened(call: &Call<'_>, factor: &Factor, stored: &str) -> Result<Secret> {
    match call.auth.sealer().open_text(TOTP, &factor.id.to_string(), stored) {
        Ok(secret) => Ok(secret),
        Err(SealError::Malformed) if !stored.contains('.') => Ok(Secret::new(stored)),
        Err(error) => Err(unreadable(factor, &error)),
    }
}

/// Whether `code` is the one that was sent with `challenge`.
///
/// # Errors
///
/// 422 when it is not, or when the carrier says so; 500 when the code that was sent cannot be opened.
pub(super) async fn check_sent(
    call: &Call<'_>,
    factor: &Factor,
    challenge: Uuid,
    sent: Option<&str>,
    code: &str,
) -> Result<()> {
    let carrier = call.auth.sms().filter(|carrier| carrier.makes_codes());
    let carrier = carrier.filter(|_| !call.has_hook(HookKind::SendSms));
    let right = if let Some(carrier) = carrier {
        let phone = factor.phone.as_deref().unwrap_or_default();
        let checked = carrier.check(phone, &Secret::new(code)).await;
        checked.map_err(|error| {
            tracing::warn!(error = %error, "the carrier cannot check a code");
            Error::unprocessable(code::SMS_SEND_FAILED, "The code cannot be checked at the moment")
        })?
    } else {
        let opened =
            call.auth.sealer().open_text(SENT, &challenge.to_string(), sent.unwrap_or_default());
        same(opened.map_err(|error| unreadable(factor, &error))?.expose(), code)
    };
    if right { Ok(()) } else { Err(wrong(factor)) }
}

fn unreadable(factor: &Factor, error: &dyn std::error::Error) -> Error {
    tracing::error!(factor.id = %factor.id, error = %error, "a secret of a factor cannot be used");
    Error::internal("Database error verifying MFA TOTP secret")
}

/// 422: wrong, used or too often tried; which of them is not said.
pub(super) fn wrong(factor: &Factor) -> Error {
    let message = match factor.factor_type.as_str() {
        "totp" => "Invalid TOTP code entered",
        "phone" => "Invalid MFA Phone code entered",
        _ => "Invalid MFA WebAuthn response",
    };
    Error::unprocessable(code::MFA_VERIFICATION_FAILED, message)
}
