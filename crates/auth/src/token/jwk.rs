//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037): the form in which keys are configured, stored, published.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plinth_wire::Secret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The algorithms that a project may sign with (RFC 7518 §3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: one secret signs and verifies.
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Its name in headers and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name, which is case-sensitive.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Hs256, Self::Es256, Self::Rs256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not the JSON of a key.
    #[error("this is no JSON Web Key")]
    Malformed,
    /// A member that this type of key needs is missing or is not base64url.
    #[error("the key's member `{0}` is missing or malformed")]
    Member(&'static str),
    /// Neither HS256 nor ES256, RS256 or EdDSA.
    #[error("keys of this type, curve or algorithm are not supported")]
    Unsupported,
    /// Its members do not fit together.
    #[error("the key's members do not belong together")]
    Inconsistent,
    /// Only its public half is there, but it should sign.
    #[error("the key to sign with has no private half")]
    NotPrivate,
    /// Two keys have the same `kid`.
    #[error("two keys have the same kid")]
    DuplicateKid,
    /// Two keys are in use.
    #[error("more than one key is in use")]
    SeveralInUse,
    /// A secret of HS256 is too short (RFC 7518 §3.2).
    #[error("the secret must have at least 32 characters")]
    ShortSecret,
    /// The machine gave no randomness, or a key could not be written.
    #[error("no key could be made")]
    Generate,
}

/// A JSON Web Key, usually with its private half. `Debug` shows only what it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key_ops: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ext: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(flatten)]
    public: PublicMembers,
    #[serde(flatten)]
    private: PrivateMembers,
}

#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct PublicMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct PrivateMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dq: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qi: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<String>,
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("kty", &self.kty)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Jwk {
    /// Reads one key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`]. Whether its members fit together is seen when it is put to use.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        serde_json::from_str(text).map_err(|_| KeyError::Malformed)
    }

    /// Reads a list of keys, or a set of them (RFC 7517 §5).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, KeyError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Keys {
            List(Vec<Jwk>),
            Set { keys: Vec<Jwk> },
        }
        match serde_json::from_str(text).map_err(|_| KeyError::Malformed)? {
            Keys::List(keys) | Keys::Set { keys } => Ok(keys),
        }
    }

    /// The whole key as JSON, its private half included.
    pub fn to_json(&self) -> Secret {
        Secret::new(serde_json::json!(self).to_string())
    }

    /// The key's name in token headers.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether the private half is there.
    pub fn is_private(&self) -> bool {
        self.private.d.is_some() || self.private.k.is_some()
    }

    /// Whether it may sign: it has a private half, and its `key_ops`, if any, say so.
    pub fn may_sign(&self) -> bool {
        self.is_private() && (self.key_ops.is_empty() || self.key_ops.iter().any(|op| op == "sign"))
    }

    /// What the key is for.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsupported`], also when `alg` does not fit the type or the key is for encryption.
    pub fn algorithm(&self) -> Result<Algorithm, KeyError> {
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", None) => Algorithm::Hs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("RSA", None) => Algorithm::Rs256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            _ => return Err(KeyError::Unsupported),
        };
        let named = self.alg.as_deref().is_none_or(|name| name == algorithm.name());
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        if named && signs { Ok(algorithm) } else { Err(KeyError::Unsupported) }
    }

    /// The half that everybody may know. `None` for a secret, which has none.
    pub fn public(&self) -> Option<Self> {
        if self.kty == "oct" {
            return None;
        }
        let alg = self.algorithm().ok()?.name().to_owned();
        Some(Self {
            alg: Some(alg),
            purpose: Some("sig".to_owned()),
            key_ops: vec!["verify".to_owned()],
            ext: Some(true),
            private: PrivateMembers::default(),
            ..self.clone()
        })
    }

    /// The bytes of the member `name`, which RFC 7518 §6 describes.
    pub(super) fn member(&self, name: &'static str) -> Result<Vec<u8>, KeyError> {
        let text = match name {
            "x" => &self.public.x,
            "y" => &self.public.y,
            "n" => &self.public.n,
            "e" => &self.public.e,
            "d" => &self.private.d,
            "p" => &self.private.p,
            "q" => &self.private.q,
            "dp" => &self.private.dp,
            "dq" => &self.private.dq,
            "qi" => &self.private.qi,
            "k" => &self.private.k,
            _ => &None,
        };
        let text = text.as_deref().ok_or(KeyError::Member(name))?;
        let bare = text.trim_end_matches('=');
        URL_SAFE_NO_PAD.decode(bare).map_err(|_| KeyError::Member(name))
    }

    fn new(algorithm: Algorithm, kty: &str, crv: Option<&str>) -> Self {
        Self {
            kty: kty.to_owned(),
            kid: Some(Uuid::new_v4().to_string()),
            alg: Some(algorithm.name().to_owned()),
            purpose: Some("sig".to_owned()),
            key_ops: vec!["sign".to_owned(), "verify".to_owned()],
            ext: Some(true),
            crv: crv.map(str::to_owned),
            public: PublicMembers::default(),
            private: PrivateMembers::default(),
        }
    }
}

/// Makes a new key with a random `kid`. An RSA key has 2,048 bits and takes a good part of a second.
///
/// # Errors
///
/// [`KeyError::Generate`].
pub fn generate(algorithm: Algorithm) -> Result<Jwk, KeyError> {
    match algorithm {
        Algorithm::Hs256 => generate_secret(),
        Algorithm::Es256 => generate_es256(),
        Algorithm::Rs256 => generate_rs256(),
        Algorithm::EdDsa => generate_eddsa(),
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn generate_secret() -> Result<Jwk, KeyError> {
    let mut secret = [0; 64];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| KeyError::Generate)?;
    let mut key = Jwk::new(Algorithm::Hs256, "oct", None);
    key.private.k = encode(secret);
    Ok(key)
}

fn generate_es256() -> Result<Jwk, KeyError> {
    let pair =
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Generate)?;
    let private: EcPrivateKeyBin<'_> =
        pair.private_key().as_be_bytes().map_err(|_| KeyError::Generate)?;
    // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
    let [4, point @ ..] = pair.public_key().as_ref() else { return Err(KeyError::Generate) };
    let (x, y) = point.split_at_checked(32).ok_or(KeyError::Generate)?;
    let mut key = Jwk::new(Algorithm::Es256, "EC", Some("P-256"));
    key.public = PublicMembers { x: encode(x), y: encode(y), ..PublicMembers::default() };
    key.private.d = encode(private.as_ref());
    Ok(key)
}

fn generate_eddsa() -> Result<Jwk, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
    let seed = pair.seed().map_err(|_| KeyError::Generate)?;
    let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| KeyError::Generate)?;
    let mut key = Jwk::new(Algorithm::EdDsa, "OKP", Some("Ed25519"));
    key.public.x = encode(pair.public_key());
    key.private.d = encode(seed.as_ref());
    Ok(key)
}

fn generate_rs256() -> Result<Jwk, KeyError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generate)?;
    let outer = pkcs8::PrivateKeyInfo::try_from(der.as_ref()).map_err(|_| KeyError::Generate)?;
    let inner =
        pkcs1::RsaPrivateKey::try_from(outer.private_key).map_err(|_| KeyError::Generate)?;
    let mut key = Jwk::new(Algorithm::Rs256, "RSA", None);
    key.public.n = encode(inner.modulus.as_bytes());
    key.public.e = encode(inner.public_exponent.as_bytes());
    key.private = PrivateMembers {
        d: encode(inner.private_exponent.as_bytes()),
        p: encode(inner.prime1.as_bytes()),
        q: encode(inner.prime2.as_bytes()),
        dp: encode(inner.exponent1.as_bytes()),
        dq: encode(inner.exponent2.as_bytes()),
        qi: encode(inner.coefficient.as_bytes()),
        k: None,
    };
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_survives_being_stored() {
        for algorithm in [Algorithm::Hs256, Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
            let key = generate(algorithm).unwrap();
            assert_eq!(Jwk::parse(key.to_json().expose()).unwrap(), key);
            assert_eq!(key.algorithm(), Ok(algorithm));
            assert!(key.may_sign());
        }
    }

    #[test]
    fn the_public_half_has_no_private_member() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
            let public = generate(algorithm).unwrap().public().unwrap();
            assert!(!public.is_private());
            let json = serde_json::to_value(&public).unwrap();
            for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert_eq!(json.get(member), None, "{member}");
            }
            assert_eq!(json["key_ops"], serde_json::json!(["verify"]));
        }
        assert_eq!(generate(Algorithm::Hs256).unwrap().public(), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = generate(Algorithm::Hs256).unwrap();
        assert!(!format!("{key:?}").contains(key.private.k.as_deref().unwrap()));
    }

    #[test]
    fn a_key_says_what_it_is_for() {
        let algorithm = |text: &str| Jwk::parse(text).and_then(|key| key.algorithm());
        assert_eq!(algorithm(r#"{"kty":"EC","crv":"P-256"}"#), Ok(Algorithm::Es256));
        for refused in [
            r#"{"kty":"EC","crv":"P-384"}"#,
            r#"{"kty":"RSA","alg":"PS256"}"#,
            r#"{"kty":"EC","crv":"P-256","use":"enc"}"#,
            r#"{"kty":"oct","alg":"RS256"}"#,
            r#"{"kty":"OKP","crv":"X25519"}"#,
        ] {
            assert_eq!(algorithm(refused), Err(KeyError::Unsupported), "{refused}");
        }
        assert_eq!(algorithm("[]"), Err(KeyError::Malformed));
    }

    #[test]
    fn keys_come_as_a_list_or_as_a_set() {
        let one = r#"{"kty":"oct","k":"AAAA","kid":"a"}"#;
        for text in [format!("[{one}]"), format!(r#"{{"keys":[{one}]}}"#)] {
            let keys = Jwk::parse_list(&text).unwrap();
            assert_eq!(keys.len(), 1);
            assert_eq!(keys[0].kid(), Some("a"));
        }
        assert_eq!(Jwk::parse_list("{}"), Err(KeyError::Malformed));
    }
}
