//! JSON Web Tokens (RFC 7519): HS256 only, claims checked as PostgREST checks them.
//!
//! The algorithm is pinned by us, never chosen by the token: `none`, `RS256` and the like are
//! refused before any key is touched.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use plinth_rest::Error;
use serde_json::{Map, Value};

/// Clocks may differ by this much, in seconds.
const ALLOWED_SKEW_S: i64 = 30;

/// What a genuine token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// The database role.
    pub role: Arc<str>,
    /// All claims as JSON text, as they were signed.
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
    /// Answer 401: a project's tokens always name one.
    Refuse,
    /// Take this role, as PostgREST takes `db-anon-role`.
    Assume(Arc<str>),
}

/// What is asked of a token.
pub struct Verifier {
    key: Option<DecodingKey>,
    audience: Option<String>,
    missing_role: MissingRole,
    /// Path of object keys to the role (`jwt-role-claim-key`).
    role_path: Vec<String>,
}

impl Verifier {
    /// Verifies tokens that were signed with `secret`; without one, every token is refused.
    pub fn new(secret: Option<&[u8]>, audience: Option<String>, missing_role: MissingRole) -> Self {
        Self {
            key: secret.map(DecodingKey::from_secret),
            audience,
            missing_role,
            role_path: vec!["role".to_owned()],
        }
    }

    /// Looks for the role below another claim than `role`.
    pub fn with_role_path(mut self, path: Vec<String>) -> Self {
        self.role_path = path;
        self
    }

    /// Checks signature and claims at the Unix time `now` (seconds).
    ///
    /// # Errors
    ///
    /// `PGRST300` without a secret, `PGRST301` when the token is malformed or not signed with this
    /// secret by HS256, `PGRST303` when its claims are refused.
    pub fn verify(&self, token: &str, now: i64) -> Result<Verified, Error> {
        let key = self.key.as_ref().ok_or_else(Error::jwt_secret_missing)?;
        let claims = authentic_payload(token, key)?;
        let map: Map<String, Value> = serde_json::from_slice(&claims)
            .map_err(|_| Error::jwt_claims("Parsing claims failed"))?;
        let valid_until = self.check(&map, now)?;
        let role = self.role(&map)?;
        Ok(Verified { role, claims: Bytes::from(claims), valid_until })
    }

    fn check(&self, claims: &Map<String, Value>, now: i64) -> Result<i64, Error> {
        let expires = seconds(claims, "exp")?;
        if expires.is_some_and(|at| now - ALLOWED_SKEW_S > at) {
            return Err(Error::jwt_claims("JWT expired"));
        }
        if seconds(claims, "nbf")?.is_some_and(|at| now + ALLOWED_SKEW_S < at) {
            return Err(Error::jwt_claims("JWT not yet valid"));
        }
        if seconds(claims, "iat")?.is_some_and(|at| now + ALLOWED_SKEW_S < at) {
            return Err(Error::jwt_claims("JWT issued at future"));
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

    fn role(&self, claims: &Map<String, Value>) -> Result<Arc<str>, Error> {
        let (first, rest) = match self.role_path.split_first() {
            Some((first, rest)) => (first.as_str(), rest),
            None => ("role", [].as_slice()),
        };
        let found = rest.iter().try_fold(claims.get(first), |value, key| Some(value?.get(key)));
        match (found.flatten(), &self.missing_role) {
            (Some(Value::String(name)), _) => Ok(Arc::from(name.as_str())),
            (Some(Value::Null) | None, MissingRole::Assume(role)) => Ok(role.clone()),
            (Some(Value::Null) | None, MissingRole::Refuse) => {
                Err(Error::jwt_claims("The JWT has no 'role' claim"))
            }
            (Some(_), _) => Err(Error::jwt_claims("The JWT 'role' claim must be a string")),
        }
    }
}

/// The payload of a token whose signature was found to be ours.
fn authentic_payload(token: &str, key: &DecodingKey) -> Result<Vec<u8>, Error> {
    if token.is_empty() {
        return Err(Error::jwt_invalid("Empty JWT is sent in Authorization header"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        let message = format!("Expected 3 parts in JWT; got {}", parts.len());
        return Err(Error::jwt_invalid(&message));
    };
    check_header(header)?;
    let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
    let genuine = jsonwebtoken::crypto::verify(signature, signed, key, Algorithm::HS256);
    if !matches!(genuine, Ok(true)) {
        let mut error = Error::jwt_invalid("No suitable key or wrong key type");
        error.details = "None of the keys was able to decode the JWT".into();
        return Err(error);
    }
    URL_SAFE_NO_PAD.decode(payload).map_err(|_| Error::jwt_claims("Parsing claims failed"))
}

/// Refuses every algorithm but HS256, and extensions that we would have to understand (RFC 7515
/// §4.1.11).
fn check_header(encoded: &str) -> Result<(), Error> {
    let undecodable = || Error::jwt_invalid("JWT couldn't be decoded");
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| undecodable())?;
    let header: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| undecodable())?;
    if header.contains_key("crit") {
        return Err(Error::jwt_invalid("Unsupported token type"));
    }
    let refuse = |details: String| {
        let mut error = Error::jwt_invalid("Wrong or unsupported encoding algorithm");
        error.details = details.into();
        Err(error)
    };
    match header.get("alg").and_then(Value::as_str) {
        Some("HS256") => Ok(()),
        Some("none") => refuse("JWT is unsecured but expected 'alg' was not 'none'".to_owned()),
        _ => refuse("Only HS256 is accepted".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &[u8] = b"a-secret-that-is-at-least-32-bytes-long";
    const NOW: i64 = 1_700_000_000;

    fn verifier() -> Verifier {
        Verifier::new(Some(SECRET), None, MissingRole::Refuse)
    }

    fn verify(claims: Value) -> Result<Verified, String> {
        verify_with(&verifier(), claims)
    }

    fn verify_with(verifier: &Verifier, claims: Value) -> Result<Verified, String> {
        let token = sign(&claims, SECRET).unwrap();
        verifier.verify(&token, NOW).map_err(|error| format!("{} {}", error.code, error.message))
    }

    fn refusal(token: &str) -> String {
        let error = verifier().verify(token, NOW).unwrap_err();
        assert_eq!(error.status, http::StatusCode::UNAUTHORIZED);
        format!("{} {}", error.code, error.message)
    }

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn a_genuine_token_gives_its_role_and_its_claims_unchanged() {
        let claims = json!({"role": "authenticated", "sub": "x", "exp": NOW + 60, "n": 1.50});
        let verified = verify(claims.clone()).unwrap();
        assert_eq!(&*verified.role, "authenticated");
        assert!(!format!("{verified:?}").contains("sub"), "claims are not printed");
        assert_eq!(serde_json::from_slice::<Value>(&verified.claims).unwrap(), claims);
        assert_eq!(verified.valid_until, NOW + 60 + 30);
    }

    #[test]
    fn times_are_checked_with_thirty_seconds_of_skew() {
        for (claims, answer) in [
            (json!({"role": "a", "exp": NOW - 30}), None),
            (json!({"role": "a", "exp": NOW - 31}), Some("PGRST303 JWT expired")),
            (json!({"role": "a", "nbf": NOW + 30}), None),
            (json!({"role": "a", "nbf": NOW + 31}), Some("PGRST303 JWT not yet valid")),
            (json!({"role": "a", "iat": NOW + 31}), Some("PGRST303 JWT issued at future")),
            (
                json!({"role": "a", "exp": "soon"}),
                Some("PGRST303 The JWT 'exp' claim must be a number"),
            ),
            (json!({"role": "a", "exp": null, "nbf": null}), None),
            (json!({"role": "a", "exp": 1e300}), None),
            (json!({"role": "a", "exp": -1e300}), Some("PGRST303 JWT expired")),
        ] {
            let got = verify(claims.clone()).err();
            assert_eq!(got.as_deref(), answer, "{claims}");
        }
    }

    #[test]
    fn an_audience_must_match_when_one_is_configured() {
        let strict = Verifier::new(Some(SECRET), Some("me".to_owned()), MissingRole::Refuse);
        for (aud, accepted) in [
            (json!("me"), true),
            (json!("you"), false),
            (json!(["you", "me"]), true),
            (json!(["you"]), false),
            (json!([]), true),
            (json!(null), true),
            (json!(7), false),
            (json!([7]), false),
        ] {
            let got = verify_with(&strict, json!({"role": "a", "aud": aud}));
            assert_eq!(got.is_ok(), accepted, "{aud}: {got:?}");
        }
        assert!(verify(json!({"role": "a", "aud": "anyone"})).is_ok());
    }

    #[test]
    fn a_missing_role_is_refused_or_assumed() {
        assert_eq!(
            verify(json!({"sub": "x"})).unwrap_err(),
            "PGRST303 The JWT has no 'role' claim"
        );
        assert!(verify(json!({"role": 7})).is_err());
        let assume = Verifier::new(Some(SECRET), None, MissingRole::Assume(Arc::from("web_anon")));
        assert_eq!(&*verify_with(&assume, json!({"sub": "x"})).unwrap().role, "web_anon");
    }

    #[test]
    fn the_role_may_stand_deeper() {
        let deep = verifier().with_role_path(vec!["app".to_owned(), "role".to_owned()]);
        let verified = verify_with(&deep, json!({"role": "no", "app": {"role": "yes"}})).unwrap();
        assert_eq!(&*verified.role, "yes");
        assert!(verify_with(&deep, json!({"role": "no"})).is_err());
    }

    #[test]
    fn other_algorithms_are_refused_whatever_they_are_signed_with() {
        let claims = encode(&json!({"role": "service_role"}).to_string());
        let none = format!("{}.{claims}.", encode(r#"{"alg":"none"}"#));
        assert_eq!(refusal(&none), "PGRST301 Wrong or unsupported encoding algorithm");

        let key = EncodingKey::from_secret(SECRET);
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let header = jsonwebtoken::Header::new(algorithm);
            let token = jsonwebtoken::encode(&header, &json!({"role": "a"}), &key).unwrap();
            assert_eq!(refusal(&token), "PGRST301 Wrong or unsupported encoding algorithm");
        }
        // A genuine HS256 signature under a header that claims another algorithm.
        for alg in ["RS256", "ES256", "hs256", "HS256 ", ""] {
            let signed = format!("{}.{claims}", encode(&json!({"alg": alg}).to_string()));
            let signature =
                jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
            let answer = refusal(&format!("{signed}.{signature}"));
            assert_eq!(answer, "PGRST301 Wrong or unsupported encoding algorithm", "{alg}");
        }
    }

    #[test]
    fn unknown_critical_extensions_are_refused() {
        let signed = format!(
            "{}.{}",
            encode(r#"{"alg":"HS256","crit":["b64"]}"#),
            encode(r#"{"role":"a"}"#)
        );
        let key = EncodingKey::from_secret(SECRET);
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(refusal(&format!("{signed}.{signature}")), "PGRST301 Unsupported token type");
    }

    #[test]
    fn a_tampered_token_is_refused_wherever_it_was_touched() {
        let token = sign(&json!({"role": "anon"}), SECRET).unwrap();
        let forged = {
            let parts: Vec<&str> = token.split('.').collect();
            format!("{}.{}.{}", parts[0], encode(r#"{"role":"service_role"}"#), parts[2])
        };
        assert_eq!(refusal(&forged), "PGRST301 No suitable key or wrong key type");
        for position in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verifier().verify(&changed, NOW).is_err(), "position {position}");
        }
        let other =
            sign(&json!({"role": "anon"}), b"another-secret-that-is-32-bytes-long!").unwrap();
        assert_eq!(refusal(&other), "PGRST301 No suitable key or wrong key type");
    }

    #[test]
    fn rubbish_is_refused_without_a_panic() {
        for (token, answer) in [
            ("", "PGRST301 Empty JWT is sent in Authorization header"),
            ("a", "PGRST301 Expected 3 parts in JWT; got 1"),
            ("a.b", "PGRST301 Expected 3 parts in JWT; got 2"),
            ("a.b.c.d", "PGRST301 Expected 3 parts in JWT; got 4"),
            ("..", "PGRST301 JWT couldn't be decoded"),
            ("é.ü.ß", "PGRST301 JWT couldn't be decoded"),
            ("W10.e30.e30", "PGRST301 JWT couldn't be decoded"),
        ] {
            assert_eq!(refusal(token), answer, "{token}");
        }
        let array = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode("[1]"));
        let key = EncodingKey::from_secret(SECRET);
        let signature =
            jsonwebtoken::crypto::sign(array.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(refusal(&format!("{array}.{signature}")), "PGRST303 Parsing claims failed");
    }

    #[test]
    fn without_a_secret_no_token_is_accepted() {
        let open = Verifier::new(None, None, MissingRole::Refuse);
        let token = sign(&json!({"role": "a"}), b"").unwrap();
        assert_eq!(open.verify(&token, NOW).unwrap_err().code, "PGRST300");
    }
}
