//! `grant_type=refresh_token` of apps.

use http::StatusCode;
use serde_json::Value;

use super::client::Client;
use super::client_auth::{Form, invalid_grant};
use super::{scope, token};
use crate::endpoint::refresh_grant;
use crate::error::{Error, Result, code};
use crate::service::Call;

/// The next tokens of a session that is the app's. It may ask for less than it has (RFC 6749 §6).
pub(super) async fn exchange(call: &Call<'_>, form: &Form, client: &Client) -> Result<Value> {
    let text = form.required("refresh_token")?;
    let refreshed = refresh_grant::refresh(call, text, Some(client.id)).await;
    let (mut row, user) = refreshed.map_err(in_words_of_oauth)?;
    let granted = row.scopes.take().unwrap_or_default();
    let wanted = form.get("scope").unwrap_or(&granted);
    if !scope::covers(&granted, wanted) {
        let message = "The scope exceeds what the user has granted";
        return Err(Error::oauth(StatusCode::BAD_REQUEST, "invalid_scope", message));
    }
    row.scopes = Some(wanted.to_owned());
    let session = call.session_by(&row, &user, "token_refresh").await?;
    Ok(token::tokens(&session, wanted, client))
}

/// RFC 6749 §5.2 has one code for all that is wrong with a refresh token.
fn in_words_of_oauth(error: Error) -> Error {
    match error.code {
        code::REFRESH_TOKEN_NOT_FOUND
        | code::REFRESH_TOKEN_ALREADY_USED
        | code::SESSION_NOT_FOUND
        | code::SESSION_EXPIRED
        | code::USER_BANNED
        | code::VALIDATION_FAILED => invalid_grant("Refresh token is invalid or expired"),
        _ => error,
    }
}
