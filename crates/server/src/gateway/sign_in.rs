//! `/auth/v1`: what the gateway does for sign-in, which verifies tokens and answers by itself.
//!
//! Links in mails and redirects of browsers carry no API key, so some paths are open to everybody. Elsewhere the key is
//! checked here and the token is not: sign-in has its own words for a bad one, which clients act on.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Request, header};
use hyper::body::Incoming;

use super::answer_body::AnswerBody;
use super::body::Bodies;
use super::caller::{Access, Refusal, bearer_token};
use super::client_address::client_address;
use super::keys;
use super::response::{Answer, Situation};
use crate::config::HttpConfig;
use crate::runtime::Project;

/// Longest body.
pub(super) const BODY_BYTES: usize = 1 << 20;

/// Paths that browsers, other servers and clients of the OAuth server open without a key of the project.
const OPEN: &[&str] = &[
    "/verify",
    "/callback",
    "/authorize",
    "/oauth/authorize",
    "/oauth/token",
    "/oauth/userinfo",
    "/oauth/clients/register",
];

/// What lies below these is open, too.
const OPEN_BELOW: &[&str] = &["/.well-known/", "/sso/saml/"];

/// Whether `path`, below the prefix, asks for no API key.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || OPEN_BELOW.iter().any(|prefix| path.starts_with(prefix))
}

/// The client's address, as far as it is known, among a request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) Option<std::net::IpAddr>);

/// Checks the key of a request and turns it into one for sign-in: the path below the prefix, the key out of the query,
/// a bearer token that is one, the client's address, which is in the header `named` if the project names one.
///
/// # Errors
///
/// [`Refusal`] when it lacks a key that is needed.
pub(super) fn admit(
    access: &Access,
    limits: &HttpConfig,
    named: Option<&HeaderName>,
    parts: &Parts,
    path: &str,
) -> Result<Request<()>, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    let mut headers = parts.headers.clone();
    if !is_open(path)
        && let Some(authorization) = access.passage(&parts.headers, query)?
    {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    let query = keys::without_apikey(query);
    let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let trusted = &limits.trusted_proxies;
    let address = client_address(&parts.extensions, &parts.headers, trusted, named);
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    // A path that a client could send is one that can be sent on; one that is not leads nowhere.
    *request.uri_mut() = uri.parse().unwrap_or_default();
    *request.headers_mut() = headers;
    request.extensions_mut().insert(Client(address));
    Ok(request)
}

/// Answers a request of sign-in.
pub(super) async fn answer(
    project: &Project,
    bodies: &Bodies,
    request: Request<()>,
    body: Incoming,
) -> Answer {
    // Its room is taken until there is an answer.
    let mut body = match bodies.read_at_most(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(Situation::BodyTooLarge(limit)) => return Situation::SignInTooLarge(limit).answer(),
        Err(situation) => return situation.answer(),
    };
    let bytes = std::mem::take(&mut body.bytes);
    serve(project, request.map(|()| bytes)).await
}

async fn serve(project: &Project, request: Request<Bytes>) -> Answer {
    let client = request.extensions().get().and_then(|Client(address)| *address);
    let auth = match project.auth() {
        Ok(auth) => auth,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(project.name = %project.name(), error = %error, cause, "sign-in cannot be served");
            return Situation::NoSignIn.answer();
        }
    };
    let (parts, body) = request.into_parts();
    let response = auth
        .answer(plinth_auth::Request {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body,
            bearer: bearer_token(&parts.headers).filter(|token| !token.is_empty()),
            client_ip: client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        })
        .await;
    let mut answer = Answer::new(AnswerBody::from(response.body));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_browsers_and_other_servers_open_asks_for_no_key() {
        for path in [
            "/verify",
            "/callback",
            "/authorize",
            "/.well-known/jwks.json",
            "/.well-known/openid-configuration",
            "/sso/saml/acs",
            "/oauth/token",
        ] {
            assert!(is_open(path), "{path}");
        }
        for path in [
            "/",
            "/health",
            "/settings",
            "/token",
            "/verify/",
            "/verifyx",
            "/sso",
            "/sso/samlx",
            "/.well-known",
            "/oauth/authorizations/1",
            "/admin/users",
            "/x/.well-known/jwks.json",
        ] {
            assert!(!is_open(path), "{path}");
        }
    }
}
