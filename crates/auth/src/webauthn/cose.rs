//! Public keys as they are stored: COSE_Key (RFC 9052 §7) in CTAP2's canonical CBOR, as authenticators send them.
//!
//! webauthn_rp has read the key by the time it is written here, and that crate takes only canonical encodings, so what is written
//! are the authenticator's own bytes. Keys that other servers of this protocol stored are in the same form.

use webauthn_rp::response::register::{
    CompressedP256PubKey, CompressedP384PubKey, CompressedPubKey, Ed25519PubKey, RsaPubKey,
    UncompressedPubKey,
};

/// A public key that owns its bytes.
pub(super) type PublicKey = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

// {1: kty, 3: alg, -1: crv, -2: x, -3: y}, up to and including the head of the byte string that follows.
const ED25519: &[u8] = &[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
const P256: &[u8] = &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
const P256_Y: &[u8] = &[0x22, 0x58, 0x20];
const P384: &[u8] = &[0xa5, 0x01, 0x02, 0x03, 0x38, 0x22, 0x20, 0x02, 0x21, 0x58, 0x30];
const P384_Y: &[u8] = &[0x22, 0x58, 0x30];
// {1: 3, 3: -257, -1: n, -2: e}; n has a two-byte length, e fits the head.
const RS256: &[u8] = &[0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59];
const RSA_EXPONENT: u8 = 0x21;
const BYTES: u8 = 0x40;

/// Writes `key`. `None` for an RSA modulus of more than 65,535 bytes, which no authenticator has.
pub(super) fn encode(key: &UncompressedPubKey<'_>) -> Option<Vec<u8>> {
    Some(match key {
        UncompressedPubKey::Ed25519(key) => [ED25519, key.into_inner()].concat(),
        UncompressedPubKey::P256(key) => [P256, key.x(), P256_Y, key.y()].concat(),
        UncompressedPubKey::P384(key) => [P384, key.x(), P384_Y, key.y()].concat(),
        UncompressedPubKey::Rsa(key) => {
            let modulus = key.n();
            let length = u16::try_from(modulus.len()).ok()?.to_be_bytes();
            let exponent = key.e().to_be_bytes();
            let exponent = &exponent[exponent.iter().take_while(|byte| **byte == 0).count()..];
            let head = [RSA_EXPONENT, BYTES | u8::try_from(exponent.len()).ok()?];
            [RS256, &length, modulus, &head, exponent].concat()
        }
    })
}

/// Reads what [`encode`] writes.
pub(super) fn decode(bytes: &[u8]) -> Option<PublicKey> {
    if let Some(key) = bytes.strip_prefix(ED25519) {
        return Some(CompressedPubKey::Ed25519(Ed25519PubKey::from(
            <[u8; 32]>::try_from(key).ok()?,
        )));
    }
    if let Some(rest) = bytes.strip_prefix(P256) {
        let (x, y_is_odd) = point::<32>(rest, P256_Y)?;
        return Some(CompressedPubKey::P256(CompressedP256PubKey::from((x, y_is_odd))));
    }
    if let Some(rest) = bytes.strip_prefix(P384) {
        let (x, y_is_odd) = point::<48>(rest, P384_Y)?;
        return Some(CompressedPubKey::P384(CompressedP384PubKey::from((x, y_is_odd))));
    }
    let (length, rest) = bytes.strip_prefix(RS256)?.split_first_chunk::<2>()?;
    let (modulus, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let [RSA_EXPONENT, head, exponent @ ..] = rest else { return None };
    if usize::from(head ^ BYTES) != exponent.len() || exponent.len() > 4 {
        return None;
    }
    let exponent = exponent.iter().fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    RsaPubKey::try_from((modulus.to_vec(), exponent)).ok().map(CompressedPubKey::Rsa)
}

/// A point's x coordinate and whether its y coordinate is odd, of `x ‖ separator ‖ y`.
fn point<const N: usize>(bytes: &[u8], separator: &[u8]) -> Option<([u8; N], bool)> {
    let (x, rest) = bytes.split_first_chunk::<N>()?;
    let y = <[u8; N]>::try_from(rest.strip_prefix(separator)?).ok()?;
    Some((*x, y.last()? & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_and_written(key: &UncompressedPubKey<'_>) -> (Vec<u8>, PublicKey) {
        let bytes = encode(key).unwrap();
        let read = decode(&bytes).unwrap();
        (bytes, read)
    }

    #[test]
    fn every_kind_of_key_is_read_as_it_was_written() {
        let (x, y) = ([7; 48], [8; 48]);
        let modulus = [0xb5; 256];

        let key = UncompressedPubKey::Ed25519(Ed25519PubKey::try_from(&x[..32]).unwrap());
        let (bytes, read) = read_and_written(&key);
        assert!(matches!(read, CompressedPubKey::Ed25519(key) if key.into_inner() == x[..32]));
        assert_eq!(bytes.len(), 42);

        let key = UncompressedPubKey::P256((&x[..32], &y[..32]).try_into().unwrap());
        let (bytes, read) = read_and_written(&key);
        assert!(
            matches!(read, CompressedPubKey::P256(key) if key.x()[..] == x[..32] && !key.y_is_odd())
        );
        assert_eq!(bytes.len(), 77);

        let key = UncompressedPubKey::P384((&x[..], &y[..]).try_into().unwrap());
        let (bytes, read) = read_and_written(&key);
        assert!(matches!(read, CompressedPubKey::P384(key) if key.x()[..] == x && !key.y_is_odd()));
        assert_eq!(bytes.len(), 110);

        let key = UncompressedPubKey::Rsa(RsaPubKey::try_from((&modulus[..], 65_537)).unwrap());
        let (bytes, read) = read_and_written(&key);
        assert!(
            matches!(read, CompressedPubKey::Rsa(key) if *key.n() == modulus && key.e() == 65_537)
        );
        assert_eq!(bytes[bytes.len() - 5..], [0x21, 0x43, 1, 0, 1]);
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_key() {
        let keys = [
            encode(&UncompressedPubKey::P256((&[7; 32][..], &[8; 32][..]).try_into().unwrap()))
                .unwrap(),
            encode(&UncompressedPubKey::Rsa(RsaPubKey::try_from((&[0xb5; 256][..], 3)).unwrap()))
                .unwrap(),
        ];
        for key in keys {
            for length in 0..key.len() {
                assert!(decode(&key[..length]).is_none(), "{length} bytes of {}", key.len());
            }
            assert!(decode(&[&key[..], &[0]].concat()).is_none());
        }
    }
}
