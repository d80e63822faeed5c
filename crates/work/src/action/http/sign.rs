//! Signatures of Standard Webhooks (symmetric, `v1`).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plinth_wire::Secret;

/// What stands before a key in base64.
const ENCODED: &str = "whsec_";

/// The value of `webhook-signature` for a message.
///
/// A secret is `whsec_` and the key in base64, as the specification has it; any other text is the key itself.
///
/// # Errors
///
/// In words, if what follows `whsec_` is no base64, or if there is no key.
pub(super) fn sign(secret: &Secret, id: &str, time: i64, body: &[u8]) -> Result<String, String> {
    let key = match secret.expose().trim().strip_prefix(ENCODED) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| format!("`secret` is no base64 after `{ENCODED}`"))?,
        None => secret.expose().as_bytes().to_vec(),
    };
    if key.is_empty() {
        return Err("`secret` is empty".to_owned());
    }
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    context.update(format!("{id}.{time}.").as_bytes());
    context.update(body);
    Ok(format!("v1,{}", STANDARD.encode(context.sign())))
}

/// The key that a project's requests are signed with when its manifest names none. It follows from the project's secret, so that
/// there is nothing to keep, and is of the form that libraries for Standard Webhooks take.
pub fn signing_secret(project_secret: &Secret) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, project_secret.expose().as_bytes());
    let derived = hmac::sign(&key, b"plinth http.request signing key");
    Secret::new(format!("{ENCODED}{}", STANDARD.encode(derived)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_have_keys_of_their_own() {
        let [one, two] = ["one", "two"].map(|secret| signing_secret(&Secret::new(secret)));
        assert!(one.expose().starts_with(ENCODED) && one.expose() != two.expose());
        assert!(sign(&one, "msg_1", 1, b"").is_ok());
    }

    #[test]
    fn a_message_is_signed_over_id_time_and_body() {
        // printf 'msg_1.1700000000.{"a":1}' |
        //   openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | base64
        let wanted = "v1,rkwp5YuvdrMkcu0ZhuMsXoTg44mHAr1Q0+FFgFpXsjY=";
        for secret in [
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "0123456789abcdef0123456789abcdef",
        ] {
            let signed = sign(&Secret::new(secret), "msg_1", 1_700_000_000, br#"{"a":1}"#);
            assert_eq!(signed.unwrap(), wanted);
        }
        assert!(sign(&Secret::new("whsec_?"), "a", 1, b"").is_err());
        assert!(sign(&Secret::new(""), "a", 1, b"").is_err());
    }
}
