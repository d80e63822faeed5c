//! Refresh tokens that are nowhere stored.
//!
//! A token names its session and the number of its rotation, and is authenticated by a key that is derived from the
//! project's secret, which the project's database does not hold. The session's row has the number that is current, so
//! whoever reads the whole database learns no token, a rotation is one update, and a token that comes a second time
//! is known by its number.
//!
//! Bytes: version (0), session id (16), number (unsigned LEB128), HMAC-SHA-256 of all before (its first 16), SHA-256 of
//! all before (its first 4, so that a mistyped token costs nothing); in base64url.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const VERSION: u8 = 0;
const MAC_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;
/// The longest: version, session, ten bytes of number, both ends.
const MAX_BYTES: usize = 1 + 16 + 10 + MAC_BYTES + CHECKSUM_BYTES;
/// Sets this use of the project's secret apart from others.
const PURPOSE: &[u8] = b"plinth refresh tokens";

/// By how much a session's number grows when a second factor is proved, instead of by one: so far from its number, a
/// token of before is neither the one before nor one of some requests at once, and gets no part in the factor.
pub(crate) const STEP_UP: i64 = 1024;

/// Makes and reads the refresh tokens of one project.
#[derive(Clone)]
pub(crate) struct RefreshKey(hmac::Key);

/// What a token says that is one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// The session that it belongs to.
    pub session: Uuid,
    /// How many rotations the session had when it was given out.
    pub number: i64,
}

impl RefreshKey {
    /// Derived from the secret of the project.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, PURPOSE).as_ref()))
    }

    /// The text of a token.
    pub(crate) fn write(&self, token: RefreshToken) -> String {
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(token.session.as_bytes());
        write_number(&mut bytes, token.number.unsigned_abs());
        let mac = hmac::sign(&self.0, &bytes);
        bytes.extend_from_slice(&mac.as_ref()[..MAC_BYTES]);
        let checksum = digest::digest(&digest::SHA256, &bytes);
        bytes.extend_from_slice(&checksum.as_ref()[..CHECKSUM_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token; `None` when we never gave it out.
    pub(crate) fn read(&self, text: &str) -> Option<RefreshToken> {
        if text.len() > MAX_BYTES * 4 / 3 + 1 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (said, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if digest::digest(&digest::SHA256, said).as_ref()[..CHECKSUM_BYTES] != *checksum {
            return None;
        }
        let (said, mac) = said.split_at_checked(said.len().checked_sub(MAC_BYTES)?)?;
        let expected = hmac::sign(&self.0, said);
        constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC_BYTES], mac).ok()?;
        let (&version, rest) = said.split_first()?;
        let (session, number) = rest.split_at_checked(16)?;
        let session = Uuid::from_slice(session).ok()?;
        let number = i64::try_from(read_number(number)?).ok()?;
        (version == VERSION).then_some(RefreshToken { session, number })
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &[u8]) -> Option<u64> {
    let (last, first) = bytes.split_last()?;
    if bytes.len() > 9 || *last & 0x80 != 0 || first.iter().any(|byte| byte & 0x80 == 0) {
        return None;
    }
    let groups = bytes.iter().rev();
    Some(groups.fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RefreshKey {
        RefreshKey::new(b"a secret of at least thirty-two bytes")
    }

    #[test]
    fn what_was_written_is_read() {
        for number in [0, 1, 127, 128, 300, 1 << 40] {
            let token = RefreshToken { session: Uuid::new_v4(), number };
            let text = key().write(token);
            assert_eq!(key().read(&text), Some(token));
            assert!(text.len() >= 12);
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let text = key().write(RefreshToken { session: Uuid::new_v4(), number: 300 });
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for position in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[position / 8] ^= 1 << (position % 8);
            assert_eq!(key().read(&URL_SAFE_NO_PAD.encode(changed)), None, "bit {position}");
        }
    }

    #[test]
    fn a_right_checksum_does_not_replace_the_key() {
        let forged = RefreshKey::new(b"another secret")
            .write(RefreshToken { session: Uuid::new_v4(), number: 0 });
        assert_eq!(key().read(&forged), None);
    }

    #[test]
    fn rubbish_is_no_token() {
        for text in ["", "short", "not base64 !!", &"A".repeat(64), &"A".repeat(100_000)] {
            assert_eq!(key().read(text), None);
        }
    }
}
