//! What the stand-in remembers, all of it bounded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::bounded::Bounded;
use super::keys::Keys;
use super::shape::Shape;
use super::{Client, Misbehaviour, Settings, User};

/// Most codes and most tokens that are remembered at a time.
const LIMIT: usize = 4096;

/// Most paths whose requests are counted.
const PATH_LIMIT: usize = 256;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) base: String,
    pub(super) settings: Settings,
    state: Mutex<Memory>,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) codes: Bounded<Code, LIMIT>,
    pub(super) access: Bounded<Grant, LIMIT>,
    pub(super) refresh: Bounded<Grant, LIMIT>,
    pub(super) keys: Keys,
    pub(super) misbehaviour: Option<Misbehaviour>,
    pub(super) requests: HashMap<String, usize>,
}

/// What a user has granted to a client.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) user: User,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
}

/// A grant that waits to be exchanged.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) shape: Shape,
}

impl Shared {
    pub(super) fn new(base: String, settings: Settings, keys: Keys) -> Self {
        let memory = Memory {
            codes: Bounded::default(),
            access: Bounded::default(),
            refresh: Bounded::default(),
            keys,
            misbehaviour: None,
            requests: HashMap::new(),
        };
        Self { base, settings, state: Mutex::new(memory) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request and says how to misbehave for it.
    pub(super) fn arrive(&self, path: &str) -> Option<Misbehaviour> {
        let mut memory = self.lock();
        if memory.requests.len() < PATH_LIMIT || memory.requests.contains_key(path) {
            *memory.requests.entry(path.to_owned()).or_default() += 1;
        }
        memory.misbehaviour.clone()
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.settings.clients.iter().find(|client| client.id == id)
    }

    /// The user whom `hint` names by address, name or id.
    pub(super) fn user(&self, hint: &str) -> Option<&User> {
        self.settings.users.iter().find(|user| {
            user.email.as_deref() == Some(hint)
                || user.username == hint
                || user.id.to_string() == hint
        })
    }

    pub(super) fn issuer(&self, shape: Shape) -> String {
        match shape {
            Shape::Microsoft => format!("{}/v2.0", self.base),
            _ => self.base.clone(),
        }
    }

    /// OpenID Connect Discovery 1.0 §3.
    pub(super) fn discovery(&self, shape: Shape) -> Value {
        let base = &self.base;
        let (authorize, token) = match shape {
            Shape::Microsoft => ("/oauth2/v2.0/authorize", "/oauth2/v2.0/token"),
            _ => ("/authorize", "/token"),
        };
        let wrong = self.lock().misbehaviour == Some(Misbehaviour::WrongDocument);
        let issuer = if wrong { "https://somebody.example".to_owned() } else { self.issuer(shape) };
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{base}{authorize}"),
            "token_endpoint": format!("{base}{token}"),
            "userinfo_endpoint": format!("{base}/userinfo"),
            "jwks_uri": format!("{base}/jwks"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        })
    }

    /// The claims of an ID token that goes with `access_token`.
    pub(super) fn claims(
        &self,
        shape: Shape,
        grant: &Grant,
        access_token: &str,
        misbehaviour: Option<&Misbehaviour>,
    ) -> Value {
        let now = now();
        let mut claims = json!({
            "iss": self.issuer(shape),
            "sub": grant.user.id.to_string(),
            "aud": grant.client,
            "iat": now,
            "exp": now + 3600,
            "auth_time": now,
            "at_hash": half_hash(access_token),
            "name": grant.user.name,
            "preferred_username": grant.user.username,
            "picture": grant.user.picture(),
        });
        if let Some(nonce) = &grant.nonce {
            claims["nonce"] = nonce.as_str().into();
        }
        if let Some(email) = address(&grant.user, misbehaviour) {
            claims["email"] = email.into();
            claims["email_verified"] = is_verified(&grant.user, misbehaviour).into();
        }
        match misbehaviour {
            Some(Misbehaviour::WrongNonce) => claims["nonce"] = "another".into(),
            Some(Misbehaviour::NoNonce) => {
                claims.as_object_mut().map(|claims| claims.remove("nonce"));
            }
            Some(Misbehaviour::WrongAudience) => claims["aud"] = "another".into(),
            Some(Misbehaviour::Expired) => claims["exp"] = (now - 3600).into(),
            Some(Misbehaviour::WrongIssuer) => claims["iss"] = "https://somebody.example".into(),
            Some(Misbehaviour::WrongAccessTokenHash) => {
                claims["at_hash"] = half_hash("another").into();
            }
            _ => {}
        }
        claims
    }

    /// The claims that [`super::Oidc::id_token`] begins with. No access token and no nonce go with them.
    pub(super) fn default_claims(&self, memory: &Memory) -> Value {
        let (Some(client), Some(user)) =
            (self.settings.clients.first(), self.settings.users.first())
        else {
            return json!({});
        };
        let grant = Grant {
            client: client.id.clone(),
            user: user.clone(),
            scope: "openid".to_owned(),
            nonce: None,
        };
        let mut claims = self.claims(Shape::OpenId, &grant, "", memory.misbehaviour.as_ref());
        claims.as_object_mut().map(|claims| claims.remove("at_hash"));
        claims
    }
}

/// The user's address, unless there is none or none is to be told.
pub(super) fn address<'a>(user: &'a User, misbehaviour: Option<&Misbehaviour>) -> Option<&'a str> {
    match misbehaviour {
        Some(Misbehaviour::NoEmail) => None,
        _ => user.email.as_deref(),
    }
}

pub(super) fn is_verified(user: &User, misbehaviour: Option<&Misbehaviour>) -> bool {
    user.email_verified && misbehaviour != Some(&Misbehaviour::UnverifiedEmail)
}

/// The left half of a SHA-256, as `at_hash` has it.
fn half_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
