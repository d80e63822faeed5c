//! The redirect flow of a generic OpenID Connect provider.

use plinth_auth::external::IdTokenError;
use plinth_doubles::oidc::{Client, Misbehaviour, Signature, User};
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_user_signs_in_by_discovery() {
    let double = stand_in().await;
    let provider = provider(custom(&double));
    let flow = tokio::spawn(async move { sign_in(&provider).await });
    let (tokens, profile) = flow.await.unwrap().unwrap();
    assert_eq!(profile.provider_id, "1815");
    assert_eq!(profile.email().unwrap().email, "ada@example.com");
    assert_eq!(
        Value::Object(profile.metadata),
        json!({
            "iss": double.url(), "sub": "1815", "provider_id": "1815", "name": "Ada Lovelace", "full_name": "Ada Lovelace",
            "preferred_username": "ada", "picture": "https://pictures.example/1815.png",
            "avatar_url": "https://pictures.example/1815.png", "email": "ada@example.com", "email_verified": true,
            "phone_verified": false,
        })
    );
    assert_eq!(tokens.scope, "openid profile email");
    assert!(tokens.expires_at.unwrap() > jiff::Timestamp::now());
    assert!(tokens.id_token.is_some());
}

#[tokio::test]
async fn tokens_signed_with_rsa_are_as_good() {
    let settings = Settings { signature: Signature::Rs256, ..Default::default() };
    let double = Oidc::start(settings).await.unwrap();
    let (_, profile) = sign_in(&provider(custom(&double))).await.unwrap();
    assert_eq!(profile.provider_id, "1815");
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let double = stand_in().await;
    let provider = provider(custom(&double));
    for verifier in [None, Some("another-verifier-that-is-long-enough-to-be-one")] {
        let away = Away { pkce: pkce(), nonce: nonce() };
        let code = visit(&provider, &away).await;
        denied(provider.exchange(&code, verifier, None).await, "invalid_grant");
    }
}

#[tokio::test]
async fn a_code_is_used_once_and_with_its_redirect_uri() {
    let double = stand_in().await;
    let provider = provider(custom(&double));
    let away = Away { pkce: pkce(), nonce: nonce() };
    let verifier = Some(away.pkce.verifier.expose());
    let code = visit(&provider, &away).await;
    provider.exchange(&code, verifier, None).await.unwrap();
    denied(provider.exchange(&code, verifier, None).await, "invalid_grant");
    let code = visit(&provider, &away).await;
    let other = Some("http://localhost:1/other");
    denied(provider.exchange(&code, verifier, other).await, "invalid_grant");
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let double = stand_in().await;
    let settings = ProviderSettings { secret: Secret::new("wrong"), ..custom(&double) };
    let error = sign_in(&provider(settings)).await;
    denied(error.map(|(tokens, _)| tokens), "invalid_client");
}

#[tokio::test]
async fn a_secret_with_signs_in_it_arrives_whole() {
    let client = Client {
        id: "id:1".to_owned(),
        secret: "a+b/c=%20:é".to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
    };
    let settings = Settings { clients: vec![client.clone()], ..Default::default() };
    let double = Oidc::start(settings).await.unwrap();
    for base in [custom(&double), known("google", &double)] {
        let settings = ProviderSettings {
            client_ids: vec![client.id.clone()],
            secret: Secret::new(client.secret.as_str()),
            ..base
        };
        sign_in(&provider(settings)).await.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_token_is_replaced_at_each_use() {
    let double = stand_in().await;
    let provider = provider(custom(&double));
    let (tokens, _) = sign_in(&provider).await.unwrap();
    let first = tokens.refresh_token.unwrap();
    let next = provider.refresh(first.expose()).await.unwrap();
    assert_ne!(next.access_token, tokens.access_token);
    assert_ne!(next.refresh_token.as_ref().unwrap(), &first);
    denied(provider.refresh(first.expose()).await, "invalid_grant");
}

#[tokio::test]
async fn what_a_provider_does_wrong_is_noticed() {
    let double = stand_in().await;
    for (how, error) in [
        (Misbehaviour::WrongNonce, IdTokenError::NonceMismatch),
        (Misbehaviour::NoNonce, IdTokenError::NonceMissing),
        (Misbehaviour::WrongAudience, IdTokenError::Audience),
        (Misbehaviour::Expired, IdTokenError::Expired),
        (Misbehaviour::WrongIssuer, IdTokenError::Issuer),
        (Misbehaviour::WrongAccessTokenHash, IdTokenError::AccessToken),
    ] {
        double.misbehave(Some(how.clone()));
        match sign_in(&provider(custom(&double))).await {
            Err(ExternalError::IdToken(found)) => assert_eq!(found, error, "{how:?}"),
            other => panic!("{how:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unconfirmed_address_stays_unconfirmed() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::UnverifiedEmail));
    let (_, profile) = sign_in(&provider(custom(&double))).await.unwrap();
    assert!(!profile.email().unwrap().verified);
    assert_eq!(profile.metadata["email_verified"], false);
}

#[tokio::test]
async fn a_user_without_an_address_needs_the_settings_consent() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::NoEmail));
    let error = sign_in(&provider(custom(&double))).await.unwrap_err();
    assert!(matches!(error, ExternalError::NoEmail), "{error:?}");
    let settings = ProviderSettings { email_optional: true, ..custom(&double) };
    let (_, profile) = sign_in(&provider(settings)).await.unwrap();
    assert_eq!(profile.email(), None);
    assert_eq!(profile.metadata.get("email"), None);
}

#[tokio::test]
async fn the_user_endpoint_serves_where_there_is_no_id_token() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::NoIdToken));
    let (tokens, profile) = sign_in(&provider(custom(&double))).await.unwrap();
    assert!(tokens.id_token.is_none());
    assert_eq!((profile.provider_id.as_str(), double.requests("/userinfo")), ("1815", 1));
    assert_eq!(profile.metadata["iss"], double.url());
}

#[tokio::test]
async fn a_user_endpoint_that_speaks_of_somebody_else_is_not_believed() {
    let users = vec![User { email: None, ..User::named(7, "nobody", "No Body") }];
    let double = Oidc::start(Settings { users, ..Default::default() }).await.unwrap();
    double.misbehave(Some(Misbehaviour::WrongUserinfo));
    let settings = ProviderSettings { email_optional: true, ..custom(&double) };
    let error = sign_in(&provider(settings)).await.unwrap_err();
    assert!(matches!(error, ExternalError::Malformed("user endpoint's subject")), "{error:?}");
}

#[tokio::test]
async fn a_document_by_another_issuer_is_not_used() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::WrongDocument));
    let request = AuthorizeRequest { state: "s", ..Default::default() };
    let error = provider(custom(&double)).authorize_url(&request).await.unwrap_err();
    assert!(matches!(error, ExternalError::Malformed("discovery document's issuer")), "{error:?}");
}

#[tokio::test]
async fn the_document_is_fetched_once_for_everybody() {
    let double = stand_in().await;
    let directory = directory();
    let one = Provider::new(custom(&double), directory.clone()).unwrap();
    let two = Provider::new(custom(&double), directory).unwrap();
    let request = AuthorizeRequest { state: "s", ..Default::default() };
    let (first, second) = tokio::join!(one.authorize_url(&request), two.authorize_url(&request));
    assert_eq!(first.unwrap(), second.unwrap());
    sign_in(&one).await.unwrap();
    assert_eq!(double.requests("/.well-known/openid-configuration"), 1);
    assert_eq!(double.requests("/jwks"), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_asked_again_at_once() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::Status(500)));
    let provider = provider(custom(&double));
    let request = AuthorizeRequest { state: "s", ..Default::default() };
    let error = provider.authorize_url(&request).await.unwrap_err();
    assert!(matches!(error, ExternalError::Status(500)), "{error:?}");
    let error = provider.authorize_url(&request).await.unwrap_err();
    assert!(matches!(error, ExternalError::Unavailable(_)), "{error:?}");
    assert_eq!(double.requests("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn the_request_says_what_we_say_and_not_what_a_caller_says() {
    let double = stand_in().await;
    let settings = ProviderSettings {
        scopes: vec!["groups".to_owned()],
        extra: [("prompt".to_owned(), "login".to_owned())].into(),
        ..custom(&double)
    };
    let extra: Vec<(String, String)> = [
        ("state", "evil"),
        ("redirect_uri", "https://evil.example"),
        ("client_id", "evil"),
        ("prompt", "none"),
        ("login_hint", "grace"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let request = AuthorizeRequest {
        state: "ours",
        nonce: Some("n"),
        pkce_challenge: Some("c"),
        scopes: "calendar,groups files",
        redirect_uri: None,
        extra: &extra,
    };
    let url = provider(settings).authorize_url(&request).await.unwrap();
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    pairs.sort();
    let expected = [
        ("client_id", "client"),
        ("code_challenge", "c"),
        ("code_challenge_method", "S256"),
        ("login_hint", "grace"),
        ("nonce", "n"),
        ("prompt", "login"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid groups calendar files"),
        ("state", "ours"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn generic_oauth_translates_the_users_claims() {
    let double = stand_in().await;
    let base = double.url();
    let Value::Object(attribute_mapping) = json!({"user_name": "preferred_username", "nickname": "/name", "locale": 1, "email_verified": true})
    else {
        unreachable!()
    };
    let settings = ProviderSettings {
        custom: Some(Custom::OAuth2 {
            authorization_url: format!("{base}/authorize"),
            token_url: format!("{base}/token"),
            userinfo_url: format!("{base}/userinfo"),
        }),
        attribute_mapping,
        ..custom(&double)
    };
    let (_, profile) = sign_in(&provider(settings)).await.unwrap();
    assert_eq!(profile.provider_id, "1815");
    assert_eq!(profile.metadata["user_name"], "ada");
    assert_eq!(profile.metadata["nickname"], "Ada Lovelace");
    assert_eq!(profile.metadata["iss"], base);
    assert_eq!(double.requests("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let double = stand_in().await;
    let wrong = [
        ProviderSettings { id: "unheard-of".to_owned(), ..known("google", &double) },
        ProviderSettings { client_ids: Vec::new(), ..known("google", &double) },
        ProviderSettings { client_ids: vec![String::new()], ..known("google", &double) },
        ProviderSettings { redirect_uri: "callback".to_owned(), ..known("google", &double) },
        ProviderSettings { url: Some("no url".to_owned()), ..known("google", &double) },
        ProviderSettings { url: None, ..known("keycloak", &double) },
        ProviderSettings { id: "google".to_owned(), ..custom(&double) },
    ];
    for settings in wrong {
        let error = Provider::new(settings.clone(), directory()).unwrap_err();
        assert!(matches!(error, ExternalError::Settings { .. }), "{settings:?}");
        assert!(!format!("{settings:?}").contains("secret\""), "secrets are not printed");
    }
}

fn denied(outcome: Result<ProviderTokens, ExternalError>, expected: &str) {
    match outcome {
        Err(ExternalError::Denied { code, .. }) => assert_eq!(code, expected),
        other => panic!("{other:?}"),
    }
}
