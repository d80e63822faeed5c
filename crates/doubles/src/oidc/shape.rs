//! The services that are imitated: their paths, what sets their flows apart, and how they describe a user.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::state::{Shared, address, is_verified};
use super::{Misbehaviour, User, json_answer, json_with};

/// Whose manners a path has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    OpenId,
    GitHub,
    X,
    Discord,
    Facebook,
    Microsoft,
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Discovery,
    Keys,
    Authorize,
    Token,
    User,
}

impl Shape {
    /// What a path belongs to.
    pub(super) fn of(path: &str) -> Option<(Self, Endpoint)> {
        use Endpoint::{Authorize, Discovery, Keys, Token, User};
        Some(match path {
            "/.well-known/openid-configuration" => (Self::OpenId, Discovery),
            "/v2.0/.well-known/openid-configuration" => (Self::Microsoft, Discovery),
            "/jwks" => (Self::OpenId, Keys),
            "/authorize" => (Self::OpenId, Authorize),
            "/login/oauth/authorize" => (Self::GitHub, Authorize),
            "/i/oauth2/authorize" => (Self::X, Authorize),
            "/api/oauth2/authorize" => (Self::Discord, Authorize),
            "/dialog/oauth" => (Self::Facebook, Authorize),
            "/oauth2/v2.0/authorize" => (Self::Microsoft, Authorize),
            "/token" => (Self::OpenId, Token),
            "/login/oauth/access_token" => (Self::GitHub, Token),
            "/2/oauth2/token" => (Self::X, Token),
            "/api/oauth2/token" => (Self::Discord, Token),
            "/oauth/access_token" => (Self::Facebook, Token),
            "/oauth2/v2.0/token" => (Self::Microsoft, Token),
            "/userinfo" => (Self::OpenId, User),
            // With and without the prefix of GitHub's self-hosted edition.
            "/user" | "/user/emails" | "/api/v3/user" | "/api/v3/user/emails" => {
                (Self::GitHub, User)
            }
            "/2/users/me" => (Self::X, User),
            "/api/users/@me" => (Self::Discord, User),
            "/me" => (Self::Facebook, User),
            _ => return None,
        })
    }

    pub(super) fn requires_pkce(self) -> bool {
        self == Self::X
    }

    pub(super) fn requires_basic(self) -> bool {
        self == Self::X
    }

    pub(super) fn token_type(self) -> &'static str {
        match self {
            Self::GitHub | Self::X | Self::Facebook => "bearer",
            Self::OpenId | Self::Discord | Self::Microsoft => "Bearer",
        }
    }

    /// GitHub separates scopes by commas.
    pub(super) fn scope(self, scope: &str) -> String {
        if self == Self::GitHub { scope.replace(' ', ",") } else { scope.to_owned() }
    }

    /// How long an access token lives, in seconds. GitHub's have no end.
    pub(super) fn lifetime(self) -> Option<u64> {
        match self {
            Self::OpenId | Self::Microsoft => Some(3600),
            Self::GitHub => None,
            Self::X => Some(7200),
            Self::Discord => Some(604_800),
            Self::Facebook => Some(5_183_944),
        }
    }

    pub(super) fn gives_refresh_token(self, scope: &str) -> bool {
        let has = |wanted: &str| scope.split(' ').any(|scope| scope == wanted);
        match self {
            Self::OpenId | Self::Discord => true,
            Self::X => has("offline.access"),
            Self::Microsoft => has("offline_access"),
            Self::GitHub | Self::Facebook => false,
        }
    }

    pub(super) fn gives_id_token(self) -> bool {
        matches!(self, Self::OpenId | Self::Microsoft)
    }
}

/// Describes the user whose access token the request carries.
pub(super) fn user(
    shared: &Shared,
    shape: Shape,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Response {
    let memory = shared.lock();
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(grant) = token.and_then(|token| memory.access.get(token)) else {
        return json_with(StatusCode::UNAUTHORIZED, &json!({"message": "Bad credentials"}));
    };
    let misbehaviour = memory.misbehaviour.as_ref();
    // Facebook is asked with a proof, and gives only the fields that were asked for.
    if shape == Shape::Facebook && !(query.contains("appsecret_proof=") && query.contains("email"))
    {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let asks_for_email = shape != Shape::X || query.contains("confirmed_email");
    let email = address(&grant.user, misbehaviour).filter(|_| asks_for_email);
    let verified = is_verified(&grant.user, misbehaviour);
    json_answer(&match shape {
        Shape::OpenId | Shape::Microsoft => {
            let mut claims = openid(&grant.user, email, verified);
            if misbehaviour == Some(&Misbehaviour::WrongUserinfo) {
                claims["sub"] = "somebody else".into();
            }
            claims
        }
        Shape::GitHub if path.ends_with("/emails") => github_emails(email, verified),
        Shape::GitHub => github(&grant.user, email),
        Shape::X => x(&grant.user, email.filter(|_| verified)),
        Shape::Discord => discord(&grant.user, email, verified),
        Shape::Facebook => facebook(&grant.user, email.filter(|_| verified)),
    })
}

fn openid(user: &User, email: Option<&str>, verified: bool) -> Value {
    json!({
        "sub": user.id.to_string(), "name": user.name, "preferred_username": user.username,
        "picture": user.picture(), "email": email, "email_verified": verified,
    })
}

/// "Get the authenticated user" of GitHub's REST API, shortened.
fn github(user: &User, email: Option<&str>) -> Value {
    json!({
        "login": user.username, "id": user.id, "node_id": "MDQ6VXNlcjE=", "avatar_url": user.picture(),
        "gravatar_id": "", "html_url": format!("https://github.com/{}", user.username), "type": "User",
        "site_admin": false, "name": user.name, "company": null, "blog": "", "location": null, "email": email,
        "bio": null, "public_repos": 2, "created_at": "2008-01-14T04:33:35Z",
    })
}

/// "List email addresses for the authenticated user".
fn github_emails(email: Option<&str>, verified: bool) -> Value {
    let Some(email) = email else { return json!([]) };
    json!([
        {"email": format!("old.{email}"), "verified": false, "primary": false, "visibility": null},
        {"email": email, "verified": verified, "primary": true, "visibility": "private"},
    ])
}

/// `GET /2/users/me` of X's API v2.
fn x(user: &User, email: Option<&str>) -> Value {
    let mut data = json!({
        "id": user.id.to_string(), "name": user.name, "username": user.username,
        "profile_image_url": user.picture(), "url": "https://t.co/x", "created_at": "2013-12-14T04:35:55.000Z",
    });
    if let Some(email) = email {
        data["confirmed_email"] = email.into();
    }
    json!({ "data": data })
}

/// "Get Current User" of Discord's API.
fn discord(user: &User, email: Option<&str>, verified: bool) -> Value {
    json!({
        "id": user.id.to_string(), "username": user.username, "discriminator": "0", "global_name": user.name,
        "avatar": "8342729096ea3675442027381ff50dfe", "verified": verified, "email": email, "flags": 64,
        "premium_type": 0,
    })
}

/// `/me` of Facebook's Graph API.
fn facebook(user: &User, email: Option<&str>) -> Value {
    let (first, last) = user.name.split_once(' ').unwrap_or((&user.name, ""));
    let mut answer = json!({
        "id": user.id.to_string(), "first_name": first, "last_name": last, "name": user.name,
        "picture": {"data": {"height": 50, "width": 50, "is_silhouette": false, "url": user.picture()}},
    });
    if let Some(email) = email {
        answer["email"] = email.into();
    }
    answer
}
