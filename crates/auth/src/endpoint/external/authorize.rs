//! `GET /authorize` and `GET /user/identities/authorize`: the way to a provider.

use http::StatusCode;
use serde_json::json;

use super::manual_linking;
use super::state;
use crate::error::{Error, Result, code};
use crate::external::AuthorizeRequest;
use crate::flow::{self, NewFlow};
use crate::limits;
use crate::one_time::{self, Kind};
use crate::request::Response;
use crate::service::Call;
use crate::user::User;

/// `GET /authorize`: sends the browser to a provider.
pub(crate) async fn authorize(call: &Call<'_>) -> Result<Response> {
    let url = url(call, None).await?;
    Ok(Response::redirect(StatusCode::FOUND, &url))
}

/// `GET /user/identities/authorize`: the way to a provider whose identity the user who asks is to get.
pub(crate) async fn link(call: &Call<'_>) -> Result<Response> {
    let user = call.user()?;
    manual_linking(call)?;
    let url = url(call, Some(user)).await?;
    match call.request.parameter("skip_http_redirect").as_deref() {
        Some("true") => Ok(Response::ok(&json!({ "url": url }))),
        _ => Ok(Response::redirect(StatusCode::FOUND, &url)),
    }
}

async fn url(call: &Call<'_>, target: Option<&User>) -> Result<String> {
    call.limit(limits::Kind::Token, None)?;
    let parameter = |name: &str| call.request.parameter(name);
    let name = parameter("provider").unwrap_or_default();
    let configured = call.provider(&name).await?;
    let given = flow::Given {
        code_challenge: parameter("code_challenge"),
        code_challenge_method: parameter("code_challenge_method"),
    };
    let challenge = given.challenge()?;
    let invite = parameter("invite_token");
    if let Some(invite) = &invite {
        invited(call, invite).await?;
    }
    let redirect_to = call.redirect_to();
    let new = NewFlow {
        challenge: challenge.as_ref(),
        provider: &configured.name,
        method: "oauth",
        referrer: Some(&redirect_to),
        linking_target: target.map(|user| user.id),
        ..NewFlow::default()
    };
    let away = state::begin(call, new, invite).await?;
    let query = url::form_urlencoded::parse(call.request.query.as_bytes());
    let extra: Vec<(String, String)> = query.into_owned().collect();
    let request = AuthorizeRequest {
        state: &away.state,
        nonce: Some(&away.nonce),
        pkce_challenge: Some(&away.pkce.challenge),
        scopes: &parameter("scopes").unwrap_or_default(),
        redirect_uri: None,
        extra: &extra,
    };
    let url = configured.provider.authorize_url(&request).await.map_err(|error| {
        tracing::warn!(provider = %configured.name, error = %error, "a provider cannot be reached");
        Error::internal("Error reaching the external provider")
    })?;
    Ok(url.into())
}

/// An invitation that a provider is to be used for must be open.
async fn invited(call: &Call<'_>, link: &str) -> Result<()> {
    match one_time::find_by_link(call.auth.db(), link).await? {
        Some(token) if token.kind == Kind::Confirmation => Ok(()),
        _ => Err(Error::not_found(code::USER_NOT_FOUND, "User identified by token not found")),
    }
}
