//! Verification of ID tokens (OpenID Connect Core 1.0 §3.1.3.7).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::IdTokenError;
use super::directory::Key;

/// The longest token that is looked at, in bytes.
const TOKEN_LIMIT: usize = 16 * 1024;

/// How far the issuer's clock may be from ours, in seconds.
const SKEW: i64 = 60;

/// What the nonce of an ID token must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedNonce<'a> {
    /// The one that we sent with the authorization request: it must be there and the same.
    Sent(&'a str),
    /// The raw one that a client gives together with a token it has obtained itself. The token must have its SHA-256 in lower-case
    /// hexadecimal digits; either both have a nonce or none.
    Raw(Option<&'a str>),
    /// Any.
    Any,
}

/// The part of a header that is read before the signature is known.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    alg: String,
    pub(super) kid: Option<String>,
}

/// What a token is held against.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// The names of the issuer.
    pub(super) issuers: &'a [&'a str],
    /// The client ids, one of which the token must be for.
    pub(super) client_ids: &'a [String],
    pub(super) nonce: ExpectedNonce<'a>,
    pub(super) access_token: Option<&'a str>,
}

/// The header of a token whose algorithm is an accepted one.
pub(super) fn header(token: &str) -> Result<Header, IdTokenError> {
    if token.len() > TOKEN_LIMIT || token.split('.').count() != 3 {
        return Err(IdTokenError::Malformed);
    }
    let header: Header = part(token, 0)?;
    match header.alg.as_str() {
        "RS256" | "ES256" | "EdDSA" => Ok(header),
        _ => Err(IdTokenError::Algorithm),
    }
}

/// The issuer that an unverified token names. Only for choosing whose keys to try.
pub(super) fn unverified_issuer(token: &str) -> Result<String, IdTokenError> {
    let claims: Map<String, Value> = part(token, 1)?;
    Ok(claims.get("iss").and_then(Value::as_str).ok_or(IdTokenError::Issuer)?.to_owned())
}

fn part<T: serde::de::DeserializeOwned>(token: &str, index: usize) -> Result<T, IdTokenError> {
    let text = token.split('.').nth(index).ok_or(IdTokenError::Malformed)?;
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| IdTokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| IdTokenError::Malformed)
}

/// The claims of `token`, after its signature by one of `keys` and all that is `expected` have been checked.
pub(super) fn verify(
    token: &str,
    header: &Header,
    keys: &[Key],
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, IdTokenError> {
    let (claims, algorithm) = verify_signature(token, header, keys)?;
    check_origin(&claims, expected)?;
    check_time(&claims, now())?;
    if text(&claims, "sub").is_empty() {
        return Err(IdTokenError::Subject);
    }
    check_nonce(text(&claims, "nonce"), expected.nonce)?;
    if let Some(access_token) = expected.access_token {
        check_access_token(text(&claims, "at_hash"), access_token, algorithm)?;
    }
    Ok(claims)
}

fn verify_signature(
    token: &str,
    header: &Header,
    keys: &[Key],
) -> Result<(Map<String, Value>, Algorithm), IdTokenError> {
    let fitting: Vec<&Key> = keys
        .iter()
        .filter(|key| super::directory::algorithm_name(key.algorithm) == header.alg)
        .collect();
    if fitting.is_empty() {
        return Err(if keys.is_empty() {
            IdTokenError::UnknownKey
        } else {
            IdTokenError::Algorithm
        });
    }
    for key in fitting {
        let mut validation = Validation::new(key.algorithm);
        // The claims are checked below, where each refusal has its own name.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) =
            (false, false, false);
        if let Ok(data) = jsonwebtoken::decode(token, &key.decoding, &validation) {
            return Ok((data.claims, key.algorithm));
        }
    }
    Err(IdTokenError::Signature)
}

fn check_origin(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    if !expected.issuers.contains(&text(claims, "iss")) {
        return Err(IdTokenError::Issuer);
    }
    let ours = |id: &str| !id.is_empty() && expected.client_ids.iter().any(|client| client == id);
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.iter().any(|audience| ours(audience)) {
        return Err(IdTokenError::Audience);
    }
    // With one audience that is ours, `azp` may be a sibling of ours: Google names the mobile application there.
    if audiences.len() > 1 && !ours(text(claims, "azp")) {
        return Err(IdTokenError::AuthorizedParty);
    }
    Ok(())
}

fn check_time(claims: &Map<String, Value>, now: i64) -> Result<(), IdTokenError> {
    if seconds(claims, "exp").is_none_or(|exp| exp.saturating_add(SKEW) <= now) {
        return Err(IdTokenError::Expired);
    }
    let begins = |claim| seconds(claims, claim).is_none_or(|at| at.saturating_sub(SKEW) <= now);
    if seconds(claims, "iat").is_none() || !begins("iat") || !begins("nbf") {
        return Err(IdTokenError::NotYetValid);
    }
    Ok(())
}

fn check_nonce(nonce: &str, expected: ExpectedNonce<'_>) -> Result<(), IdTokenError> {
    let wanted = match expected {
        ExpectedNonce::Any => return Ok(()),
        ExpectedNonce::Sent(sent) => sent.to_owned(),
        ExpectedNonce::Raw(raw) => match raw.unwrap_or_default() {
            "" if nonce.is_empty() => return Ok(()),
            "" => return Err(IdTokenError::NonceMissing),
            raw => hexadecimal(&digest(&SHA256, raw.as_bytes())),
        },
    };
    if nonce.is_empty() {
        return Err(IdTokenError::NonceMissing);
    }
    verify_slices_are_equal(nonce.as_bytes(), wanted.as_bytes())
        .map_err(|_| IdTokenError::NonceMismatch)
}

/// `at_hash`: the left half of the access token's hash. Issuers may leave it out (§3.1.3.6).
fn check_access_token(
    at_hash: &str,
    access_token: &str,
    algorithm: Algorithm,
) -> Result<(), IdTokenError> {
    if at_hash.is_empty() {
        return Ok(());
    }
    let hash = match algorithm {
        Algorithm::EdDSA => digest(&SHA512, access_token.as_bytes()),
        _ => digest(&SHA256, access_token.as_bytes()),
    };
    let half = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2]);
    verify_slices_are_equal(at_hash.trim_end_matches('=').as_bytes(), half.as_bytes())
        .map_err(|_| IdTokenError::AccessToken)
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> &'a str {
    claims.get(claim).and_then(Value::as_str).unwrap_or_default()
}

/// A NumericDate in whole seconds.
fn seconds(claims: &Map<String, Value>, claim: &str) -> Option<i64> {
    let value = claims.get(claim)?;
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Lower-case hexadecimal digits of a hash.
pub(super) fn hexadecimal(hash: &digest::Digest) -> String {
    hex(hash.as_ref())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        let time = |iat: i64, exp: i64| check_time(&claims(json!({"iat": iat, "exp": exp})), 1_000);
        assert_eq!(time(1_000, 1_001), Ok(()));
        assert_eq!(time(900, 941), Ok(()));
        assert_eq!(time(900, 940), Err(IdTokenError::Expired));
        assert_eq!(time(1_060, 2_000), Ok(()));
        assert_eq!(time(1_061, 2_000), Err(IdTokenError::NotYetValid));
        assert_eq!(check_time(&claims(json!({"iat": 1})), 1), Err(IdTokenError::Expired));
        assert_eq!(check_time(&claims(json!({"exp": 9})), 1), Err(IdTokenError::NotYetValid));
        let later = json!({"iat": 1_000, "exp": 2_000, "nbf": 1_500});
        assert_eq!(check_time(&claims(later), 1_000), Err(IdTokenError::NotYetValid));
    }

    #[test]
    fn a_token_for_several_clients_must_have_been_requested_by_ours() {
        let ids = ["ours".to_owned(), "mobile".to_owned()];
        let check = |value: Value| {
            let expected = Expected {
                issuers: &["i"],
                client_ids: &ids,
                nonce: ExpectedNonce::Any,
                access_token: None,
            };
            check_origin(&claims(value), &expected)
        };
        assert_eq!(check(json!({"iss": "i", "aud": "mobile"})), Ok(()));
        assert_eq!(check(json!({"iss": "i", "aud": ["ours"], "azp": "sibling"})), Ok(()));
        assert_eq!(check(json!({"iss": "i", "aud": ["x", "ours"], "azp": "ours"})), Ok(()));
        for (value, error) in [
            (json!({"iss": "j", "aud": "ours"}), IdTokenError::Issuer),
            (json!({"iss": ["i"], "aud": "ours"}), IdTokenError::Issuer),
            (json!({"iss": "i", "aud": "x"}), IdTokenError::Audience),
            (json!({"iss": "i", "aud": ""}), IdTokenError::Audience),
            (json!({"iss": "i"}), IdTokenError::Audience),
            (json!({"iss": "i", "aud": ["x", "ours"]}), IdTokenError::AuthorizedParty),
            (json!({"iss": "i", "aud": ["x", "ours"], "azp": "x"}), IdTokenError::AuthorizedParty),
        ] {
            assert_eq!(check(value.clone()), Err(error), "{value}");
        }
    }

    #[test]
    fn a_raw_nonce_is_compared_by_its_hash() {
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check_nonce(hash, ExpectedNonce::Raw(Some("abc"))), Ok(()));
        assert_eq!(check_nonce("", ExpectedNonce::Raw(None)), Ok(()));
        assert_eq!(check_nonce("anything", ExpectedNonce::Any), Ok(()));
        let refused = |nonce, expected| check_nonce(nonce, expected).unwrap_err();
        assert_eq!(refused("abc", ExpectedNonce::Raw(Some("abc"))), IdTokenError::NonceMismatch);
        assert_eq!(refused(hash, ExpectedNonce::Raw(Some("abd"))), IdTokenError::NonceMismatch);
        assert_eq!(refused(hash, ExpectedNonce::Raw(None)), IdTokenError::NonceMissing);
        assert_eq!(refused("", ExpectedNonce::Raw(Some("abc"))), IdTokenError::NonceMissing);
        assert_eq!(refused("", ExpectedNonce::Sent("abc")), IdTokenError::NonceMissing);
        assert_eq!(refused("", ExpectedNonce::Sent("")), IdTokenError::NonceMissing);
        assert_eq!(refused(hash, ExpectedNonce::Sent("abc")), IdTokenError::NonceMismatch);
    }

    #[test]
    fn the_access_token_must_be_the_one_that_was_issued_along() {
        // OpenID Connect Core 1.0 appendix A.3.
        let (token, hash) =
            ("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(check_access_token(hash, token, Algorithm::RS256), Ok(()));
        assert_eq!(check_access_token("", token, Algorithm::RS256), Ok(()));
        assert_eq!(
            check_access_token(hash, "another", Algorithm::RS256),
            Err(IdTokenError::AccessToken)
        );
    }
}
