//! ID tokens that clients obtain by themselves.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use plinth_auth::external::{ExpectedNonce, IdTokenError};
use serde_json::{Value, json};

use super::*;

const ANY: ExpectedNonce<'static> = ExpectedNonce::Any;
const NONE: ExpectedNonce<'static> = ExpectedNonce::Raw(None);

async fn refusal(provider: &Provider, token: &str, nonce: ExpectedNonce<'_>) -> IdTokenError {
    match provider.verify_id_token(token, nonce, None).await {
        Err(ExternalError::IdToken(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn hash(raw: &str) -> String {
    digest(&SHA256, raw.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// `token` with another header and another signature.
fn forged(token: &str, header: &Value, signature: &[u8]) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_good_token_names_its_user() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    let token = double.id_token(json!({"nonce": hash("raw"), "hd": "example.com"})).unwrap();
    let profile =
        provider.verify_id_token(&token, ExpectedNonce::Raw(Some("raw")), None).await.unwrap();
    assert_eq!(profile.provider_id, "1815");
    assert_eq!(profile.metadata["custom_claims"], json!({"hd": "example.com"}));
    let token = double.id_token(json!({})).unwrap();
    provider.verify_id_token(&token, NONE, None).await.unwrap();
}

#[tokio::test]
async fn tokens_for_every_client_id_of_the_settings_are_accepted() {
    let double = stand_in().await;
    let client_ids = vec!["client".to_owned(), "mobile".to_owned()];
    let provider = provider(ProviderSettings { client_ids, ..known("google", &double) });
    let mobile = double.id_token(json!({"aud": "mobile"})).unwrap();
    provider.verify_id_token(&mobile, NONE, None).await.unwrap();
    let both = double.id_token(json!({"aud": ["mobile", "x"], "azp": "mobile"})).unwrap();
    provider.verify_id_token(&both, NONE, None).await.unwrap();
    let foreign = double.id_token(json!({"aud": ["mobile", "x"], "azp": "x"})).unwrap();
    assert_eq!(refusal(&provider, &foreign, NONE).await, IdTokenError::AuthorizedParty);
}

#[tokio::test]
async fn claims_that_are_wrong_are_refused() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    for (changes, error) in [
        (json!({"aud": "another"}), IdTokenError::Audience),
        (json!({"aud": null}), IdTokenError::Audience),
        (json!({"iss": "https://accounts.google.com"}), IdTokenError::Issuer),
        (json!({"iss": "https://somebody.example"}), IdTokenError::Issuer),
        (json!({"iss": null}), IdTokenError::Issuer),
        (json!({"exp": now() - 61}), IdTokenError::Expired),
        (json!({"exp": null}), IdTokenError::Expired),
        (json!({"iat": now() + 120}), IdTokenError::NotYetValid),
        (json!({"iat": null}), IdTokenError::NotYetValid),
        (json!({"nbf": now() + 120}), IdTokenError::NotYetValid),
        (json!({"sub": null}), IdTokenError::Subject),
        (json!({"sub": ""}), IdTokenError::Subject),
    ] {
        let token = double.id_token(changes.clone()).unwrap();
        assert_eq!(refusal(&provider, &token, ANY).await, error, "{changes}");
    }
}

#[tokio::test]
async fn a_nonce_must_be_there_on_both_sides_and_fit() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    let with = double.id_token(json!({"nonce": hash("raw")})).unwrap();
    let without = double.id_token(json!({})).unwrap();
    let plain = double.id_token(json!({"nonce": "raw"})).unwrap();
    let raw = ExpectedNonce::Raw(Some("raw"));
    assert_eq!(refusal(&provider, &with, NONE).await, IdTokenError::NonceMissing);
    assert_eq!(refusal(&provider, &without, raw).await, IdTokenError::NonceMissing);
    assert_eq!(refusal(&provider, &plain, raw).await, IdTokenError::NonceMismatch);
    let other = ExpectedNonce::Raw(Some("other"));
    assert_eq!(refusal(&provider, &with, other).await, IdTokenError::NonceMismatch);
    let sent = ExpectedNonce::Sent("raw");
    assert_eq!(refusal(&provider, &without, sent).await, IdTokenError::NonceMissing);
    assert_eq!(refusal(&provider, &with, sent).await, IdTokenError::NonceMismatch);
    provider.verify_id_token(&plain, sent, None).await.unwrap();
}

#[tokio::test]
async fn the_settings_may_spare_the_nonce() {
    let double = stand_in().await;
    let settings = ProviderSettings { skip_nonce_check: true, ..known("google", &double) };
    let token = double.id_token(json!({"nonce": "anything"})).unwrap();
    provider(settings).verify_id_token(&token, NONE, None).await.unwrap();
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    let token = double.id_token(json!({})).unwrap();
    for alg in ["none", "None", "NONE", ""] {
        let unsigned = forged(&token, &json!({"alg": alg, "typ": "JWT"}), b"");
        assert_eq!(refusal(&provider, &unsigned, NONE).await, IdTokenError::Algorithm);
    }
    assert_eq!(double.requests("/jwks"), 0, "nobody is asked for the keys of such a token");
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let settings =
        Settings { signature: plinth_doubles::oidc::Signature::Rs256, ..Default::default() };
    let double = Oidc::start(settings).await.unwrap();
    let provider = provider(known("google", &double));
    let key = &double.key_set()["keys"][0];
    let claims: Value = {
        let token = double.id_token(json!({})).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    };
    let modulus = key["n"].as_str().unwrap();
    let whole = key.to_string();
    let decoded = URL_SAFE_NO_PAD.decode(modulus).unwrap();
    for secret in [modulus.as_bytes(), whole.as_bytes(), &decoded] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let kid = key["kid"].as_str().map(str::to_owned);
            let header = Header { kid, ..Header::new(algorithm) };
            let forged =
                jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(refusal(&provider, &forged, NONE).await, IdTokenError::Algorithm);
        }
    }
}

#[tokio::test]
async fn a_token_cannot_choose_another_algorithm_for_a_key() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    let token = double.id_token(json!({})).unwrap();
    let kid = double.key_set()["keys"][0]["kid"].clone();
    for alg in ["RS256", "EdDSA"] {
        let forged = forged(&token, &json!({"alg": alg, "kid": kid}), &[1; 64]);
        assert_eq!(refusal(&provider, &forged, NONE).await, IdTokenError::Algorithm);
    }
    for alg in ["RS384", "PS256", "ES384", "ES256K"] {
        let forged = forged(&token, &json!({"alg": alg, "kid": kid}), &[1; 64]);
        assert_eq!(refusal(&provider, &forged, NONE).await, IdTokenError::Algorithm);
    }
}

#[tokio::test]
async fn a_key_inside_the_token_is_not_believed() {
    let (double, attacker) = (stand_in().await, stand_in().await);
    let provider = provider(known("google", &double));
    let token = attacker.id_token(json!({"iss": double.url()})).unwrap();
    // Another provider's key: its id is unknown here.
    assert_eq!(refusal(&provider, &token, NONE).await, IdTokenError::UnknownKey);
    let jwk = attacker.key_set()["keys"][0].clone();
    let kid = double.key_set()["keys"][0]["kid"].clone();
    let signature = URL_SAFE_NO_PAD.decode(token.split('.').nth(2).unwrap()).unwrap();
    let header =
        json!({"alg": "ES256", "kid": kid, "jwk": jwk, "jku": format!("{}/jwks", attacker.url())});
    assert_eq!(
        refusal(&provider, &forged(&token, &header, &signature), NONE).await,
        IdTokenError::Signature
    );
    assert_eq!(attacker.requests("/jwks"), 0);
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    let token = double.id_token(json!({})).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["sub"] = "1".into();
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let changed = format!("{}.{claims}.{}", parts[0], parts[2]);
    assert_eq!(refusal(&provider, &changed, NONE).await, IdTokenError::Signature);
    for nonsense in
        ["", "a", "a.b", "a.b.c", "a.b.c.d", &format!("{token}.x"), &"x".repeat(100_000)]
    {
        assert_eq!(refusal(&provider, nonsense, NONE).await, IdTokenError::Malformed);
    }
}

#[tokio::test]
async fn the_access_token_must_be_the_one_issued_along() {
    let double = stand_in().await;
    let provider = provider(known("google", &double));
    let half = URL_SAFE_NO_PAD.encode(&digest(&SHA256, b"access").as_ref()[..16]);
    let token = double.id_token(json!({"at_hash": half})).unwrap();
    provider.verify_id_token(&token, NONE, Some("access")).await.unwrap();
    provider.verify_id_token(&token, NONE, None).await.unwrap();
    let error = provider.verify_id_token(&token, NONE, Some("another")).await.unwrap_err();
    assert!(matches!(error, ExternalError::IdToken(IdTokenError::AccessToken)), "{error:?}");
}

#[tokio::test]
async fn new_keys_are_found_and_old_tokens_stay_good() {
    let double = stand_in().await;
    let eager = DirectorySettings { key_refetch: Duration::ZERO, ..Default::default() };
    let provider = Provider::new(known("google", &double), directory_with(eager)).unwrap();
    let old = double.id_token(json!({})).unwrap();
    provider.verify_id_token(&old, NONE, None).await.unwrap();
    double.rotate_keys().unwrap();
    let new = double.id_token(json!({})).unwrap();
    provider.verify_id_token(&new, NONE, None).await.unwrap();
    provider.verify_id_token(&old, NONE, None).await.unwrap();
    assert_eq!(double.requests("/jwks"), 2);
    double.rotate_keys().unwrap();
    let newest = double.id_token(json!({})).unwrap();
    provider.verify_id_token(&newest, NONE, None).await.unwrap();
    assert_eq!(refusal(&provider, &old, NONE).await, IdTokenError::UnknownKey);
}

#[tokio::test]
async fn unknown_key_ids_do_not_make_us_ask_each_time() {
    let double = stand_in().await;
    let provider = Arc::new(provider(known("google", &double)));
    let token = double.id_token(json!({})).unwrap();
    let calls = (0..50).map(|n| {
        let forged = forged(&token, &json!({"alg": "ES256", "kid": format!("kid-{n}")}), &[1; 64]);
        let provider = provider.clone();
        tokio::spawn(async move { refusal(&provider, &forged, NONE).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), IdTokenError::UnknownKey);
    }
    assert_eq!(double.requests("/jwks"), 1);
}

#[tokio::test]
async fn a_provider_without_id_tokens_says_so() {
    let double = stand_in().await;
    let token = double.id_token(json!({})).unwrap();
    let error = provider(known("github", &double)).verify_id_token(&token, NONE, None).await;
    assert!(matches!(error, Err(ExternalError::NoIdTokens)), "{error:?}");
}
