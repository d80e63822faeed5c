//! Invitations, and links that servers ask for.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, CONFIRM, PASSWORD, Setup, Site, with_configured_site, with_setup};

const ADA: &str = "ada@example.com";

async fn link(site: &Site<'_>, body: Value) -> Answer {
    let key = site.service_key();
    let target = "/admin/generate_link?redirect_to=http://localhost:9999/welcome";
    site.send("POST", target, Some(&key), body).await
}

/// Follows the link; the access token that it leads to.
async fn followed(site: &Site<'_>, answer: &Answer) -> String {
    let link = answer.body["action_link"].as_str().unwrap();
    let link = link.strip_prefix(site.issuer()).unwrap();
    site.follow(link).await.in_fragment("access_token")
}

#[test]
fn a_link_to_sign_up_makes_the_user_and_sends_nothing() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"type": "signup", "email": ADA, "password": PASSWORD, "data": {"a": 1}});
        let answer = link(site, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let hash = answer.body["hashed_token"].as_str().unwrap();
        let expected = format!(
            "{}/verify?token={hash}&type=signup&redirect_to=http://localhost:9999/welcome",
            site.issuer()
        );
        assert_eq!(answer.body["action_link"], expected);
        assert_eq!(answer.body["verification_type"], "signup");
        assert_eq!(answer.body["redirect_to"], "http://localhost:9999/welcome");
        assert_eq!(answer.body["email"], ADA);
        assert_eq!(answer.body["user_metadata"], json!({"a": 1}));
        assert_eq!(answer.body["identities"][0]["provider"], "email");
        assert!(site.mails().await.is_empty());
        // Once more, for who has not confirmed: the metadata are merged.
        let again = link(site, json!({"type": "signup", "email": ADA, "data": {"b": 2}})).await;
        assert_eq!(again.body["user_metadata"], json!({"a": 1, "b": 2}));
        let code = again.body["email_otp"].as_str().unwrap();
        assert_eq!(site.verify("signup", ADA, code).await.status, StatusCode::OK);
        assert_eq!(link(site, body).await.refusal(), (422, "email_exists".to_owned()));
        let body = json!({"email": ADA, "password": PASSWORD});
        assert_eq!(site.post("/token?grant_type=password", body).await.status, StatusCode::OK);
    });
}

#[test]
fn a_magic_link_of_somebody_new_is_one_to_sign_up() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let answer = link(site, json!({"type": "magiclink", "email": ADA})).await;
        assert_eq!(answer.body["verification_type"], "signup", "{}", answer.body);
        assert!(!followed(site, &answer).await.is_empty());
        let answer = link(site, json!({"type": "magiclink", "email": ADA})).await;
        assert_eq!(answer.body["verification_type"], "magiclink");
        let code = answer.body["email_otp"].as_str().unwrap();
        assert_eq!(site.verify("magiclink", ADA, code).await.status, StatusCode::OK);
        let answer = link(site, json!({"type": "recovery", "email": ADA})).await;
        assert!(answer.body["recovery_sent_at"].is_string());
        assert!(!followed(site, &answer).await.is_empty());
    });
}

#[test]
fn both_links_of_a_change_are_needed() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        let new = "ada@example.org";
        let of = |kind: &str| json!({"type": kind, "email": ADA, "new_email": new});
        let current = link(site, of("email_change_current")).await;
        assert_eq!(current.body["new_email"], new, "{}", current.body);
        assert_eq!(current.body["verification_type"], "email_change_current");
        assert!(current.body["action_link"].as_str().unwrap().contains("type=email_change&"));
        let newer = link(site, of("email_change_new")).await;
        let hash = newer.body["hashed_token"].as_str().unwrap();
        let half = site.verify_hash("email_change", hash).await;
        assert!(half.body["msg"].is_string(), "{}", half.body);
        let code = current.body["email_otp"].as_str().unwrap();
        let whole = site.verify("email_change", ADA, code).await;
        assert_eq!(whole.body["user"]["email"], new, "{}", whole.body);
    });
}

#[test]
fn what_cannot_be_linked_to_is_refused() {
    let config =
        CONFIRM.replace("[auth.email]\n", "[auth.email]\ndouble_confirm_changes = false\n");
    with_configured_site(&config, async |site: &Site| {
        site.confirmed(ADA).await;
        site.confirmed("bob@example.com").await;
        for (body, status, code) in [
            (json!({"type": "other", "email": ADA}), 400, "validation_failed"),
            (json!({"email": ADA}), 400, "validation_failed"),
            (json!({"type": null, "email": null}), 400, "validation_failed"),
            (json!({"type": "magiclink", "email": "xx:;x@x.x"}), 400, "validation_failed"),
            (json!({"type": "signup", "email": "new@example.com"}), 400, "validation_failed"),
            (
                json!({"type": "signup", "email": "new@example.com", "password": "123"}),
                422,
                "weak_password",
            ),
            (json!({"type": "invite", "email": ADA}), 422, "email_exists"),
            (json!({"type": "recovery", "email": "new@example.com"}), 404, "user_not_found"),
            (
                json!({"type": "email_change_new", "email": "new@example.com", "new_email": "n@b.example"}),
                404,
                "user_not_found",
            ),
            (
                json!({"type": "email_change_new", "email": ADA, "new_email": "bob@example.com"}),
                422,
                "email_exists",
            ),
            (
                json!({"type": "email_change_current", "email": ADA, "new_email": "n@b.example"}),
                400,
                "validation_failed",
            ),
        ] {
            let answer = link(site, body.clone()).await;
            assert_eq!(answer.refusal(), (status, code.to_owned()), "{body}");
        }
        assert_eq!(site.count("auth.users").await, 2);
    });
}

#[test]
fn an_evil_redirect_is_none() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body =
            json!({"type": "magiclink", "email": ADA, "redirect_to": "https://evil.example"});
        let answer = link(site, body).await;
        assert_eq!(answer.body["redirect_to"], "http://localhost:9999/welcome");
        let body = json!({"type": "magiclink", "email": ADA, "redirect_to": "http://127.0.0.1/a"});
        assert_eq!(link(site, body).await.body["redirect_to"], "http://127.0.0.1/a");
    });
}

#[test]
fn an_invitation_is_accepted() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let key = site.service_key();
        let body = json!({"email": ADA, "data": {"team": "blue"}});
        let target = "/invite?redirect_to=http://localhost:3000/join";
        let answer = site.send("POST", target, Some(&key), body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body["invited_at"].is_string());
        assert_eq!(answer.body["user_metadata"], json!({"team": "blue"}));
        assert_eq!(answer.body.get("email_confirmed_at"), None);
        let mail = site.mail_to(ADA).await;
        assert_eq!(mail.message.subject, "You are invited");
        assert_eq!(mail.parameter("type"), "invite");
        assert_eq!(mail.parameter("redirect_to"), "http://localhost:3000/join");
        // An invitation may be sent again until it was accepted.
        assert_eq!(
            site.send("POST", target, Some(&key), body.clone()).await.status,
            StatusCode::OK
        );
        assert!(site.follow(&mail.link()).await.in_fragment("access_token").is_empty());
        let answer = site.follow(&site.mail_to(ADA).await.link()).await;
        assert_eq!(answer.in_fragment("type"), "invite");
        let token = answer.in_fragment("access_token");
        assert_eq!(site.put(&token, json!({"password": PASSWORD})).await.status, StatusCode::OK);
        let again = site.send("POST", target, Some(&key), body).await;
        assert_eq!(again.refusal(), (422, "email_exists".to_owned()));
        assert_eq!(
            (site.logged("user_invited").await, site.logged("invite_accepted").await),
            (2, 1)
        );
    });
}

#[test]
fn without_a_mail_server_nobody_is_invited_but_links_are_made() {
    with_setup(Setup { config: CONFIRM, mail: false, ..Setup::default() }, async |site: &Site| {
        let key = site.service_key();
        let answer = site.send("POST", "/invite", Some(&key), json!({"email": ADA})).await;
        assert_eq!(answer.refusal(), (500, "unexpected_failure".to_owned()));
        assert_eq!(site.count("auth.users").await, 0);
        let answer = link(site, json!({"type": "invite", "email": ADA})).await;
        assert!(answer.body["invited_at"].is_string(), "{}", answer.body);
        assert!(!followed(site, &answer).await.is_empty());
    });
}
