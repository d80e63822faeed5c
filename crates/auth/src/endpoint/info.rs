//! What everybody may know.

use http::header;
use serde_json::json;

use crate::error::Result;
use crate::request::Response;
use crate::service::Call;
use crate::settings::settings_json;

/// `GET /health`.
pub(super) fn health() -> Result<Response> {
    let description = "GoTrue is a user registration and authentication API";
    let version = env!("CARGO_PKG_VERSION");
    Ok(Response::ok(&json!({"version": version, "name": "GoTrue", "description": description})))
}

/// `GET /settings`: which ways of signing in are switched on.
pub(super) fn settings(call: &Call<'_>) -> Result<Response> {
    Ok(Response::ok(&settings_json(call.auth.config())))
}

/// `GET /.well-known/jwks.json`: the public halves of the project's keys (RFC 7517).
pub(super) fn jwks(call: &Call<'_>) -> Result<Response> {
    let jwks = call.auth.keys().public_jwks().to_owned();
    Ok(Response::json_text(jwks).with(header::CACHE_CONTROL, "public, max-age=600"))
}
