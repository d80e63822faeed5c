//! `POST /factors/{id}/verify`.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::pass::{self, Proof};
use super::{Kind, ceremony, named, secret, somebody, unknown};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::limits;
use crate::request::Response;
use crate::service::{Call, seconds};
use crate::user::{Factor, User};

/// The columns of a challenge `c` that decide whether an answer comes in time and from the right place.
const CHALLENGE: &str = "\
jsonb_build_object('ip', host(c.ip_address), 'sent', c.otp_code, 'session_data', c.web_authn_session_data, \
'expired', c.created_at <= now() - make_interval(secs => $3::bigint), 'used', c.verified_at is not null, \
'secret', f.secret, 'credential', f.web_authn_credential)";

#[derive(Deserialize)]
struct Body {
    challenge_id: Option<String>,
    code: Option<String>,
    webauthn: Option<ceremony::Answer>,
}

/// A challenge with what its factor is proved by.
#[derive(Deserialize)]
struct Challenge {
    ip: IpAddr,
    sent: Option<String>,
    session_data: Option<Value>,
    expired: bool,
    used: bool,
    secret: Option<String>,
    credential: Option<Value>,
}

/// Takes the proof of a factor: the session is `aal2` from now on.
pub(in crate::endpoint) async fn verify(call: &Call<'_>) -> Result<Response> {
    let user = somebody(call)?;
    let (factor, kind) = named(call, 0, user)?;
    call.session_row()?;
    let body: Body = call.request.json()?;
    kind.may_be_verified(&call.auth.config().mfa)?;
    call.limit(limits::Kind::FactorVerify, Some(&factor.id.to_string()))?;
    may_verify(call, user, factor)?;
    match kind {
        Kind::Totp | Kind::Phone => by_code(call, user, factor, kind, &body).await,
        Kind::WebAuthn => by_ceremony(call, user, factor, body).await,
    }
}

/// Who has a factor cannot get another one to count without it.
fn may_verify(call: &Call<'_>, user: &User, factor: &Factor) -> Result<()> {
    if !factor.is_verified() && user.verified_factors().next().is_some() && !call.is_strong()? {
        let message = "AAL2 required to verify a new factor";
        return Err(Error::forbidden(code::INSUFFICIENT_AAL, message));
    }
    Ok(())
}

fn challenge_id(body: &Body) -> Result<Uuid> {
    let id = body.challenge_id.as_deref().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Error::validation("challenge_id must be a valid UUID"))
}

/// A wrong code does not use the challenge up: people mistype. How often they may is counted.
async fn by_code(
    call: &Call<'_>,
    user: &User,
    factor: &Factor,
    kind: Kind,
    body: &Body,
) -> Result<Response> {
    let typed = body.code.as_deref().filter(|typed| !typed.is_empty());
    let typed = typed.ok_or_else(|| Error::validation("Code needs to be non-empty"))?;
    let id = challenge_id(body)?;
    let lifetime = seconds(call.auth.config().mfa.challenge_expiry);
    let find = format!(
        "select {CHALLENGE} from auth.mfa_challenges c join auth.mfa_factors f on f.id = c.factor_id \
         where c.id = $1::uuid and f.id = $2::uuid"
    );
    let found = call.auth.db().query(&find, &[&id, &factor.id, &lifetime]).await?.json(0)?;
    let challenge = in_order(call, id, found)?;
    secret::begin(call, factor)?;
    let mut proof = Proof::of(user, factor, kind, id);
    proof.consume_challenge();
    let right = match kind {
        Kind::Phone => {
            let sent = challenge.sent.as_deref();
            secret::check_sent(call, factor, id, sent, typed).await
        }
        Kind::Totp | Kind::WebAuthn => {
            let stored = challenge.secret.as_deref();
            secret::check_totp(call, &mut proof.work, factor, stored, typed)
        }
    };
    judged(call, user, factor, right).await?;
    let session = pass::pass(call, proof).await?;
    secret::was_right(call, factor);
    Ok(Response::ok(&session))
}

/// The challenge of a ceremony is used up by any answer, before that is looked at.
async fn by_ceremony(
    call: &Call<'_>,
    user: &User,
    factor: &Factor,
    body: Body,
) -> Result<Response> {
    let id = challenge_id(&body)?;
    let answer = body.webauthn.ok_or_else(|| Error::validation("WebAuthn config required"))?;
    answer.is_for(factor)?;
    let lifetime = seconds(call.auth.config().mfa.challenge_expiry);
    let take = format!(
        "delete from auth.mfa_challenges c using auth.mfa_factors f \
         where c.id = $1::uuid and c.factor_id = $2::uuid and f.id = c.factor_id returning {CHALLENGE}"
    );
    let work = Work::of(&take, &[&id, &factor.id, &lifetime]);
    let challenge = in_order(call, id, call.auth.db().run(work).await?.json(0)?)?;
    let mut proof = Proof::of(user, factor, Kind::WebAuthn, id);
    let data = challenge.session_data.ok_or_else(unknown_challenge)?;
    let stored = challenge.credential.as_ref();
    let half = ceremony::Half { data, stored };
    let right = ceremony::finish(call, &mut proof.work, user, factor, half, &answer);
    judged(call, user, factor, right).await?;
    Ok(Response::ok(&pass::pass(call, proof).await?))
}

/// Asks the project's hook about an attempt, right or wrong. It is not asked about what could not be compared.
async fn judged(call: &Call<'_>, user: &User, factor: &Factor, right: Result<()>) -> Result<()> {
    let wrong = right.as_ref().is_err_and(|error| error.code == code::MFA_VERIFICATION_FAILED);
    if right.is_ok() || wrong {
        call.mfa_hook(user.id, factor.id, &factor.factor_type, right.is_ok()).await?;
    }
    right
}

/// The challenge, if it can still be answered from here.
fn in_order(call: &Call<'_>, id: Uuid, found: Option<Challenge>) -> Result<Challenge> {
    let challenge = found.filter(|challenge| !challenge.used).ok_or_else(unknown_challenge)?;
    if challenge.ip.to_canonical() != call.request.client_ip.to_canonical() {
        let message = "Challenge and verify IP addresses mismatch.";
        return Err(Error::unprocessable(code::MFA_IP_ADDRESS_MISMATCH, message));
    }
    if challenge.expired {
        let message = format!(
            "MFA challenge {id} has expired, verify against another challenge or create a new challenge."
        );
        return Err(Error::unprocessable(code::MFA_CHALLENGE_EXPIRED, message));
    }
    Ok(challenge)
}

fn unknown_challenge() -> Error {
    let message = "MFA factor with the provided challenge ID not found";
    Error { status: http::StatusCode::UNPROCESSABLE_ENTITY, message: message.into(), ..unknown() }
}
