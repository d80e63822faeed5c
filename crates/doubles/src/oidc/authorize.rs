//! The authorization endpoint (RFC 6749 §4.1.1).

use std::collections::HashMap;

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::{Host, Url, form_urlencoded};

use super::shape::Shape;
use super::state::{Code, Grant, Shared};
use super::{Client, User};

type Query = HashMap<String, String>;

/// Sends the browser back with a code, or shows the page on which somebody chooses who to be.
///
/// Errors of which the client must not be told, because it is unknown or the redirect URI is not its own, are a plain 400.
pub(super) fn answer(shared: &Shared, shape: Shape, path: &str, query: &str) -> Response {
    let asked: Query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| asked.get(name).map(String::as_str);
    let Some(client) = get("client_id").and_then(|id| shared.client(id)) else {
        return (StatusCode::BAD_REQUEST, "unknown client_id").into_response();
    };
    let redirect = get("redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let Some(redirect) = redirect.filter(|uri| may_redirect(client, uri)) else {
        return (StatusCode::BAD_REQUEST, "the redirect_uri is not the client's").into_response();
    };
    if let Err(error) = check(shape, &asked) {
        return send_back(&redirect, &asked, &[("error", error)]);
    }
    if get("deny").is_some() {
        return send_back(&redirect, &asked, &[("error", "access_denied")]);
    }
    let hinted = get("login_hint").and_then(|hint| shared.user(hint));
    let auto = shared.settings.auto || get("auto") == Some("1");
    match hinted.or_else(|| shared.settings.users.first().filter(|_| auto)) {
        Some(user) => {
            let code = remember(shared, shape, &asked, client, user);
            send_back(&redirect, &asked, &[("code", &code)])
        }
        None => Html(page(shared, client, path, query)).into_response(),
    }
}

fn may_redirect(client: &Client, uri: &Url) -> bool {
    let local = match uri.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let listed = client.redirect_uris.iter().any(|known| known == uri.as_str());
    if client.redirect_uris.is_empty() { local } else { listed }
}

fn check(shape: Shape, asked: &Query) -> Result<(), &'static str> {
    let get = |name: &str| asked.get(name).map(String::as_str);
    if get("response_type") != Some("code") {
        return Err("unsupported_response_type");
    }
    let challenge = get("code_challenge");
    let bad_challenge = challenge.is_some_and(|challenge| challenge.len() != 43)
        || (challenge.is_some() && get("code_challenge_method") != Some("S256"))
        || (challenge.is_none() && shape.requires_pkce());
    if bad_challenge || get("state").is_none_or(str::is_empty) {
        return Err("invalid_request");
    }
    Ok(())
}

fn remember(shared: &Shared, shape: Shape, asked: &Query, client: &Client, user: &User) -> String {
    let take = |name: &str| asked.get(name).cloned();
    let code = Code {
        grant: Grant {
            client: client.id.clone(),
            user: user.clone(),
            scope: take("scope").unwrap_or_default(),
            nonce: take("nonce"),
        },
        redirect_uri: take("redirect_uri").unwrap_or_default(),
        challenge: take("code_challenge"),
        shape,
    };
    let name = uuid::Uuid::new_v4().simple().to_string();
    shared.lock().codes.insert(name.clone(), code);
    name
}

/// Back to the client, by redirect or, where it asks for that, by a form that posts itself.
fn send_back(redirect: &Url, asked: &Query, answer: &[(&str, &str)]) -> Response {
    let state = asked.get("state").map(|state| ("state", state.as_str()));
    let answer = answer.iter().copied().chain(state);
    if asked.get("response_mode").is_some_and(|mode| mode == "form_post") {
        let fields: String = answer
            .map(|(name, value)| {
                format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value))
            })
            .collect();
        return Html(format!(
            "<!doctype html><title>Signing in</title><body onload=\"document.forms[0].submit()\">\
             <form method=\"post\" action=\"{}\">{fields}<button>Continue</button></form>",
            escaped(redirect.as_str())
        ))
        .into_response();
    }
    let mut redirect = redirect.clone();
    redirect.query_pairs_mut().extend_pairs(answer);
    (StatusCode::FOUND, [(header::LOCATION, redirect.to_string())]).into_response()
}

fn page(shared: &Shared, client: &Client, path: &str, query: &str) -> String {
    let link = |more: &str| escaped(&format!("{path}?{query}&{more}"));
    let users: String = shared
        .settings
        .users
        .iter()
        .map(|user| {
            let hint: String = form_urlencoded::byte_serialize(user.username.as_bytes()).collect();
            let href = link(&format!("login_hint={hint}"));
            let email = user.email.as_deref().unwrap_or("no address");
            format!("<li><a href=\"{href}\">{}</a> {}</li>", escaped(&user.name), escaped(email))
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sign in</title>\
         <h1>Sign in to {}</h1><p>This provider is a stand-in: choose who to be.</p>\
         <ul>{users}</ul><p><a href=\"{}\">Cancel</a></p></html>",
        escaped(&client.id),
        link("deny=1")
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
