//! Hooks that are functions.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;

use super::{calls_function, function};
use crate::support::{PASSWORD, Site, with_configured_site};

const SIGN_IN: &str = "/token?grant_type=password";

fn with_token_hook(test: impl AsyncFnOnce(&Site<'_>)) {
    with_configured_site(&calls_function("custom_access_token"), test);
}

#[test]
fn claims_of_a_function_are_what_the_database_sees() {
    with_token_hook(async |site: &Site| {
        function(
            site,
            "return jsonb_build_object('claims', event -> 'claims' || jsonb_build_object( \
               'team', 'red', 'how', event -> 'authentication_method', 'who', event -> 'user_id', \
               'name', event #> '{metadata,name}'));",
        )
        .await;
        let ada = site.sign_up("ada@example.com").await;
        let claims = ada.claims();
        assert_eq!(claims["team"], "red");
        assert_eq!(claims["how"], "password");
        assert_eq!(claims["who"], ada.id.as_str());
        assert_eq!(claims["name"], "customize-access-token");
        assert_eq!(site.get("/user", &ada.token).await.status, StatusCode::OK);
        let seen = site
            .text(&format!(
                "with claims as materialized (select set_config('request.jwt.claims', '{claims}', true) as given) \
                 select auth.jwt() ->> 'team' || auth.uid() from claims where given is not null"
            ))
            .await;
        assert_eq!(seen, format!("red{}", ada.id));
        let next = site.refresh(&ada.refresh).await;
        assert_eq!(next.claims()["how"], "token_refresh");
    });
}

#[test]
fn a_claim_that_is_needed_must_not_go() {
    with_token_hook(async |site: &Site| {
        function(site, "return event #- '{claims,session_id}';").await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.refusal(), (500, "unexpected_failure".to_owned()));
        assert!(answer.message().contains("session_id is required"), "{}", answer.body);
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}

#[test]
fn a_refusal_reaches_the_client_and_leaves_no_session() {
    let config = calls_function("custom_access_token") + "[auth.sessions]\nsingle_per_user = true";
    with_configured_site(&config, async |site: &Site| {
        function(site, "return event;").await;
        let ada = site.sign_up("ada@example.com").await;
        function(
            site,
            "return '{\"error\": {\"http_code\": 403, \"message\": \"Not on Sundays.\"}}';",
        )
        .await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let refused = site.post(SIGN_IN, body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.message()), (403, "Not on Sundays."));
        assert_eq!(site.refresh(&ada.refresh).await.message(), "Not on Sundays.");
        let alive = site.get("/user", &ada.token).await;
        assert_eq!(alive.status, StatusCode::OK, "whoever was signed in still is");
        assert_eq!(site.count("auth.sessions").await, 1);

        function(site, "return event;").await;
        assert_eq!(site.refresh(&ada.refresh).await.status, StatusCode::OK);
        assert_eq!(site.post(SIGN_IN, body).await.status, StatusCode::OK);
        assert_eq!(site.count("auth.sessions").await, 1);
        assert_eq!(site.get("/user", &ada.token).await.error(), "session_not_found");
    });
}

#[test]
fn what_a_function_fails_with_is_for_the_log() {
    with_token_hook(async |site: &Site| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let message = "Error running hook URI: pg-functions://postgres/public/hook";
        let absent = site.post("/signup", body).await;
        assert_eq!((absent.status.as_u16(), absent.message()), (500, message));
        function(site, "raise exception 'the secret is 42';").await;
        let body = json!({"email": "eve@example.com", "password": PASSWORD});
        let failed = site.post("/signup", body).await;
        assert_eq!((failed.status.as_u16(), failed.message()), (500, message));
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}

#[test]
fn a_function_has_two_seconds() {
    with_token_hook(async |site: &Site| {
        function(site, "perform pg_sleep(60); return event;").await;
        let begun = Instant::now();
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.refusal(), (422, "hook_timeout".to_owned()));
        assert!(begun.elapsed() >= Duration::from_secs(2));
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}

#[test]
fn a_function_may_keep_strangers_out() {
    let config =
        calls_function("before_user_created") + "[auth]\nenable_anonymous_sign_ins = true\n";
    with_configured_site(&config, async |site: &Site| {
        function(
            site,
            "if event #>> '{user,email}' like '%@example.com' then return '{}'; end if; \
             return jsonb_build_object('error', jsonb_build_object('http_code', 403, \
               'message', 'Not ' || (event #>> '{user,email}') || (event #>> '{user,is_anonymous}')));",
        )
        .await;
        let signed_up =
            site.post("/signup", json!({"email": "eve@evil.example", "password": PASSWORD}));
        let by_link = site.post("/otp", json!({"email": "eve@evil.example"}));
        let nobody = site.post("/signup", json!({}));
        for (answer, name) in [
            (signed_up.await, "eve@evil.examplefalse"),
            (by_link.await, "eve@evil.examplefalse"),
            (nobody.await, "true"),
        ] {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
            assert_eq!(answer.message(), format!("Not {name}"));
        }
        assert_eq!(site.count("auth.users").await, 0);
        assert!(site.mails().await.is_empty());

        site.sign_up("ada@example.com").await;
        let made = json!({"email": "eve@evil.example"});
        let made = site.send("POST", "/admin/users", Some(&site.service_key()), made).await;
        assert_eq!(made.status, StatusCode::OK, "administrators make whom they like");
    });
}

#[test]
fn a_function_is_told_of_new_users() {
    with_configured_site(&calls_function("after_user_created"), async |site: &Site| {
        site.sql(
            "create table public.met (email text); grant all on public.met to supabase_auth_admin",
        )
        .await;
        function(
            site,
            "insert into public.met select event #>> '{user,email}' \
             from auth.users u where u.id::text = event #>> '{user,id}'; return '{}';",
        )
        .await;
        site.sign_up("ada@example.com").await;
        assert_eq!(site.text("select email from public.met").await, "ada@example.com");
    });
}

#[test]
fn a_function_may_slow_down_guessing() {
    with_configured_site(&calls_function("password_verification_attempt"), async |site: &Site| {
        function(
            site,
            "if (event ->> 'valid')::boolean then return '{\"decision\": \"continue\"}'; end if; \
             return '{\"decision\": \"reject\", \"message\": \"Wait.\", \"should_logout_user\": true}';",
        )
        .await;
        let ada = site.sign_up("ada@example.com").await;
        let right = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(site.post(SIGN_IN, right).await.status, StatusCode::OK);
        assert_eq!(site.count("auth.sessions").await, 2);
        let wrong = json!({"email": "ada@example.com", "password": "wrong"});
        let answer = site.post(SIGN_IN, wrong).await;
        assert_eq!(answer.refusal(), (400, "invalid_credentials".to_owned()));
        assert_eq!(answer.message(), "Wait.");
        assert_eq!(site.count("auth.sessions").await, 0);
        assert_eq!(site.get("/user", &ada.token).await.error(), "session_not_found");
        let stranger = json!({"email": "eve@example.com", "password": "wrong"});
        assert_eq!(site.post(SIGN_IN, stranger).await.message(), "Invalid login credentials");
    });
}
