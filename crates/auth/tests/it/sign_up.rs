//! New users.

use http::StatusCode;
use serde_json::json;

use crate::support::{Site, with_configured_site, with_site};

#[test]
fn a_new_user_is_signed_in_when_nothing_has_to_be_confirmed() {
    with_site(async |site: &Site| {
        let body = json!({"email": "Ada@Example.com", "password": "correct horse", "data": {"name": "Ada"}});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let user = &answer.body["user"];
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["user_metadata"], json!({"name": "Ada", "email_verified": true}));
        assert_eq!(user["app_metadata"], json!({"provider": "email", "providers": ["email"]}));
        assert_eq!(user["identities"][0]["provider"], "email");
        assert_eq!(user["identities"][0]["id"], user["id"]);
        assert_eq!(user["role"], "authenticated");
        assert!(user["email_confirmed_at"].is_string());
        assert_eq!(answer.body["token_type"], "bearer");
        assert_eq!(answer.body["expires_in"], 3600);

        let claims = answer.claims();
        assert_eq!(claims["sub"], user["id"]);
        assert_eq!(claims["aud"], "authenticated");
        assert_eq!(claims["email"], "ada@example.com");
        assert_eq!(claims["phone"], "");
        assert_eq!(claims["aal"], "aal1");
        assert_eq!(claims["amr"][0]["method"], "password");
        assert_eq!(claims["is_anonymous"], false);
        assert_eq!(claims["iss"], site.issuer());

        let seen = site.get("/user", answer.token()).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert_eq!(seen.body["id"], user["id"]);
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    with_site(async |site: &Site| {
        for (body, status, code) in [
            (json!({"email": "a@example.com"}), 400, "validation_failed"),
            (
                json!({"email": "a@example.com", "phone": "123", "password": "secret1"}),
                400,
                "validation_failed",
            ),
            (json!({"email": "nobody", "password": "secret1"}), 400, "validation_failed"),
            (json!({"email": "a@example.com", "password": "short"}), 422, "weak_password"),
            (
                json!({"email": "a@example.com", "password": "x".repeat(73)}),
                400,
                "validation_failed",
            ),
            (
                json!({"phone": "4915112345678", "password": "secret1"}),
                400,
                "phone_provider_disabled",
            ),
            (json!([1]), 400, "bad_json"),
            (json!({}), 422, "anonymous_provider_disabled"),
        ] {
            let answer = site.post("/signup", body.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, code), "{body}");
        }
    });
}

#[test]
fn a_taken_address_is_told_where_signing_up_would_sign_in() {
    with_site(async |site: &Site| {
        site.sign_up("ada@example.com").await;
        let again = json!({"email": "ADA@example.com", "password": "another horse"});
        let answer = site.post("/signup", again).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (422, "user_already_exists"));
    });
}

#[test]
fn two_sign_ups_of_one_address_at_the_same_time_make_one_user() {
    with_site(async |site: &Site| {
        let body = json!({"email": "race@example.com", "password": "correct horse"});
        let attempts = (0..4).map(|_| site.post("/signup", body.clone()));
        let answers = futures_util::future::join_all(attempts).await;
        let made = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(made, 1);
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert_eq!(answer.error(), "user_already_exists");
        }
    });
}

#[test]
fn anonymous_users_are_users_without_a_name() {
    with_configured_site("[auth]\nenable_anonymous_sign_ins = true", async |site: &Site| {
        let answer = site.post("/signup", json!({"data": {"theme": "dark"}})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["user"]["is_anonymous"], true);
        assert_eq!(answer.body["user"]["user_metadata"], json!({"theme": "dark"}));
        let claims = answer.claims();
        assert_eq!(claims["is_anonymous"], true);
        assert_eq!(claims["role"], "authenticated");
        assert_eq!(claims["amr"][0]["method"], "anonymous");
    });
}

#[test]
fn a_failing_trigger_fails_the_sign_up_and_leaves_nothing() {
    with_site(async |site: &Site| {
        site.sql(
            "create function public.refuse() returns trigger language plpgsql as \
             $$ begin raise exception 'no more users'; end $$; \
             create trigger refuse after insert on auth.users for each row execute function public.refuse()",
        )
        .await;
        let body = json!({"email": "ada@example.com", "password": "correct horse"});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.message(), "Database error saving new user");
        assert_eq!(site.count("auth.users").await, 0);
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}
