//! Providers that are known by name, each in its own shape.

use plinth_doubles::oidc::Misbehaviour;
use serde_json::{Value, json};

use super::*;

const PICTURE: &str = "https://pictures.example/1815.png";

async fn metadata(settings: ProviderSettings) -> Value {
    Value::Object(sign_in(&provider(settings)).await.unwrap().1.metadata)
}

#[tokio::test]
async fn google() {
    let double = stand_in().await;
    assert_eq!(
        metadata(known("google", &double)).await,
        json!({
            "iss": double.url(), "sub": "1815", "provider_id": "1815", "name": "Ada Lovelace", "full_name": "Ada Lovelace",
            "picture": PICTURE, "avatar_url": PICTURE, "email": "ada@example.com", "email_verified": true,
            "phone_verified": false,
        })
    );
}

#[tokio::test]
async fn github() {
    let double = stand_in().await;
    let (tokens, profile) = sign_in(&provider(known("github", &double))).await.unwrap();
    assert_eq!(profile.emails.len(), 2);
    assert!(profile.emails.iter().any(|email| !email.verified && !email.primary));
    assert_eq!(tokens.scope, "user:email");
    assert_eq!((tokens.refresh_token, tokens.expires_at), (None, None));
    assert_eq!(
        Value::Object(profile.metadata),
        json!({
            "iss": format!("{}/api/v3", double.url()), "sub": "1815", "provider_id": "1815", "name": "Ada Lovelace",
            "full_name": "Ada Lovelace", "avatar_url": PICTURE, "preferred_username": "ada", "user_name": "ada",
            "email": "ada@example.com", "email_verified": true, "phone_verified": false,
        })
    );
}

#[tokio::test]
async fn github_refuses_with_status_200() {
    let double = stand_in().await;
    let error = provider(known("github", &double)).exchange("none", None, None).await.unwrap_err();
    assert!(
        matches!(error, ExternalError::Denied { ref code, .. } if code == "invalid_grant"),
        "{error:?}"
    );
}

#[tokio::test]
async fn x_under_both_of_its_names_gives_tokens_to_post_with() {
    let double = stand_in().await;
    for id in ["twitter", "x"] {
        let provider = provider(known(id, &double));
        let (tokens, profile) = sign_in(&provider).await.unwrap();
        assert_eq!(
            Value::Object(profile.metadata),
            json!({
                "iss": double.url(), "sub": "1815", "provider_id": "1815", "name": "Ada Lovelace",
                "full_name": "Ada Lovelace", "picture": PICTURE, "avatar_url": PICTURE, "preferred_username": "ada",
                "user_name": "ada", "profile": "https://x.com/ada", "website": "https://t.co/x",
                "custom_claims": {"created_at": "2013-12-14T04:35:55.000Z"}, "email": "ada@example.com",
                "email_verified": true, "phone_verified": false,
            })
        );
        for scope in ["tweet.read", "tweet.write", "users.read", "offline.access"] {
            assert!(tokens.scope.split(' ').any(|granted| granted == scope), "{scope}");
        }
        let next = provider.refresh(tokens.refresh_token.unwrap().expose()).await.unwrap();
        assert!(next.refresh_token.is_some());
        assert!(next.expires_at.unwrap() > jiff::Timestamp::now());
    }
}

#[tokio::test]
async fn discord() {
    let double = stand_in().await;
    let avatar = "https://cdn.discordapp.com/avatars/1815/8342729096ea3675442027381ff50dfe.png";
    assert_eq!(
        metadata(known("discord", &double)).await,
        json!({
            "iss": format!("{}/api", double.url()), "sub": "1815", "provider_id": "1815", "name": "ada#0", "full_name": "ada",
            "picture": avatar, "avatar_url": avatar, "custom_claims": {"global_name": "Ada Lovelace"},
            "email": "ada@example.com", "email_verified": true, "phone_verified": false,
        })
    );
    double.misbehave(Some(Misbehaviour::UnverifiedEmail));
    assert_eq!(metadata(known("discord", &double)).await["email_verified"], false);
}

#[tokio::test]
async fn facebook() {
    let double = stand_in().await;
    assert_eq!(
        metadata(known("facebook", &double)).await,
        json!({
            "iss": double.url(), "sub": "1815", "provider_id": "1815", "name": "Ada Lovelace", "full_name": "Ada Lovelace",
            "nickname": "Ada Lovelace", "slug": "Ada Lovelace", "picture": PICTURE, "avatar_url": PICTURE,
            "email": "ada@example.com", "email_verified": true, "phone_verified": false,
        })
    );
    let error =
        provider(known("facebook", &double)).exchange("none", None, None).await.unwrap_err();
    assert!(
        matches!(error, ExternalError::Denied { ref code, .. } if code == "OAuthException"),
        "{error:?}"
    );
}

#[tokio::test]
async fn azure_with_a_tenant_of_its_own() {
    let double = stand_in().await;
    let metadata = metadata(known("azure", &double)).await;
    assert_eq!(metadata["iss"], format!("{}/v2.0", double.url()));
    assert_eq!(metadata["full_name"], "Ada Lovelace");
    assert_eq!(
        (&metadata["email"], &metadata["email_verified"]),
        (&json!("ada@example.com"), &json!(true))
    );
}

#[tokio::test]
async fn apple_posts_back_and_names_the_user_once() {
    let double = stand_in().await;
    let provider = provider(known("apple", &double));
    let request = AuthorizeRequest { state: "s", nonce: Some("n"), ..Default::default() };
    let url = provider.authorize_url(&request).await.unwrap();
    assert_eq!(parameter(&url, "response_mode").as_deref(), Some("form_post"));
    assert_eq!(parameter(&url, "scope").as_deref(), Some("email name"));
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(page.contains("method=\"post\""), "{page}");
    let code = page.split("name=\"code\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let tokens = provider.exchange(code, None, None).await.unwrap();
    let mut profile = provider.profile(&tokens, Some("n")).await.unwrap();
    assert_eq!(profile.metadata.get("name"), None);
    profile.add_apple_user(r#"{"name":{"firstName":"Ada","lastName":"Lovelace"}}"#);
    assert_eq!(profile.metadata["full_name"], "Ada Lovelace");
}
