//! `POST /token?grant_type=id_token`: a session for an ID token that the client has obtained by itself.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;

use super::arrival::{Arrival, Departure};
use super::manual_linking;
use super::providers::{CUSTOM, Configured};
use crate::error::{Error, Result, code};
use crate::external::{ExpectedNonce, ExternalError, IdTokenError};
use crate::limits;
use crate::request::Response;
use crate::service::Call;

/// Issuers that clients may name instead of the provider.
const ISSUERS: [(&str, &str); 5] = [
    ("apple", "https://appleid.apple.com"),
    ("facebook", "https://www.facebook.com"),
    ("google", "https://accounts.google.com"),
    ("kakao", "https://kauth.kakao.com"),
    ("linkedin_oidc", "https://www.linkedin.com/oauth"),
];

/// What Azure's issuers begin with: every tenant is one.
const AZURE: &str = "https://login.microsoftonline.com/";

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    link_identity: bool,
}

/// Signs in whom the token names, or links the identity to the user who asks.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response> {
    let body: Body = call.request.json()?;
    call.limit(limits::Kind::Token, None)?;
    if body.id_token.is_empty() {
        return Err(invalid("id_token required"));
    }
    if body.provider.is_empty() && (body.client_id.is_empty() || body.issuer.is_empty()) {
        return Err(invalid("provider or client_id and issuer required"));
    }
    let target = match body.link_identity {
        false => None,
        true => {
            let user = call.signed_in().await?.own()?.user;
            manual_linking(call)?;
            user.map(|user| user.id)
        }
    };
    let configured = configured(call, &body).await?;
    let nonce = ExpectedNonce::Raw(body.nonce.as_deref());
    let access_token = body.access_token.as_deref().filter(|token| !token.is_empty());
    let profile = configured.provider.verify_id_token(&body.id_token, nonce, access_token).await;
    let profile = profile.map_err(|error| refused(&configured, &body, &error))?;
    let arrival = Arrival {
        configured: &configured,
        profile: &profile,
        tokens: None,
        target,
        invite: None,
        flow: None,
    };
    match Box::pin(arrival.settle(call)).await? {
        Departure::Session(session) => Ok(Response::ok(&session)),
        Departure::Code(_) => Err(Error::internal("Unexpected failure")),
    }
}

/// The provider that the client names, or whose issuer it names. Tokens of an issuer are accepted only for the clients that
/// the settings list: one that was issued for another application must not open a door here.
async fn configured(call: &Call<'_>, body: &Body) -> Result<Arc<Configured>> {
    let name = named(call, body);
    if let Some(name) = &name
        && let Ok(configured) = call.provider(name).await
    {
        return Ok(configured);
    }
    let name = name.as_deref().unwrap_or_default();
    let known = ISSUERS.iter().find(|(provider, _)| *provider == name);
    let issuer = known.map(|(_, issuer)| *issuer).unwrap_or(&body.issuer);
    if known.is_some() || ["azure", "keycloak"].contains(&name) {
        let message = format!("Provider (issuer {issuer:?}) is not enabled");
        return Err(Error::bad_request(code::PROVIDER_DISABLED, message));
    }
    Err(not_allowed(body))
}

/// The name of the provider that is meant.
fn named(call: &Call<'_>, body: &Body) -> Option<String> {
    if !body.provider.is_empty() {
        let custom = body.provider.starts_with(CUSTOM);
        let name = if custom { body.provider.clone() } else { body.provider.to_ascii_lowercase() };
        return Some(name);
    }
    let issuer = body.issuer.trim_end_matches('/');
    if let Some((name, _)) = ISSUERS.iter().find(|(_, known)| *known == issuer) {
        return Some((*name).to_owned());
    }
    if issuer.starts_with(AZURE) {
        return Some("azure".to_owned());
    }
    let same = |url: &Option<String>| {
        url.as_deref().is_some_and(|url| url.trim_end_matches('/') == issuer)
    };
    let mut providers = call.auth.config().external.iter();
    let found = providers.find(|(name, config)| {
        same(&config.issuer) || (name.as_str() == "keycloak" && same(&config.url))
    });
    found.map(|(name, _)| name.clone())
}

fn not_allowed(body: &Body) -> Error {
    let name = if body.provider.is_empty() { &body.issuer } else { &body.provider };
    Error::validation(format!("Custom OIDC provider {name:?} not allowed"))
}

/// Why a token is not accepted.
fn refused(configured: &Configured, body: &Body, error: &ExternalError) -> Error {
    tracing::info!(provider = %configured.name, error = %error, "an ID token was refused");
    match error {
        ExternalError::IdToken(IdTokenError::NonceMismatch) => {
            Error::oauth(StatusCode::BAD_REQUEST, "invalid nonce", "Nonces mismatch")
        }
        ExternalError::IdToken(
            why @ (IdTokenError::Audience | IdTokenError::NonceMissing | IdTokenError::Subject),
        ) => invalid(why.to_string()),
        ExternalError::IdToken(_) => invalid("Bad ID token"),
        ExternalError::NoEmail => {
            let message = "Error getting user email from external provider";
            Error::unprocessable(code::EMAIL_ADDRESS_NOT_PROVIDED, message)
        }
        ExternalError::NoIdTokens => not_allowed(body),
        _ => Error::internal("Error getting user profile from external provider"),
    }
}

fn invalid(description: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::oauth(StatusCode::BAD_REQUEST, "invalid request", description)
}
