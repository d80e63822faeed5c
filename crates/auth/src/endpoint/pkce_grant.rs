//! `POST /token?grant_type=pkce`: the end of a flow, for the client that began it.

use serde::Deserialize;

use crate::absent::or_default;
use crate::account;
use crate::db::Work;
use crate::endpoint::external::provider_tokens;
use crate::endpoint::token::fields;
use crate::error::{Error, Result, code};
use crate::flow;
use crate::limits;
use crate::request::Response;
use crate::service::Call;
use crate::service::seconds;
use crate::session::SignIn;

#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "or_default")]
    auth_code: String,
    #[serde(default, deserialize_with = "or_default")]
    code_verifier: String,
}

/// Exchanges a code and what the client has kept for a session, once.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    let body: Body = fields(call)?;
    if body.auth_code.is_empty() || body.code_verifier.is_empty() {
        let message = "invalid request: both auth code and code verifier should be non-empty";
        return Err(Error::validation(message));
    }
    call.limit(limits::Kind::Token, None)?;
    let not_found = || {
        Error::not_found(
            code::FLOW_STATE_NOT_FOUND,
            "invalid flow state, no valid flow state found",
        )
    };
    let found = flow::find_by_code(call.auth.db(), &body.auth_code).await?;
    let flow = found.ok_or_else(not_found)?;
    if flow.is_expired(call.now, seconds(call.auth.config().flow_state_expiry)) {
        let message = "invalid flow state, flow state has expired";
        return Err(Error::unprocessable(code::FLOW_STATE_EXPIRED, message));
    }
    if !flow.is_proved_by(&body.code_verifier) {
        let message = "code challenge does not match previously saved code verifier";
        return Err(Error::bad_request(code::BAD_CODE_VERIFIER, message));
    }
    let user = match flow.user_id {
        Some(user) => account::find(call.auth.db(), user).await?,
        None => None,
    };
    let user = user.filter(|user| user.deleted_at.is_none()).ok_or_else(not_found)?;
    if user.is_banned(call.now) {
        return Err(Error::forbidden(code::USER_BANNED, "User is banned"));
    }
    let mut work = Work::new();
    flow.consume(&mut work);
    let how = SignIn::by(&flow.authentication_method, &flow.provider_type);
    let mut session = call
        .sign_in_with(work, &user, how, |error| match crate::one_time::using_token(error) {
            error if error.code == code::OTP_EXPIRED => not_found(),
            error => error,
        })
        .await?;
    (session.provider_token, session.provider_refresh_token) = provider_tokens(call.auth, &flow);
    Ok(Response::ok(&session))
}
