//! Refresh tokens: rotation, reuse, theft.

use http::StatusCode;
use serde_json::json;

use crate::support::{Site, with_configured_site, with_site};

#[test]
fn a_refresh_token_is_exchanged_for_the_next() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let answer = site.refresh(&user.refresh).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let next = answer.signed_in();
        assert_ne!(next.refresh, user.refresh);
        assert_eq!(answer.claims()["session_id"], user.claims()["session_id"]);
        assert_eq!(answer.claims()["amr"], user.claims()["amr"]);
        assert_eq!(site.refresh(&next.refresh).await.status, StatusCode::OK);
    });
}

#[test]
fn no_token_can_be_read_from_the_database() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let dump = site.text("select string_agg(to_jsonb(s)::text, '') from auth.sessions s").await;
        assert!(!dump.contains(&user.refresh));
        assert_eq!(site.count("auth.refresh_tokens").await, 0);
    });
}

#[test]
fn a_client_that_did_not_get_the_answer_gets_the_current_token_again() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let next = site.refresh(&user.refresh).await.signed_in();
        let again = site.refresh(&user.refresh).await;
        assert_eq!(again.signed_in().refresh, next.refresh);
        assert_eq!(again.headers["sb-auth-refresh-token-reuse-cause"], "fail-to-save");
    });
}

#[test]
fn an_old_token_ends_the_session_for_thief_and_owner() {
    with_configured_site("[auth]\nrefresh_token_reuse_interval = 0", async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let second = site.refresh(&user.refresh).await.signed_in();
        let third = site.refresh(&second.refresh).await.signed_in();
        let theft = site.refresh(&user.refresh).await;
        assert_eq!(
            (theft.status.as_u16(), theft.error().as_str()),
            (400, "refresh_token_already_used")
        );
        assert_eq!(site.refresh(&third.refresh).await.error(), "session_not_found");
        assert_eq!(site.get("/user", &third.token).await.error(), "session_not_found");
    });
}

#[test]
fn two_tabs_at_the_same_time_both_stay_signed_in() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let answers =
            futures_util::future::join_all((0..8).map(|_| site.refresh(&user.refresh))).await;
        let mut tokens: Vec<String> = answers
            .iter()
            .map(|answer| {
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
                answer.signed_in().refresh
            })
            .collect();
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "one rotation for all");
        assert_eq!(site.refresh(&tokens[0]).await.status, StatusCode::OK);
    });
}

#[test]
fn rubbish_and_tokens_of_others_are_refused() {
    with_site(async |site: &Site| {
        for (token, code) in [
            (String::new(), "validation_failed"),
            ("short".to_owned(), "validation_failed"),
            ("x".repeat(24), "refresh_token_not_found"),
            ("x".repeat(100_000), "refresh_token_not_found"),
        ] {
            let answer = site.refresh(&token).await;
            assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, code));
        }
        let answer = site.post("/token?grant_type=magic", json!({})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn sessions_end_by_time_and_by_idleness() {
    let config = "[auth.sessions]\ntimebox = \"24h\"\ninactivity_timeout = \"8h\"";
    with_configured_site(config, async |site: &Site| {
        for age in [
            "created_at = now() - interval '25 hours', refreshed_at = now()",
            "refreshed_at = now() - interval '9 hours'",
        ] {
            let user = site.sign_up(&format!("{}@example.com", age.len())).await;
            site.sql(&format!("update auth.sessions set {age}")).await;
            let answer = site.refresh(&user.refresh).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (400, "session_expired"),
                "{age}"
            );
        }
    });
}

#[test]
fn a_banned_user_cannot_refresh() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        site.sql("update auth.users set banned_until = now() + interval '1 hour'").await;
        assert_eq!(site.refresh(&user.refresh).await.error(), "user_banned");
        site.sql("update auth.users set banned_until = now() - interval '1 hour'").await;
        assert_eq!(site.refresh(&user.refresh).await.status, StatusCode::OK);
    });
}

#[test]
fn a_new_sign_in_ends_the_others_where_a_user_has_one_session() {
    with_configured_site("[auth.sessions]\nsingle_per_user = true", async |site: &Site| {
        let first = site.sign_up("ada@example.com").await;
        let eve = site.sign_up("eve@example.com").await;
        let body = json!({"email": "ada@example.com", "password": crate::support::PASSWORD});
        let second = site.post("/token?grant_type=password", body).await.signed_in();
        assert_eq!(site.get("/user", &first.token).await.error(), "session_not_found");
        assert_eq!(site.refresh(&first.refresh).await.error(), "session_not_found");
        for alive in [&second, &eve] {
            assert_eq!(site.get("/user", &alive.token).await.status, StatusCode::OK);
        }
    });
}
