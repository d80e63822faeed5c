//! Firebase's variant of scrypt, in the text form that GoTrue gave it.
//!
//! `$fbscrypt$v=1,n=14,r=8,p=1,ss=…,sk=…$salt$hash`: scrypt (RFC 7914) of the password with the salt and the
//! project's salt separator gives an AES-256 key; the hash is the project's signer key under it, in counter
//! mode from zero. Binary parts are base64 with padding.

use aes::Aes256;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use scrypt::Params;

/// How the text begins.
pub(super) const PREFIX: &str = "$fbscrypt$";

/// Most memory that a hash may ask for, in bytes. Firebase's own need 16 MiB.
const MAX_MEMORY_BYTES: u64 = 64 * 1024 * 1024;
/// Most passes over that memory.
const MAX_PASSES: u32 = 4;
/// Longest binary part, in bytes. Firebase's signer keys have 64.
const MAX_PART_BYTES: usize = 256;

/// A parsed hash whose cost is within bounds.
pub(super) struct FirebaseHash {
    params: Params,
    /// The user's salt and, behind it, the project's separator.
    salt: Vec<u8>,
    signer_key: Vec<u8>,
    hash: Vec<u8>,
}

impl FirebaseHash {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('$');
        let (settings, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let settings = Settings::parse(settings)?;
        let mut salt = binary(salt)?;
        salt.extend(settings.salt_separator);
        let hash = binary(hash)?;
        // An empty signer key would make every password fit an empty hash.
        let signed = !settings.signer_key.is_empty() && hash.len() == settings.signer_key.len();
        signed.then_some(Self {
            params: settings.params,
            salt,
            signer_key: settings.signer_key,
            hash,
        })
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let mut key = [0; 32];
        if scrypt::scrypt(password, &self.salt, &self.params, &mut key).is_err() {
            return false;
        }
        let mut text = self.signer_key.clone();
        Ctr128BE::<Aes256>::new(&key.into(), &[0; 16].into()).apply_keystream(&mut text);
        verify_slices_are_equal(&text, &self.hash).is_ok()
    }
}

struct Settings {
    params: Params,
    salt_separator: Vec<u8>,
    signer_key: Vec<u8>,
}

impl Settings {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(',').map(|field| field.split_once('='));
        let mut number = |name: &str| -> Option<u32> {
            let (found, value) = fields.next()??;
            (found == name).then(|| value.parse().ok())?
        };
        let (version, log_n) = (number("v")?, number("n")?);
        let (blocks, passes) = (number("r")?, number("p")?);
        let (mut salt_separator, mut signer_key) = (Vec::new(), Vec::new());
        for field in fields {
            match field? {
                ("ss", value) => salt_separator = binary(value)?,
                ("sk", value) => signer_key = binary(value)?,
                _ => return None,
            }
        }
        if version != 1 || !affordable(log_n, blocks, passes) {
            return None;
        }
        let params = Params::new(u8::try_from(log_n).ok()?, blocks, passes).ok()?;
        Some(Self { params, salt_separator, signer_key })
    }
}

fn affordable(log_n: u32, blocks: u32, passes: u32) -> bool {
    let memory = 1u64.checked_shl(log_n).and_then(|n| n.checked_mul(128 * u64::from(blocks)));
    (1..32).contains(&log_n)
        && (1..=MAX_PASSES).contains(&passes)
        && blocks > 0
        && memory.is_some_and(|bytes| bytes <= MAX_MEMORY_BYTES)
}

fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| bytes.len() <= MAX_PART_BYTES)
}
