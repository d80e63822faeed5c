//! Sign-ins by mail that only the client which began them can finish.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    Answer, CHALLENGE, CONFIRM, PASSWORD, Site, VERIFIER, with_configured_site, with_site,
};

const ADA: &str = "ada@example.com";

/// `body` with what begins a flow.
fn begun(mut body: Value) -> Value {
    body["code_challenge"] = CHALLENGE.into();
    body["code_challenge_method"] = "s256".into();
    body
}

async fn exchange(site: &Site<'_>, code: &str, verifier: &str) -> Answer {
    let body = json!({"auth_code": code, "code_verifier": verifier});
    site.post("/token?grant_type=pkce", body).await
}

/// Follows the link of the last mail to `address`; the code that it leads to.
async fn code(site: &Site<'_>, address: &str) -> String {
    let mail = site.mail_to(address).await;
    assert!(mail.parameter("token").starts_with("pkce_"));
    let answer = site.follow(&mail.link()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(!answer.location().contains("access_token"), "{}", answer.location());
    let code = answer.in_query("code");
    assert!(!code.is_empty(), "{}", answer.location());
    code
}

#[test]
fn every_mail_leads_to_a_code_for_the_client_that_asked() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let target = "/signup?redirect_to=http://localhost:3000/callback?next=home";
        site.post(target, begun(json!({"email": ADA, "password": PASSWORD}))).await;
        let link = site.mail_to(ADA).await.link();
        let answer = site.follow(&link).await;
        let place = "http://localhost:3000/callback?next=home&code=";
        assert!(answer.location().starts_with(place), "{}", answer.location());
        let session = exchange(site, &answer.in_query("code"), VERIFIER).await;
        assert_eq!(session.status, StatusCode::OK, "{}", session.body);
        assert_eq!(session.claims()["amr"][0]["method"], "email/signup");
        assert!(session.body["user"]["email_confirmed_at"].is_string());

        for (path, method) in
            [("/otp", "magiclink"), ("/magiclink", "magiclink"), ("/recover", "recovery")]
        {
            site.post(path, begun(json!({"email": ADA}))).await;
            let session = exchange(site, &code(site, ADA).await, VERIFIER).await;
            assert_eq!(session.status, StatusCode::OK, "{path}: {}", session.body);
            assert_eq!(session.claims()["amr"][0]["method"], method, "{path}");
            assert_eq!(session.body["token_type"], "bearer");
        }
        let token = session.token();
        let new = "ada@example.org";
        site.put(token, begun(json!({"email": new}))).await;
        let half = site.follow(&site.mail_to(new).await.link()).await;
        assert!(!half.in_fragment("message").is_empty());
        let session = exchange(site, &code(site, ADA).await, VERIFIER).await;
        assert_eq!(session.body["user"]["email"], new, "{}", session.body);
        assert_eq!(session.claims()["amr"][0]["method"], "email_change");
        assert_eq!(site.count("auth.flow_state").await, 0, "every flow is used up");
    });
}

#[test]
fn a_confirmation_that_is_sent_again_is_finished_by_who_asked_for_it() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.post("/signup", begun(json!({"email": ADA, "password": PASSWORD}))).await;
        site.post("/resend", begun(json!({"type": "signup", "email": ADA}))).await;
        let session = exchange(site, &code(site, ADA).await, VERIFIER).await;
        assert_eq!(session.status, StatusCode::OK, "{}", session.body);
    });
}

#[test]
fn the_digits_of_such_a_mail_sign_in_as_any() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let mail = site.mail_to(ADA).await;
        assert_eq!(site.verify("email", ADA, &mail.code()).await.status, StatusCode::OK);
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let hash = site.mail_to(ADA).await.parameter("token");
        assert_eq!(site.verify_hash("email", &hash).await.status, StatusCode::OK);
    });
}

#[test]
fn without_what_the_client_has_kept_a_code_is_worth_nothing() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let code = code(site, ADA).await;
        let sessions = site.count("auth.sessions").await;
        let wrong = exchange(site, &code, &"a".repeat(43)).await;
        assert_eq!(wrong.refusal(), (400, "bad_code_verifier".to_owned()));
        let digest = exchange(site, &code, CHALLENGE).await;
        assert_eq!(digest.refusal(), (400, "bad_code_verifier".to_owned()));
        for body in [
            json!({"auth_code": code, "code_verifier": ""}),
            json!({"auth_code": code, "code_verifier": null}),
            json!({"auth_code": code}),
            json!({"code_verifier": VERIFIER}),
            json!({"auth_code": null, "code_verifier": VERIFIER}),
        ] {
            let answer = site.post("/token?grant_type=pkce", body.clone()).await;
            assert_eq!(answer.refusal(), (400, "validation_failed".to_owned()), "{body}");
        }
        for unknown in ["mock_code", "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f"] {
            let answer = exchange(site, unknown, VERIFIER).await;
            assert_eq!(answer.refusal(), (404, "flow_state_not_found".to_owned()));
        }
        // Neither the flow's id nor what is stored of the code is one.
        for column in ["id::text", "auth_code", "code_challenge"] {
            let text = site.text(&format!("select {column} from auth.flow_state")).await;
            assert_eq!(exchange(site, &text, VERIFIER).await.error(), "flow_state_not_found");
        }
        assert_eq!(site.count("auth.sessions").await, sessions);
        assert_eq!(exchange(site, &code, VERIFIER).await.status, StatusCode::OK);
    });
}

#[test]
fn a_code_is_good_once_and_for_its_time() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let first = code(site, ADA).await;
        let sessions = site.count("auth.sessions").await;
        let tries = (0..4).map(|_| exchange(site, &first, VERIFIER));
        let answers = futures_util::future::join_all(tries).await;
        let good = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(good, 1);
        for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert_eq!(refused.refusal(), (404, "flow_state_not_found".to_owned()));
        }
        assert_eq!(site.count("auth.sessions").await, sessions + 1);

        site.post("/otp", begun(json!({"email": ADA}))).await;
        let second = code(site, ADA).await;
        site.grow_old().await;
        let answer = exchange(site, &second, VERIFIER).await;
        assert_eq!(answer.refusal(), (422, "flow_state_expired".to_owned()));
    });
}

#[test]
fn a_mail_may_be_opened_long_after_its_flow_began() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let age = "update auth.flow_state set created_at = created_at - interval '50 minutes'";
        site.sql(age).await;
        let code = code(site, ADA).await;
        assert_eq!(exchange(site, &code, VERIFIER).await.status, StatusCode::OK);
    });
}

#[test]
fn a_flow_is_finished_by_its_own_client_only() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        let other = "another-verifier-that-is-long-enough-to-be-one";
        let body = json!({"email": ADA, "code_challenge": other, "code_challenge_method": "plain"});
        assert_eq!(site.post("/recover", body).await.status, StatusCode::OK);
        let recovery = site.mail_to(ADA).await;
        // A later flow of another kind does not take the first one's place, but its token does.
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let stale = site.follow(&recovery.link()).await;
        assert_eq!(stale.in_query("error_code"), "otp_expired");
        assert_eq!(stale.in_fragment("error_code"), "otp_expired");
        let code = code(site, ADA).await;
        assert_eq!(exchange(site, &code, other).await.error(), "bad_code_verifier");
        assert_eq!(exchange(site, &code, VERIFIER).await.status, StatusCode::OK);
    });
}

#[test]
fn a_link_whose_type_was_changed_leads_to_no_code() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let link = site.mail_to(ADA).await.link();
        let changed = site.follow(&link.replace("type=magiclink", "type=recovery")).await;
        assert_eq!(changed.in_query("error_code"), "flow_state_not_found");
        assert_eq!(changed.in_query("code"), "");
        let plain = site.follow(&link.replace("token=pkce_", "token=")).await;
        assert_eq!(plain.in_fragment("error_code"), "otp_expired");
        assert_eq!(plain.in_fragment("access_token"), "");
        // Neither has used the token up.
        assert!(!site.follow(&link).await.in_query("code").is_empty());
    });
}

#[test]
fn a_flow_is_begun_whole_or_not_at_all() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(ADA).await;
        for (challenge, method) in [
            (json!(CHALLENGE), Value::Null),
            (Value::Null, json!("s256")),
            (json!("short"), json!("s256")),
            (json!("a".repeat(129)), json!("s256")),
            (json!(format!("{}+", "a".repeat(43))), json!("s256")),
            (json!(CHALLENGE), json!("s512")),
        ] {
            let body = json!({
                "email": "new@example.com", "password": PASSWORD, "type": "signup",
                "code_challenge": challenge, "code_challenge_method": method,
            });
            for path in ["/signup", "/otp", "/magiclink", "/recover", "/resend"] {
                let answer = site.post(path, body.clone()).await;
                assert_eq!(
                    answer.refusal(),
                    (400, "validation_failed".to_owned()),
                    "{path} {body}"
                );
            }
            assert_eq!(site.put(&ada.token, body).await.error(), "validation_failed");
        }
        assert_eq!(site.count("auth.users").await, 1);
    });
}

#[test]
fn a_sign_up_that_needs_no_mail_signs_in_whatever_the_client_begins() {
    with_site(async |site: &Site| {
        let answer = site.post("/signup", begun(json!({"email": ADA, "password": PASSWORD}))).await;
        assert!(answer.body["access_token"].is_string(), "{}", answer.body);
        let phone = begun(json!({"phone": "15550001111", "password": PASSWORD}));
        assert_eq!(site.post("/signup", phone).await.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn who_is_banned_meanwhile_gets_no_session() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/otp", begun(json!({"email": ADA}))).await;
        let code = code(site, ADA).await;
        site.sql("update auth.users set banned_until = now() + interval '1 day'").await;
        assert_eq!(
            exchange(site, &code, VERIFIER).await.refusal(),
            (403, "user_banned".to_owned())
        );
    });
}
