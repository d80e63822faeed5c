//! Confirming a new address: by link, by code, once, in time.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, CONFIRM, PASSWORD, Site, with_configured_site, with_site};

const ADA: &str = "ada@example.com";

async fn sign_up(site: &Site<'_>, email: &str) -> Answer {
    let data = json!({"name": "Ada"});
    let body = json!({"email": email, "password": PASSWORD, "data": data});
    let answer = site.post("/signup?redirect_to=http://localhost:3000/welcome", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer
}

async fn sign_in(site: &Site<'_>) -> Answer {
    let body = json!({"email": ADA, "password": PASSWORD});
    site.post("/token?grant_type=password", body).await
}

#[test]
fn the_link_of_a_sign_up_confirms_and_signs_in() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let user = sign_up(site, ADA).await.body;
        assert_eq!(user["user_metadata"], json!({"name": "Ada"}));
        assert!(user["confirmation_sent_at"].is_string());
        for absent in ["email_confirmed_at", "confirmed_at", "last_sign_in_at", "access_token"] {
            assert_eq!(user.get(absent), None, "{absent}");
        }
        let identity = &user["identities"][0]["identity_data"];
        assert_eq!(identity["email_verified"], false);
        assert_eq!(sign_in(site).await.refusal(), (400, "email_not_confirmed".to_owned()));

        let mail = site.mail_to(ADA).await;
        assert_eq!(mail.parameter("type"), "signup");
        assert_eq!(mail.parameter("redirect_to"), "http://localhost:3000/welcome");
        let answer = site.follow(&mail.link()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(answer.location().starts_with("http://localhost:3000/welcome#access_token="));
        assert_eq!(answer.in_fragment("token_type"), "bearer");
        assert_eq!(answer.in_fragment("type"), "signup");
        assert_eq!(answer.in_fragment("expires_in"), "3600");
        assert!(answer.location().contains("&sb=&"));

        let me = site.get("/user", &answer.in_fragment("access_token")).await;
        assert_eq!(me.status, StatusCode::OK, "{}", me.body);
        assert!(me.body["email_confirmed_at"].is_string());
        assert_eq!(me.body["user_metadata"], json!({"name": "Ada", "email_verified": true}));
        assert_eq!(me.body["identities"][0]["identity_data"]["email_verified"], true);
        let again = site.refresh(&answer.in_fragment("refresh_token")).await;
        assert_eq!(again.status, StatusCode::OK);
        assert_eq!(again.claims()["amr"][0]["method"], "otp");
        assert_eq!(sign_in(site).await.status, StatusCode::OK);
        for (action, times) in
            [("user_confirmation_requested", 1), ("user_signedup", 1), ("login", 2)]
        {
            assert_eq!(site.logged(action).await, times, "{action}");
        }
    });
}

#[test]
fn the_code_of_a_sign_up_does_as_its_link() {
    with_configured_site(CONFIRM, async |site: &Site| {
        for (kind, email) in [("signup", ADA), ("email", "bob@example.com")] {
            sign_up(site, email).await;
            let code = site.mail_to(email).await.code();
            assert_eq!(code.len(), 6);
            let answer = site.verify(kind, email, &code).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert!(answer.body["user"]["email_confirmed_at"].is_string());
            assert_eq!(answer.claims()["amr"][0]["method"], "otp");
            assert_eq!(answer.claims()["aal"], "aal1");
        }
    });
}

#[test]
fn the_digest_of_a_link_does_as_the_link() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let hash = site.mail_to(ADA).await.parameter("token");
        let both = json!({"type": "signup", "token_hash": hash, "email": ADA});
        assert_eq!(site.post("/verify", both).await.error(), "validation_failed");
        let answer = site.verify_hash("email", &hash).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let again = site.verify_hash("email", &hash).await;
        assert_eq!(again.refusal(), (403, "otp_expired".to_owned()));
        assert_eq!(again.message(), "Email link is invalid or has expired");
    });
}

#[test]
fn a_token_is_good_once_by_whichever_way() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let mail = site.mail_to(ADA).await;
        site.follow(&mail.link()).await;
        let answer = site.follow(&mail.link()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(answer.location().starts_with("http://localhost:3000/welcome#error="));
        assert_eq!(answer.in_fragment("error"), "access_denied");
        assert_eq!(answer.in_fragment("error_code"), "otp_expired");
        assert_eq!(answer.in_fragment("error_description"), "Email link is invalid or has expired");
        assert!(answer.location().ends_with("&sb="));
        assert_eq!(answer.in_query("error"), "");
        let code = site.verify("signup", ADA, &mail.code()).await;
        assert_eq!(code.refusal(), (403, "otp_expired".to_owned()));
        assert_eq!(code.message(), "Token has expired or is invalid");
        assert_eq!(site.count("auth.sessions").await, 1);
    });
}

#[test]
fn of_many_at_the_same_time_one_uses_a_token() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let code = site.mail_to(ADA).await.code();
        let tries = (0..6).map(|_| site.verify("signup", ADA, &code));
        let answers = futures_util::future::join_all(tries).await;
        let good = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(good, 1);
        for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert_eq!(refused.refusal(), (403, "otp_expired".to_owned()));
        }
        assert_eq!(site.count("auth.sessions").await, 1);
    });
}

#[test]
fn a_token_has_its_time() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let mail = site.mail_to(ADA).await;
        let age =
            "update auth.one_time_tokens set created_at = created_at - interval '3605 seconds'";
        site.sql(age).await;
        assert_eq!(site.verify("signup", ADA, &mail.code()).await.error(), "otp_expired");
        assert_eq!(site.follow(&mail.link()).await.in_fragment("error_code"), "otp_expired");
        let hash = mail.parameter("token");
        assert_eq!(site.verify_hash("signup", &hash).await.error(), "otp_expired");
        site.sql("update auth.one_time_tokens set created_at = created_at + interval '60 seconds'")
            .await;
        assert_eq!(site.verify("signup", ADA, &mail.code()).await.status, StatusCode::OK);
    });
}

#[test]
fn a_token_is_for_what_it_was_sent_for() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let mail = site.mail_to(ADA).await;
        let hash = mail.parameter("token");
        for kind in ["recovery", "magiclink", "email_change", "phone_change"] {
            assert_eq!(site.verify_hash(kind, &hash).await.error(), "otp_expired", "{kind}");
            let link = mail.link().replace("type=signup", &format!("type={kind}"));
            assert_eq!(site.follow(&link).await.in_fragment("error_code"), "otp_expired", "{kind}");
        }
        for kind in ["recovery", "magiclink", "email_change"] {
            assert_eq!(site.verify(kind, ADA, &mail.code()).await.error(), "otp_expired", "{kind}");
        }
        assert_eq!(site.verify("signup", ADA, &mail.code()).await.status, StatusCode::OK);
    });
}

#[test]
fn sending_again_renews_the_token() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let first = site.mail_to(ADA).await;
        let body = json!({"type": "signup", "email": ADA});
        let answer = site.post("/resend", body.clone()).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        let second = site.mail_to(ADA).await;
        assert_ne!(first.parameter("token"), second.parameter("token"));
        assert_eq!(
            site.verify_hash("signup", &first.parameter("token")).await.error(),
            "otp_expired"
        );
        assert_eq!(site.verify("signup", ADA, &second.code()).await.status, StatusCode::OK);
        // Nothing is left to be confirmed.
        let answer = site.post("/resend", body).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        assert_eq!(site.mails().await.len(), 2);
    });
}

#[test]
fn a_second_sign_up_sends_again() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let first = sign_up(site, ADA).await.body;
        // Mails that are under way together arrive in any order.
        assert_eq!(site.mails().await.len(), 1);
        let second = sign_up(site, ADA).await;
        assert_eq!((second.status, &second.body["id"]), (StatusCode::OK, &first["id"]));
        assert_eq!(site.mails().await.len(), 2);
        let code = site.mail_to(ADA).await.code();
        assert_eq!(site.verify("signup", ADA, &code).await.status, StatusCode::OK);
        assert_eq!(sign_in(site).await.status, StatusCode::OK);
    });
}

#[test]
fn signing_up_with_a_taken_address_looks_as_if_it_were_free() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(ADA).await;
        let mails = site.mails().await.len();
        let taken = sign_up(site, "ADA@example.com").await.body;
        assert_eq!(site.mails().await.len(), mails, "nobody is sent anything");
        let free = sign_up(site, "new@example.com").await.body;
        let keys = |user: &Value| user.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&taken), keys(&free));
        assert_ne!(taken["id"], ada.id);
        assert_eq!(taken["email"], ADA);
        // The known signs by which clients tell people that they have an account.
        assert_eq!((&taken["identities"], &taken["role"]), (&json!([]), &json!("")));
        for same in ["aud", "phone", "app_metadata", "user_metadata", "is_anonymous"] {
            assert_eq!(taken[same], free[same], "{same}");
        }
        assert_eq!(site.logged("user_repeated_signup").await, 1);
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    with_site(async |site: &Site| {
        for (body, message) in [
            (json!({"token": "123456", "email": ADA}), "Verify requires a verification type"),
            (json!({"type": null, "token": "1"}), "Verify requires a verification type"),
            (
                json!({"type": "signup", "email": ADA}),
                "Verify requires either a token or a token hash",
            ),
            (
                json!({"type": "signup", "email": ADA, "token": null, "token_hash": null}),
                "Verify requires either a token or a token hash",
            ),
            (
                json!({"type": "signup", "token": "1", "token_hash": "2"}),
                "Verify requires either a token or a token hash",
            ),
            (
                json!({"type": "signup", "token_hash": "2", "email": ADA}),
                "Only the token_hash and type should be provided",
            ),
            (
                json!({"type": "signup", "token": "1", "email": ADA, "phone": "15550001111"}),
                "Only an email address or phone number should be provided on verify",
            ),
            (
                json!({"type": "signup", "token": "1"}),
                "Only an email address or phone number should be provided on verify",
            ),
            (
                json!({"type": "sms", "token": "1", "phone": "1-invalid"}),
                "Invalid phone number format (E.164 required)",
            ),
            (
                json!({"type": "email", "token": "1", "email": "nobody"}),
                "Unable to validate email address: invalid format",
            ),
            (json!({"type": "other", "token": "1", "email": ADA}), "Unsupported verification type"),
        ] {
            let answer = site.post("/verify", body.clone()).await;
            assert_eq!(answer.refusal(), (400, "validation_failed".to_owned()), "{body}");
            assert_eq!(answer.message(), message, "{body}");
        }
    });
}

#[test]
fn wrong_tokens_of_nobody_are_wrong_tokens() {
    with_configured_site(
        "[auth]\nenable_signup = false\n[auth.email]\nenable_signup = false",
        async |site: &Site| {
            for body in [
                json!({"type": "email", "email": ADA, "token": "invalid-token"}),
                json!({"type": "sms", "phone": "+15550001111", "token": "123456"}),
                json!({"type": "phone_change", "phone": "+15550001111", "token": "123456"}),
                json!({"type": "email_change", "email": ADA, "token": "123456"}),
            ] {
                let answer = site.post("/verify", body.clone()).await;
                assert_eq!(answer.refusal(), (403, "otp_expired".to_owned()), "{body}");
                assert_eq!(answer.message(), "Token has expired or is invalid", "{body}");
            }
        },
    );
}

#[test]
fn links_lead_only_where_they_may() {
    let config = CONFIRM.replacen(
        "[auth]\n",
        "[auth]\nadditional_redirect_urls = [\"https://app.example.com/**\", \"myapp://*\"]\n",
        1,
    );
    with_configured_site(&config, async |site: &Site| {
        for (wanted, place) in [
            ("https://app.example.com/a/b?c=d", "https://app.example.com/a/b?c=d#"),
            ("myapp://callback", "myapp://callback#"),
            ("http://127.0.0.1:9999/x", "http://127.0.0.1:9999/x#"),
            ("http://localhost:3000/deep", "http://localhost:3000/deep#"),
            ("https://app.example.com/a#old=1", "https://app.example.com/a#access_token="),
            ("https://evil.example", "http://localhost:3000#"),
            ("//evil.example", "http://localhost:3000#"),
            ("https://app.example.com@evil.example/", "http://localhost:3000#"),
            ("https://app.example.com.evil.example/", "http://localhost:3000#"),
            ("https://evil.example/https://app.example.com/", "http://localhost:3000#"),
            ("https:\\\\evil.example", "http://localhost:3000#"),
            ("javascript:alert(1)", "http://localhost:3000#"),
            ("data:text/html,x", "http://localhost:3000#"),
            ("ada@example.com", "http://localhost:3000#"),
            ("http://localhost:3000\r\nx: y", "http://localhost:3000#"),
            ("", "http://localhost:3000#"),
        ] {
            site.sql("delete from auth.users").await;
            let encoded: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
            // What the request for the mail says...
            let body = json!({"email": ADA, "password": PASSWORD});
            let answer = site.post(&format!("/signup?redirect_to={encoded}"), body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            let mail = site.mail_to(ADA).await;
            let said = mail.parameter("redirect_to");
            let expected = place.split('#').next().unwrap();
            assert_eq!(said.split('#').next().unwrap(), expected, "{wanted:?}");
            // ... and what somebody makes of the link.
            let link = format!(
                "/verify?token={}&type=signup&redirect_to={encoded}&redirect_to=https%3A%2F%2Fevil.example",
                mail.parameter("token")
            );
            let answer = site.follow(&link).await;
            assert!(answer.location().starts_with(place), "{wanted:?}: {}", answer.location());
            let failed = site.follow(&link).await;
            assert!(failed.location().starts_with(expected), "{wanted:?}: {}", failed.location());
            assert_eq!(failed.in_fragment("error_code"), "otp_expired");
        }
    });
}

#[test]
fn a_referer_is_no_more_than_the_parameter() {
    with_configured_site(CONFIRM, async |site: &Site| {
        for (referer, place) in [
            ("http://127.0.0.1:5555/page", "http://127.0.0.1:5555/page#"),
            ("https://evil.example/", "http://localhost:3000#"),
        ] {
            let headers = [("referer", referer)];
            let ask = Ask {
                target: "/verify?token=abc&type=signup&redirect_to=https%3A%2F%2Fevil.example",
                headers: &headers,
                ..Ask::default()
            };
            let answer = site.ask(ask).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER);
            assert!(answer.location().starts_with(place), "{}", answer.location());
        }
    });
}

#[test]
fn a_look_at_a_link_does_not_use_it_up() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let mail = site.mail_to(ADA).await;
        let link = mail.link();
        for target in [link.as_str(), "/verify?token=unknown&type=signup"] {
            let look = Ask { method: "HEAD", target, headers: &[], ..Ask::default() };
            let answer = site.ask(look).await;
            assert_eq!(answer.status, StatusCode::OK, "the same for a token that does not exist");
            assert_eq!(answer.headers.len(), 1, "only that it is not to be kept");
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
        assert!(!site.follow(&link).await.in_fragment("access_token").is_empty());
    });
}

#[test]
fn whoever_reads_the_database_learns_no_link_and_no_code() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let stored = site.text("select token_hash from auth.one_time_tokens").await;
        assert_eq!(stored, site.text("select confirmation_token from auth.users").await);
        assert_eq!(site.verify_hash("signup", &stored).await.error(), "otp_expired");
        // The digits alone do not give the digest of the link: it cannot be used to try them all.
        let (mail, digest) = (site.mail_to(ADA).await, "encode(sha224(convert_to('ada@example.com");
        let guess = site.text(&format!("select {digest}{}', 'UTF8')), 'hex')", mail.code())).await;
        assert_ne!(guess, mail.parameter("token"));
        assert_eq!(site.verify_hash("signup", &guess).await.error(), "otp_expired");
    });
}

#[test]
fn a_banned_user_and_a_deleted_one_stay_out() {
    with_configured_site(CONFIRM, async |site: &Site| {
        sign_up(site, ADA).await;
        let mail = site.mail_to(ADA).await;
        site.sql("update auth.users set banned_until = now() + interval '1 day'").await;
        let code = site.verify("signup", ADA, &mail.code()).await;
        assert_eq!(code.refusal(), (403, "user_banned".to_owned()));
        assert_eq!(site.follow(&mail.link()).await.in_fragment("error_code"), "user_banned");
        site.sql("update auth.users set banned_until = null, deleted_at = now()").await;
        assert_eq!(site.verify("signup", ADA, &mail.code()).await.error(), "otp_expired");
        assert_eq!(site.follow(&mail.link()).await.in_fragment("error_code"), "otp_expired");
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}

#[test]
fn codes_have_the_length_and_the_life_that_is_configured() {
    let config =
        CONFIRM.replace("[auth.email]\n", "[auth.email]\notp_length = 8\notp_expiry = 60\n");
    with_configured_site(&config, async |site: &Site| {
        sign_up(site, ADA).await;
        let code = site.mail_to(ADA).await.code();
        assert_eq!(code.len(), 8);
        site.sql("update auth.one_time_tokens set created_at = created_at - interval '62 seconds'")
            .await;
        assert_eq!(site.verify("signup", ADA, &code).await.error(), "otp_expired");
    });
}
