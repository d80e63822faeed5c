//! A forgotten password, and the nonce before a new one.

use http::StatusCode;
use serde_json::json;

use crate::support::{CONFIRM, PASSWORD, Site, with_configured_site};

const ADA: &str = "ada@example.com";

#[test]
fn a_forgotten_password_is_replaced() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let elsewhere = site.confirmed(ADA).await;
        let target = "/recover?redirect_to=http://localhost:3000/reset";
        let answer = site.post(target, json!({"email": ADA, "gotrue_meta_security": {}})).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        let mail = site.mail_to(ADA).await;
        assert_eq!(mail.message.subject, "Choose a new password");
        assert_eq!(mail.parameter("type"), "recovery");
        let answer = site.follow(&mail.link()).await;
        assert!(answer.location().starts_with("http://localhost:3000/reset#"));
        assert_eq!(answer.in_fragment("type"), "recovery");
        let token = answer.in_fragment("access_token");
        let answer = site.put(&token, json!({"password": "another horse"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let gone = site.refresh(&elsewhere.refresh).await;
        assert_eq!(gone.status, StatusCode::BAD_REQUEST, "other sessions end");
        for (password, status) in [(PASSWORD, 400), ("another horse", 200)] {
            let body = json!({"email": ADA, "password": password});
            assert_eq!(site.post("/token?grant_type=password", body).await.status, status);
        }
        assert_eq!(site.logged("user_recovery_requested").await, 1);
        assert_eq!(site.logged("user_updated_password").await, 1);
    });
}

#[test]
fn the_code_of_a_recovery_is_for_that_and_once() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/recover", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        assert_eq!(site.verify("signup", ADA, &code).await.error(), "otp_expired");
        assert_eq!(site.verify("recovery", "bob@example.com", &code).await.error(), "otp_expired");
        assert_eq!(site.verify("recovery", ADA, &code).await.status, StatusCode::OK);
        assert_eq!(site.verify("recovery", ADA, &code).await.error(), "otp_expired");
        site.post("/recover", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        site.grow_old().await;
        assert_eq!(site.verify("recovery", ADA, &code).await.error(), "otp_expired");
    });
}

#[test]
fn recovering_proves_the_address() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"email": ADA, "password": PASSWORD});
        site.post("/signup", body).await;
        let confirmation = site.mail_to(ADA).await;
        site.post("/recover", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        let answer = site.verify("recovery", ADA, &code).await;
        assert!(answer.body["user"]["email_confirmed_at"].is_string(), "{}", answer.body);
        // The confirmation has nothing left to confirm.
        let hash = confirmation.parameter("token");
        assert_eq!(site.verify_hash("signup", &hash).await.error(), "otp_expired");
    });
}

const CAREFUL: &str = "\
[auth.email]
secure_password_change = true
max_frequency = \"0s\"
";

#[test]
fn an_old_session_needs_a_nonce_for_a_new_password() {
    with_configured_site(CAREFUL, async |site: &Site| {
        let ada = site.sign_up(ADA).await;
        let new = json!({"password": "another horse"});
        assert_eq!(site.put(&ada.token, new.clone()).await.status, StatusCode::OK, "it is fresh");
        site.sql("update auth.sessions set created_at = created_at - interval '25 hours'").await;
        let new = |nonce: &str| json!({"password": "a third horse", "nonce": nonce});
        let answer = site.put(&ada.token, new("")).await;
        assert_eq!(answer.refusal(), (400, "reauthentication_needed".to_owned()));
        let answer = site.get("/reauthenticate", &ada.token).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        let mail = site.mail_to(ADA).await;
        let code = mail.code();
        assert_eq!(mail.message.subject, format!("Your code is {code}"));
        for wrong in ["wrong", ""] {
            let answer = site.put(&ada.token, new(wrong)).await;
            assert!(matches!(
                answer.error().as_str(),
                "reauthentication_not_valid" | "reauthentication_needed"
            ));
        }
        // It is no code to sign in with.
        for kind in ["email", "magiclink", "recovery", "signup"] {
            assert_eq!(site.verify(kind, ADA, &code).await.error(), "otp_expired", "{kind}");
        }
        // And none for somebody else.
        let bob = site.sign_up("bob@example.com").await;
        site.sql("update auth.sessions set created_at = created_at - interval '25 hours'").await;
        let answer = site.put(&bob.token, new(&code)).await;
        assert_eq!(answer.refusal(), (422, "reauthentication_not_valid".to_owned()));
        let answer = site.put(&ada.token, new(&code)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let again = json!({"password": "a fourth horse", "nonce": code});
        assert_eq!(site.put(&ada.token, again).await.error(), "reauthentication_not_valid");
        assert_eq!(site.logged("user_reauthenticate_requested").await, 1);
    });
}

#[test]
fn a_nonce_cannot_be_guessed() {
    with_configured_site(CAREFUL, async |site: &Site| {
        let ada = site.sign_up(ADA).await;
        site.sql("update auth.sessions set created_at = created_at - interval '25 hours'").await;
        site.get("/reauthenticate", &ada.token).await;
        let code = site.mail_to(ADA).await.code();
        let new = |nonce: String| json!({"password": "another horse", "nonce": nonce});
        let tries = (0..12).map(|number| site.put(&ada.token, new(format!("wrong{number}"))));
        for answer in futures_util::future::join_all(tries).await {
            assert_eq!(answer.refusal(), (422, "reauthentication_not_valid".to_owned()));
        }
        let answer = site.put(&ada.token, new(code)).await;
        assert_eq!(answer.refusal(), (422, "reauthentication_not_valid".to_owned()));
    });
}

#[test]
fn who_cannot_be_reached_gets_no_nonce() {
    let config = "[auth]\nenable_anonymous_sign_ins = true\n";
    with_configured_site(config, async |site: &Site| {
        let nobody = site.post("/signup", json!({})).await.signed_in();
        let answer = site.get("/reauthenticate", &nobody.token).await;
        assert_eq!(answer.refusal(), (422, "validation_failed".to_owned()));
        let message = "Reauthentication requires the user to have an email or a phone number";
        assert_eq!(answer.message(), message);
        let ada = site.sign_up(ADA).await;
        site.sql("update auth.users set email_confirmed_at = null").await;
        let answer = site.get("/reauthenticate", &ada.token).await;
        assert_eq!(answer.refusal(), (422, "email_not_confirmed".to_owned()));
        assert!(site.mails().await.is_empty());
    });
}
