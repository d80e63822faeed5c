//! Codes by text message.

use http::StatusCode;
use serde_json::{Value, json};

use super::{challenge, refused, verify};
use crate::support::{Setup, Site, with_configured_site, with_setup};

const PHONE: &str = "15551234567";

const ON: &str = "\
[auth.mfa.phone]
enroll_enabled = true
verify_enabled = true
otp_length = 8
template = \"Acme: {{ .Code }}\"
max_frequency = \"0s\"
";

async fn enrol(site: &Site<'_>, token: &str) -> String {
    let body = json!({"factor_type": "phone", "friendly_name": "mine", "phone": "+15551234567"});
    let answer = site.send("POST", "/factors", Some(token), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(
        (&answer.body["type"], &answer.body["phone"]),
        (&json!("phone"), &json!("+15551234567"))
    );
    answer.body["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_code_that_was_sent_proves_the_factor() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token).await;
        let id = challenge(site, &user.token, &factor).await;
        let code = site.code_to(PHONE);
        assert_eq!(code.len(), 8);
        assert_eq!(site.messages().last().unwrap().text, format!("Acme: {code}"));
        let stored = site.text("select otp_code from auth.mfa_challenges").await;
        assert!(stored.starts_with("v1.") && !stored.contains(&code));

        let wrong = verify(site, &user.token, &factor, &id, "00000000").await;
        refused(&wrong, 422, "mfa_verification_failed");
        let answer = verify(site, &user.token, &factor, &id, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let claims = answer.claims();
        assert_eq!(
            (&claims["aal"], &claims["amr"][0]["method"]),
            (&json!("aal2"), &json!("mfa/phone"))
        );
        let again = verify(site, answer.token(), &factor, &id, &code).await;
        refused(&again, 422, "mfa_factor_not_found");
    });
}

#[test]
fn a_code_belongs_to_its_challenge() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token).await;
        let first = challenge(site, &user.token, &factor).await;
        let code = site.code_to(PHONE);
        let second = challenge(site, &user.token, &factor).await;
        let answer = verify(site, &user.token, &factor, &second, &code).await;
        refused(&answer, 422, "mfa_verification_failed");
        let answer = verify(site, &user.token, &factor, &first, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
}

#[test]
fn of_many_messages_asked_for_at_once_one_is_sent() {
    let config = ON.replace("0s", "60s");
    with_configured_site(&config, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token).await;
        let path = format!("/factors/{factor}/challenge");
        let ask = || site.send("POST", &path, Some(&user.token), json!({}));
        let answers = futures_util::future::join_all([ask(), ask(), ask()]).await;
        let sent = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!((sent, site.messages().len()), (1, 1));
        let late = ask().await;
        refused(&late, 429, "over_sms_send_rate_limit");
        assert!(late.message().starts_with("For security purposes"));
        assert!(late.headers.contains_key("retry-after"));
    });
}

#[test]
fn guessing_a_code_that_was_sent_ends_until_another_is() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token).await;
        let id = challenge(site, &user.token, &factor).await;
        let code = site.code_to(PHONE);
        for _ in 0..10 {
            let answer = verify(site, &user.token, &factor, &id, "00000000").await;
            refused(&answer, 422, "mfa_verification_failed");
        }
        let late = verify(site, &user.token, &factor, &id, &code).await;
        refused(&late, 422, "mfa_verification_failed");
        let id = challenge(site, &user.token, &factor).await;
        let answer = verify(site, &user.token, &factor, &id, &site.code_to(PHONE)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
}

#[test]
fn a_number_is_one_factor() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let send =
            async |token: &str, body: Value| site.send("POST", "/factors", Some(token), body).await;
        for phone in ["", "x", "123-invalid"] {
            let body = json!({"factor_type": "phone", "phone": phone});
            refused(&send(&user.token, body).await, 400, "validation_failed");
        }
        let abandoned = enrol(site, &user.token).await;
        let factor = enrol(site, &user.token).await;
        assert_ne!(abandoned, factor, "what nobody verified is replaced, name and all");
        assert_eq!(site.count("auth.mfa_factors").await, 1);
        let id = challenge(site, &user.token, &factor).await;
        let strong = verify(site, &user.token, &factor, &id, &site.code_to(PHONE)).await;
        let body = json!({"factor_type": "phone", "friendly_name": "b", "phone": "15551234567"});
        refused(&send(strong.token(), body).await, 422, "mfa_verified_factor_exists");
    });
}

#[test]
fn an_administrator_changes_the_number() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token).await;
        let path = format!("/admin/users/{}/factors/{factor}", user.id);
        let body = json!({"phone": "+15557654321"});
        let answer = site.send("PUT", &path, Some(&site.service_key()), body).await;
        assert_eq!((answer.status, &answer.body["phone"]), (StatusCode::OK, &json!("15557654321")));
        challenge(site, &user.token, &factor).await;
        assert_eq!(site.messages().last().unwrap().phone, "15557654321");
    });
}

#[test]
fn without_a_carrier_the_client_is_told() {
    with_setup(Setup { config: ON, sms: false, ..Setup::default() }, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token).await;
        let path = format!("/factors/{factor}/challenge");
        let answer = site.send("POST", &path, Some(&user.token), json!({})).await;
        refused(&answer, 422, "sms_send_failed");
        let body = json!({"channel": "pigeon"});
        let answer = site.send("POST", &path, Some(&user.token), body).await;
        refused(&answer, 400, "validation_failed");
    });
}
