//! Tokens that are kept for acting on the user's behalf.

use plinth_auth::seal::Sealer;
use plinth_wire::Secret;
use serde_json::json;

use super::*;
use crate::support::SEALING_KEY;

const TOKENS: &str = "select tokens from plinth.provider_token";

async fn opened(site: &Site<'_>) -> Value {
    let sealer = Sealer::parse(&Secret::new(SEALING_KEY)).unwrap();
    let row =
        "select user_id || '/' || provider || '/' || provider_user_id from plinth.provider_token";
    let (row, sealed) = (site.text(row).await, site.text(TOKENS).await);
    assert!(sealer.open("plinth.provider_token.tokens", "another", &sealed).is_err());
    let plain = sealer.open("plinth.provider_token.tokens", &row, &sealed).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

#[test]
fn the_tokens_of_x_are_kept_and_replaced_at_the_next_sign_in() {
    with_providers("", async |site, _| {
        let landing = sign_in(site, "provider=x").await;
        let first = opened(site).await;
        assert_eq!(first["access_token"], landing.fragment["provider_token"]);
        assert_eq!(first["refresh_token"], landing.fragment["provider_refresh_token"]);
        let sealed = site.text(TOKENS).await;
        assert!(sealed.starts_with("v1.") && !sealed.contains("access-"), "{sealed}");
        let facts = "select concat_ws(' ', provider, provider_user_id, handle, \
                     (expires_at between now() + interval '1 hour' and now() + interval '3 hours')::text, scopes) from plinth.provider_token";
        let facts = site.text(facts).await;
        assert!(facts.starts_with("x 1815 ada true "), "{facts}");
        assert!(facts.contains("tweet.write") && facts.contains("offline.access"), "{facts}");
        let user = site.text("select user_id::text from plinth.provider_token").await;
        assert_eq!(user_of(site, &landing).await["id"], user.as_str());

        let pkce = format!("code_challenge={CHALLENGE}&code_challenge_method=s256");
        sign_in(site, &format!("provider=x&{pkce}")).await;
        let second = opened(site).await;
        assert_ne!(first["access_token"], second["access_token"]);
        assert_eq!(site.count("plinth.provider_token").await, 1);
    });
}

#[test]
fn linking_keeps_them_too_and_unlinking_forgets_them() {
    with_providers("enable_manual_linking = true", async |site, _| {
        let user = site.sign_up("me@example.org").await;
        let target = "/user/identities/authorize?skip_http_redirect=true&provider=x";
        let away = site.get(target, &user.token).await;
        let back = at_provider(away.body["url"].as_str().unwrap()).await;
        Landing::of(&open(site, &back).await).token();
        assert!(opened(site).await["refresh_token"].is_string());
        let id = site.text("select id::text from auth.identities where provider = 'x'").await;
        let target = format!("/user/identities/{id}");
        let answer = site.send("DELETE", &target, Some(&user.token), json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(site.count("plinth.provider_token").await, 0);
    });
}

#[test]
fn a_sign_in_that_is_refused_keeps_nothing() {
    with_providers("", async |site, _| {
        sign_in(site, "provider=x").await.token();
        let before = site.text(TOKENS).await;
        site.sql("update auth.users set banned_until = now() + interval '1 day'").await;
        assert_eq!(sign_in(site, "provider=x").await.error().1, "user_banned");
        assert_eq!(site.text(TOKENS).await, before);
    });
}

#[test]
fn the_settings_say_whose_tokens_are_kept() {
    with_providers("", async |site, _| {
        sign_in(site, "provider=github").await.token();
        assert_eq!(site.count("plinth.provider_token").await, 0);
    });
    with_provider("x", "keep_tokens = false", async |site, _| {
        sign_in(site, "provider=x").await.token();
        assert_eq!(site.count("plinth.provider_token").await, 0);
    });
    with_provider("github", "keep_tokens = true", async |site, _| {
        sign_in(site, "provider=github").await.token();
        assert_eq!(opened(site).await["refresh_token"], json!(null));
        site.sql("delete from auth.users").await;
        assert_eq!(site.count("plinth.provider_token").await, 0);
    });
}
