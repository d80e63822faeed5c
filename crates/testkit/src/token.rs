//! Tokens of callers, signed here rather than with the product's own code, so that a test does not agree with a mistake.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// SHA-256 works on blocks of this many bytes.
const BLOCK: usize = 64;

/// Signs `claims` as they are with HS256 (RFC 7518 §3.2).
pub fn sign(secret: &str, claims: &Value) -> String {
    sign_with_header(secret, &json!({ "alg": "HS256", "typ": "JWT" }), claims)
}

/// As [`sign`], with a header of the test's choice; the signature is HS256 whatever the header says.
pub fn sign_with_header(secret: &str, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let content = format!("{}.{}", part(header), part(claims));
    let signature = hmac_sha256(secret.as_bytes(), content.as_bytes());
    format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The token of a signed-in user that is good for an hour.
pub fn user_token(secret: &str, id: &str, email: &str) -> String {
    let claims = json!({
        "sub": id, "email": email, "role": "authenticated", "aud": "authenticated",
        "iat": seconds(Duration::ZERO), "exp": seconds(Duration::from_secs(3600)),
    });
    sign(secret, &claims)
}

/// Seconds since 1970 of the moment that is `ahead` of now, for `exp` and `nbf`.
pub fn seconds(ahead: Duration) -> u64 {
    (SystemTime::now() + ahead).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], content: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let digest = |pad: u8, content: &[u8]| {
        Sha256::new().chain_update(block.map(|byte| byte ^ pad)).chain_update(content).finalize()
    };
    digest(0x5c, &digest(0x36, content)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_gives_the_answers_of_rfc_4231() {
        assert_eq!(
            hex(&hmac_sha256(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex(&hmac_sha256(&[0xaa; 131], long)),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_token_is_the_one_of_rfc_7519() {
        // The header of the RFC's example has other blanks, so the well-known one of jwt.io stands in.
        let claims = json!({ "sub": "1234567890", "name": "John Doe", "iat": 1_516_239_022 });
        let parts: Vec<String> =
            sign("your-256-bit-secret", &claims).split('.').map(str::to_owned).collect();
        assert_eq!(parts[0], "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
        let payload = URL_SAFE_NO_PAD.decode(&parts[1]).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), claims);
    }
}
