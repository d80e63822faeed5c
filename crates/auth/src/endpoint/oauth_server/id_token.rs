//! ID tokens (OpenID Connect Core §2), for apps that want to know who their user is.

use serde_json::{Value, json};

use super::authorization::Authorization;
use super::scope;
use super::userinfo;
use crate::error::{Error, Result};
use crate::service::{Call, seconds};
use crate::token::Algorithm;
use crate::user::User;

/// Signs an ID token. `None` while the project signs with its secret, which no app may know and without which nobody
/// could check the token.
///
/// # Errors
///
/// 500 when it cannot be signed.
pub(super) fn sign(
    call: &Call<'_>,
    user: &User,
    authorization: &Authorization,
) -> Result<Option<String>> {
    if call.auth.keys().algorithm() == Algorithm::Hs256 {
        return Ok(None);
    }
    let now = call.now.as_second();
    let mut claims = userinfo::claims(user, &authorization.scope);
    // Nothing in it makes it an access token: it names no role and no session.
    let about = json!({
        "iss": call.auth.issuer(),
        "aud": authorization.client.id,
        "azp": authorization.client.id,
        "iat": now,
        "exp": now + seconds(call.auth.config().token.lifetime),
        "nonce": authorization.nonce,
        "auth_time": user.last_sign_in_at.map(|at| at.as_second()),
    });
    if let Value::Object(about) = about {
        claims.extend(about.into_iter().filter(|(_, value)| !value.is_null()));
    }
    call.auth.keys().sign(&claims).map(Some).map_err(|error| {
        tracing::error!(error = %error, "an ID token cannot be signed");
        Error::internal("Error generating ID token")
    })
}

/// Whether apps are told that there are ID tokens.
pub(super) fn algorithm(call: &Call<'_>) -> Option<&'static str> {
    let algorithm = call.auth.keys().algorithm();
    (algorithm != Algorithm::Hs256).then(|| algorithm.name())
}

/// Scopes that make sense while these are or are not.
pub(super) fn scopes(call: &Call<'_>) -> Vec<&'static str> {
    let signed = algorithm(call).is_some();
    scope::SUPPORTED.into_iter().filter(|scope| signed || *scope != "openid").collect()
}
