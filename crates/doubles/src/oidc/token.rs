//! The token endpoint (RFC 6749 §4.1.3 and §6, RFC 7636 §4.6).

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::shape::Shape;
use super::state::{Grant, Memory, Shared};
use super::{Client, Misbehaviour, json_answer, json_with};

type Form = HashMap<String, String>;

/// Gives tokens for a code or a refresh token.
pub(super) fn answer(shared: &Shared, shape: Shape, headers: &HeaderMap, body: &[u8]) -> Response {
    let form: Form = form_urlencoded::parse(body).into_owned().collect();
    match exchange(shared, shape, headers, &form) {
        Ok(tokens) => json_answer(&tokens),
        Err(error) => refusal(shape, error),
    }
}

fn exchange(
    shared: &Shared,
    shape: Shape,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Value, &'static str> {
    let client = client(shared, shape, headers, form).ok_or("invalid_client")?;
    let mut memory = shared.lock();
    let grant = match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => by_code(&mut memory, shape, client, form)?,
        Some("refresh_token") => {
            // A refresh token is used once: the answer has the next one.
            let token = form.get("refresh_token").ok_or("invalid_request")?;
            let grant = memory.refresh.remove(token).ok_or("invalid_grant")?;
            Some(grant).filter(|grant| grant.client == client.id).ok_or("invalid_grant")?
        }
        _ => return Err("unsupported_grant_type"),
    };
    Ok(issue(shared, &mut memory, shape, grant))
}

/// The client that the request proves to come from.
fn client<'a>(
    shared: &'a Shared,
    shape: Shape,
    headers: &HeaderMap,
    form: &Form,
) -> Option<&'a Client> {
    let (id, secret) = match basic(headers) {
        Some(basic) => basic,
        None if shape.requires_basic() => return None,
        None => (form.get("client_id")?.clone(), form.get("client_secret")?.clone()),
    };
    let client = shared.client(&id)?;
    verify_slices_are_equal(client.secret.as_bytes(), secret.as_bytes()).ok()?;
    Some(client)
}

/// Id and secret of HTTP basic authentication, both form-encoded within it (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |text: &str| {
        let form = format!("x={text}");
        form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}

/// The grant behind a code, which is used up whatever the outcome.
fn by_code(
    memory: &mut Memory,
    shape: Shape,
    client: &Client,
    form: &Form,
) -> Result<Grant, &'static str> {
    let code =
        form.get("code").and_then(|code| memory.codes.remove(code)).ok_or("invalid_grant")?;
    let same_redirect = form.get("redirect_uri") == Some(&code.redirect_uri);
    if code.grant.client != client.id || !same_redirect || code.shape != shape {
        return Err("invalid_grant");
    }
    let verifier = form.get("code_verifier");
    let hashed =
        verifier.map(|verifier| URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
    if hashed != code.challenge {
        return Err("invalid_grant");
    }
    Ok(code.grant)
}

fn issue(shared: &Shared, memory: &mut Memory, shape: Shape, grant: Grant) -> Value {
    let token = || uuid::Uuid::new_v4().simple().to_string();
    let access_token = format!("access-{}", token());
    memory.access.insert(access_token.clone(), grant.clone());
    let mut answer = json!({
        "access_token": access_token,
        "token_type": shape.token_type(),
        "scope": shape.scope(&grant.scope),
    });
    if let Some(seconds) = shape.lifetime() {
        answer["expires_in"] = seconds.into();
    }
    if shape.gives_refresh_token(&grant.scope) {
        let refresh_token = format!("refresh-{}", token());
        memory.refresh.insert(refresh_token.clone(), grant.clone());
        answer["refresh_token"] = refresh_token.into();
    }
    let misbehaviour = memory.misbehaviour.as_ref();
    if shape.gives_id_token() && misbehaviour != Some(&Misbehaviour::NoIdToken) {
        let claims = shared.claims(shape, &grant, &access_token, misbehaviour);
        match memory.keys.sign(&claims) {
            Ok(id_token) => answer["id_token"] = id_token.into(),
            Err(error) => tracing::error!(%error, "an ID token could not be signed"),
        }
    }
    answer
}

fn refusal(shape: Shape, error: &str) -> Response {
    let description = "The request was refused.";
    match shape {
        // GitHub refuses with status 200.
        Shape::GitHub => json_answer(&json!({"error": error, "error_description": description})),
        Shape::Facebook => json_with(
            StatusCode::BAD_REQUEST,
            &json!({"error": {"message": description, "type": "OAuthException", "code": 100}}),
        ),
        _ => {
            let client = error == "invalid_client";
            let status = if client { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
            json_with(status, &json!({"error": error, "error_description": description}))
        }
    }
}
