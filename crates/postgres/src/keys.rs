//! The secrets of a project, made from the operating system's random source.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use plinth_wire::Secret;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Life of the two JWT keys. Clients embed them, so they outlive everything but a rotation of the secret.
const KEY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Characters of the random part of a publishable or secret key.
const OPAQUE_LENGTH: usize = 22;
/// Characters of the checksum of a publishable or secret key.
const CHECKSUM_LENGTH: usize = 8;
const PUBLISHABLE: &str = "sb_publishable_";
const SECRET: &str = "sb_secret_";

/// Why keys could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system's random source failed")]
    Random(#[source] rand::rand_core::OsError),
    /// The JWT could not be signed.
    #[error("cannot sign a key")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// Which kind of opaque key a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueKind {
    /// `sb_publishable_…`: stands for the role `anon`, may be seen by anyone.
    Publishable,
    /// `sb_secret_…`: stands for `service_role`.
    Secret,
}

/// The keys of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Signs the access tokens of the project (HS256); 64 characters of base64url.
    pub jwt_secret: Secret,
    /// JWT of the role `anon`.
    pub anon_key: Secret,
    /// JWT of the role `service_role`.
    pub service_role_key: Secret,
    /// `sb_publishable_<22>_<8>`.
    pub publishable_key: Secret,
    /// `sb_secret_<22>_<8>`.
    pub secret_key: Secret,
}

#[derive(Serialize)]
struct Claims<'a> {
    role: &'a str,
    iss: &'a str,
    #[serde(rename = "ref")]
    project: &'a str,
    iat: u64,
    exp: u64,
}

impl Keys {
    /// Makes the keys of the project `name`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if there is no randomness or no signature.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let jwt_secret = Secret::new(random_text(48)?);
        Ok(Self {
            anon_key: role_key(name, "anon", &jwt_secret)?,
            service_role_key: role_key(name, "service_role", &jwt_secret)?,
            publishable_key: opaque(PUBLISHABLE)?,
            secret_key: opaque(SECRET)?,
            jwt_secret,
        })
    }
}

/// A password of 256 random bits.
pub(crate) fn password() -> Result<Secret, KeyError> {
    random_text(32).map(Secret::new)
}

/// The kind of `key`, if it has the form of an opaque key and its checksum is right.
///
/// The checksum is the first 8 base64url characters of the SHA-256 of everything before the last `_`; it catches typing
/// and cutting mistakes without a look-up. It is no proof that the key is anyone's.
pub fn opaque_kind(key: &str) -> Option<OpaqueKind> {
    let kind = match key {
        _ if key.starts_with(PUBLISHABLE) => OpaqueKind::Publishable,
        _ if key.starts_with(SECRET) => OpaqueKind::Secret,
        _ => return None,
    };
    // Both alphabets contain `_`, so the checksum is cut by length.
    let (body, tail) = key.split_at_checked(key.len().checked_sub(CHECKSUM_LENGTH + 1)?)?;
    (tail.strip_prefix('_') == Some(checksum(body).as_str())).then_some(kind)
}

fn role_key(project: &str, role: &str, secret: &Secret) -> Result<Secret, KeyError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = Claims {
        role,
        iss: "supabase",
        project,
        iat: now.as_secs(),
        exp: (now + KEY_LIFE).as_secs(),
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).map(Secret::new).map_err(KeyError::Sign)
}

fn opaque(prefix: &str) -> Result<Secret, KeyError> {
    let random = random_text(OPAQUE_LENGTH)?;
    let body = format!("{prefix}{}", &random[..OPAQUE_LENGTH]);
    Ok(Secret::new(format!("{body}_{}", checksum(&body))))
}

fn checksum(body: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
    text.truncate(CHECKSUM_LENGTH);
    text
}

/// `bytes` random bytes as base64url, a third longer than they are.
fn random_text(bytes: usize) -> Result<String, KeyError> {
    let mut buffer = vec![0; bytes];
    OsRng.try_fill_bytes(&mut buffer).map_err(KeyError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(buffer))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Decoded {
        role: String,
        iss: String,
        r#ref: String,
        iat: u64,
        exp: u64,
    }

    #[test]
    fn role_keys_are_verified_by_the_jwt_secret_alone() {
        let keys = Keys::generate("echelon").unwrap();
        let decode = |key: &Secret, secret: &str| {
            let key_of = DecodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::decode::<Decoded>(
                key.expose(),
                &key_of,
                &Validation::new(Algorithm::HS256),
            )
        };
        let claims = decode(&keys.service_role_key, keys.jwt_secret.expose()).unwrap().claims;
        assert_eq!((claims.role.as_str(), claims.iss.as_str()), ("service_role", "supabase"));
        assert_eq!(claims.r#ref, "echelon");
        assert_eq!(claims.exp - claims.iat, KEY_LIFE.as_secs());
        assert!(
            decode(&keys.anon_key, Keys::generate("echelon").unwrap().jwt_secret.expose()).is_err()
        );
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, two) = (Keys::generate("a1").unwrap(), Keys::generate("a1").unwrap());
        assert!(one.jwt_secret.expose().len() >= 40);
        assert_ne!(one.jwt_secret, two.jwt_secret);
        assert_ne!(one.secret_key, two.secret_key);
        assert_ne!(password().unwrap(), password().unwrap());
    }

    #[test]
    fn an_opaque_key_has_its_form_and_checksum() {
        for _ in 0..200 {
            let keys = Keys::generate("a1").unwrap();
            assert_eq!(opaque_kind(keys.publishable_key.expose()), Some(OpaqueKind::Publishable));
            assert_eq!(opaque_kind(keys.secret_key.expose()), Some(OpaqueKind::Secret));
            assert_eq!(keys.secret_key.expose().len(), "sb_secret_".len() + 22 + 1 + 8);
        }
    }

    #[test]
    fn a_mistyped_opaque_key_is_told_from_a_right_one() {
        let key = Keys::generate("a1").unwrap().secret_key;
        let mut wrong = key.expose().to_owned();
        let flipped = if wrong.as_bytes()[12] == b'A' { "B" } else { "A" };
        wrong.replace_range(12..13, flipped);
        for text in [
            wrong.as_str(),
            &key.expose()[1..],
            &key.expose()[..20],
            "sb_secret_",
            "sb_secret_é",
            "",
        ] {
            assert_eq!(opaque_kind(text), None, "{text}");
        }
    }
}
