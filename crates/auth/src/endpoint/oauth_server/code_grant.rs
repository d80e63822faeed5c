//! `grant_type=authorization_code`: an app exchanges its code for a session, once.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plinth_wire::{Secret, WireError};
use serde_json::Value;

use super::authorization::{self, Authorization, Granted};
use super::client::Client;
use super::client_auth::{Form, invalid_grant};
use super::{id_token, scope, token};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::service::Call;
use crate::session::SignIn;
use crate::user::User;

/// The way of signing in as access tokens name it.
const METHOD: &str = "oauth_provider/authorization_code";

/// The tokens for a code.
pub(super) async fn exchange(call: &Call<'_>, form: &Form, client: &Client) -> Result<Value> {
    let code = Secret::new(form.required("code")?.to_owned());
    let granted = authorization::find_by_code(call.auth.db(), &code).await?;
    let unknown = || invalid_grant("Invalid authorization code");
    let Granted { authorization, user } = granted.ok_or_else(unknown)?;
    if authorization.client.id != client.id {
        return Err(unknown());
    }
    if authorization.status != "approved" {
        return Err(replayed(call, &authorization).await?);
    }
    check(&authorization, form)?;
    let user = user.filter(|user| !user.is_banned(call.now)).ok_or_else(unknown)?;
    let session = match sign_in(call, &authorization, client, &user).await {
        Err(error) if error.code == code::OTP_EXPIRED => {
            return Err(replayed(call, &authorization).await?);
        }
        done => done?,
    };
    let mut tokens = token::tokens(&session, &authorization.scope, client);
    if scope::has(&authorization.scope, "openid")
        && let Some(id_token) = id_token::sign(call, &user, &authorization)?
    {
        tokens["id_token"] = id_token.into();
    }
    Ok(tokens)
}

/// Whether the request is by the one who began.
fn check(authorization: &Authorization, form: &Form) -> Result<()> {
    if authorization.over {
        return Err(invalid_grant("Authorization code has expired"));
    }
    if form.get("redirect_uri").is_some_and(|uri| uri != authorization.redirect_uri) {
        return Err(invalid_grant("Invalid redirect_uri"));
    }
    let resource = form.get("resource");
    if resource.is_some() && resource != authorization.resource.as_deref() {
        return Err(invalid_grant("The code was not issued for this resource"));
    }
    let challenge = authorization.code_challenge.as_deref().unwrap_or_default();
    let verifier = form.get("code_verifier").unwrap_or_default();
    let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    if verifier.is_empty() || !crate::random::same(made, challenge) {
        return Err(invalid_grant("PKCE verification failed"));
    }
    Ok(())
}

/// A session of the app. `otp_expired` when somebody else was quicker.
async fn sign_in(
    call: &Call<'_>,
    authorization: &Authorization,
    client: &Client,
    user: &User,
) -> Result<crate::session::Session> {
    let mut work = Work::new();
    authorization.consume(&mut work);
    let how = SignIn {
        oauth_client: Some(client.id),
        scopes: Some(&authorization.scope),
        session: Some(authorization.id),
        ..SignIn::by(METHOD, "oauth_provider_authorization_code")
    };
    call.sign_in_with(work, user, how, |error: WireError| crate::one_time::using_token(error)).await
}

/// Somebody has a copy of the code, or the app of its own: what was given for it is taken back (RFC 6749 §4.1.2).
async fn replayed(call: &Call<'_>, authorization: &Authorization) -> Result<Error> {
    let end = "delete from auth.sessions where id = $1::uuid";
    call.auth.db().query(end, &[&authorization.id]).await?;
    tracing::warn!(client.id = %authorization.client.id, "a code of an app came a second time; its session was ended");
    Ok(invalid_grant("Invalid authorization code"))
}
