//! What a proved factor does to sessions, and what sessions without one may not do.

use http::StatusCode;
use serde_json::json;

use super::{App, challenge, refused, verify, with_app};
use crate::support::{PASSWORD, Site, with_configured_site, with_site};

async fn sign_in(site: &Site<'_>, email: &str) -> crate::support::SignedIn {
    let body = json!({"email": email, "password": PASSWORD});
    site.post("/token?grant_type=password", body).await.signed_in()
}

async fn aal(site: &Site<'_>, session: &serde_json::Value) -> String {
    let id = session.as_str().unwrap();
    site.text(&format!("select aal::text from auth.sessions where id = '{id}'")).await
}

#[test]
fn the_session_is_strengthened_in_token_and_database() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        assert_eq!(user.claims()["aal"], "aal1");
        let app = App::enrol(site, &user.token, "").await;
        let answer = app.prove(site, &user.token, &app.code(0)).await;
        let claims = answer.claims();
        assert_eq!(claims["aal"], "aal2");
        assert_eq!(claims["session_id"], user.claims()["session_id"]);
        let methods: Vec<_> =
            claims["amr"].as_array().unwrap().iter().map(|entry| &entry["method"]).collect();
        assert_eq!(methods, ["totp", "password"]);
        assert_eq!(aal(site, &claims["session_id"]).await, "aal2");
        let factor = site.text("select factor_id::text from auth.sessions").await;
        assert_eq!(factor, app.factor);

        let refreshed = site.refresh(&answer.signed_in().refresh).await;
        assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.body);
        assert_eq!(
            (&refreshed.claims()["aal"], &refreshed.claims()["amr"]),
            (&json!("aal2"), &claims["amr"])
        );
    });
}

#[test]
fn a_refresh_token_of_before_gets_no_part_in_the_factor() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let second = site.refresh(&user.refresh).await.signed_in();
        let app = App::enrol(site, &second.token, "").await;
        let strong = app.prove(site, &second.token, &app.code(0)).await.signed_in();
        for old in [&second.refresh, &user.refresh] {
            refused(&site.refresh(old).await, 400, "refresh_token_already_used");
        }
        let next = site.refresh(&strong.refresh).await;
        assert_eq!(
            next.status,
            StatusCode::OK,
            "a moment after the proof, nobody is a thief: {}",
            next.body
        );

        site.sql("update auth.sessions set refreshed_at = (now() - interval '1 minute') at time zone 'utc'").await;
        refused(&site.refresh(&second.refresh).await, 400, "refresh_token_already_used");
        refused(&site.refresh(&next.signed_in().refresh).await, 400, "session_not_found");
    });
}

#[test]
fn other_sessions_without_a_factor_end_and_those_with_one_stay() {
    with_site(async |site: &Site| {
        let (strong, app) = with_app(site, "ada@example.com").await;
        let stranger = site.sign_up("ben@example.com").await;
        let weak = sign_in(site, "ada@example.com").await;
        let asking = sign_in(site, "ada@example.com").await;
        let answer = app.prove(site, &asking.token, &app.code(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        refused(&site.get("/user", &weak.token).await, 403, "session_not_found");
        refused(&site.refresh(&weak.refresh).await, 400, "session_not_found");
        for token in [&strong.token, &answer.signed_in().token, &stranger.token] {
            assert_eq!(site.get("/user", token).await.status, StatusCode::OK);
        }
    });
}

#[test]
fn other_factors_that_nobody_verified_are_gone() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let planted = App::enrol(site, &user.token, "planted").await;
        let open = challenge(site, &user.token, &planted.factor).await;
        let app = App::enrol(site, &user.token, "own").await;
        let answer = app.prove(site, &user.token, &app.code(0)).await;
        let factors = answer.body["user"]["factors"].as_array().unwrap().clone();
        assert_eq!(factors.len(), 1);
        assert_eq!(factors[0]["id"], json!(app.factor));
        let late = verify(site, answer.token(), &planted.factor, &open, &planted.code(0)).await;
        refused(&late, 404, "mfa_factor_not_found");
    });
}

#[test]
fn who_has_a_factor_needs_it_for_everything_about_factors() {
    with_site(async |site: &Site| {
        let (strong, app) = with_app(site, "ada@example.com").await;
        let pending = App::enrol(site, &strong.token, "second").await;
        let weak = sign_in(site, "ada@example.com").await;
        assert_eq!(weak.claims()["aal"], "aal1");
        let token = weak.token.as_str();
        let enrol = json!({"factor_type": "totp", "friendly_name": "third"});
        refused(&site.send("POST", "/factors", Some(token), enrol).await, 403, "insufficient_aal");
        let path = format!("/factors/{}", app.factor);
        let remove = site.send("DELETE", &path, Some(token), json!({})).await;
        refused(&remove, 422, "insufficient_aal");
        refused(&pending.prove(site, token, &pending.code(0)).await, 403, "insufficient_aal");
        let change =
            site.send("PUT", "/user", Some(token), json!({"password": "another horse"})).await;
        refused(&change, 401, "insufficient_aal");

        let answer = pending.prove(site, &strong.token, &pending.code(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["user"]["factors"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn two_first_factors_at_once_do_not_both_count() {
    with_site(async |site: &Site| {
        let own = site.sign_up("ada@example.com").await;
        let thief = sign_in(site, "ada@example.com").await;
        let (one, other) = (
            App::enrol(site, &own.token, "own").await,
            App::enrol(site, &thief.token, "planted").await,
        );
        let first = challenge(site, &own.token, &one.factor).await;
        let second = challenge(site, &thief.token, &other.factor).await;
        let (code, planted) = (one.code(0), other.code(0));
        let (a, b) = tokio::join!(
            verify(site, &own.token, &one.factor, &first, &code),
            verify(site, &thief.token, &other.factor, &second, &planted),
        );
        let good = [a.status, b.status].iter().filter(|status| **status == StatusCode::OK).count();
        assert_eq!(good, 1, "{} {}", a.body, b.body);
        assert_eq!(site.count("auth.mfa_factors").await, 1);
        assert_eq!(site.count("auth.sessions").await, 1);
    });
}

#[test]
fn without_the_factor_sessions_are_weak_again() {
    with_site(async |site: &Site| {
        let (first, app) = with_app(site, "ada@example.com").await;
        let weak = sign_in(site, "ada@example.com").await;
        let second = app.prove(site, &weak.token, &app.code(0)).await.signed_in();
        let path = format!("/factors/{}", app.factor);
        assert_eq!(
            site.send("DELETE", &path, Some(&second.token), json!({})).await.status,
            StatusCode::OK
        );
        for session in [&first, &second] {
            let claims = site.refresh(&session.refresh).await.claims();
            assert_eq!(claims["aal"], "aal1");
            assert_eq!(claims["amr"].as_array().unwrap().len(), 1);
            assert_eq!(aal(site, &claims["session_id"]).await, "aal1");
        }
    });
}

/// The token still says `aal2`, the session does not.
#[test]
fn a_token_of_before_does_not_outlive_its_factor() {
    with_site(async |site: &Site| {
        let (strong, app) = with_app(site, "ada@example.com").await;
        let weak = sign_in(site, "ada@example.com").await;
        let other = app.prove(site, &weak.token, &app.code(0)).await.signed_in();
        let second = App::enrol(site, &other.token, "second").await;
        let answer = second.prove(site, &other.token, &second.code(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let path = format!("/factors/{}", app.factor);
        assert_eq!(
            site.send("DELETE", &path, Some(answer.token()), json!({})).await.status,
            StatusCode::OK
        );
        assert_eq!(strong.claims()["aal"], "aal2");
        let path = format!("/factors/{}", second.factor);
        let remove = site.send("DELETE", &path, Some(&strong.token), json!({})).await;
        refused(&remove, 422, "insufficient_aal");
        let change = site
            .send("PUT", "/user", Some(&strong.token), json!({"password": "another horse"}))
            .await;
        refused(&change, 401, "insufficient_aal");
    });
}

#[test]
fn users_are_told_of_factors_that_come_and_go() {
    let config = "\
        [auth.email.notification.mfa_factor_enrolled]\nenabled = true\n\
        [auth.email.notification.mfa_factor_unenrolled]\nenabled = true";
    with_configured_site(config, async |site: &Site| {
        let (user, app) = with_app(site, "ada@example.com").await;
        let told = site.mail_to("ada@example.com").await;
        assert!(told.message.text.contains("(totp) was added"), "{}", told.message.text);
        let again = app.prove(site, &user.token, &app.code(0)).await;
        assert_eq!(site.mails().await.len(), 1, "nothing has changed");
        let path = format!("/factors/{}", app.factor);
        site.send("DELETE", &path, Some(again.token()), json!({})).await;
        let told = site.mail_to("ada@example.com").await;
        assert!(told.message.text.contains("(totp) was removed"), "{}", told.message.text);
    });
}

#[test]
fn a_hook_that_rejects_an_attempt_ends_all_sessions() {
    let config = "\
        [auth.hook.mfa_verification_attempt]\nenabled = true\n\
        uri = \"pg-functions://postgres/public/judge\"";
    with_configured_site(config, async |site: &Site| {
        site.sql(
            "create function public.judge(event jsonb) returns jsonb language sql as $$ select case \
             when event ->> 'valid' = 'false' and event ->> 'factor_type' = 'totp' \
             then '{\"decision\": \"reject\", \"message\": \"no more\"}'::jsonb else '{\"decision\": \"continue\"}' end $$; \
             grant execute on function public.judge to supabase_auth_admin",
        )
        .await;
        let (user, app) = with_app(site, "ada@example.com").await;
        let answer = app.prove(site, &user.token, "000000").await;
        refused(&answer, 403, "mfa_verification_rejected");
        assert_eq!(answer.message(), "no more");
        refused(&site.get("/user", &user.token).await, 403, "session_not_found");
    });
}

#[test]
fn a_session_may_go_without_the_factor_for_as_long_as_the_settings_say() {
    let config = "[auth.sessions]\nallow_low_aal = \"10m\"";
    with_configured_site(config, async |site: &Site| {
        let plain = site.sign_up("ben@example.com").await;
        let (strong, _) = with_app(site, "ada@example.com").await;
        let weak = sign_in(site, "ada@example.com").await;
        let fresh = site.refresh(&weak.refresh).await.signed_in();
        site.sql("update auth.sessions set created_at = now() - interval '11 minutes'").await;
        refused(&site.refresh(&fresh.refresh).await, 400, "session_expired");
        for session in [&plain, &strong] {
            assert_eq!(site.refresh(&session.refresh).await.status, StatusCode::OK);
        }
    });
}
