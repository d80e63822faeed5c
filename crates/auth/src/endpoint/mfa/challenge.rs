//! `POST /factors/{id}/challenge`.

use plinth_wire::WireError;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Kind, ceremony, is_expired, named, secret, somebody, unknown};
use crate::audit::{self, Action};
use crate::db::{Work, condition_failed, taken};
use crate::error::{Error, Result, code};
use crate::hook::payload::SmsData;
use crate::limits;
use crate::random::numeric_code;
use crate::request::Response;
use crate::service::{Call, seconds};
use crate::sms::{Channel, Sms, render};
use crate::user::{Factor, User};

const DROP_EXPIRED: &str = "\
delete from auth.mfa_challenges where factor_id = $1::uuid \
and created_at < now() - make_interval(secs => $2::bigint)";

/// Fails when the factor is gone, or was asked for less than `$3` seconds ago. The column is unique over all users, so it
/// is the clock's time and not that of the transaction.
const TOUCH: &str = "\
with touched as ( \
  update auth.mfa_factors set last_challenged_at = clock_timestamp() where id = $1::uuid and user_id = $2::uuid \
  and (last_challenged_at is null or last_challenged_at <= clock_timestamp() - make_interval(secs => $3::bigint)) \
  returning 1) \
select 1 / count(*) from touched";

const INSERT: &str = "\
insert into auth.mfa_challenges (id, factor_id, created_at, ip_address, otp_code, web_authn_session_data) \
values ($1::uuid, $2::uuid, now(), $3::inet, $4, $5::jsonb) \
returning to_jsonb(extract(epoch from created_at)::bigint)";

/// The place of [`INSERT`] among the statements that write a challenge.
const INSERTED: usize = 2;

/// The constraint that no two factors were challenged at the same moment.
const LAST_CHALLENGED: &str = "mfa_factors_last_challenged_at_key";

/// How often a moment is tried that nobody else has.
const ATTEMPTS: u32 = 4;

#[derive(Default, Deserialize)]
struct Body {
    channel: Option<String>,
}

/// What is asked of the user.
#[derive(Default)]
struct Question {
    /// Digits that were sent, sealed.
    sent: Option<String>,
    /// Of a WebAuthn ceremony.
    session_data: Option<Value>,
    /// What its browser is told.
    told: Option<Value>,
}

/// Asks for the factor: from now on the user has some minutes to prove it.
pub(in crate::endpoint) async fn challenge(call: &Call<'_>) -> Result<Response> {
    let user = somebody(call)?;
    let (factor, kind) = named(call, 0, user)?;
    kind.may_be_verified(&call.auth.config().mfa)?;
    if is_expired(call, factor) {
        return Err(unknown());
    }
    let body: Body = call.request.json()?;
    call.limit(limits::Kind::FactorChallenge, Some(&factor.id.to_string()))?;
    let id = Uuid::new_v4();
    let (question, expires_at) = match kind {
        Kind::Totp => {
            let question = Question::default();
            let expires_at = ask(call, user, factor, id, &question).await?;
            (question, expires_at)
        }
        Kind::Phone => by_message(call, user, factor, id, &body).await?,
        Kind::WebAuthn => {
            let begun = ceremony::begin(call, user, factor).await?;
            let (told, data) = (Some(begun.told), Some(begun.session_data));
            let question = Question { sent: None, session_data: data, told };
            let expires_at = ask(call, user, factor, id, &question).await?;
            (question, expires_at.min(begun.expires_at))
        }
    };
    let mut answer = json!({"id": id, "type": kind.name(), "expires_at": expires_at});
    if let Some(told) = question.told {
        answer["webauthn"] = told;
    }
    Ok(Response::ok(&answer))
}

/// Sends digits to the factor's number.
async fn by_message(
    call: &Call<'_>,
    user: &User,
    factor: &Factor,
    id: Uuid,
    body: &Body,
) -> Result<(Question, i64)> {
    let channel = body.channel.as_deref().unwrap_or_default();
    let channel = Channel::of_name(channel).ok_or_else(|| {
        Error::validation("Invalid channel, supported values are 'sms' or 'whatsapp'")
    })?;
    let config = &call.auth.config().mfa.phone;
    let waited = factor.last_challenged_at.map(|last| call.now.as_second() - last.as_second());
    let pause = seconds(config.max_frequency);
    if let Some(left) = waited.map(|waited| pause - waited).filter(|left| *left > 0) {
        return Err(too_soon(left));
    }
    call.count_sms()?;
    let digits = u8::try_from(config.otp_length).unwrap_or(u8::MAX);
    let digits = numeric_code(digits).map_err(|error| {
        tracing::error!(error = %error, "no code can be made");
        Error::internal("error creating SMS Challenge")
    })?;
    let question = Question {
        sent: Some(secret::sealed(call, secret::SENT, id, &digits)?),
        ..Question::default()
    };
    let expires_at = ask(call, user, factor, id, &question).await?;
    secret::renewed(call, factor);
    send(call, user, factor, &digits, channel).await?;
    Ok((question, expires_at))
}

async fn send(
    call: &Call<'_>,
    user: &User,
    factor: &Factor,
    digits: &str,
    channel: Channel,
) -> Result<()> {
    let phone = factor.phone.as_deref().unwrap_or_default();
    let data = SmsData { otp: digits, sms_type: "mfa", phone };
    if call.send_sms_hook(user, &data).await? {
        return Ok(());
    }
    let failed = |why: &str| {
        let message = format!("Error sending MFA OTP to provider: {why}");
        Error::unprocessable(code::SMS_SEND_FAILED, message)
    };
    let carrier = call.auth.sms().ok_or_else(|| failed("no provider is configured"))?;
    let text = render(&call.auth.config().mfa.phone.template, digits);
    let sms = Sms { phone, text: &text, code: digits, channel };
    carrier.send(sms).await.map_err(|error| failed(&error.to_string()))?;
    Ok(())
}

/// Writes the challenge; tells when it expires, in Unix seconds.
async fn ask(
    call: &Call<'_>,
    user: &User,
    factor: &Factor,
    id: Uuid,
    question: &Question,
) -> Result<i64> {
    let config = &call.auth.config().mfa;
    let (lifetime, is_phone) = (seconds(config.challenge_expiry), question.sent.is_some());
    let pause = if is_phone { seconds(config.phone.max_frequency) } else { 0 };
    let failed = |error: WireError| match condition_failed(&error) {
        true if is_phone => too_soon(pause.max(1)),
        true => unknown(),
        false => error.into(),
    };
    let mut attempt = 1;
    let answers = loop {
        let work = writing(call, user, factor, id, question, (lifetime, pause));
        match call.auth.db().try_run(work).await {
            // Somebody else's factor was challenged in the same microsecond.
            Err(error) if taken(&error) == Some(LAST_CHALLENGED) && attempt < ATTEMPTS => {
                attempt += 1
            }
            answers => break answers.map_err(failed)?,
        }
    };
    let created_at: i64 = answers.json(INSERTED)?.ok_or_else(unknown)?;
    Ok(created_at + lifetime)
}

/// The statements that write a challenge; that at the place [`INSERTED`] answers.
fn writing(
    call: &Call<'_>,
    user: &User,
    factor: &Factor,
    id: Uuid,
    question: &Question,
    (lifetime, pause): (i64, i64),
) -> Work {
    let mut work = Work::new();
    work.add(DROP_EXPIRED, &[&factor.id, &lifetime]);
    work.add(TOUCH, &[&factor.id, &user.id, &pause]);
    let ip = call.request.client_ip;
    work.add(INSERT, &[&id, &factor.id, &ip, &question.sent, &question.session_data]);
    let traits = json!({"factor_id": factor.id, "factor_status": factor.status});
    audit::add(&mut work, call.request, user, Action("challenge_created"), traits);
    work
}

fn too_soon(seconds: i64) -> Error {
    let message =
        format!("For security purposes, you can only request this after {seconds} seconds.");
    let seconds = u64::try_from(seconds).unwrap_or(1);
    Error::too_many(code::OVER_SMS_SEND_RATE_LIMIT, message, seconds)
}
