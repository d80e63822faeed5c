//! Key pairs that seal columns: PostgreSQL has the public half and can open nothing of what it holds.
//!
//! A column's value is an OpenPGP message (RFC 4880) that pgcrypto makes: a session key encrypted by RSA, and the value in
//! AES-256 with a modification detection code. It reads `sealed.v1.{key}.{mark}.{base64}`, where `key` names the key pair and
//! `mark` tells the database which of its own transactions sealed it. The private half lies in the control database, sealed
//! with the master key.
//!
//! Reading the one kind of message that we make takes less than the crates for all of OpenPGP bring along.

mod message;

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plinth_wire::Secret;

/// What every sealed text begins with.
pub const SEALED: &str = "sealed.v1.";

/// Bytes of a key's digest that are its name.
const NAME_BYTES: usize = 4;

/// Why something was not opened, or a key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// The text is not sealed.
    #[error("it is not sealed")]
    Plain,
    /// Another key pair made it.
    #[error("it was sealed with the key `{wanted}`, and this project's is `{found}`")]
    OtherKey {
        /// The key's name in the text.
        wanted: String,
        /// The name of the key that is here.
        found: String,
    },
    /// It was changed or cut off.
    #[error("it is sealed, and damaged")]
    Damaged,
    /// The library would not make or read a key.
    #[error("the key pair for sealed columns cannot be used")]
    Key,
}

/// The public half, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicSealingKey {
    /// Its name in sealed texts.
    pub name: String,
    /// An OpenPGP packet, for pgcrypto.
    pub packet: Vec<u8>,
}

/// A key pair of a project.
pub struct SealingKey {
    public: PublicSealingKey,
    private: Pkcs1PrivateDecryptingKey,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("name", &self.public.name).finish_non_exhaustive()
    }
}

impl SealingKey {
    /// Makes a key pair, in PKCS #8. It takes a fraction of a second.
    ///
    /// # Errors
    ///
    /// [`SealingError::Key`].
    pub fn generate() -> Result<Secret, SealingError> {
        let pair =
            PrivateDecryptingKey::generate(KeySize::Rsa3072).map_err(|_| SealingError::Key)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| SealingError::Key)?;
        Ok(Secret::new(STANDARD.encode(der.as_ref())))
    }

    /// Reads what [`generate`](Self::generate) made.
    ///
    /// # Errors
    ///
    /// [`SealingError::Key`].
    pub fn read(pair: &Secret) -> Result<Self, SealingError> {
        let der = STANDARD.decode(pair.expose()).map_err(|_| SealingError::Key)?;
        let pair = PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| SealingError::Key)?;
        let public: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| SealingError::Key)?;
        let packet = message::public_key(public.as_ref()).ok_or(SealingError::Key)?;
        let name = digest(&SHA256, &packet).as_ref()[..NAME_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let private = Pkcs1PrivateDecryptingKey::new(pair).map_err(|_| SealingError::Key)?;
        Ok(Self { public: PublicSealingKey { name, packet }, private })
    }

    /// The public half.
    pub fn public(&self) -> &PublicSealingKey {
        &self.public
    }

    /// Opens what a column holds. It takes a millisecond or two.
    ///
    /// # Errors
    ///
    /// [`SealingError`].
    pub fn open(&self, sealed: &str) -> Result<Secret, SealingError> {
        let (name, body) = parts(sealed).ok_or(SealingError::Plain)?;
        if name != self.public.name {
            let (wanted, found) = (name.to_owned(), self.public.name.clone());
            return Err(SealingError::OtherKey { wanted, found });
        }
        let bytes = STANDARD.decode(body).map_err(|_| SealingError::Damaged)?;
        let plain = message::open(&self.private, &bytes).ok_or(SealingError::Damaged)?;
        String::from_utf8(plain).map(Secret::from).map_err(|_| SealingError::Damaged)
    }
}

/// The name of the key that sealed a text, if it looks sealed.
pub fn sealing_key_name(text: &str) -> Option<&str> {
    parts(text).map(|(name, _)| name)
}

/// Key and body of a sealed text.
fn parts(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.strip_prefix(SEALED)?.splitn(3, '.');
    let (name, _mark, body) = (parts.next()?, parts.next()?, parts.next()?);
    Some((name, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_texts_of_this_key_are_opened() {
        let key = SealingKey::read(&SealingKey::generate().unwrap()).unwrap();
        let name = key.public().name.clone();
        assert!(name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        for plain in ["", "hunter2", "sealed.v1.", "sealed.v1.0123abcd", "sealed.v2.a.b.c"] {
            assert_eq!(key.open(plain).unwrap_err(), SealingError::Plain, "{plain}");
        }
        let other = SealingError::OtherKey { wanted: "0123abcd".to_owned(), found: name.clone() };
        assert_eq!(key.open("sealed.v1.0123abcd.m.AAAA").unwrap_err(), other);
        for body in ["", "?", "AAAA", "0v///w==", "hQGM"] {
            let text = format!("{SEALED}{name}.m.{body}");
            assert_eq!(key.open(&text).unwrap_err(), SealingError::Damaged, "{body}");
        }
    }

    #[test]
    fn what_is_no_key_is_not_read() {
        assert_eq!(SealingKey::read(&Secret::new("AAAA")).unwrap_err(), SealingError::Key);
        assert!(!format!("{:?}", SealingKey::generate().unwrap()).contains("MII"));
    }
}
