//! Who may publish, and by what endpoints know that a delivery is ours.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use plinth_wire::Secret;
use serde::Serialize;
use serde_json::json;

/// How long a signature is good for, in seconds.
const LIFE: i64 = 300;

/// The secrets of one project's messages. All of them follow from its secret, so that there is nothing to keep.
#[derive(Debug, Clone)]
pub struct Keys {
    secret: Secret,
    project: String,
}

/// What a signature says (the claims that receivers of QStash verify).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    sub: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: &'a str,
    body: String,
}

impl Keys {
    /// Of the project of that name, whose tokens `secret` signs.
    pub fn new(project: impl Into<String>, secret: Secret) -> Self {
        Self { secret, project: project.into() }
    }

    /// The project's own `QSTASH_TOKEN`: base64 of a JSON object with `UserID` and `Password`, as clients that make
    /// webhooks expect it.
    pub fn token(&self) -> Secret {
        let password = self.derived("plinth work token");
        Secret::new(
            STANDARD.encode(json!({"UserID": self.project, "Password": password}).to_string()),
        )
    }

    /// Whether that is the project's token.
    pub fn admits(&self, token: &str) -> bool {
        let ours = self.token();
        constant_time::verify_slices_are_equal(ours.expose().as_bytes(), token.as_bytes()).is_ok()
    }

    /// Number `generation` of the signing keys.
    pub fn signing(&self, generation: u32) -> Secret {
        let key = self.derived(&format!("plinth work signing key {generation}"));
        Secret::new(format!("sig_{key}"))
    }

    fn derived(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose().as_bytes());
        let tag = hmac::sign(&key, purpose.as_bytes());
        hex(&tag.as_ref()[..24])
    }
}

/// The `Upstash-Signature` of a delivery to `url` at `now` (seconds since 1970).
///
/// # Errors
///
/// When it cannot be made, which does not happen with a key of any length.
pub(super) fn signature(
    key: &Secret,
    url: &str,
    body: &[u8],
    now: i64,
    id: &str,
) -> Result<String, jsonwebtoken::errors::Error> {
    let claims = Claims {
        iss: "Upstash",
        sub: url,
        exp: now + LIFE,
        nbf: now,
        iat: now,
        jti: id,
        body: URL_SAFE.encode(digest::digest(&digest::SHA256, body)),
    };
    let key = EncodingKey::from_secret(key.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
}

/// SHA-256 over parts of which none can be mistaken for a piece of another.
pub(super) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_that_receivers_verify() {
        let key = Secret::new("sig_demo_current");
        let url = "https://app.example.test/hook";
        let now = 1_700_000_000;
        let signed = signature(&key, url, br#"{"hello":"world"}"#, now, "jwt_demo").unwrap();
        let decoded = |key: &str| {
            let mut rules = jsonwebtoken::Validation::new(Algorithm::HS256);
            rules.validate_exp = false;
            rules.set_issuer(&["Upstash"]);
            let key = jsonwebtoken::DecodingKey::from_secret(key.as_bytes());
            jsonwebtoken::decode::<serde_json::Value>(&signed, &key, &rules).map(|it| it.claims)
        };
        let wanted = json!({
            "iss": "Upstash", "sub": url, "exp": now + 300, "nbf": now, "iat": now, "jti": "jwt_demo",
            "body": "k6I5cakU5erL8KjSUVTNownDwccvu5kU1Hxg88toFYg=",
        });
        assert_eq!(decoded("sig_demo_current").unwrap(), wanted);
        assert!(decoded("sig_demo_next").is_err());
    }

    #[test]
    fn every_project_and_generation_has_keys_of_its_own() {
        let keys = |project: &str, secret: &str| Keys::new(project, Secret::new(secret));
        let shop = keys("shop", "one");
        assert!(shop.signing(0).expose().starts_with("sig_"));
        assert_ne!(shop.signing(0).expose(), shop.signing(1).expose());
        assert_ne!(shop.signing(0).expose(), keys("shop", "two").signing(0).expose());
        assert!(shop.admits(shop.token().expose()));
        assert!(!shop.admits(keys("shop", "two").token().expose()));
        assert!(!shop.admits(""));
        assert!(!format!("{shop:?}").contains("one"));
    }
}
