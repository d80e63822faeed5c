//! ID tokens that clients have obtained by themselves.

use aws_lc_rs::digest::{SHA256, digest};
use plinth_doubles::oidc::Misbehaviour;
use serde_json::json;

use super::*;

const GRANT: &str = "/token?grant_type=id_token";

async fn grant(site: &Site<'_>, provider: &str, token: &str) -> Answer {
    site.post(GRANT, json!({"provider": provider, "id_token": token})).await
}

#[track_caller]
fn refused(answer: &Answer, description: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    assert_eq!(answer.body["error_description"], description, "{}", answer.body);
}

#[test]
fn an_id_token_signs_its_user_in() {
    with_providers("", async |site, double| {
        let token = double.id_token(json!({})).unwrap();
        for provider in ["google", "ours"] {
            let answer = grant(site, provider, &token).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert_eq!(answer.body["user"]["email"], "ada@example.com");
            assert_eq!(answer.claims()["amr"][0]["method"], "oauth");
            assert!(answer.body.get("provider_token").is_none());
        }
        assert_eq!(site.count("auth.users").await, 1);
        let body = json!({"issuer": double.url(), "client_id": "client", "id_token": token});
        assert_eq!(site.post(GRANT, body).await.status, StatusCode::OK);
    });
}

#[test]
fn a_nonce_is_there_on_both_sides_or_on_none() {
    with_providers("", async |site, double| {
        let hash = digest(&SHA256, b"raw");
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let with = double.id_token(json!({"nonce": hash})).unwrap();
        let without = double.id_token(json!({})).unwrap();
        let ask = async |token: &str, nonce: &str| {
            site.post(GRANT, json!({"provider": "google", "id_token": token, "nonce": nonce})).await
        };
        assert_eq!(ask(&with, "raw").await.status, StatusCode::OK);
        refused(&ask(&with, "other").await, "Nonces mismatch");
        // The value in the token is no secret to whoever saw the token.
        refused(&ask(&with, &hash).await, "Nonces mismatch");
        let message = "Passed nonce and nonce in id_token should either both exist or not.";
        refused(&ask(&with, "").await, message);
        refused(&ask(&without, "raw").await, message);
    });
}

#[test]
fn tokens_that_are_not_for_us_are_refused() {
    with_providers("", async |site, double| {
        let changed = |claims: Value| double.id_token(claims).unwrap();
        let now = 1_700_000_000;
        let good = changed(json!({}));
        let (head, signature) = good.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
        for (token, description) in [
            (changed(json!({"aud": "another"})), "Unacceptable audience in id_token"),
            (changed(json!({"aud": null})), "Unacceptable audience in id_token"),
            (changed(json!({"iss": "https://accounts.google.com"})), "Bad ID token"),
            (changed(json!({"exp": now})), "Bad ID token"),
            (changed(json!({"sub": ""})), "Missing sub claim in id_token"),
            (forged, "Bad ID token"),
            ("mock".to_owned(), "Bad ID token"),
            (site.anon_key(), "Bad ID token"),
        ] {
            refused(&grant(site, "google", &token).await, description);
        }
        let wrong = json!({"provider": "google", "id_token": changed(json!({"at_hash": "x"})), "access_token": "y"});
        refused(&site.post(GRANT, wrong).await, "Bad ID token");
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn providers_that_are_not_there_are_named() {
    with_stand_in("external.google.client_id = 'client'", async |site, _| {
        let answer = grant(site, "google", "mock").await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "provider_disabled"));
        assert_eq!(
            answer.message(),
            "Provider (issuer \"https://accounts.google.com\") is not enabled"
        );
    });
    with_providers("", async |site, double| {
        let token = double.id_token(json!({})).unwrap();
        let answer = grant(site, "apple", &token).await;
        assert_eq!(answer.error(), "provider_disabled");
        for provider in ["nobody", "github", "facebook_", "custom:nobody"] {
            let answer = grant(site, provider, &token).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (400, "validation_failed"),
                "{provider}"
            );
        }
        // Whoever is listed as an issuer and no more does not say for which clients its tokens are.
        let body =
            json!({"issuer": "https://id.example", "client_id": "client", "id_token": token});
        assert_eq!(site.post(GRANT, body).await.error(), "validation_failed");
        refused(&site.post(GRANT, json!({"provider": "google"})).await, "id_token required");
        let message = "provider or client_id and issuer required";
        refused(&site.post(GRANT, json!({"id_token": token})).await, message);
        refused(
            &site.post(GRANT, json!({"id_token": token, "issuer": double.url()})).await,
            message,
        );
    });
}

#[test]
fn the_rules_of_accounts_hold_here_too() {
    with_providers("email.enable_confirmations = true", async |site, double| {
        let unverified = double.id_token(json!({"email_verified": false})).unwrap();
        let answer = grant(site, "google", &unverified).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (422, "provider_email_needs_verification")
        );
        let nobody = double.id_token(json!({"sub": "9", "email": null})).unwrap();
        double.misbehave(Some(Misbehaviour::NoEmail));
        let answer = grant(site, "google", &nobody).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (422, "email_address_not_provided")
        );
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}

#[test]
fn an_id_token_is_linked_to_the_user_who_asks() {
    with_providers("enable_manual_linking = true", async |site, double| {
        let user = site.sign_up("me@example.org").await;
        let token = double.id_token(json!({})).unwrap();
        let body = json!({"provider": "google", "id_token": token, "link_identity": true});
        let nobody = site.post(GRANT, body.clone()).await;
        assert_eq!((nobody.status.as_u16(), nobody.error().as_str()), (401, "no_authorization"));
        let key = site.send("POST", GRANT, Some(&site.anon_key()), body.clone()).await;
        assert_eq!(key.error(), "bad_jwt");
        let answer = site.send("POST", GRANT, Some(&user.token), body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["user"]["id"], user.id);
        assert_eq!(answer.body["user"]["app_metadata"]["providers"], json!(["email", "google"]));
        let again = site.send("POST", GRANT, Some(&user.token), body).await;
        assert_eq!(
            (again.status.as_u16(), again.error().as_str()),
            (422, "identity_already_exists")
        );
    });
    with_providers("", async |site, double| {
        let user = site.sign_up("me@example.org").await;
        let token = double.id_token(json!({})).unwrap();
        let body = json!({"provider": "google", "id_token": token, "link_identity": true});
        let answer = site.send("POST", GRANT, Some(&user.token), body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (404, "manual_linking_disabled")
        );
    });
}
