//! Codes and tokens that nobody can guess, their hashes, and comparing them.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Most digits of a code.
pub const MAX_CODE_DIGITS: u8 = 10;

/// The machine gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// A code of so many digits (1 to [`MAX_CODE_DIGITS`]; others count as the nearer bound), each code as likely
/// as any other.
///
/// # Errors
///
/// [`NoRandomness`].
pub fn numeric_code(digits: u8) -> Result<String, NoRandomness> {
    let digits = digits.clamp(1, MAX_CODE_DIGITS);
    let codes = 10_u64.pow(u32::from(digits));
    // The remainder of the highest numbers would make some codes likelier; they are drawn again.
    let usable = u64::MAX - u64::MAX % codes;
    loop {
        let drawn = u64::from_ne_bytes(bytes()?);
        if drawn < usable {
            return Ok(format!("{:0width$}", drawn % codes, width = usize::from(digits)));
        }
    }
}

/// A token of `N` random bytes in base64url.
///
/// # Errors
///
/// [`NoRandomness`].
pub fn url_safe_token<const N: usize>() -> Result<String, NoRandomness> {
    bytes::<N>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// A new refresh token: 22 characters, 128 bits.
///
/// # Errors
///
/// [`NoRandomness`].
pub fn refresh_token() -> Result<String, NoRandomness> {
    url_safe_token::<16>()
}

/// Random bytes.
///
/// # Errors
///
/// [`NoRandomness`].
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// What is stored of a token that is random enough by itself: its SHA-256, in hexadecimal.
pub fn secret_hash(token: &str) -> String {
    hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

/// Whether two secrets are equal, in a time that depends on their lengths only.
pub fn same(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_code_has_its_digits_and_begins_with_any() {
        for digits in 6..=MAX_CODE_DIGITS {
            let code = numeric_code(digits).unwrap();
            assert_eq!(code.len(), usize::from(digits));
            assert!(code.bytes().all(|byte| byte.is_ascii_digit()));
        }
        assert_eq!(numeric_code(0).unwrap().len(), 1);
        assert_eq!(numeric_code(255).unwrap().len(), usize::from(MAX_CODE_DIGITS));
    }

    /// 20,000 draws: each digit is expected 2,000 times, with a standard deviation of 42.
    #[test]
    fn digits_are_equally_likely() {
        let mut counts = [0_u32; 10];
        for _ in 0..20_000 {
            counts[numeric_code(1).unwrap().parse::<usize>().unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
    }

    #[test]
    fn tokens_differ() {
        let tokens: HashSet<String> = (0..1_000).map(|_| refresh_token().unwrap()).collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == 22));
    }

    #[test]
    fn equal_is_what_has_the_same_bytes() {
        assert!(same("secret", b"secret"));
        assert!(!same("secret", "secres"));
        assert!(!same("secret", "secret "));
        assert!(same("", ""));
    }
}
