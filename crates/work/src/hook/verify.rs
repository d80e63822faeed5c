//! Whether a delivery comes from where it says, over the bytes of its body as they came. Pure.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use plinth_wire::Secret;
use serde::Deserialize;

use crate::manifest::{Encoding, Scheme, Verify};

/// How far a sender's clock may be ahead of ours where the scheme has no tolerance of its own, in seconds.
const SKEW: i64 = 60;

/// Signatures of one header that are looked at: while a secret is changed there are two.
const MOST_SIGNATURES: usize = 8;

/// What a delivery shows of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof<'a> {
    /// Its headers.
    pub(super) headers: &'a HeaderMap,
    /// Its body, as it came.
    pub(super) body: &'a [u8],
    /// What follows the hook's name in the path.
    pub(super) token: Option<&'a str>,
    /// The time, in seconds since 1970.
    pub(super) now: i64,
}

/// Why a delivery is not believed. For the log: whoever sent it learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    #[error("there is no proof where it should be")]
    Missing,
    #[error("the proof is not written as its scheme says")]
    Malformed,
    #[error("the proof is too old, or from the future")]
    OutOfTime,
    #[error("the proof does not match")]
    Wrong,
}

/// Whether `proof` was made with one of the secrets.
///
/// # Errors
///
/// [`Doubt`].
pub(super) fn verify(rule: &Verify, secrets: &[Secret], proof: Proof<'_>) -> Result<(), Doubt> {
    match rule.scheme {
        Scheme::None => Ok(()),
        Scheme::PathToken => is_shared(secrets, proof.token.ok_or(Doubt::Missing)?),
        Scheme::SharedHeader => is_shared(secrets, shown(rule, proof.headers)?),
        Scheme::HmacSha256 | Scheme::GitHub => plain(hmac::HMAC_SHA256, rule, secrets, proof),
        Scheme::HmacSha1 => plain(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, rule, secrets, proof),
        Scheme::Stripe => stripe(rule, secrets, proof),
        Scheme::StandardWebhooks => standard_webhooks(rule, secrets, proof),
        Scheme::JwtHs256 => jwt(rule, secrets, proof),
    }
}

/// What stands in the rule's header behind its prefix.
fn shown<'a>(rule: &Verify, headers: &'a HeaderMap) -> Result<&'a str, Doubt> {
    let name = rule.header.as_deref().ok_or(Doubt::Missing)?;
    header(headers, name)?.strip_prefix(rule.prefix.as_str()).ok_or(Doubt::Malformed)
}

/// A header that is there once: of two, another part of the system may read the other one.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Doubt> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Doubt::Missing)?;
    if values.next().is_some() {
        return Err(Doubt::Malformed);
    }
    value.to_str().map_err(|_no_text| Doubt::Malformed)
}

/// Compared by their hashes, so that the time tells nothing of the length either.
fn is_shared(secrets: &[Secret], given: &str) -> Result<(), Doubt> {
    let hash = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    let given = hash(given);
    let same = |secret: &Secret| {
        constant_time::verify_slices_are_equal(hash(secret.expose()).as_ref(), given.as_ref())
            .is_ok()
    };
    if secrets.iter().any(same) { Ok(()) } else { Err(Doubt::Wrong) }
}

fn plain(
    algorithm: hmac::Algorithm,
    rule: &Verify,
    secrets: &[Secret],
    proof: Proof<'_>,
) -> Result<(), Doubt> {
    let written = shown(rule, proof.headers)?;
    let signature = match rule.encoding {
        Encoding::Hex => unhex(written),
        Encoding::Base64 => STANDARD.decode(written).ok(),
    };
    let signature = signature.ok_or(Doubt::Malformed)?;
    let keys = secrets.iter().map(|secret| secret.expose().as_bytes().to_vec());
    is_signed(algorithm, keys, &[proof.body], &[signature])
}

/// `t=1700000000,v1=…,v1=…`, over `{t}.{body}`. Other versions than `v1` are no proof: one of them is for tests.
fn stripe(rule: &Verify, secrets: &[Secret], proof: Proof<'_>) -> Result<(), Doubt> {
    let written = shown(rule, proof.headers)?;
    let parts = || written.split(',').filter_map(|part| part.trim().split_once('='));
    let time = parts().find(|(name, _)| *name == "t").ok_or(Doubt::Malformed)?.1;
    is_timely(rule, time, proof.now)?;
    let signatures: Vec<Vec<u8>> = parts()
        .filter(|(name, _)| *name == "v1")
        .take(MOST_SIGNATURES)
        .filter_map(|(_, signature)| unhex(signature))
        .collect();
    let keys = secrets.iter().map(|secret| secret.expose().as_bytes().to_vec());
    is_signed(hmac::HMAC_SHA256, keys, &[time.as_bytes(), b".", proof.body], &signatures)
}

/// `v1,{base64} v1,{base64}`, over `{id}.{time}.{body}`. Senders that came before the specification name the headers
/// `svix-…` and do the same.
fn standard_webhooks(rule: &Verify, secrets: &[Secret], proof: Proof<'_>) -> Result<(), Doubt> {
    let named = |name: &str| match header(proof.headers, &format!("webhook-{name}")) {
        Err(Doubt::Missing) => header(proof.headers, &format!("svix-{name}")),
        found => found,
    };
    let (id, time, written) = (named("id")?, named("timestamp")?, named("signature")?);
    is_timely(rule, time, proof.now)?;
    let signatures: Vec<Vec<u8>> = written
        .split_ascii_whitespace()
        .filter_map(|part| part.strip_prefix("v1,"))
        .take(MOST_SIGNATURES)
        .filter_map(|signature| STANDARD.decode(signature).ok())
        .collect();
    let keys = secrets.iter().filter_map(|secret| {
        let secret = secret.expose();
        STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()
    });
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", proof.body];
    is_signed(hmac::HMAC_SHA256, keys, &signed, &signatures)
}

/// What a token says of itself (RFC 7519 §4.1), and of the body: its SHA-256, which some senders add.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    body: Option<String>,
}

fn jwt(rule: &Verify, secrets: &[Secret], proof: Proof<'_>) -> Result<(), Doubt> {
    let token = shown(rule, proof.headers)?;
    // Times are looked at below, by the clock that was given.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = secrets.iter().find_map(|secret| {
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()
    });
    let claims = claims.ok_or(Doubt::Wrong)?.claims;
    is_current(rule, &claims, proof.now)?;
    let Some(said) = claims.body else { return Ok(()) };
    let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, proof.body));
    if said.trim_end_matches('=') == hash { Ok(()) } else { Err(Doubt::Wrong) }
}

/// A token must end some time, or say when it was made: otherwise whoever saw one could use it for ever.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact as a double")]
fn is_current(rule: &Verify, claims: &Claims, now: i64) -> Result<(), Doubt> {
    let (now, skew) = (now as f64, SKEW as f64);
    let age = tolerance(rule) as f64;
    let sound = claims.exp.is_none_or(|end| now < end + skew)
        && claims.nbf.is_none_or(|begin| begin <= now + skew)
        && claims.iat.is_none_or(|made| made <= now + skew)
        && match (claims.exp, claims.iat) {
            (None, None) => false,
            (_, Some(made)) => now - made <= age,
            (Some(_), None) => true,
        };
    if sound { Ok(()) } else { Err(Doubt::OutOfTime) }
}

/// The age that a proof may have, in seconds.
fn tolerance(rule: &Verify) -> i64 {
    rule.tolerance_ms.and_then(|ms| i64::try_from(ms / 1000).ok()).unwrap_or(SKEW)
}

fn is_timely(rule: &Verify, written: &str, now: i64) -> Result<(), Doubt> {
    let time: i64 = written.parse().map_err(|_no_number| Doubt::Malformed)?;
    let age = now.checked_sub(time).and_then(i64::checked_abs).ok_or(Doubt::Malformed)?;
    if age <= tolerance(rule) { Ok(()) } else { Err(Doubt::OutOfTime) }
}

/// Whether one of the signatures is of these pieces, by one of the keys.
fn is_signed(
    algorithm: hmac::Algorithm,
    keys: impl Iterator<Item = Vec<u8>>,
    pieces: &[&[u8]],
    signatures: &[Vec<u8>],
) -> Result<(), Doubt> {
    if signatures.is_empty() {
        return Err(Doubt::Malformed);
    }
    for key in keys {
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, &key));
        pieces.iter().for_each(|piece| context.update(piece));
        let expected = context.sign();
        let same = |signature: &Vec<u8>| {
            constant_time::verify_slices_are_equal(expected.as_ref(), signature).is_ok()
        };
        if signatures.iter().any(same) {
            return Ok(());
        }
    }
    Err(Doubt::Wrong)
}

/// Bytes of a hexadecimal text in any case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// A hexadecimal text in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
