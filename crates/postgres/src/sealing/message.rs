//! As much of OpenPGP (RFC 4880) as pgcrypto's `pgp_pub_encrypt_bytea` takes and gives with the options that we give it.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::Pkcs1PrivateDecryptingKey;

/// Tags of packets, §4.3.
const SESSION_KEY: u8 = 1;
const LITERAL: u8 = 11;
const PUBLIC_SUBKEY: u8 = 14;
const PROTECTED: u8 = 18;

/// §9.1 and §9.2.
const RSA: u8 = 1;
const AES_256_ID: u8 = 9;
const AES_256_BYTES: usize = 32;

/// A block and the repetition of its last two bytes, which stand before what is encrypted (§5.13).
const RANDOM_BYTES: usize = 18;
/// Header and hash of the modification detection code, which stand behind it (§5.14).
const MDC_HEADER: [u8; 2] = [0xd3, 0x14];
const MDC_BYTES: usize = 22;
const HASH_BYTES: usize = 20;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// A public key that is given as a `SubjectPublicKeyInfo` (RFC 5280), as a packet (§5.5.2). It was made at the beginning of
/// time, so that one key is always the same packet.
pub(super) fn public_key(info: &[u8]) -> Option<Vec<u8>> {
    let (info, _) = element(SEQUENCE, info)?;
    let (_algorithm, rest) = element(SEQUENCE, info)?;
    let (bits, _) = element(BIT_STRING, rest)?;
    let (key, _) = element(SEQUENCE, bits.strip_prefix(&[0])?)?;
    let (modulus, rest) = element(INTEGER, key)?;
    let (exponent, _) = element(INTEGER, rest)?;
    let body = [&[4, 0, 0, 0, 0, RSA][..], &number(modulus)?, &number(exponent)?].concat();
    let length = u32::try_from(body.len()).ok()?.to_be_bytes();
    Some([&[0xc0 | PUBLIC_SUBKEY, 0xff][..], &length, &body].concat())
}

/// What a message holds; nothing where anything of it is not as it should be.
pub(super) fn open(private: &Pkcs1PrivateDecryptingKey, message: &[u8]) -> Option<Vec<u8>> {
    let (tag, session, rest) = packet(message)?;
    if tag != SESSION_KEY {
        return None;
    }
    let key = session_key(private, &session)?;
    let (tag, mut body, rest) = packet(rest)?;
    if tag != PROTECTED || body.first() != Some(&1) || !rest.is_empty() {
        return None;
    }
    let content = decrypt(&key, body.get_mut(1..)?)?;
    let (tag, literal, rest) = packet(content)?;
    if tag != LITERAL || !rest.is_empty() {
        return None;
    }
    // Format, name with its length, date (§5.9).
    let name = usize::from(*literal.get(1)?);
    literal.get(2 + name + 4..).map(<[u8]>::to_vec)
}

/// §5.1.
fn session_key(private: &Pkcs1PrivateDecryptingKey, body: &[u8]) -> Option<[u8; AES_256_BYTES]> {
    let (head, number) = body.split_at_checked(1 + 8 + 1)?;
    if head.first() != Some(&3) || !matches!(head.last(), Some(&(1 | 2))) {
        return None;
    }
    let digits = number.get(2..)?;
    let mut padded = vec![0; private.key_size_bytes().checked_sub(digits.len())?];
    padded.extend(digits);
    let mut plain = vec![0; private.min_output_size()];
    let plain = private.decrypt(&padded, &mut plain).ok()?;
    let (id, rest) = plain.split_first()?;
    let (key, sum) = rest.split_at_checked(AES_256_BYTES)?;
    let wanted = key.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    let is_right = *id == AES_256_ID && *sum == wanted.to_be_bytes();
    is_right.then(|| key.try_into().ok())?
}

/// §5.13: what is between the random bytes and the modification detection code, which is checked.
fn decrypt<'a>(key: &[u8], body: &'a mut [u8]) -> Option<&'a [u8]> {
    let key = UnboundCipherKey::new(&AES_256, key).ok()?;
    let start = DecryptionContext::Iv128(FixedLength::from([0; 16]));
    let plain = &*DecryptingKey::cfb128(key).ok()?.decrypt(body, start).ok()?;
    let (content, code) = plain.split_at_checked(plain.len().checked_sub(MDC_BYTES)?)?;
    let hashed = &plain[..plain.len() - HASH_BYTES];
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, hashed);
    let is_whole = code.starts_with(&MDC_HEADER)
        && verify_slices_are_equal(&code[MDC_HEADER.len()..], hash.as_ref()).is_ok();
    if is_whole { content.get(RANDOM_BYTES..) } else { None }
}

/// Tag and body of the first packet, and what is behind it (§4.2).
fn packet(bytes: &[u8]) -> Option<(u8, Vec<u8>, &[u8])> {
    let (head, mut rest) = bytes.split_first()?;
    if head & 0x80 == 0 {
        return None;
    }
    if head & 0x40 == 0 {
        let count = [1, 2, 4].get(usize::from(head & 3))?;
        let (length, rest) = rest.split_at_checked(*count)?;
        let (body, rest) = rest.split_at_checked(big_endian(length)?)?;
        return Some((head >> 2 & 0xf, body.to_vec(), rest));
    }
    let mut body = Vec::new();
    loop {
        let first = *rest.first()?;
        let (skip, length, is_last) = match first {
            0..192 => (1, usize::from(first), true),
            192..224 => {
                let second = usize::from(*rest.get(1)?);
                (2, ((usize::from(first) - 192) << 8) + second + 192, true)
            }
            224..255 => (1, 1 << (first & 0x1f), false),
            255 => (5, big_endian(rest.get(1..5)?)?, true),
        };
        let (part, behind) = rest.get(skip..)?.split_at_checked(length)?;
        body.extend(part);
        rest = behind;
        if is_last {
            return Some((head & 0x3f, body, rest));
        }
    }
}

fn big_endian(bytes: &[u8]) -> Option<usize> {
    let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    usize::try_from(value).ok()
}

/// A positive DER integer as a number with the count of its bits before it (§3.2).
fn number(digits: &[u8]) -> Option<Vec<u8>> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[zeros..];
    let bits = digits.len() * 8 - digits.first()?.leading_zeros() as usize;
    Some([&u16::try_from(bits).ok()?.to_be_bytes()[..], digits].concat())
}

/// The content of the first DER element, which has that tag, and what is behind it (X.690 §8.1).
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first & 0x80 {
        0 => (usize::from(*first), rest),
        _ => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (big_endian(length)?, rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_lengths_of_every_form() {
        let body = |bytes: &[u8]| packet(bytes).map(|(tag, body, rest)| (tag, body, rest.to_vec()));
        assert_eq!(body(&[0x84, 2, 7, 8, 9]), Some((1, vec![7, 8], vec![9])));
        assert_eq!(body(&[0x85, 0, 1, 7]), Some((1, vec![7], vec![])));
        assert_eq!(body(&[0xd2, 1, 7, 8]), Some((18, vec![7], vec![8])));
        let long = [&[0xd2, 192, 8][..], &[5; 200]].concat();
        assert_eq!(body(&long), Some((18, vec![5; 200], vec![])));
        assert_eq!(body(&[0xd2, 225, 1, 2, 1, 3]), Some((18, vec![1, 2, 3], vec![])));
        assert_eq!(body(&[0xd2, 255, 0, 0, 0, 1, 7]), Some((18, vec![7], vec![])));
        for wrong in
            [&[][..], &[0x12, 1, 7], &[0xd2], &[0xd2, 2, 7], &[0xd2, 225, 1, 2], &[0x87, 1]]
        {
            assert_eq!(body(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn numbers_begin_with_their_bits() {
        assert_eq!(number(&[0, 0x80]), Some(vec![0, 8, 0x80]));
        assert_eq!(number(&[1, 0, 1]), Some(vec![0, 17, 1, 0, 1]));
        assert_eq!(number(&[0]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            packet(&bytes);
            public_key(&bytes);
        }
    }
}
