//! Signing keys, and the set that publishes them (RFC 7517).

use std::io;
use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::Signature;

/// The keys: the one that signs, and the one before it.
pub(super) struct Keys {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key {
    kid: String,
    algorithm: Algorithm,
    encoding: EncodingKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.current.kid)
    }
}

impl Keys {
    pub(super) fn new(signature: Signature) -> io::Result<Self> {
        let current = match signature {
            Signature::Es256 => ec_key()?,
            Signature::Rs256 => rsa_key()?,
        };
        Ok(Self { current, previous: None })
    }

    /// Replaces the current key by a new one on P-256, whatever it was.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        self.previous = Some(std::mem::replace(&mut self.current, ec_key()?));
        Ok(())
    }

    pub(super) fn sign(&self, claims: &Value) -> io::Result<String> {
        let key = &self.current;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(key.algorithm) };
        jsonwebtoken::encode(&header, claims, &key.encoding).map_err(io::Error::other)
    }

    pub(super) fn set(&self) -> Value {
        let keys: Vec<Value> =
            std::iter::once(&self.current).chain(&self.previous).filter_map(Key::public).collect();
        json!({ "keys": keys })
    }
}

impl Key {
    fn public(&self) -> Option<Value> {
        let jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).ok()?;
        let mut jwk = serde_json::to_value(jwk).ok()?;
        jwk["kid"] = self.kid.as_str().into();
        jwk["use"] = "sig".into();
        Some(jwk)
    }
}

fn ec_key() -> io::Result<Key> {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| io::Error::other("no key on P-256 could be made"))?;
    Ok(Key {
        kid: uuid::Uuid::new_v4().to_string(),
        algorithm: Algorithm::ES256,
        encoding: EncodingKey::from_ec_der(pkcs8.as_ref()),
    })
}

/// Making an RSA key takes long, so a process has one.
fn rsa_key() -> io::Result<Key> {
    static KEY: OnceLock<Option<Key>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&pair).ok()?;
        let text = STANDARD.encode(pkcs8.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        Some(Key {
            kid: uuid::Uuid::new_v4().to_string(),
            algorithm: Algorithm::RS256,
            encoding: EncodingKey::from_rsa_pem(pem.as_bytes()).ok()?,
        })
    });
    key.clone().ok_or_else(|| io::Error::other("no RSA key could be made"))
}
