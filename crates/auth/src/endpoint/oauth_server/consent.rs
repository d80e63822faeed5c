//! `/oauth/authorizations/{id}`: what the page that asks for consent shows, and what its user decides.

use serde::Deserialize;
use serde_json::json;

use super::authorization::{self, Authorization};
use super::{enabled, scope};
use crate::error::{Error, Result, code};
use crate::request::Response;
use crate::service::Call;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    action: String,
}

/// `GET /oauth/authorizations/{id}`: who asks for what. Who has agreed to that before is sent on.
pub(crate) async fn details(call: &Call<'_>) -> Result<Response> {
    let (request, agreed) = pending(call).await?;
    let user = call.user()?;
    if scope::covers(&agreed, &request.scope) {
        return approve(call, &request).await;
    }
    Ok(Response::ok(&json!({
        "authorization_id": request.authorization_id,
        "redirect_uri": request.redirect_uri,
        "client": request.client.introduction(),
        "user": {"id": user.id, "email": user.email()},
        "scope": request.scope,
    })))
}

/// `POST /oauth/authorizations/{id}/consent`.
pub(crate) async fn decide(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let Body { action } = call.request.json()?;
    match action.as_str() {
        "approve" => approve(call, &pending(call).await?.0).await,
        "deny" => deny(call, &pending(call).await?.0).await,
        _ => Err(Error::validation("action must be 'approve' or 'deny'")),
    }
}

/// The request that the path names, which waits for its user, and the scopes to which that user has agreed before.
async fn pending(call: &Call<'_>) -> Result<(Authorization, String)> {
    enabled(call)?;
    check_origin(call)?;
    let name = call.parameters.first().copied().unwrap_or_default();
    let shown = authorization::show(call.auth.db(), name, call.user()?.id).await?;
    let Some((request, agreed)) = shown.filter(|(request, _)| !request.over) else {
        let message = "authorization not found";
        return Err(Error::not_found(code::OAUTH_AUTHORIZATION_NOT_FOUND, message));
    };
    if request.status != "pending" {
        return Err(not_pending());
    }
    Ok((request, agreed))
}

/// Whether a browser asks on behalf of a page that is the project's.
fn check_origin(call: &Call<'_>) -> Result<()> {
    let origin = call.request.header("origin").filter(|origin| !origin.is_empty());
    match origin.is_none_or(|origin| call.auth.config().redirects.allows(origin)) {
        true => Ok(()),
        false => Err(Error::validation("unauthorized request origin")),
    }
}

async fn approve(call: &Call<'_>, request: &Authorization) -> Result<Response> {
    let code = authorization::approve(call.auth.db(), request, call.user()?.id).await?;
    let code = code.ok_or_else(not_pending)?;
    Ok(back(call, request, &[("code", code.expose())]))
}

async fn deny(call: &Call<'_>, request: &Authorization) -> Result<Response> {
    if !authorization::deny(call.auth.db(), request, call.user()?.id).await? {
        return Err(not_pending());
    }
    let answer = [("error", "access_denied"), ("error_description", "User denied the request")];
    Ok(back(call, request, &answer))
}

fn back(call: &Call<'_>, request: &Authorization, answer: &[(&str, &str)]) -> Response {
    let place = request.back(answer, call.auth.issuer());
    Response::ok(&json!({"redirect_url": place})).with(http::header::CACHE_CONTROL, "no-store")
}

fn not_pending() -> Error {
    Error::validation("authorization request cannot be processed")
}
