//! Signing in by a link or a code, and how often.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use plinth_auth::config::Rate;
use plinth_auth::limits::LimitSettings;
use serde_json::json;

use crate::support::{
    Ask, CONFIRM, PASSWORD, Setup, Site, with_configured_site, with_setup, with_site,
};

const ADA: &str = "ada@example.com";
const NOBODY: &str = "nobody@example.com";

#[test]
fn a_new_address_is_signed_up_by_its_code() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"email": "Ada@Example.com", "data": {"name": "Ada"}, "gotrue_meta_security": {}});
        let answer = site.post("/otp", body).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        let mail = site.mail_to(ADA).await;
        assert_eq!(mail.parameter("type"), "signup");
        let answer = site.verify("email", "ADA@example.com", &mail.code()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["user"]["email"], ADA);
        let metadata = json!({"name": "Ada", "email_verified": true});
        assert_eq!(answer.body["user"]["user_metadata"], metadata);
        // There is no password that anybody could guess.
        for password in ["", PASSWORD] {
            let body = json!({"email": ADA, "password": password});
            let answer = site.post("/token?grant_type=password", body).await;
            assert_eq!(answer.refusal(), (400, "invalid_credentials".to_owned()));
        }
    });
}

#[test]
fn a_new_address_gets_a_magic_link_where_nothing_is_confirmed() {
    with_site(async |site: &Site| {
        let answer = site.post("/otp", json!({"email": ADA})).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        let mail = site.mail_to(ADA).await;
        assert_eq!(mail.parameter("type"), "magiclink");
        assert!(!site.follow(&mail.link()).await.in_fragment("access_token").is_empty());
    });
}

#[test]
fn a_known_address_gets_a_link_to_sign_in() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed(ADA).await;
        for (path, kind) in [("/otp", "email"), ("/magiclink", "magiclink")] {
            let answer = site.post(path, json!({"email": ADA, "create_user": false})).await;
            assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
            let mail = site.mail_to(ADA).await;
            assert_eq!(mail.message.subject, "Your link to sign in");
            assert_eq!(mail.parameter("type"), "magiclink");
            let answer = site.verify(kind, ADA, &mail.code()).await;
            assert_eq!(answer.body["user"]["id"], ada.id, "{}", answer.body);
            assert_eq!(answer.claims()["amr"][0]["method"], "otp");
            assert_eq!(site.verify(kind, ADA, &mail.code()).await.error(), "otp_expired");
        }
        assert_eq!(site.logged("user_recovery_requested").await, 2);
    });
}

#[test]
fn nobody_is_made_where_that_is_not_wanted() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"email": NOBODY, "create_user": false});
        let answer = site.post("/otp", body).await;
        assert_eq!(answer.refusal(), (422, "otp_disabled".to_owned()));
        assert_eq!(answer.message(), "Signups not allowed for otp");
        assert!(site.mails().await.is_empty());
    });
    with_configured_site("[auth]\nenable_signup = false", async |site: &Site| {
        let answer = site.post("/otp", json!({"email": NOBODY})).await;
        assert_eq!(answer.refusal(), (422, "signup_disabled".to_owned()));
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    with_site(async |site: &Site| {
        for (path, body, code) in [
            ("/otp", json!({}), "validation_failed"),
            ("/otp", json!({"email": null, "phone": null, "data": null}), "validation_failed"),
            ("/otp", json!({"email": ADA, "phone": "15550001111"}), "validation_failed"),
            ("/otp", json!({"email": "invalid-email"}), "validation_failed"),
            ("/otp", json!({"phone": "invalid-phone"}), "validation_failed"),
            ("/otp", json!({"phone": "15550001111"}), "phone_provider_disabled"),
            ("/otp", json!({"email": ADA, "code_challenge": "x"}), "validation_failed"),
            ("/otp", json!({"email": ADA, "channel": "pigeon"}), "validation_failed"),
            ("/otp", json!({"email": 5}), "bad_json"),
            ("/magiclink", json!({"phone": "15550001111"}), "validation_failed"),
            ("/recover", json!({}), "validation_failed"),
            ("/recover", json!({"email": null}), "validation_failed"),
            ("/recover", json!({"email": "xx:;x@x.x"}), "validation_failed"),
            ("/resend", json!({"email": ADA}), "validation_failed"),
            ("/resend", json!({"type": null, "email": ADA}), "validation_failed"),
            ("/resend", json!({"type": "recovery", "email": ADA}), "validation_failed"),
            ("/resend", json!({"type": "signup"}), "validation_failed"),
            ("/resend", json!({"type": "sms", "email": ADA}), "validation_failed"),
            (
                "/resend",
                json!({"type": "signup", "email": ADA, "phone": "15550001111"}),
                "validation_failed",
            ),
            ("/resend", json!({"type": "sms", "phone": "15550001111"}), "phone_provider_disabled"),
        ] {
            let answer = site.post(path, body.clone()).await;
            assert_eq!(
                answer.refusal(),
                (400, code.to_owned()),
                "{path} {body}: {}",
                answer.message()
            );
        }
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn links_to_sign_in_can_be_switched_off() {
    let config = CONFIRM.replace("[auth.email]\n", "[auth.email]\nenable_magic_link = false\n");
    with_configured_site(&config, async |site: &Site| {
        site.confirmed(ADA).await;
        for path in ["/otp", "/magiclink"] {
            for email in [ADA, NOBODY] {
                let answer = site.post(path, json!({"email": email})).await;
                assert_eq!(answer.refusal(), (422, "email_provider_disabled".to_owned()));
                assert_eq!(answer.message(), "Login with magic link is disabled");
            }
        }
        assert_eq!(site.post("/recover", json!({"email": ADA})).await.status, StatusCode::OK);
    });
}

/// Every request about an address that anybody may make, and that is to be answered alike for all addresses.
const ALIKE: [(&str, &str); 5] = [
    ("/recover", ""),
    ("/resend", "signup"),
    ("/resend", "email_change"),
    ("/otp", ""),
    ("/magiclink", ""),
];

#[test]
fn answers_do_not_tell_who_is_there() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        for (path, kind) in ALIKE {
            let mut answers = Vec::new();
            for email in [ADA, NOBODY] {
                let answer = site.post(path, json!({"type": kind, "email": email})).await;
                let headers = format!("{:?}", answer.headers);
                answers.push((answer.status, headers, answer.body));
            }
            assert_eq!(answers[0], answers[1], "{path} {kind}");
            assert_eq!(
                (answers[0].0, &answers[0].2),
                (StatusCode::OK, &json!({})),
                "{path} {kind}"
            );
            site.sql(&format!("delete from auth.users where email = '{NOBODY}'")).await;
        }
    });
}

#[test]
fn nothing_is_sent_to_nobody() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        let before = site.mails().await.len();
        for (path, body) in [
            ("/recover", json!({"email": NOBODY})),
            ("/resend", json!({"type": "signup", "email": NOBODY})),
            ("/resend", json!({"type": "signup", "email": ADA})),
            ("/resend", json!({"type": "email_change", "email": ADA})),
        ] {
            assert_eq!(site.post(path, body).await.status, StatusCode::OK);
        }
        assert_eq!(site.mails().await.len(), before);
        assert_eq!(site.count("auth.one_time_tokens").await, 0);
    });
}

#[test]
fn without_a_mail_server_everybody_is_told_the_same() {
    with_setup(Setup { mail: false, ..Setup::default() }, async |site: &Site| {
        site.sign_up(ADA).await;
        for (path, kind) in ALIKE {
            for email in [ADA, NOBODY] {
                let answer = site.post(path, json!({"type": kind, "email": email})).await;
                assert_eq!(
                    answer.refusal(),
                    (500, "unexpected_failure".to_owned()),
                    "{path} {email}"
                );
                assert_eq!(answer.message(), "Error sending email: no mail server is configured");
            }
        }
        assert_eq!(site.count("auth.users").await, 1);
    });
    with_setup(Setup { config: CONFIRM, mail: false, ..Setup::default() }, async |site: &Site| {
        let body = json!({"email": ADA, "password": PASSWORD});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.refusal(), (500, "unexpected_failure".to_owned()));
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn mail_goes_to_authorized_addresses_only() {
    let config = CONFIRM.replace(
        "[auth.email]\n",
        "[auth.email]\nauthorized_addresses = [\"ada@example.com\", \"bob@example.com\"]\n",
    );
    with_configured_site(&config, async |site: &Site| {
        let ada = site.confirmed(ADA).await;
        for (path, kind) in ALIKE {
            let answer = site.post(path, json!({"type": kind, "email": NOBODY})).await;
            assert_eq!(
                answer.refusal(),
                (400, "email_address_not_authorized".to_owned()),
                "{path}"
            );
        }
        let body = json!({"email": NOBODY, "password": PASSWORD});
        assert_eq!(site.post("/signup", body).await.error(), "email_address_not_authorized");
        let change = site.put(&ada.token, json!({"email": NOBODY})).await;
        assert_eq!(change.error(), "email_address_not_authorized");
        assert_eq!(
            site.post("/otp", json!({"email": "ada+label@example.com"})).await.status,
            StatusCode::OK
        );
    });
}

#[test]
fn a_second_mail_has_to_wait_whoever_is_there() {
    let config = CONFIRM.replacen("max_frequency = \"0s\"", "max_frequency = \"60s\"", 1);
    with_configured_site(&config, async |site: &Site| {
        site.confirmed(ADA).await;
        for email in [ADA, NOBODY] {
            for (path, kind, status) in [
                ("/recover", "", 200),
                ("/recover", "", 429),
                // One kind of mail, one pause.
                ("/magiclink", "", 429),
                ("/otp", "", 429),
            ] {
                let answer = site.post(path, json!({"type": kind, "email": email})).await;
                assert_eq!(answer.status, status, "{path} {email}");
                if status == 429 {
                    assert_eq!(answer.error(), "over_email_send_rate_limit");
                    assert_eq!(answer.headers["retry-after"], "60");
                    let message =
                        "For security purposes, you can only request this after 60 seconds.";
                    assert_eq!(answer.message(), message);
                }
            }
        }
        // The address that is there was sent its confirmation a moment ago, the other one is sent its first.
        let body = json!({"email": ADA, "password": PASSWORD});
        assert_eq!(site.post("/signup", body).await.error(), "over_email_send_rate_limit");
        for status in [200, 429] {
            let body = json!({"email": "new@example.com", "password": PASSWORD});
            assert_eq!(site.post("/signup", body).await.status, status);
        }
        let again = json!({"type": "signup", "email": "new@example.com"});
        assert_eq!(site.post("/resend", again).await.status, 429);
        // A password that will not do costs nobody a minute.
        for password in ["123", PASSWORD] {
            let body = json!({"email": "newer@example.com", "password": password});
            assert_ne!(site.post("/signup", body).await.status, 429);
        }
    });
}

#[test]
fn a_project_sends_so_many_mails_whoever_asks() {
    let hourly = Rate { count: 3, per: Duration::from_secs(3600) };
    let limits = LimitSettings { email_sent: Some(hourly), ..LimitSettings::default() };
    with_setup(Setup { config: CONFIRM, limits, ..Setup::default() }, async |site: &Site| {
        site.confirmed(ADA).await;
        for email in [NOBODY, ADA] {
            assert_eq!(site.post("/recover", json!({"email": email})).await.status, StatusCode::OK);
        }
        for email in [NOBODY, ADA] {
            let answer = site.post("/recover", json!({"email": email})).await;
            assert_eq!(answer.refusal(), (429, "over_email_send_rate_limit".to_owned()));
            assert_eq!(answer.message(), "email rate limit exceeded");
            assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
        }
    });
}

#[test]
fn an_address_of_the_network_asks_so_often() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        for (path, body) in [
            ("/recover", json!({"email": NOBODY})),
            ("/verify", json!({"type": "email", "email": NOBODY, "token": "123456"})),
        ] {
            let mut last = None;
            for number in 0..31 {
                let mut body = body.clone();
                body["email"] = format!("nobody{number}@example.com").into();
                let body = Bytes::from(body.to_string());
                last = Some(
                    site.ask(Ask { method: "POST", target: path, body, ip, ..Ask::default() })
                        .await,
                );
            }
            let answer = last.unwrap();
            assert_eq!(answer.refusal(), (429, "over_request_rate_limit".to_owned()), "{path}");
            assert_eq!(answer.message(), "Request rate limit reached");
            assert!(answer.headers.contains_key("retry-after"));
        }
        let link = Ask { target: "/verify?token=a&type=signup", ip, ..Ask::default() };
        let answer = site.ask(link).await;
        assert_eq!(answer.in_fragment("error_code"), "over_request_rate_limit");
    });
}

#[test]
fn digits_cannot_be_guessed() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.confirmed(ADA).await;
        site.post("/otp", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        let wrong: Vec<String> = (0..40).map(|number| format!("{number:06}")).collect();
        let tries = wrong.iter().filter(|wrong| **wrong != code);
        let tries = tries.map(|wrong| site.verify("email", ADA, wrong));
        for answer in futures_util::future::join_all(tries).await {
            assert!(matches!(answer.error().as_str(), "otp_expired" | "over_request_rate_limit"));
        }
        // The right one comes too late ...
        let answer = site.verify("email", ADA, &code).await;
        assert!(matches!(answer.error().as_str(), "otp_expired" | "over_request_rate_limit"));
        // ... but the link of the same mail is not spoiled by who guesses.
        let link = site.mail_to(ADA).await.link();
        assert!(!site.follow(&link).await.in_fragment("access_token").is_empty());
    });
}

#[test]
fn ten_wrong_codes_kill_a_code_and_another_one_lives() {
    let limits = LimitSettings {
        email_sent: None,
        otp_per_identity: 1000,
        burst: 1000,
        ..LimitSettings::default()
    };
    with_setup(Setup { config: CONFIRM, limits, ..Setup::default() }, async |site: &Site| {
        site.confirmed(ADA).await;
        for email in [ADA, NOBODY] {
            for number in 0..12 {
                // Letters: none of them can be right.
                let answer = site.verify("email", email, &format!("wrong{number}")).await;
                assert_eq!(answer.refusal(), (403, "otp_expired".to_owned()));
            }
        }
        site.post("/otp", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        for number in 0..9 {
            site.verify("email", ADA, &format!("wrong{number}")).await;
        }
        assert_eq!(site.verify("email", ADA, &code).await.status, StatusCode::OK, "the tenth try");
        site.post("/otp", json!({"email": ADA})).await;
        let code = site.mail_to(ADA).await.code();
        for number in 0..10 {
            site.verify("email", ADA, &format!("wrong{number}")).await;
        }
        let answer = site.verify("email", ADA, &code).await;
        assert_eq!(answer.refusal(), (403, "otp_expired".to_owned()));
        assert_eq!(answer.message(), "Token has expired or is invalid");
    });
}

#[test]
fn a_token_request_may_be_a_form_and_says_its_grant_once() {
    with_site(async |site: &Site| {
        let ada = site.sign_up(ADA).await;
        let form = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-supabase-api-version", "2024-01-01"),
        ];
        let body = format!(
            "grant_type=password&email=ada%40example.com&password=correct+horse&email={NOBODY}"
        );
        let ask = |target, body: String| Ask {
            method: "POST",
            target,
            headers: &form,
            body: Bytes::from(body),
            ..Ask::default()
        };
        let answer = site.ask(ask("/token", body)).await;
        assert_eq!(answer.body["user"]["id"], ada.id, "{}", answer.body);
        // `curl -d` calls JSON a form, too.
        let body = r#" {"email": "ada@example.com", "password": "correct horse"}"#.to_owned();
        let answer = site.ask(ask("/token?grant_type=password", body)).await;
        assert_eq!(answer.body["user"]["id"], ada.id, "{}", answer.body);
        let body = format!("refresh_token={}", ada.refresh);
        let answer =
            site.ask(ask("/token?grant_type=refresh_token&grant_type=password", body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        for target in ["/token", "/token?grant_type=", "/token?grant_type=other"] {
            let answer = site.post(target, json!({"email": ADA, "password": PASSWORD})).await;
            assert_eq!(answer.refusal(), (400, "invalid_credentials".to_owned()), "{target}");
            assert_eq!(answer.message(), "unsupported_grant_type");
        }
    });
}

#[test]
fn one_address_is_written_in_one_way() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed("mike@example.com").await;
        for written in ["mike@example.com", "MIKE@EXAMPLE.COM", "Mike@Example.Com"] {
            let body = json!({"email": written, "password": PASSWORD});
            let answer = site.post("/token?grant_type=password", body).await;
            assert_eq!(answer.body["user"]["id"], ada.id, "{written}");
        }
        let before = site.mails().await.len();
        for other in [
            "mi\u{212A}e@example.com",
            "m\u{131}ke@example.com",
            "M\u{130}KE@example.com",
            "mike@example.com ",
            " mike@example.com",
            "mike@example.com\u{0}",
            "mik\u{435}@example.com",
            "mike@example.com,eve@example.com",
            "mike@example.com\r\nBcc: eve@example.com",
        ] {
            for path in ["/signup", "/otp", "/recover", "/token?grant_type=password"] {
                let body = json!({"email": other, "password": PASSWORD});
                let answer = site.post(path, body).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {other:?}");
            }
        }
        assert_eq!(site.mails().await.len(), before);
        assert_eq!(site.count("auth.users").await, 1);
    });
}

#[test]
fn the_reply_does_not_wait_for_the_mail_server() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.slow_mail(Duration::from_millis(300));
        let begun = std::time::Instant::now();
        let body = json!({"email": ADA, "password": PASSWORD});
        assert_eq!(site.post("/signup", body).await.status, StatusCode::OK);
        // A session of SMTP has five replies at least.
        let took = begun.elapsed();
        assert!(site.is_mailing(), "the mail is still on its way after {took:?}");
        site.slow_mail(Duration::ZERO);
        site.mail_to(ADA).await;
    });
}
