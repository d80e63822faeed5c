//! `POST /oauth/token` (RFC 6749 §3.2).

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::client::Client;
use super::client_auth::{Form, authenticate};
use super::{code_grant, enabled, refresh};
use crate::error::{Error, Result};
use crate::limits;
use crate::request::{ApiVersion, Response};
use crate::service::Call;
use crate::session::Session;

/// Exchanges what an app was given for tokens.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    call.limit(limits::Kind::Token, None)?;
    let response = match exchange(call).await {
        Ok(tokens) => Response::ok(&tokens),
        Err(error) if error.oauth.is_some() => {
            let refusal = Response::refusal(&error, ApiVersion::of(call.request.headers));
            match error.status {
                StatusCode::UNAUTHORIZED => refusal.with(header::WWW_AUTHENTICATE, "Basic"),
                _ => refusal,
            }
        }
        Err(error) => return Err(error),
    };
    Ok(response.with(header::CACHE_CONTROL, "no-store").with(header::PRAGMA, "no-cache"))
}

async fn exchange(call: &Call<'_>) -> Result<Value> {
    let form = Form::read(call.request)?;
    let grant = form.required("grant_type")?;
    let client = authenticate(call, &form).await?;
    let refused = |error, message| Err(Error::oauth(StatusCode::BAD_REQUEST, error, message));
    match grant {
        "authorization_code" | "refresh_token" if !client.may_use(grant) => {
            refused("unauthorized_client", "The client may not use this grant type")
        }
        "authorization_code" => code_grant::exchange(call, &form, &client).await,
        "refresh_token" => refresh::exchange(call, &form, &client).await,
        _ => refused("unsupported_grant_type", "Unsupported grant type"),
    }
}

/// What an app is given (RFC 6749 §5.1): nothing about its user but what the tokens say.
pub(super) fn tokens(session: &Session, scope: &str, client: &Client) -> Value {
    let mut tokens = json!({
        "access_token": session.access_token,
        "token_type": "bearer",
        "expires_in": session.expires_in,
        "scope": scope,
    });
    if client.may_use("refresh_token") {
        tokens["refresh_token"] = session.refresh_token.as_str().into();
    }
    tokens
}
