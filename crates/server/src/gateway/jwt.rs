//! JSON Web Tokens (RFC 7519), their claims checked as PostgREST checks them.

mod keyset;
mod role_path;
#[cfg(test)]
mod tests;

pub use keyset::{KeyError, KeySet};
pub use role_path::{NoPath, RolePath};

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::{Algorithm, EncodingKey};
use plinth_rest::Error;
use serde_json::{Map, Value};

use keyset::Verdict;

/// Clocks may differ by this much, in seconds.
const ALLOWED_SKEW_S: i64 = 30;

/// What a genuine token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// The database role.
    pub role: Arc<str>,
    /// All claims as JSON text; `role` is among them.
    pub claims: Bytes,
    /// Unix time in seconds after which the token must not be accepted any more, skew included.
    pub valid_until: i64,
}

impl fmt::Debug for Verified {
    /// Without the claims, which are about people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What to do with a genuine token that names no role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingRole {
    /// Answer 401: a project's tokens always name one, as a text.
    Refuse,
    /// Take this role, as PostgREST takes `db-anon-role`; without one, a token must name a role.
    Assume(Option<Arc<str>>),
}

/// What is asked of a token.
pub struct Verifier {
    keys: Option<KeySet>,
    audience: Option<String>,
    missing_role: MissingRole,
    role_path: RolePath,
}

impl Verifier {
    /// Verifies tokens that were signed with one of `keys`; without any, every token is refused.
    pub fn new(keys: Option<KeySet>, audience: Option<String>, missing_role: MissingRole) -> Self {
        Self { keys, audience, missing_role, role_path: RolePath::default() }
    }

    /// The same demands on tokens that other keys sign.
    #[must_use]
    pub fn with_keys(&self, keys: KeySet) -> Self {
        Self {
            keys: Some(keys),
            audience: self.audience.clone(),
            missing_role: self.missing_role.clone(),
            role_path: self.role_path.clone(),
        }
    }

    /// Looks for the role somewhere else than in the claim `role`.
    pub fn with_role_path(mut self, path: RolePath) -> Self {
        self.role_path = path;
        self
    }

    /// Checks signature and claims at the Unix time `now` (seconds).
    ///
    /// # Errors
    ///
    /// `PGRST300` without a key, `PGRST301` when the token is malformed or not signed with one of the
    /// keys, `PGRST302` when it names no role and nothing takes its place, `PGRST303` when its claims
    /// are refused.
    pub fn verify(&self, token: &str, now: i64) -> Result<Verified, Error> {
        let keys = self.keys.as_ref().ok_or_else(Error::jwt_secret_missing)?;
        let text = authentic_payload(token, keys)?;
        let map: Map<String, Value> = serde_json::from_slice(&text)
            .map_err(|_| Error::jwt_claims("Parsing claims failed"))?;
        let valid_until = self.check(&map, now)?;
        let claims = Value::Object(map);
        let role = self.role(&claims)?;
        // SQL finds the role that counts in the claims, wherever it came from.
        let claims = match claims {
            Value::Object(mut map) if map.get("role").and_then(Value::as_str) != Some(&*role) => {
                map.insert("role".to_owned(), Value::from(&*role));
                Bytes::from(Value::Object(map).to_string())
            }
            _ => Bytes::from(text),
        };
        Ok(Verified { role, claims, valid_until })
    }

    fn check(&self, claims: &Map<String, Value>, now: i64) -> Result<i64, Error> {
        let expires = seconds(claims, "exp")?;
        if expires.is_some_and(|at| now - ALLOWED_SKEW_S > at) {
            return Err(Error::jwt_claims("JWT expired"));
        }
        for (claim, message) in [("nbf", "JWT not yet valid"), ("iat", "JWT issued at future")] {
            if seconds(claims, claim)?.is_some_and(|at| now + ALLOWED_SKEW_S < at) {
                return Err(Error::jwt_claims(message));
            }
        }
        self.check_audience(claims.get("aud"))?;
        Ok(expires.map_or(i64::MAX, |at| at.saturating_add(ALLOWED_SKEW_S)))
    }

    /// A token without an audience, or with an empty list of them, is for everybody.
    fn check_audience(&self, claim: Option<&Value>) -> Result<(), Error> {
        let malformed =
            || Error::jwt_claims("The JWT 'aud' claim must be a string or an array of strings");
        let matches = |name: &str| self.audience.as_deref().is_none_or(|wanted| wanted == name);
        let accepted = match claim {
            None | Some(Value::Null) => true,
            Some(Value::String(name)) => matches(name),
            Some(Value::Array(list)) => {
                let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                let names = names.ok_or_else(malformed)?;
                names.is_empty() || names.into_iter().any(matches)
            }
            Some(_) => return Err(malformed()),
        };
        if accepted { Ok(()) } else { Err(Error::jwt_claims("JWT not in audience")) }
    }

    fn role(&self, claims: &Value) -> Result<Arc<str>, Error> {
        match &self.missing_role {
            MissingRole::Assume(anonymous) => match self.role_path.find(claims) {
                Some(role) => Ok(Arc::from(role)),
                None => anonymous.clone().ok_or_else(Error::anonymous_disabled),
            },
            MissingRole::Refuse => match claims.get("role") {
                Some(Value::String(name)) => Ok(Arc::from(name.as_str())),
                Some(Value::Null) | None => Err(Error::jwt_claims("The JWT has no 'role' claim")),
                Some(_) => Err(Error::jwt_claims("The JWT 'role' claim must be a string")),
            },
        }
    }
}

/// The payload of a token whose signature was found to be made by one of the keys.
fn authentic_payload(token: &str, keys: &KeySet) -> Result<Vec<u8>, Error> {
    if token.is_empty() {
        return Err(Error::jwt_invalid("Empty JWT is sent in Authorization header"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        let message = format!("Expected 3 parts in JWT; got {}", parts.len());
        return Err(Error::jwt_invalid(&message));
    };
    let header_end = header.len();
    let header = Header::parse(header)?;
    // All three parts must be base64 before any key is tried.
    let text = URL_SAFE_NO_PAD.decode(payload).map_err(|_| undecodable())?;
    URL_SAFE_NO_PAD.decode(signature).map_err(|_| undecodable())?;
    let signed = &token.as_bytes()[..header_end + 1 + payload.len()];
    let refuse = |details: &str| {
        let mut error = Error::jwt_invalid("No suitable key or wrong key type");
        error.details = details.into();
        Err(error)
    };
    match keys.verify(header.kid.as_deref(), header.algorithm, signed, signature) {
        Verdict::NoKey => refuse("No suitable key was found to decode the JWT"),
        Verdict::Forged => refuse("None of the keys was able to decode the JWT"),
        Verdict::Genuine => Ok(text),
    }
}

/// A part of the token is no base64, or its header says nothing that can be used.
fn undecodable() -> Error {
    Error::jwt_invalid("JWT cryptographic operation failed")
}

/// What a token says about its signature.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Header {
    /// Refuses unsigned tokens, unknown algorithms, and extensions that we would have to understand
    /// (RFC 7515 §4.1.11).
    fn parse(encoded: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| undecodable())?;
        let header: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|_| undecodable())?;
        if header.contains_key("crit") {
            return Err(Error::jwt_invalid("Unsupported token type"));
        }
        let kid = match header.get("kid") {
            None | Some(Value::Null) => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(undecodable()),
        };
        match header.get("alg").and_then(Value::as_str) {
            Some("none") => {
                let mut error = Error::jwt_invalid("Wrong or unsupported encoding algorithm");
                error.details = "JWT is unsecured but expected 'alg' was not 'none'".into();
                Err(error)
            }
            Some(name) => {
                let algorithm = keyset::parse_algorithm(name).ok_or_else(undecodable)?;
                Ok(Self { algorithm, kid })
            }
            None => Err(undecodable()),
        }
    }
}

/// A claim that holds a point in time (RFC 7519 "NumericDate"), rounded down to seconds.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Error> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            #[expect(clippy::cast_possible_truncation, reason = "saturating is what is wanted")]
            let rounded = number.as_i64().or_else(|| number.as_f64().map(|at| at.floor() as i64));
            Ok(Some(rounded.unwrap_or(i64::MAX)))
        }
        Some(_) => Err(Error::jwt_claims(&format!("The JWT '{name}' claim must be a number"))),
    }
}

/// Signs claims with a secret by HS256.
///
/// # Errors
///
/// When the claims cannot be written as JSON; never for a plain object.
pub fn sign(claims: &Value, secret: &[u8]) -> Result<String, jsonwebtoken::errors::Error> {
    let header = jsonwebtoken::Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret))
}
