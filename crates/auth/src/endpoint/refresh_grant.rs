//! `POST /token?grant_type=refresh_token`.

use std::sync::LazyLock;

use http::HeaderName;
use serde::Deserialize;
use uuid::Uuid;

use crate::db::{Param, Shared};
use crate::endpoint::token::fields;
use crate::error::{Error, Result, code};
use crate::limits;
use crate::refresh::{RefreshToken, STEP_UP};
use crate::request::Response;
use crate::service::{Call, seconds};
use crate::session::{SessionRow, session_json};
use crate::user::{User, user_json};

const COUNTER: HeaderName = HeaderName::from_static("sb-auth-refresh-token-counter");
const REUSED: HeaderName = HeaderName::from_static("sb-auth-refresh-token-reuse");
const CAUSE: HeaderName = HeaderName::from_static("sb-auth-refresh-token-reuse-cause");
const ROTATED: HeaderName = HeaderName::from_static("sb-auth-refresh-token-rotated");
const USER_ID: HeaderName = HeaderName::from_static("sb-auth-user-id");
const SESSION_ID: HeaderName = HeaderName::from_static("sb-auth-session-id");

/// Another request may rotate the token between our look and our step; then we look once more.
const ATTEMPTS: usize = 3;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    refresh_token: String,
}

/// A session as it was found, and whether its token was rotated by this request.
#[derive(Deserialize)]
struct Refreshed {
    session: SessionRow,
    user: User,
    rotated: bool,
    /// Past its time, or too long unused.
    over: bool,
    /// Seconds since the last rotation.
    idle_seconds: f64,
}

/// What a token amounts to whose session was found.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The current one.
    Current,
    /// The one before: its holder did not get the answer.
    Parent,
    /// An older one, yet other requests of the same client were under way.
    Concurrent,
    /// One of before a second factor was proved, and other requests of the same client may have been under
    /// way then. It must not lead to a session that has the factor.
    Weak,
    /// An older one: somebody has a copy.
    Stolen,
}

/// Exchanges a refresh token for the next one.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    call.limit(limits::Kind::Token, None)?;
    let Body { refresh_token } = fields(call)?;
    let (found, reuse) = next(call, &refresh_token, None).await?;
    respond(call, found, reuse).await
}

/// The session of a refresh token that is the client's, with the number of its next token, and its user.
///
/// # Errors
///
/// As `POST /token?grant_type=refresh_token` has them.
pub(super) async fn refresh(
    call: &Call<'_>,
    refresh_token: &str,
    client: Option<Uuid>,
) -> Result<(SessionRow, User)> {
    let (found, _) = next(call, refresh_token, client).await?;
    Ok((found.session, found.user))
}

/// Rotates a token; also why it may be used once more, when it is an older one.
async fn next(
    call: &Call<'_>,
    refresh_token: &str,
    client: Option<Uuid>,
) -> Result<(Refreshed, Option<&'static str>)> {
    if refresh_token.len() < 12 {
        return Err(Error::validation("Refresh token is not valid"));
    }
    let token = call.auth.refresh_key().read(refresh_token).ok_or_else(not_found)?;
    for _ in 0..ATTEMPTS {
        let found = rotate(call, token, client).await?;
        let Some(mut found) = found else {
            let message = "Invalid Refresh Token: No Valid Session Found";
            return Err(Error::bad_request(code::SESSION_NOT_FOUND, message));
        };
        // A session that an app was given is refreshed where the app proves who it is, and nowhere else.
        if found.session.oauth_client_id != client {
            return Err(not_found());
        }
        if found.rotated {
            found.session.refresh_token_counter = Some(token.number + 1);
            return Ok((found, None));
        }
        if found.user.is_banned(call.now) || found.user.deleted_at.is_some() {
            let message = "Invalid Refresh Token: User Banned";
            return Err(Error::bad_request(code::USER_BANNED, message));
        }
        if found.over {
            let message = "Invalid Refresh Token: Session Expired";
            return Err(Error::bad_request(code::SESSION_EXPIRED, message));
        }
        let current = found.session.refresh_token_counter.unwrap_or_default();
        let interval = seconds(call.auth.config().token.reuse_interval);
        match verdict(token.number, current, found.idle_seconds, interval) {
            // Somebody else was quicker, which is known only now.
            Verdict::Current => continue,
            Verdict::Parent => return Ok((found, Some("fail-to-save"))),
            Verdict::Concurrent => return Ok((found, Some("concurrent-refresh"))),
            Verdict::Weak => return Err(already_used()),
            Verdict::Stolen => return Err(end(call, &found).await?),
        }
    }
    let message = "Too many refreshes of the same session at the same time";
    Err(Error::new(http::StatusCode::CONFLICT, code::CONFLICT, message))
}

fn verdict(number: i64, current: i64, idle_seconds: f64, reuse_seconds: i64) -> Verdict {
    match current - number {
        0 => Verdict::Current,
        1 => Verdict::Parent,
        #[expect(clippy::cast_precision_loss, reason = "seconds of an interval")]
        behind if behind > 1 && idle_seconds < reuse_seconds as f64 => match behind {
            STEP_UP.. => Verdict::Weak,
            _ => Verdict::Concurrent,
        },
        // A number that was never given out cannot be authentic, unless the row went back in time.
        _ => Verdict::Stolen,
    }
}

async fn rotate(
    call: &Call<'_>,
    token: RefreshToken,
    client: Option<Uuid>,
) -> Result<Option<Refreshed>> {
    let config = call.auth.config();
    let params: [&dyn Param; 9] = [
        &token.session,
        &token.number,
        &call.request.user_agent(),
        &call.request.client_ip.to_string(),
        &config.sessions.timebox.map(seconds),
        &config.sessions.inactivity_timeout.map(seconds),
        &config.audit_log,
        &config.sessions.allow_low_aal.map(seconds),
        &client,
    ];
    call.auth.db().query_shared(&ROTATE, &params).await?.json(0)
}

/// Whether the session `s` has ended by its own limits: `$5` seconds of life, `$6` seconds unused, `$8` seconds without
/// the second factor that the user has.
macro_rules! over {
    () => {
        "(coalesce(s.not_after <= now(), false) \
         or coalesce(s.created_at + make_interval(secs => $8::bigint) <= now(), false) \
           and s.aal is distinct from 'aal2' and s.oauth_client_id is null and exists ( \
             select from auth.mfa_factors f where f.user_id = s.user_id and f.status = 'verified') \
         or coalesce(s.created_at + make_interval(secs => $5::bigint) <= now(), false) \
         or coalesce(coalesce(s.refreshed_at at time zone 'utc', s.created_at) \
                     + make_interval(secs => $6::bigint) <= now(), false))"
    };
}

/// Rotates the token `$2` of the session `$1` if that is the current one of a session that goes on, and reads the session
/// as it was before, as [`Refreshed`].
pub(crate) static ROTATE: Shared = LazyLock::new(|| {
    concat!(
        "with rotated as ( \
           update auth.sessions s set refresh_token_counter = s.refresh_token_counter + 1, \
             refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = $3, ip = $4::inet \
           where s.id = $1::uuid and s.refresh_token_counter = $2::bigint and not ",
        over!(),
        " and s.oauth_client_id is not distinct from $9::uuid \
             and exists (select from auth.users u where u.id = s.user_id and u.deleted_at is null \
                         and (u.banned_until is null or u.banned_until <= now())) \
           returning s.id, s.user_id), \
         logged as ( \
           insert into auth.audit_log_entries (id, instance_id, payload, created_at, ip_address) \
           select gen_random_uuid(), '00000000-0000-0000-0000-000000000000', \
             json_build_object('action', 'token_refreshed', 'actor_id', r.user_id, 'log_type', 'token'), now(), $4 \
           from rotated r where $7::boolean) \
         select json_build_object('session', ",
        session_json!(),
        ", 'user', ",
        user_json!(),
        ", 'rotated', exists (select from rotated), 'over', ",
        over!(),
        ", 'idle_seconds', extract(epoch from now() - coalesce(s.refreshed_at at time zone 'utc', s.created_at))) \
         from auth.sessions s join auth.users u on u.id = s.user_id where s.id = $1::uuid"
    )
    .into()
});

async fn respond(
    call: &Call<'_>,
    found: Refreshed,
    reuse: Option<&'static str>,
) -> Result<Response> {
    let number = found.session.refresh_token_counter.unwrap_or_default();
    let session = call.session_by(&found.session, &found.user, "token_refresh").await?;
    let response = Response::ok(&session)
        .with(USER_ID, &found.user.id.to_string())
        .with(SESSION_ID, &found.session.id.to_string())
        .with(COUNTER, &number.to_string())
        .with(ROTATED, if reuse.is_none() { "true" } else { "false" });
    Ok(match reuse {
        Some(cause) => response.with(REUSED, "true").with(CAUSE, cause),
        None => response,
    })
}

/// Ends the session of a token that somebody has a copy of.
async fn end(call: &Call<'_>, found: &Refreshed) -> Result<Error> {
    if call.auth.config().token.rotation {
        let mut work = crate::db::Work::new();
        let action = crate::audit::Action("token_revoked");
        crate::audit::add(&mut work, call.request, &found.user, action, serde_json::Value::Null);
        work.add("delete from auth.sessions where id = $1::uuid", &[&found.session.id]);
        call.auth.db().run(work).await?;
    }
    Ok(already_used())
}

fn already_used() -> Error {
    let message = "Invalid Refresh Token: Already Used";
    Error::bad_request(code::REFRESH_TOKEN_ALREADY_USED, message)
}

fn not_found() -> Error {
    let message = "Invalid Refresh Token: Refresh Token Not Found";
    Error::bad_request(code::REFRESH_TOKEN_NOT_FOUND, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_token_is_stolen_unless_its_holder_could_not_know_better() {
        assert_eq!(verdict(4, 4, 0.0, 10), Verdict::Current);
        assert_eq!(verdict(3, 4, 1e9, 0), Verdict::Parent);
        assert_eq!(verdict(2, 4, 9.0, 10), Verdict::Concurrent);
        assert_eq!(verdict(2, 4, 10.0, 10), Verdict::Stolen);
        assert_eq!(verdict(4, 4 + STEP_UP, 9.0, 10), Verdict::Weak);
        assert_eq!(verdict(4, 5 + STEP_UP, 9.0, 10), Verdict::Weak);
        assert_eq!(verdict(4, 4 + STEP_UP, 10.0, 10), Verdict::Stolen);
        assert_eq!(verdict(0, 4, 0.0, 0), Verdict::Stolen);
        assert_eq!(verdict(5, 4, 0.0, 10), Verdict::Stolen);
    }
}
