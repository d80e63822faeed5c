//! Apps that may sign the project's users in: rows of `auth.oauth_clients`.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;
use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::redirect_uri;
use crate::db::Db;
use crate::error::{Error, Result, code};
use crate::random::{same, url_safe_token};

/// Reads the apps `c` that meet a condition as [`Client`].
pub(super) fn read(condition: &str) -> String {
    format!(
        "select to_jsonb(c) from auth.oauth_clients c where c.deleted_at is null and {condition}"
    )
}

/// An app.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Client {
    /// `client_id`.
    pub id: Uuid,
    /// Digest of its secret; a public one has none.
    client_secret_hash: Option<SecretHash>,
    registration_type: String,
    redirect_uris: String,
    grant_types: String,
    /// For people.
    pub client_name: Option<String>,
    /// Its page.
    pub client_uri: Option<String>,
    /// Its picture.
    pub logo_uri: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    client_type: String,
    token_endpoint_auth_method: String,
}

/// The digest of a secret; never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct SecretHash(String);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash")
    }
}

impl Client {
    /// Whether it keeps no secret, as apps on people's machines cannot.
    pub(super) fn is_public(&self) -> bool {
        self.client_type == "public"
    }

    /// Whether `secret` is the app's.
    pub(super) fn has_secret(&self, secret: &Secret) -> bool {
        let stored = self.client_secret_hash.as_ref().map_or("", |hash| &hash.0);
        !stored.is_empty() && same(secret_hash(secret), stored)
    }

    /// Whether it may use a grant of that name.
    pub(super) fn may_use(&self, grant: &str) -> bool {
        listed(&self.grant_types).any(|one| one == grant)
    }

    /// Whether its users may be sent to `uri`.
    pub(super) fn may_redirect_to(&self, uri: &str) -> bool {
        listed(&self.redirect_uris).any(|registered| redirect_uri::matches(registered, uri))
    }

    /// As administrators and the app itself see it. The secret is in it only when it was just made.
    pub(super) fn view(&self, secret: Option<&Secret>, scope: &str) -> Value {
        let mut view = json!({
            "client_id": self.id,
            "client_type": self.client_type,
            "token_endpoint_auth_method": self.token_endpoint_auth_method,
            "registration_type": self.registration_type,
            "redirect_uris": listed(&self.redirect_uris).collect::<Vec<_>>(),
            "grant_types": listed(&self.grant_types).collect::<Vec<_>>(),
            "response_types": ["code"],
            "scope": scope,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        });
        for (name, text) in [
            ("client_name", &self.client_name),
            ("client_uri", &self.client_uri),
            ("logo_uri", &self.logo_uri),
        ] {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                view[name] = text.into();
            }
        }
        if let Some(secret) = secret {
            view["client_secret"] = secret.expose().into();
        }
        view
    }

    /// As its users see it.
    pub(super) fn introduction(&self) -> Value {
        let mut view = json!({"id": self.id});
        for (name, text) in
            [("name", &self.client_name), ("uri", &self.client_uri), ("logo_uri", &self.logo_uri)]
        {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                view[name] = text.into();
            }
        }
        view
    }

    /// When it was registered.
    pub(super) fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

/// The entries of a list as it is stored.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|entry| !entry.is_empty())
}

/// The app of that id, unless it was deleted.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn find(db: &Db, id: Uuid) -> Result<Option<Client>> {
    db.query(&read("c.id = $1::uuid"), &[&id]).await?.json(0)
}

/// A new secret: 256 bits.
///
/// # Errors
///
/// 500 when the machine gives no random numbers.
pub(super) fn new_secret() -> Result<Secret> {
    random().map(Secret::new)
}

/// A text that nobody can guess: 256 bits.
///
/// # Errors
///
/// As [`new_secret`].
pub(super) fn random() -> Result<String> {
    url_safe_token::<32>().map_err(|error| {
        tracing::error!(error = %error, "nothing can be made that nobody can guess");
        Error::internal("Unexpected failure, please check server logs for more information")
    })
}

/// What is stored of a secret or of a code: both are random enough for a plain digest.
pub(super) fn secret_hash(secret: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, secret.expose().as_bytes()))
}

/// 404.
pub(super) fn unknown() -> Error {
    Error::new(StatusCode::NOT_FOUND, code::OAUTH_CLIENT_NOT_FOUND, "OAuth client not found")
}
