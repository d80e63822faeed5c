//! `/.well-known/…`: what apps find out by themselves (RFC 8414, OpenID Connect Discovery).

use serde_json::{Value, json};

use super::{enabled, id_token};
use crate::error::Result;
use crate::request::Response;
use crate::service::Call;

/// `GET /.well-known/oauth-authorization-server`.
pub(crate) fn authorization_server(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    Ok(Response::ok(&metadata(call)))
}

/// `GET /.well-known/openid-configuration`.
pub(crate) fn openid_configuration(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let mut found = metadata(call);
    let algorithms: Vec<&str> = id_token::algorithm(call).into_iter().collect();
    found["subject_types_supported"] = json!(["public"]);
    found["id_token_signing_alg_values_supported"] = json!(algorithms);
    found["claims_supported"] = json!([
        "sub",
        "iss",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "email",
        "email_verified",
        "phone_number",
        "phone_number_verified",
        "name",
        "picture",
        "preferred_username",
        "updated_at",
    ]);
    Ok(Response::ok(&found))
}

fn metadata(call: &Call<'_>) -> Value {
    let here = call.auth.external_url();
    let mut metadata = json!({
        "issuer": call.auth.issuer(),
        "authorization_endpoint": format!("{here}/oauth/authorize"),
        "token_endpoint": format!("{here}/oauth/token"),
        "userinfo_endpoint": format!("{here}/oauth/userinfo"),
        "jwks_uri": format!("{here}/.well-known/jwks.json"),
        "scopes_supported": id_token::scopes(call),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if call.auth.config().oauth_server.allow_dynamic_registration {
        metadata["registration_endpoint"] = format!("{here}/oauth/clients/register").into();
    }
    metadata
}
