//! The keys that tokens may be signed with: a plain secret, a JSON Web Key, or a set of them (RFC 7517).
//!
//! A key says which algorithms it verifies; a token only chooses among those. So a public key never
//! becomes the secret of an HMAC, and `none` verifies nothing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

/// Shortest secret of an HMAC, in bytes (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// Why a text is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The secret is too short.
    #[error("The JWT secret must be at least 32 characters long.")]
    Short,
    /// The secret was said to be base64.
    #[error("the JWT secret is not base64")]
    NotBase64,
    /// A JSON object that is neither a key nor a set of keys that can be used.
    #[error(
        "the JWT secret is a JSON object, but no JSON Web Key of a kind that is supported: {0}"
    )]
    NoKey(&'static str),
}

/// Which tokens a key is for, by their `kid`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// All, whatever they say.
    Any,
    /// Those of that name, and those that name none.
    Is(Option<String>),
}

struct Key {
    name: Name,
    /// What the key verifies. Never empty.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Some keys.
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// The one key of a project: HS256 with `secret`, for tokens of any `kid`.
    pub fn secret(secret: &[u8]) -> Self {
        let key = DecodingKey::from_secret(secret);
        Self { keys: vec![Key { name: Name::Any, algorithms: vec![Algorithm::HS256], key }] }
    }

    /// The keys of a project beside its secret: public ones, each as its name, its algorithm and the text of its JSON Web
    /// Key. One that cannot be used, or that is a secret itself, verifies nothing.
    #[must_use]
    pub fn with_public<'a>(
        mut self,
        keys: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Self {
        for (kid, algorithm, jwk) in keys {
            match Key::public(kid, algorithm, jwk) {
                Ok(key) => self.keys.push(key),
                Err(error) => {
                    tracing::warn!(key.kid = kid, error = %error, "a signing key cannot be used");
                }
            }
        }
        self
    }

    /// Reads a secret as people configure it: a JSON Web Key, a set of them, or the secret of HS256
    /// itself, in base64 if `base64` says so.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it cannot be used. What looks like a key and is none never becomes a secret:
    /// keys are often public.
    pub fn parse(text: &[u8], base64: bool) -> Result<Self, KeyError> {
        let bytes = if base64 { decode_base64(text)? } else { text.to_vec() };
        if let Ok(Value::Object(object)) = serde_json::from_slice(&bytes) {
            return Self::from_json(&object);
        }
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Err(KeyError::NoKey("it is no JSON"));
        }
        if bytes.len() < SHORTEST_SECRET {
            return Err(KeyError::Short);
        }
        let name = Name::Is(None);
        let key = DecodingKey::from_secret(&bytes);
        Ok(Self { keys: vec![Key { name, algorithms: vec![Algorithm::HS256], key }] })
    }

    fn from_json(object: &Map<String, Value>) -> Result<Self, KeyError> {
        let Some(set) = object.get("keys") else {
            return Ok(Self { keys: vec![Key::parse(object)?] });
        };
        let keys: Vec<Key> = set
            .as_array()
            .ok_or(KeyError::NoKey("`keys` is no list"))?
            .iter()
            .filter_map(|key| Key::parse(key.as_object()?).ok())
            .collect();
        if keys.is_empty() { Err(KeyError::NoKey("the set is empty")) } else { Ok(Self { keys }) }
    }

    /// Checks `signature` (base64) of `signed` by the keys that `kid` and `algorithm` leave.
    pub(super) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &str,
    ) -> Verdict {
        // Who names one of the keys means that one, and no secret that takes any name.
        let named = kid.is_some_and(|kid| self.keys.iter().any(|key| key.is_named(kid)));
        let meant = |key: &&Key| !(named && key.name == Name::Any) && key.suits(kid, algorithm);
        let mut suitable = self.keys.iter().filter(meant).map(|found| &found.key);
        let Some(first) = suitable.next() else { return Verdict::NoKey };
        let genuine = |key: &DecodingKey| {
            matches!(jsonwebtoken::crypto::verify(signature, signed, key, algorithm), Ok(true))
        };
        if genuine(first) || suitable.any(genuine) { Verdict::Genuine } else { Verdict::Forged }
    }
}

/// What came of checking a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One of the keys made it.
    Genuine,
    /// None of the keys in question made it.
    Forged,
    /// No key is for such tokens.
    NoKey,
}

impl Key {
    fn public(kid: &str, algorithm: &str, jwk: &str) -> Result<Self, KeyError> {
        let members: Map<String, Value> =
            serde_json::from_str(jwk).map_err(|_| KeyError::NoKey("it is no JSON"))?;
        let mut key = Self::parse(&members)?;
        key.name = Name::Is(Some(kid.to_owned()));
        let wanted = parse_algorithm(algorithm).filter(|wanted| !HMAC.contains(wanted));
        key.algorithms.retain(|possible| Some(*possible) == wanted);
        if key.algorithms.is_empty() {
            return Err(KeyError::NoKey("its algorithm does not fit its type"));
        }
        Ok(key)
    }

    fn parse(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let part = |name| text(name).ok_or(KeyError::NoKey("a part of it is missing"));
        if text("use") == Some("enc") {
            return Err(KeyError::NoKey("it is for encryption"));
        }
        let malformed = |_| KeyError::NoKey("a part of it is no base64");
        let (possible, key): (&[Algorithm], DecodingKey) = match text("kty") {
            Some("oct") => {
                let secret = decode_base64(part("k")?.as_bytes())?;
                if secret.len() < SHORTEST_SECRET {
                    return Err(KeyError::Short);
                }
                (HMAC, DecodingKey::from_secret(&secret))
            }
            Some("RSA") => {
                (RSA, DecodingKey::from_rsa_components(part("n")?, part("e")?).map_err(malformed)?)
            }
            Some("EC") => {
                let algorithm = match text("crv") {
                    Some("P-256") => P256,
                    Some("P-384") => P384,
                    _ => return Err(KeyError::NoKey("its curve is neither P-256 nor P-384")),
                };
                let key = DecodingKey::from_ec_components(part("x")?, part("y")?);
                (algorithm, key.map_err(malformed)?)
            }
            Some("OKP") if text("crv") == Some("Ed25519") => {
                (EDDSA, DecodingKey::from_ed_components(part("x")?).map_err(malformed)?)
            }
            _ => return Err(KeyError::NoKey("its type is not oct, RSA, EC or OKP")),
        };
        let algorithms: Vec<Algorithm> = match text("alg") {
            None => possible.to_vec(),
            Some(name) => {
                possible.iter().copied().filter(|a| parse_algorithm(name) == Some(*a)).collect()
            }
        };
        if algorithms.is_empty() {
            return Err(KeyError::NoKey("its `alg` does not fit its type"));
        }
        Ok(Self { name: Name::Is(text("kid").map(str::to_owned)), algorithms, key })
    }

    fn is_named(&self, kid: &str) -> bool {
        matches!(&self.name, Name::Is(Some(own)) if own == kid)
    }

    fn suits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named = match (&self.name, kid) {
            (Name::Any, _) | (_, None) => true,
            (Name::Is(own), Some(kid)) => own.as_deref() == Some(kid),
        };
        named && self.algorithms.contains(&algorithm)
    }
}

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const EDDSA: &[Algorithm] = &[Algorithm::EdDSA];

/// An algorithm by its name (RFC 7518 §3.1), which is case-sensitive.
pub(super) fn parse_algorithm(name: &str) -> Option<Algorithm> {
    name.parse().ok()
}

/// Both alphabets, with or without padding; a dot is an equals sign, as in PostgREST.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let text = std::str::from_utf8(text).map_err(|_| KeyError::NotBase64)?;
    let bare = text.trim().trim_end_matches(['=', '.']);
    let decoded = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare));
    decoded.map_err(|_| KeyError::NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    const PLAIN: &[u8] = b"a-secret-that-is-at-least-32-bytes-long";
    const PUBLIC: &str = include_str!("testkeys/public.json");

    /// The public half of a key pair, with more members.
    fn public(name: &str, more: &Value) -> Value {
        let all: Value = serde_json::from_str(PUBLIC).unwrap();
        let mut jwk = all[name].clone();
        for (member, value) in more.as_object().unwrap() {
            jwk[member] = value.clone();
        }
        jwk
    }

    fn private(name: &str) -> EncodingKey {
        match name {
            "rsa" => EncodingKey::from_rsa_pem(include_bytes!("testkeys/rsa.pem")),
            "p256" => EncodingKey::from_ec_pem(include_bytes!("testkeys/p256.pem")),
            "p384" => EncodingKey::from_ec_pem(include_bytes!("testkeys/p384.pem")),
            _ => EncodingKey::from_ed_pem(include_bytes!("testkeys/ed25519.pem")),
        }
        .unwrap()
    }

    fn token(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &json!({"role": "a"}), key).unwrap()
    }

    fn verify(keys: &KeySet, algorithm: Algorithm, kid: Option<&str>, token: &str) -> Verdict {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        keys.verify(kid, algorithm, signed.as_bytes(), signature)
    }

    fn parse(jwk: &Value) -> KeySet {
        KeySet::parse(jwk.to_string().as_bytes(), false).unwrap()
    }

    const PAIRS: [(&str, Algorithm); 9] = [
        ("rsa", Algorithm::RS256),
        ("rsa", Algorithm::RS384),
        ("rsa", Algorithm::RS512),
        ("rsa", Algorithm::PS256),
        ("rsa", Algorithm::PS384),
        ("rsa", Algorithm::PS512),
        ("p256", Algorithm::ES256),
        ("p384", Algorithm::ES384),
        ("ed25519", Algorithm::EdDSA),
    ];

    #[test]
    fn every_kind_of_key_verifies_what_it_signed_and_nothing_else() {
        for (name, algorithm) in PAIRS {
            let token = token(algorithm, None, &private(name));
            for other in ["rsa", "p256", "p384", "ed25519"] {
                let verdict = verify(&parse(&public(other, &json!({}))), algorithm, None, &token);
                let wanted = if other == name { Verdict::Genuine } else { Verdict::NoKey };
                assert_eq!(verdict, wanted, "{algorithm:?} by {other}");
            }
        }
    }

    #[test]
    fn a_public_key_is_never_the_secret_of_an_hmac() {
        for (name, _) in PAIRS {
            let jwk = public(name, &json!({}));
            // What somebody who knows the public key could sign with.
            let text = jwk.to_string();
            let pem: &[u8] = include_bytes!("testkeys/rsa.pem");
            for secret in [text.as_bytes(), pem, jwk["x"].as_str().unwrap_or("n").as_bytes(), b""] {
                for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                    let forged = token(algorithm, None, &EncodingKey::from_secret(secret));
                    assert_eq!(verify(&parse(&jwk), algorithm, None, &forged), Verdict::NoKey);
                }
            }
        }
    }

    #[test]
    fn an_algorithm_that_the_key_names_is_the_only_one() {
        let key = parse(&public("rsa", &json!({"alg": "RS256"})));
        let rs256 = token(Algorithm::RS256, None, &private("rsa"));
        let rs512 = token(Algorithm::RS512, None, &private("rsa"));
        assert_eq!(verify(&key, Algorithm::RS256, None, &rs256), Verdict::Genuine);
        assert_eq!(verify(&key, Algorithm::RS512, None, &rs512), Verdict::NoKey);
    }

    #[test]
    fn the_kid_chooses_among_the_keys_of_a_set() {
        let oct = json!({"kty": "oct", "kid": "old", "k": URL_SAFE_NO_PAD.encode(PLAIN)});
        let new = public("p256", &json!({"kid": "new"}));
        let unknown = json!({"kty": "future", "kid": "x"});
        let keys = parse(&json!({"keys": [unknown, oct, new]}));
        let es = token(Algorithm::ES256, Some("new"), &private("p256"));
        assert_eq!(verify(&keys, Algorithm::ES256, Some("new"), &es), Verdict::Genuine);
        assert_eq!(verify(&keys, Algorithm::ES256, Some("old"), &es), Verdict::NoKey);
        assert_eq!(verify(&keys, Algorithm::ES256, None, &es), Verdict::Genuine);
        let hs = token(Algorithm::HS384, None, &EncodingKey::from_secret(PLAIN));
        assert_eq!(verify(&keys, Algorithm::HS384, None, &hs), Verdict::Genuine);
        assert_eq!(verify(&keys, Algorithm::HS384, Some("none"), &hs), Verdict::NoKey);
        let other = token(Algorithm::HS384, None, &EncodingKey::from_secret(b"other"));
        assert_eq!(verify(&keys, Algorithm::HS384, None, &other), Verdict::Forged);
    }

    #[test]
    fn a_plain_secret_is_hs256_and_nameless_but_for_projects() {
        let keys = KeySet::parse(PLAIN, false).unwrap();
        let key = EncodingKey::from_secret(PLAIN);
        let named = token(Algorithm::HS256, Some("x"), &key);
        assert_eq!(verify(&keys, Algorithm::HS256, Some("x"), &named), Verdict::NoKey);
        let project = KeySet::secret(PLAIN);
        assert_eq!(verify(&project, Algorithm::HS256, Some("x"), &named), Verdict::Genuine);
        let hs512 = token(Algorithm::HS512, None, &key);
        assert_eq!(verify(&keys, Algorithm::HS512, None, &hs512), Verdict::NoKey);
    }

    #[test]
    fn a_project_has_public_keys_beside_its_secret() {
        let jwk = |name: &str| public(name, &json!({})).to_string();
        let (rsa, p256, ed) = (jwk("rsa"), jwk("p256"), jwk("ed25519"));
        let oct = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(PLAIN)}).to_string();
        let keys = KeySet::secret(PLAIN).with_public([
            ("r", "RS256", rsa.as_str()),
            ("e", "ES256", p256.as_str()),
            ("d", "EdDSA", ed.as_str()),
            // None of these is one.
            ("o", "HS256", oct.as_str()),
            ("x", "ES256", rsa.as_str()),
            ("y", "none", p256.as_str()),
            ("z", "ES256", "{"),
        ]);
        assert_eq!(keys.keys.len(), 4);
        for (kid, algorithm, name) in [
            ("r", Algorithm::RS256, "rsa"),
            ("e", Algorithm::ES256, "p256"),
            ("d", Algorithm::EdDSA, "ed25519"),
        ] {
            let signed = token(algorithm, Some(kid), &private(name));
            assert_eq!(verify(&keys, algorithm, Some(kid), &signed), Verdict::Genuine, "{kid}");
            for other in ["r", "e", "d", "unknown"].iter().filter(|other| **other != kid) {
                let verdict = verify(&keys, algorithm, Some(other), &signed);
                assert_eq!(verdict, Verdict::NoKey, "{kid} as {other}");
            }
        }
        let rs512 = token(Algorithm::RS512, Some("r"), &private("rsa"));
        assert_eq!(verify(&keys, Algorithm::RS512, Some("r"), &rs512), Verdict::NoKey);
        // The secret takes any name but those of the others.
        let secret = EncodingKey::from_secret(PLAIN);
        for (kid, verdict) in
            [(None, Verdict::Genuine), (Some("o"), Verdict::Genuine), (Some("e"), Verdict::NoKey)]
        {
            let signed = token(Algorithm::HS256, kid, &secret);
            assert_eq!(verify(&keys, Algorithm::HS256, kid, &signed), verdict, "{kid:?}");
        }
        for known in [rsa.as_bytes(), p256.as_bytes()] {
            for kid in [None, Some("r"), Some("e"), Some("unknown")] {
                let forged = token(Algorithm::HS256, kid, &EncodingKey::from_secret(known));
                let verdict = verify(&keys, Algorithm::HS256, kid, &forged);
                assert_ne!(verdict, Verdict::Genuine, "{kid:?}");
            }
        }
    }

    #[test]
    fn base64_is_read_in_every_spelling() {
        for text in [STANDARD_NO_PAD.encode([251_u8; 34]), URL_SAFE_NO_PAD.encode([251_u8; 34])] {
            for padding in ["", "==", "..", "\n"] {
                let keys = KeySet::parse(format!("{text}{padding}").as_bytes(), true).unwrap();
                let signed = token(Algorithm::HS256, None, &EncodingKey::from_secret(&[251; 34]));
                assert_eq!(verify(&keys, Algorithm::HS256, None, &signed), Verdict::Genuine);
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let refused =
            |text: &str, base64: bool| KeySet::parse(text.as_bytes(), base64).err().unwrap();
        assert_eq!(refused("short", false), KeyError::Short);
        assert_eq!(refused("no base-64!", true), KeyError::NotBase64);
        let rsa = public("rsa", &json!({})).to_string();
        for text in [
            &rsa[..rsa.len() - 1],
            r#"{"kty":"RSA","n":"AQAB","no exponent":"........................"}"#,
            r#"{"kty":"EC","crv":"P-521","x":"AQAB","y":"AQAB"}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":"........................................."}"#,
            &public("p256", &json!({"use": "enc"})).to_string(),
            &public("p256", &json!({"alg": "HS256"})).to_string(),
            "{}",
        ] {
            assert!(matches!(refused(text, false), KeyError::NoKey(_)), "{text}");
        }
        let weak = json!({"kty": "oct", "k": "c2hvcnQ"}).to_string();
        assert_eq!(refused(&weak, false), KeyError::Short);
    }
}
