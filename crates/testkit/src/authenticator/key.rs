//! The keys that authenticators have.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};

/// How an authenticator signs (COSE algorithms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, -7: every authenticator.
    Es256,
    /// ECDSA on P-384 with SHA-384, -35.
    Es384,
    /// Ed25519, -8: newer security keys.
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256, -257: Windows Hello on older machines.
    Rs256,
}

pub(super) enum Key {
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, Unspecified> {
        Ok(match algorithm {
            Algorithm::Es256 => {
                Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?)
            }
            Algorithm::Es384 => {
                Self::Es384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)?)
            }
            Algorithm::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate()?),
            Algorithm::Rs256 => Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048)?),
        })
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Es256(key) | Self::Es384(key) => key.sign(&random, message)?.as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                signature
            }
        })
    }

    /// COSE_Key (RFC 9052 §7, RFC 9053 §7, RFC 8230 §4) in CTAP2's canonical CBOR.
    pub(super) fn cose(&self) -> Vec<u8> {
        match self {
            Self::Es256(key) => point(&[0x26, 0x20, 0x01], 32, key.public_key().as_ref()),
            Self::Es384(key) => point(&[0x38, 0x22, 0x20, 0x02], 48, key.public_key().as_ref()),
            Self::Ed25519(key) => {
                let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                [&head, key.public_key().as_ref()].concat()
            }
            Self::Rs256(key) => {
                // SEQUENCE of two INTEGERs, of which the first begins with a nought: 30 82 … 02 82 01 01 00.
                let modulus = &key.public_key().as_ref()[9..265];
                let head = [0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59, 0x01, 0x00];
                [&head, modulus, &[0x21, 0x43, 0x01, 0x00, 0x01]].concat()
            }
        }
    }
}

/// `{1: 2, 3: alg, -1: crv, -2: x, -3: y}`, of an uncompressed point: 4 ‖ x ‖ y.
fn point(algorithm_and_curve: &[u8], length: u8, point: &[u8]) -> Vec<u8> {
    let (x, y) = point[1..].split_at(usize::from(length));
    [
        &[0xa5, 0x01, 0x02, 0x03],
        algorithm_and_curve,
        &[0x21, 0x58, length],
        x,
        &[0x22, 0x58, length],
        y,
    ]
    .concat()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Es256(_) => "Es256",
            Self::Es384(_) => "Es384",
            Self::Ed25519(_) => "Ed25519",
            Self::Rs256(_) => "Rs256",
        })
    }
}
