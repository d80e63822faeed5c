//! Another address, and a name for who had none.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{CONFIRM, PASSWORD, SignedIn, Site, with_configured_site};

const OLD: &str = "ada@example.com";
const NEW: &str = "ada@example.org";
const HALF_WAY: &str =
    "Confirmation link accepted. Please proceed to confirm link sent to the other email";

async fn wish(site: &Site<'_>, ada: &SignedIn, email: &str) -> Value {
    let answer = site.put(&ada.token, json!({"email": email})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

async fn email(site: &Site<'_>) -> String {
    site.text("select email from auth.users order by created_at limit 1").await
}

#[test]
fn both_addresses_agree_to_a_change_in_any_order() {
    for [first, second] in [[OLD, NEW], [NEW, OLD]] {
        with_configured_site(CONFIRM, async |site: &Site| {
            let ada = site.confirmed(OLD).await;
            let user = wish(site, &ada, "Ada@Example.ORG").await;
            assert_eq!((&user["email"], &user["new_email"]), (&json!(OLD), &json!(NEW)));
            assert!(user["email_change_sent_at"].is_string());
            let (one, other) = (site.mail_to(first).await, site.mail_to(second).await);
            assert_eq!(one.parameter("type"), "email_change");
            assert_ne!(one.parameter("token"), other.parameter("token"));
            let answer = site.verify("email_change", first, &one.code()).await;
            let half = json!({"msg": HALF_WAY, "code": "200"});
            assert_eq!((answer.status, answer.body), (StatusCode::OK, half));
            assert_eq!(email(site).await, OLD);
            let again = site.verify("email_change", first, &one.code()).await;
            assert_eq!(again.error(), "otp_expired", "one address cannot agree twice");
            let answer = site.follow(&other.link()).await;
            assert_eq!(answer.in_fragment("type"), "email_change");
            let me = site.get("/user", &answer.in_fragment("access_token")).await.body;
            assert_eq!((&me["email"], me.get("new_email")), (&json!(NEW), None));
            assert_eq!(me["identities"][0]["identity_data"]["email"], NEW);
            assert_eq!(me["identities"][0]["email"], NEW);
            assert_eq!(me["identities"].as_array().unwrap().len(), 1);
            let sign_in = json!({"email": NEW, "password": PASSWORD});
            let answer = site.post("/token?grant_type=password", sign_in).await;
            assert_eq!(answer.status, StatusCode::OK);
        });
    }
}

#[test]
fn the_first_of_two_links_says_that_another_one_is_needed() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        wish(site, &ada, NEW).await;
        let answer = site.follow(&site.mail_to(NEW).await.link()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.in_fragment("message"), HALF_WAY);
        assert_eq!(answer.in_fragment("access_token"), "");
        assert_eq!(email(site).await, OLD);
    });
}

#[test]
fn one_address_is_enough_where_that_is_configured() {
    let config =
        CONFIRM.replace("[auth.email]\n", "[auth.email]\ndouble_confirm_changes = false\n");
    with_configured_site(&config, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        let before = site.mails().await.len();
        wish(site, &ada, NEW).await;
        assert_eq!(site.mails().await.len(), before + 1, "the old address is not asked");
        let code = site.mail_to(NEW).await.code();
        let answer = site.verify("email_change", NEW, &code).await;
        assert_eq!(answer.body["user"]["email"], NEW, "{}", answer.body);
    });
}

#[test]
fn who_agreed_to_one_address_has_not_agreed_to_another() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        wish(site, &ada, NEW).await;
        let first = site.mail_to(OLD).await;
        site.follow(&site.mail_to(NEW).await.link()).await;
        let other = "victim@example.net";
        wish(site, &ada, other).await;
        // The token of the first change is worth nothing for the second one.
        let stale = site.follow(&first.link()).await;
        assert_eq!(stale.in_fragment("error_code"), "otp_expired");
        let half = site.follow(&site.mail_to(OLD).await.link()).await;
        assert_eq!(half.in_fragment("message"), HALF_WAY, "the new address was not asked yet");
        assert_eq!(email(site).await, OLD);
    });
}

#[test]
fn a_change_that_is_refused_leaves_the_one_before_as_it_was() {
    let config = CONFIRM.replacen("max_frequency = \"0s\"", "max_frequency = \"60s\"", 1);
    with_configured_site(&config, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        wish(site, &ada, NEW).await;
        site.follow(&site.mail_to(NEW).await.link()).await;
        // Too soon; a wish that went without its tokens would be granted by those of the first one.
        let answer = site.put(&ada.token, json!({"email": "victim@example.net"})).await;
        assert_eq!(answer.refusal(), (429, "over_email_send_rate_limit".to_owned()));
        site.follow(&site.mail_to(OLD).await.link()).await;
        assert_eq!(email(site).await, NEW);
    });
}

#[test]
fn a_taken_address_is_refused_when_it_is_wished_and_when_it_is_proved() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        site.confirmed("bob@example.com").await;
        let answer = site.put(&ada.token, json!({"email": "BOB@example.com"})).await;
        assert_eq!(answer.refusal(), (422, "email_exists".to_owned()));
        wish(site, &ada, NEW).await;
        let codes = [site.mail_to(OLD).await.code(), site.mail_to(NEW).await.code()];
        assert_eq!(site.verify("email_change", OLD, &codes[0]).await.status, StatusCode::OK);
        site.confirmed(NEW).await;
        site.sql("update auth.users set email_change = 'ada@example.org' where email = 'ada@example.com'").await;
        let answer = site.verify("email_change", NEW, &codes[1]).await;
        assert_eq!(answer.refusal(), (422, "email_exists".to_owned()));
        assert_eq!(email(site).await, OLD);
    });
}

#[test]
fn a_change_is_sent_again_and_its_first_tokens_are_void() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        wish(site, &ada, NEW).await;
        let first = [site.mail_to(OLD).await, site.mail_to(NEW).await];
        let answer = site.post("/resend", json!({"type": "email_change", "email": OLD})).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        for mail in first {
            let hash = mail.parameter("token");
            assert_eq!(site.verify_hash("email_change", &hash).await.error(), "otp_expired");
        }
        for address in [OLD, NEW] {
            let code = site.mail_to(address).await.code();
            let answer = site.verify("email_change", address, &code).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        }
        assert_eq!(email(site).await, NEW);
    });
}

#[test]
fn mails_to_the_old_address_are_void_after_a_change() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        site.post("/recover", json!({"email": OLD})).await;
        let recovery = site.mail_to(OLD).await;
        wish(site, &ada, NEW).await;
        for address in [OLD, NEW] {
            site.follow(&site.mail_to(address).await.link()).await;
        }
        assert_eq!(email(site).await, NEW);
        let hash = recovery.parameter("token");
        assert_eq!(site.verify_hash("recovery", &hash).await.error(), "otp_expired");
        assert_eq!(site.verify("recovery", OLD, &recovery.code()).await.error(), "otp_expired");
    });
}

#[test]
fn an_address_that_was_wished_by_many_is_proved_by_its_owner() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        for number in 0..10 {
            let other = site.confirmed(&format!("eve{number}@example.com")).await;
            wish(site, &other, NEW).await;
        }
        wish(site, &ada, NEW).await;
        for address in [OLD, NEW] {
            let code = site.mail_to(address).await.code();
            let answer = site.verify("email_change", address, &code).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        }
        assert_eq!(email(site).await, NEW);
    });
}

const ANONYMOUS: &str = "[auth]\nenable_anonymous_sign_ins = true\n";

#[test]
fn somebody_without_a_name_gets_one_at_once_where_nothing_is_confirmed() {
    with_configured_site(ANONYMOUS, async |site: &Site| {
        let nobody = site.post("/signup", json!({"data": {"cart": 3}})).await.signed_in();
        let alone = site.put(&nobody.token, json!({"password": PASSWORD})).await;
        assert_eq!(alone.refusal(), (422, "validation_failed".to_owned()));
        let body = json!({"email": OLD, "password": PASSWORD});
        let answer = site.put(&nobody.token, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let user = &answer.body;
        assert_eq!((&user["id"], &user["email"]), (&json!(nobody.id), &json!(OLD)));
        assert_eq!((&user["is_anonymous"], user.get("new_email")), (&json!(false), None));
        assert_eq!(user["user_metadata"]["cart"], 3);
        assert_eq!(user["app_metadata"], json!({"provider": "email", "providers": ["email"]}));
        assert_eq!(user["identities"][0]["provider"], "email");
        assert!(site.mails().await.is_empty());
        let answer = site.post("/token?grant_type=password", body).await;
        assert_eq!(answer.claims()["is_anonymous"], false);
        assert_eq!(answer.body["user"]["id"], nobody.id);
        // A taken address is nobody's to take.
        let other = site.post("/signup", json!({})).await.signed_in();
        assert_eq!(site.put(&other.token, json!({"email": OLD})).await.error(), "email_exists");
    });
}

#[test]
fn somebody_without_a_name_proves_the_address_where_that_is_asked() {
    let config = CONFIRM.replacen("[auth]\n", ANONYMOUS, 1);
    with_configured_site(&config, async |site: &Site| {
        let nobody = site.post("/signup", json!({})).await.signed_in();
        let answer = site.put(&nobody.token, json!({"email": OLD})).await;
        assert_eq!(answer.body["is_anonymous"], true, "{}", answer.body);
        assert_eq!((&answer.body["email"], &answer.body["new_email"]), (&json!(""), &json!(OLD)));
        // There is no other address that could agree.
        let code = site.mail_to(OLD).await.code();
        let answer = site.verify("email_change", OLD, &code).await;
        assert_eq!(answer.body["user"]["id"], nobody.id, "{}", answer.body);
        assert_eq!(answer.body["user"]["is_anonymous"], false);
        assert_eq!(answer.claims()["is_anonymous"], false);
        assert!(answer.body["user"]["email_confirmed_at"].is_string());
    });
}

#[test]
fn the_same_address_and_null_change_nothing() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(OLD).await;
        let before = site.mails().await.len();
        for body in [
            json!({"email": "ADA@example.com"}),
            json!({"email": null, "phone": null, "password": null, "data": null, "nonce": null}),
            json!({"email": "", "phone": ""}),
            json!({}),
        ] {
            let answer = site.put(&ada.token, body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{body}");
            assert_eq!(answer.body["email"], OLD, "{body}");
            assert_eq!(answer.body.get("new_email"), None, "{body}");
        }
        let admin = site.put(&ada.token, json!({"app_metadata": {"role": "admin"}})).await;
        assert_eq!(admin.refusal(), (403, "not_admin".to_owned()));
        assert_eq!(site.put(&ada.token, json!({"email": "invalid-email"})).await.status, 400);
        assert_eq!(site.mails().await.len(), before);
    });
}
