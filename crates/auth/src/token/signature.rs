//! Keys made ready for signing and verifying.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::jwk::{Algorithm, Jwk, KeyError};

/// Shortest secret of HS256 in bytes (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// Makes signatures.
pub(super) enum Signer {
    Hmac(Box<hmac::Key>),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Checks signatures. Knows its algorithm; nobody tells it another.
pub(super) enum Verifier {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// The secret of HS256, ready for use.
pub(super) fn prepare_secret(secret: &[u8]) -> Result<Box<hmac::Key>, KeyError> {
    if secret.len() < SHORTEST_SECRET {
        return Err(KeyError::ShortSecret);
    }
    Ok(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
}

impl Signer {
    /// Reads the private half of `key`.
    pub(super) fn new(key: &Jwk) -> Result<Self, KeyError> {
        if !key.is_private() {
            return Err(KeyError::NotPrivate);
        }
        match key.algorithm()? {
            Algorithm::Hs256 => prepare_secret(&key.member("k")?).map(Self::Hmac),
            Algorithm::Es256 => {
                let (private, public) = (key.member("d")?, point(key)?);
                EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    &private,
                    &public,
                )
                .map(Self::Ecdsa)
                .map_err(|_| KeyError::Inconsistent)
            }
            Algorithm::EdDsa => {
                Ed25519KeyPair::from_seed_and_public_key(&key.member("d")?, &key.member("x")?)
                    .map(Self::Ed25519)
                    .map_err(|_| KeyError::Inconsistent)
            }
            Algorithm::Rs256 => rsa_pair(key).map(Self::Rsa),
        }
    }

    /// Signs `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Ecdsa(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

impl Verifier {
    /// Reads the public half of `key`, or its secret.
    pub(super) fn new(key: &Jwk) -> Result<Self, KeyError> {
        let public = match key.algorithm()? {
            Algorithm::Hs256 => return prepare_secret(&key.member("k")?).map(Self::Hmac),
            Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(key)?),
            Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, key.member("x")?),
            Algorithm::Rs256 => rsa_public(key)?.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256),
        };
        public.map(Self::Public).map_err(|_| KeyError::Inconsistent)
    }

    /// Whether `signature` is one of `message`. Takes the same time wherever an HMAC differs.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The public point of an EC key, uncompressed (SEC 1 §2.3.3).
fn point(key: &Jwk) -> Result<Vec<u8>, KeyError> {
    Ok([&[4][..], &key.member("x")?, &key.member("y")?].concat())
}

/// A number without leading zeros, as the library wants the public ones.
fn number(key: &Jwk, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let bytes = key.member(name)?;
    let start = bytes.iter().position(|byte| *byte != 0).ok_or(KeyError::Member(name))?;
    Ok(bytes[start..].to_vec())
}

fn rsa_public(key: &Jwk) -> Result<PublicKeyComponents<Vec<u8>>, KeyError> {
    Ok(PublicKeyComponents { n: number(key, "n")?, e: number(key, "e")? })
}

fn rsa_pair(key: &Jwk) -> Result<RsaKeyPair, KeyError> {
    let components = KeyPairComponents {
        public_key: rsa_public(key)?,
        d: key.member("d")?,
        p: key.member("p")?,
        q: key.member("q")?,
        dP: key.member("dp")?,
        dQ: key.member("dq")?,
        qInv: key.member("qi")?,
    };
    RsaKeyPair::from_components(&components).map_err(|_| KeyError::Inconsistent)
}
