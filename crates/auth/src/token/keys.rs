//! All keys of one project, and what is done with them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plinth_wire::Secret;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::claims::Claims;
use super::jwk::{Algorithm, Jwk, KeyError};
use super::signature::{Signer, Verifier, prepare_secret};

/// Clocks may differ by at most this much, in seconds; a larger leeway is cut.
pub const MAX_LEEWAY_S: u32 = 30;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What a key of a project is used for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, so that everybody knows it before the first token comes.
    Standby,
    /// Signs.
    InUse,
    /// Still verifies what it signed.
    PreviouslyUsed,
    /// Verifies nothing.
    Revoked,
}

/// One key of a project beside the secret.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The key. It needs a `kid`, and a private half if it is in use.
    pub jwk: Jwk,
    /// What it is used for.
    pub state: KeyState,
}

impl SigningKey {
    /// Key pairs as people configure them: a JSON list of keys, or a set. The first that may sign is in use,
    /// the others verify.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when one cannot be used, or is a secret: those have no half that the data API may know.
    pub fn configured(text: &str) -> Result<Vec<Self>, KeyError> {
        let list = Jwk::parse_list(text)?;
        if list.iter().any(|jwk| jwk.public().is_none()) {
            return Err(KeyError::Unsupported);
        }
        let first = list.iter().position(Jwk::may_sign).ok_or(KeyError::NotPrivate)?;
        let state = |at| if at == first { KeyState::InUse } else { KeyState::PreviouslyUsed };
        let keys = list.into_iter().enumerate();
        Ok(keys.map(|(at, jwk)| Self { jwk, state: state(at) }).collect())
    }
}

/// Why a token is not accepted. The texts are those that clients see after
/// `invalid JWT: unable to parse or verify signature, `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url, not JSON, or claims of wrong types.
    #[error("token is malformed")]
    Malformed,
    /// It names no key of the project, and its algorithm is not HS256.
    #[error("token is unverifiable: unrecognized JWT kid or algorithm")]
    UnknownKey,
    /// It names a key that has another algorithm.
    #[error("token signature is invalid: signing method does not fit the key")]
    WrongAlgorithm,
    /// The header asks for an extension that must be understood (RFC 7515 §4.1.11).
    #[error("token is unverifiable: unsupported critical header")]
    Critical,
    /// The key did not make the signature.
    #[error("token signature is invalid: signature is invalid")]
    Signature,
    /// `exp` has come.
    #[error("token has invalid claims: token is expired")]
    Expired,
    /// `nbf` has not come.
    #[error("token has invalid claims: token is not valid yet")]
    NotYetValid,
    /// The claims cannot be written as JSON, or the library would not sign.
    #[error("token could not be signed")]
    Sign,
}

/// A key that verifies, under the name that tokens give it.
struct Known {
    kid: String,
    algorithm: Algorithm,
    /// `None` once it is revoked: the name is known, and nothing is accepted under it.
    verifier: Option<Verifier>,
}

/// What signs, with the encoded header of all its tokens.
struct Active {
    header: String,
    algorithm: Algorithm,
    signer: Signer,
}

/// The keys of one project, ready for use. Replaced as a whole when they change.
pub struct SigningKeys {
    secret: Verifier,
    known: Vec<Known>,
    active: Active,
    jwks: String,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys")
            .field("algorithm", &self.active.algorithm)
            .field("keys", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// The secret alone: HS256 without a `kid`.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] below 32 bytes.
    pub fn new(secret: &Secret) -> Result<Self, KeyError> {
        Self::with_keys(secret, &[])
    }

    /// The secret and `keys`. The key in use signs; without one, the secret does. Tokens of the secret
    /// stay valid either way: API keys are such tokens.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when a key cannot be used or two of them are in each other's way.
    pub fn with_keys(secret: &Secret, keys: &[SigningKey]) -> Result<Self, KeyError> {
        let prepared = prepare_secret(secret.expose().as_bytes())?;
        let mut known: Vec<Known> = Vec::with_capacity(keys.len());
        for key in keys {
            let next = Known::new(key)?;
            if known.iter().any(|other| other.kid == next.kid) {
                return Err(KeyError::DuplicateKid);
            }
            known.push(next);
        }
        let mut in_use = keys.iter().filter(|key| key.state == KeyState::InUse);
        let active = match (in_use.next(), in_use.next()) {
            (None, _) => Active::secret(prepared.clone()),
            (Some(key), None) => Active::new(&key.jwk)?,
            (Some(_), Some(_)) => return Err(KeyError::SeveralInUse),
        };
        Ok(Self { secret: Verifier::Hmac(prepared), known, active, jwks: public_set(keys) })
    }

    /// What new tokens are signed with.
    pub const fn algorithm(&self) -> Algorithm {
        self.active.algorithm
    }

    /// The set of public keys as JSON (RFC 7517 §5): neither secrets nor revoked keys.
    pub fn public_jwks(&self) -> &str {
        &self.jwks
    }

    /// Makes a token of `claims`.
    ///
    /// # Errors
    ///
    /// [`TokenError::Sign`].
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let payload = serde_json::to_vec(claims).map_err(|_| TokenError::Sign)?;
        let mut token =
            String::with_capacity(self.active.header.len() + payload.len() * 4 / 3 + 400);
        token.push_str(&self.active.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.active.signer.sign(token.as_bytes()).map_err(|_| TokenError::Sign)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Checks a token's signature and times, and reads its claims.
    ///
    /// `now` is the Unix time in seconds. `leeway_s` is how far clocks may differ, at most
    /// [`MAX_LEEWAY_S`]. A token without `exp` does not expire: whoever holds a key may make such tokens.
    ///
    /// # Errors
    ///
    /// [`TokenError`]. Nothing of the claims is looked at before the signature was found genuine.
    pub fn verify(&self, token: &str, now: i64, leeway_s: u32) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let verifier = self.verifier(&decode(header)?)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        if !verifier.accepts(signed.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        let claims: Claims = decode(payload)?;
        check_times(&claims, now, i64::from(leeway_s.min(MAX_LEEWAY_S)))?;
        Ok(claims)
    }

    fn verifier(&self, header: &Header) -> Result<&Verifier, TokenError> {
        if header.crit {
            return Err(TokenError::Critical);
        }
        let kid = header.kid.as_deref();
        match self.known.iter().find(|key| kid == Some(key.kid.as_str())) {
            Some(key) if key.algorithm.name() != header.alg => Err(TokenError::WrongAlgorithm),
            Some(key) => key.verifier.as_ref().ok_or(TokenError::UnknownKey),
            None if header.alg == Algorithm::Hs256.name() => Ok(&self.secret),
            None => Err(TokenError::UnknownKey),
        }
    }
}

impl Known {
    fn new(key: &SigningKey) -> Result<Self, KeyError> {
        let kid = key.jwk.kid().filter(|kid| !kid.is_empty()).ok_or(KeyError::Member("kid"))?;
        let verifier = match key.state {
            KeyState::Revoked => None,
            _ => Some(Verifier::new(&key.jwk)?),
        };
        Ok(Self { kid: kid.to_owned(), algorithm: key.jwk.algorithm()?, verifier })
    }
}

impl Active {
    fn secret(secret: Box<hmac::Key>) -> Self {
        let header = encode_header(Algorithm::Hs256, None);
        Self { header, algorithm: Algorithm::Hs256, signer: Signer::Hmac(secret) }
    }

    fn new(key: &Jwk) -> Result<Self, KeyError> {
        let algorithm = key.algorithm()?;
        let header = encode_header(algorithm, key.kid());
        Ok(Self { header, algorithm, signer: Signer::new(key)? })
    }
}

fn encode_header(algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm.name(), "typ": "JWT"});
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    URL_SAFE_NO_PAD.encode(header.to_string())
}

fn public_set(keys: &[SigningKey]) -> String {
    let public: Vec<Jwk> = keys
        .iter()
        .filter(|key| key.state != KeyState::Revoked)
        .filter_map(|key| key.jwk.public())
        .collect();
    json!({"keys": public}).to_string()
}

/// What a token says about its signature. Everything else in a header is ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Whether `crit` is there, whatever it says.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

/// "On or after" `exp` a token must not be accepted (RFC 7519 §4.1.4).
fn check_times(claims: &Claims, now: i64, leeway_s: i64) -> Result<(), TokenError> {
    if claims.exp.is_some_and(|at| now >= at.saturating_add(leeway_s)) {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|at| now < at.saturating_sub(leeway_s)) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
