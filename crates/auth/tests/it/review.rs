//! What somebody could get who means harm.

use http::{StatusCode, header};
use serde_json::json;

use crate::support::{CHALLENGE, CONFIRM, PASSWORD, Site, VERIFIER, with_configured_site};

const ADA: &str = "ada@example.com";
const PHONE: &str = "15550001111";

/// Somebody signs up with an address that is not theirs, and a password that is.
async fn squat(site: &Site<'_>) {
    let answer = site.post("/signup", json!({"email": ADA, "password": PASSWORD})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

async fn by_password(site: &Site<'_>) -> (u16, String) {
    let body = json!({"email": ADA, "password": PASSWORD});
    let answer = site.post("/token?grant_type=password", body).await;
    if answer.status == StatusCode::OK { (200, String::new()) } else { answer.refusal() }
}

#[test]
fn a_password_of_before_the_address_was_proved_does_not_survive_a_link() {
    for path in ["/otp", "/magiclink", "/recover"] {
        with_configured_site(CONFIRM, async |site: &Site| {
            squat(site).await;
            let first = site.mail_to(ADA).await;
            let answer = site.post(path, json!({"email": ADA})).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            let stale = site.follow(&first.link()).await;
            assert_eq!(stale.in_fragment("error_code"), "otp_expired", "{path}");
            let answer = site.follow(&site.mail_to(ADA).await.link()).await;
            let token = answer.in_fragment("access_token");
            assert_eq!(site.get("/user", &token).await.status, StatusCode::OK, "{path}");
            assert_eq!(by_password(site).await, (400, "invalid_credentials".into()), "{path}");
            let changed = site.put(&token, json!({"password": PASSWORD})).await;
            assert_eq!(changed.status, StatusCode::OK, "{path}: {}", changed.body);
            assert_eq!(by_password(site).await.0, 200, "{path}");
        });
    }
}

#[test]
fn a_password_of_before_the_address_was_proved_does_not_survive_a_code() {
    with_configured_site(CONFIRM, async |site: &Site| {
        squat(site).await;
        site.post("/otp", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        let answer = site.verify("email", ADA, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body["user"]["email_confirmed_at"].is_string());
        assert_eq!(by_password(site).await, (400, "invalid_credentials".into()));
    });
}

#[test]
fn a_password_of_before_the_number_was_proved_does_not_survive_a_code() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"phone": PHONE, "password": PASSWORD});
        assert_eq!(site.post("/signup", body.clone()).await.status, StatusCode::OK);
        assert_eq!(site.post("/otp", json!({"phone": PHONE})).await.status, StatusCode::OK);
        let answer = site.verify_phone("sms", PHONE, &site.code_to(PHONE)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body["user"]["phone_confirmed_at"].is_string());
        let answer = site.post("/token?grant_type=password", body).await;
        assert_eq!(answer.refusal(), (400, "invalid_credentials".into()));
    });
}

async fn sign_up_as(site: &Site<'_>, field: &str, value: &str, password: &str) {
    let answer = site.post("/signup", json!({field: value, "password": password})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(answer.body["id"].is_string(), "{}", answer.body);
}

async fn signs_in(site: &Site<'_>, field: &str, value: &str, password: &str) -> bool {
    let body = json!({field: value, "password": password});
    site.post("/token?grant_type=password", body).await.status == StatusCode::OK
}

#[test]
fn of_two_passwords_for_an_address_that_nobody_has_proved_neither_is_good() {
    let (owner, stranger) = ("correct horse", "battery staple");
    for order in [
        &[stranger, owner][..],
        &[owner, stranger],
        // Giving the first once more does not bring it back.
        &[stranger, owner, stranger],
        &[owner, stranger, owner],
    ] {
        with_configured_site(CONFIRM, async |site: &Site| {
            for password in order {
                sign_up_as(site, "email", ADA, password).await;
                site.mails().await;
            }
            let answer = site.follow(&site.mail_to(ADA).await.link()).await;
            let token = answer.in_fragment("access_token");
            assert!(!token.is_empty(), "{}", answer.location());
            for password in [owner, stranger] {
                assert!(!signs_in(site, "email", ADA, password).await, "{order:?}: {password}");
            }
            let changed = site.put(&token, json!({"password": owner})).await;
            assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
            assert!(signs_in(site, "email", ADA, owner).await);
        });
    }
}

#[test]
fn of_two_passwords_for_a_number_that_nobody_has_proved_neither_is_good() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up_as(site, "phone", PHONE, "battery staple").await;
        sign_up_as(site, "phone", PHONE, "correct horse").await;
        let answer = site.verify_phone("sms", PHONE, &site.code_to(PHONE)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        for password in ["battery staple", "correct horse"] {
            assert!(!signs_in(site, "phone", PHONE, password).await, "{password}");
        }
    });
}

#[test]
fn one_password_that_is_given_twice_stays() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up_as(site, "email", ADA, PASSWORD).await;
        site.mails().await;
        sign_up_as(site, "email", ADA, PASSWORD).await;
        site.follow(&site.mail_to(ADA).await.link()).await;
        assert!(signs_in(site, "email", ADA, PASSWORD).await);
    });
}

#[test]
fn a_stranger_does_not_take_the_password_of_who_was_there() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        sign_up_as(site, "email", ADA, "battery staple").await;
        assert!(signs_in(site, "email", ADA, PASSWORD).await);
        // Here by number, and not yet by address.
        site.sql(
            "update auth.users set phone = '15550001111', phone_confirmed_at = now(), email_confirmed_at = null",
        )
        .await;
        sign_up_as(site, "email", ADA, "battery staple").await;
        assert!(signs_in(site, "phone", PHONE, PASSWORD).await);
    });
}

#[test]
fn an_account_elsewhere_does_not_survive_the_proof_of_an_address_that_it_only_claims() {
    for (path, body) in [
        ("/otp", json!({"email": ADA})),
        ("/recover", json!({"email": ADA})),
        ("/signup", json!({"email": ADA, "password": PASSWORD})),
        ("/resend", json!({"email": ADA, "type": "signup"})),
    ] {
        with_configured_site(CONFIRM, async |site: &Site| {
            squat(site).await;
            site.sql(
                "update auth.users set encrypted_password = null; \
                 update auth.identities set provider = 'github', provider_id = '7'",
            )
            .await;
            let answer = site.post(path, body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            let answer = site.follow(&site.mail_to(ADA).await.link()).await;
            let me = site.get("/user", &answer.in_fragment("access_token")).await;
            assert!(me.body["email_confirmed_at"].is_string(), "{path}: {}", me.body);
            assert_eq!(me.body["app_metadata"]["providers"], json!(["email"]), "{path}");
            assert_eq!(site.count("auth.identities where provider = 'github'").await, 0, "{path}");
        });
    }
}

#[test]
fn who_signed_up_with_the_address_is_not_who_is_invited() {
    with_configured_site(CONFIRM, async |site: &Site| {
        squat(site).await;
        let key = site.service_key();
        let answer = site.send("POST", "/invite", Some(&key), json!({"email": ADA})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let answer = site.follow(&site.mail_to(ADA).await.link()).await;
        assert!(answer.location().contains("access_token"), "{}", answer.location());
        assert_eq!(by_password(site).await, (400, "invalid_credentials".into()));
    });
}

#[test]
fn the_link_for_one_change_of_address_does_not_agree_to_another() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let user = site.confirmed(ADA).await;
        let wish = json!({"email": "one@example.com"});
        assert_eq!(site.put(&user.token, wish).await.status, StatusCode::OK);
        let to_current = site.mail_to(ADA).await;
        let key = site.service_key();
        let other =
            json!({"type": "email_change_new", "email": ADA, "new_email": "two@example.com"});
        let link = site.send("POST", "/admin/generate_link", Some(&key), other).await;
        assert_eq!(link.status, StatusCode::OK, "{}", link.body);
        let hash = link.body["hashed_token"].as_str().unwrap();
        assert_eq!(site.verify_hash("email_change", hash).await.status, StatusCode::OK);
        let stale = site.follow(&to_current.link()).await;
        assert_eq!(stale.in_fragment("error_code"), "otp_expired", "{}", stale.location());
        assert_eq!(site.text("select email from auth.users").await, ADA);
    });
}

#[test]
fn whoever_signs_up_with_an_address_is_not_told_what_others_have_said() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"email": ADA, "password": PASSWORD, "data": {"name": "Ada", "card": "no. 4711"}});
        let first = site.post("/signup", body).await;
        assert_eq!(first.body["user_metadata"]["card"], "no. 4711");
        let body = json!({"email": ADA, "password": "another horse", "data": {"name": "Eve"}});
        let second = site.post("/signup", body).await;
        assert_eq!(second.status, StatusCode::OK, "{}", second.body);
        assert_eq!(second.body["id"], first.body["id"]);
        assert_eq!(second.body["user_metadata"], json!({"name": "Eve"}));
        assert!(!second.body.to_string().contains("no. 4711"), "{}", second.body);
        site.follow(&site.mail_to(ADA).await.link()).await;
        assert_eq!(by_password(site).await.0, 400, "two passwords were given, and neither is good");
    });
}

#[test]
fn a_recovery_is_no_sign_up_of_somebody_who_was_there() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/recover", json!({"email": ADA})).await;
        let hash = site.mail_to(ADA).await.parameter("token");
        assert_eq!(site.verify_hash("signup", &hash).await.error(), "otp_expired");
        assert_eq!(site.verify_hash("recovery", &hash).await.status, StatusCode::OK);
    });
}

#[test]
fn a_password_survives_links_once_its_user_was_there() {
    with_configured_site(CONFIRM, async |site: &Site| {
        squat(site).await;
        site.follow(&site.mail_to(ADA).await.link()).await;
        site.post("/otp", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        assert_eq!(site.verify("email", ADA, &code).await.status, StatusCode::OK);
        assert_eq!(by_password(site).await.0, 200);
    });
}

#[test]
fn a_password_that_is_changed_while_it_is_compared_signs_nobody_in() {
    let hook = "[auth.hook.password_verification_attempt]\nenabled = true\n\
                uri = \"pg-functions://postgres/public/attempt\"";
    with_configured_site(hook, async |site: &Site| {
        site.sign_up(ADA).await;
        // The change comes between the comparison and the session.
        site.sql(
            "create function public.attempt(event jsonb) returns jsonb language plpgsql security definer as $$ begin \
               update auth.users set encrypted_password = 'changed' where id = (event ->> 'user_id')::uuid; \
               return '{\"decision\": \"continue\"}'; end $$; \
             grant execute on function public.attempt to supabase_auth_admin",
        )
        .await;
        assert_eq!(by_password(site).await, (400, "invalid_credentials".into()));
        assert_eq!(site.count("auth.sessions").await, 1, "only that of the sign-up");
        assert_eq!(site.text("select encrypted_password from auth.users").await, "changed");
    });
}

#[test]
fn a_code_does_not_sign_in_who_was_deleted() {
    for half in ["delete", "mark"] {
        with_configured_site(CONFIRM, async |site: &Site| {
            let user = site.confirmed(ADA).await;
            let flow =
                json!({"email": ADA, "code_challenge": CHALLENGE, "code_challenge_method": "s256"});
            assert_eq!(site.post("/otp", flow).await.status, StatusCode::OK);
            let code = site.follow(&site.mail_to(ADA).await.link()).await.in_query("code");
            assert!(!code.is_empty());
            if half == "delete" {
                let target = format!("/admin/users/{}", user.id);
                let key = site.service_key();
                let soft = json!({"should_soft_delete": true});
                let gone = site.send("DELETE", &target, Some(&key), soft).await;
                assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
                assert_eq!(site.count("auth.flow_state").await, 0);
            } else {
                site.sql("update auth.users set deleted_at = now()").await;
            }
            let proof = json!({"auth_code": code, "code_verifier": VERIFIER});
            let answer = site.post("/token?grant_type=pkce", proof).await;
            assert_eq!(answer.refusal(), (404, "flow_state_not_found".into()), "{half}");
        });
    }
}

#[test]
fn nobody_on_the_way_keeps_tokens() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let user = site.confirmed(ADA).await;
        let kept = |answer: &crate::support::Answer| {
            answer.headers.get(header::CACHE_CONTROL).unwrap().to_str().unwrap().to_owned()
        };
        let body = json!({"email": ADA, "password": PASSWORD});
        let signed_in = site.post("/token?grant_type=password", body).await;
        assert_eq!(kept(&signed_in), "no-store");
        assert_eq!(kept(&site.refresh(&user.refresh).await), "no-store");
        assert_eq!(kept(&site.get("/user", &user.token).await), "no-store");
        assert_eq!(kept(&site.refresh("nonsense").await), "no-store");
        assert_eq!(kept(&site.follow("/verify?token=a&type=signup").await), "no-store");
        let keys = site.follow("/.well-known/jwks.json").await;
        assert_eq!(kept(&keys), "public, max-age=600");
    });
}

#[test]
fn many_users_get_no_more_mails_to_one_address_than_one() {
    let config = CONFIRM.replace("max_frequency = \"0s\"", "max_frequency = \"60s\"");
    with_configured_site(&config, async |site: &Site| {
        let eve = site.confirmed("eve@example.com").await;
        let mallory = site.confirmed("mallory@example.com").await;
        let wish = json!({"email": "victim@example.com"});
        assert_eq!(site.put(&eve.token, wish.clone()).await.status, StatusCode::OK);
        let answer = site.put(&mallory.token, wish).await;
        assert_eq!(answer.refusal(), (429, "over_email_send_rate_limit".into()));
    });
}
