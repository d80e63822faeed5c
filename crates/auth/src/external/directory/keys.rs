//! The keys of an issuer (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Most keys of one issuer that are looked at.
const KEY_LIMIT: usize = 64;

/// The shortest RSA modulus that is accepted, in bytes.
const RSA_BYTES: usize = 256;

/// A public key that may sign ID tokens.
#[derive(Clone)]
pub(in crate::external) struct Key {
    kid: Option<String>,
    /// The one algorithm it is used with. It follows from the key and never from the token.
    pub(in crate::external) algorithm: Algorithm,
    pub(in crate::external) decoding: DecodingKey,
}

/// The usable keys of an issuer.
pub(in crate::external) struct KeySet(Vec<Key>);

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.0.len())
    }
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds are for other purposes and left out.
    pub(super) fn read(set: &Value) -> Self {
        let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self(keys.iter().take(KEY_LIMIT).filter_map(read_key).collect())
    }

    /// The key `kid`; without one, every key.
    pub(super) fn find(&self, kid: Option<&str>) -> Vec<Key> {
        let fits = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        self.0.iter().filter(fits).cloned().collect()
    }
}

fn read_key(key: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let algorithm = algorithm(&jwk)?;
    // A key that says which algorithm it is for is for no other.
    if key.get("alg").is_some_and(|alg| alg != name(algorithm)) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { kid: jwk.common.key_id, algorithm, decoding })
}

fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
            (modulus.len() >= RSA_BYTES).then_some(Algorithm::RS256)
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Some(Algorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}

/// The algorithm's name in a header (RFC 7518 §3.1).
pub(in crate::external) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        _ => "EdDSA",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn count(key: Value) -> usize {
        KeySet::read(&json!({"keys": [key]})).find(None).len()
    }

    #[test]
    fn only_keys_for_signing_by_an_accepted_algorithm_are_kept() {
        assert_eq!(count(json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})), 1);
        assert_eq!(count(json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "alg": "ES256"})), 1);
        assert_eq!(count(json!({"kty": "OKP", "crv": "Ed25519", "x": X})), 1);
        assert_eq!(count(json!({"kty": "RSA", "n": "A".repeat(344), "e": "AQAB"})), 1);
        for key in [
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "use": "enc"}),
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "alg": "ES384"}),
            json!({"kty": "EC", "crv": "P-384", "x": X, "y": Y}),
            json!({"kty": "RSA", "n": "A".repeat(172), "e": "AQAB"}),
            json!({"kty": "RSA", "n": "A".repeat(344), "e": "AQAB", "alg": "HS256"}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "new"}),
            json!("key"),
        ] {
            assert_eq!(count(key.clone()), 0, "{key} must be left out");
        }
    }

    #[test]
    fn a_key_is_found_by_its_id_or_among_all() {
        let key = |kid: &str| json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": kid});
        let set = KeySet::read(&json!({"keys": [key("a"), key("b")]}));
        assert_eq!(
            (set.find(Some("a")).len(), set.find(Some("c")).len(), set.find(None).len()),
            (1, 0, 2)
        );
    }

    #[test]
    fn a_set_of_endless_length_is_cut() {
        let key = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y});
        assert_eq!(KeySet::read(&json!({"keys": vec![key; 1000]})).find(None).len(), KEY_LIMIT);
    }
}
