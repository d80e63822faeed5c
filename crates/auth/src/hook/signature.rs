//! Signatures by which a hook knows that a call is from us (Standard Webhooks, symmetric `v1`).

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 in which padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters of base64 in a secret: 24 to 66 bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=88;

/// Secrets that may be in use at once while one replaces another.
const MAX_SECRETS: usize = 8;

/// Why secrets cannot be used. Says nothing of what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is none.
    #[error("an HTTP hook needs at least one secret, `v1,whsec_` and base64")]
    Missing,
    /// One is not `v1,whsec_` and 32 to 88 characters of base64. Asymmetric ones (`v1a,`) are not
    /// supported, as they are not by GoTrue.
    #[error("a hook's secret is `v1,whsec_` and 32 to 88 characters of base64")]
    Format,
    /// There are more than eight.
    #[error("a hook has eight secrets at most")]
    TooMany,
}

/// The keys that a hook's calls are signed with.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads `v1,whsec_<base64>`, several separated by `|`.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if there is none, or one of another form.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let keys = text
            .split('|')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .map(key)
            .collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err(SecretError::Missing),
            1..=MAX_SECRETS => Ok(Self(keys)),
            _ => Err(SecretError::TooMany),
        }
    }

    /// The value of `webhook-signature`: one signature for each key, separated by spaces.
    pub(super) fn sign(&self, id: &str, timestamp: i64, payload: &[u8]) -> String {
        let signatures: Vec<String> =
            self.0.iter().map(|key| signature(key, id, timestamp, payload)).collect();
        signatures.join(" ")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn key(secret: &str) -> Result<hmac::Key, SecretError> {
    let encoded = secret.strip_prefix("v1,whsec_").ok_or(SecretError::Format)?;
    if !LENGTHS.contains(&encoded.len()) {
        return Err(SecretError::Format);
    }
    let bytes = BASE64.decode(encoded).map_err(|_| SecretError::Format)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn signature(key: &hmac::Key, id: &str, timestamp: i64, payload: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(payload);
    format!("v1,{}", BASE64.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base64 of `0123456789abcdef0123456789abcdef`, and of the same reversed.
    const ONE: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const TWO: &str = "v1,whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

    #[test]
    fn a_call_is_signed_over_id_time_and_body() {
        let signed = Secrets::parse(ONE).unwrap().sign("msg_1", 1_700_000_000, b"{\"a\":1}");
        // printf 'msg_1.1700000000.{"a":1}' |
        //   openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | base64
        assert_eq!(signed, "v1,rkwp5YuvdrMkcu0ZhuMsXoTg44mHAr1Q0+FFgFpXsjY=");
    }

    #[test]
    fn every_secret_signs() {
        let both = Secrets::parse(&format!("{ONE}|{TWO}")).unwrap();
        let signed = both.sign("id", 1, b"body");
        let [first, second] =
            [ONE, TWO].map(|one| Secrets::parse(one).unwrap().sign("id", 1, b"body"));
        assert_eq!(signed, format!("{first} {second}"));
        assert_ne!(first, second);
    }

    #[test]
    fn any_change_changes_the_signature() {
        let secrets = Secrets::parse(ONE).unwrap();
        let signed = secrets.sign("id", 1, b"body");
        for other in [("ie", 1, b"body"), ("id", 2, b"body"), ("id", 1, b"bodz")] {
            assert_ne!(secrets.sign(other.0, other.1, other.2), signed);
        }
    }

    #[test]
    fn other_secrets_are_refused() {
        let cases = [
            ("", SecretError::Missing),
            (" | ", SecretError::Missing),
            ("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", SecretError::Format),
            ("v1,whsec_c2hvcnQ=", SecretError::Format),
            ("v1,whsec_????????????????????????????????????", SecretError::Format),
            ("v1a,whpk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", SecretError::Format),
        ];
        for (text, error) in cases {
            assert_eq!(Secrets::parse(text).unwrap_err(), error, "{text:?}");
        }
        let long = format!("v1,whsec_{}", "a".repeat(92));
        assert_eq!(Secrets::parse(&long).unwrap_err(), SecretError::Format);
        assert_eq!(Secrets::parse(&[ONE; 9].join("|")).unwrap_err(), SecretError::TooMany);
    }
}
