//! Signing up and in by text message, and another number.

use http::StatusCode;
use plinth_auth::sms::Channel;
use serde_json::json;

use crate::support::{CONFIRM, PASSWORD, Setup, Site, with_configured_site, with_setup};

const PHONE: &str = "15551234567";
const OTHER: &str = "15557654321";

#[test]
fn a_number_is_signed_up_and_confirmed_by_its_code() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let body = json!({"phone": "+1 555 123 4567", "password": PASSWORD, "channel": "whatsapp", "data": null});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!((&answer.body["phone"], &answer.body["email"]), (&json!(PHONE), &json!("")));
        assert_eq!(answer.body["app_metadata"]["provider"], "phone");
        assert_eq!(answer.body.get("phone_confirmed_at"), None);
        let sent = &site.messages()[0];
        assert_eq!((sent.phone.as_str(), sent.channel), (PHONE, Channel::Whatsapp));
        assert!(sent.text.contains(&sent.code));
        let sign_in = json!({"phone": PHONE, "password": PASSWORD});
        let early = site.post("/token?grant_type=password", sign_in.clone()).await;
        assert_eq!(early.refusal(), (400, "phone_not_confirmed".to_owned()));

        let answer = site.verify_phone("sms", "+15551234567", &site.code_to(PHONE)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body["user"]["phone_confirmed_at"].is_string());
        assert_eq!(answer.claims()["phone"], PHONE);
        assert_eq!(answer.claims()["amr"][0]["method"], "otp");
        let identity = &answer.body["user"]["identities"][0]["identity_data"];
        assert_eq!(identity["phone_verified"], true);
        let again = site.verify_phone("sms", PHONE, &site.code_to(PHONE)).await;
        assert_eq!(again.refusal(), (403, "otp_expired".to_owned()));
        assert_eq!(site.post("/token?grant_type=password", sign_in).await.status, StatusCode::OK);
    });
}

#[test]
fn a_code_by_message_signs_in_whoever_has_the_phone() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let answer = site.post("/otp", json!({"phone": PHONE})).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert!(answer.body["message_id"].is_string());
            let answer = site.verify_phone("sms", PHONE, &site.code_to(PHONE)).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            ids.push(answer.body["user"]["id"].clone());
        }
        assert_eq!(ids[0], ids[1]);
        assert_eq!(site.logged("user_signedup").await, 1);
        let body = json!({"phone": OTHER, "create_user": false});
        assert_eq!(site.post("/otp", body).await.refusal(), (422, "otp_disabled".to_owned()));
    });
}

#[test]
fn a_code_is_for_its_number_its_purpose_and_its_time() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.post("/otp", json!({"phone": PHONE})).await;
        site.post("/otp", json!({"phone": OTHER})).await;
        let code = site.code_to(PHONE);
        assert_eq!(site.verify_phone("sms", OTHER, &code).await.error(), "otp_expired");
        assert_eq!(site.verify_phone("phone_change", PHONE, &code).await.error(), "otp_expired");
        assert_eq!(site.verify_phone("signup", PHONE, &code).await.error(), "validation_failed");
        site.grow_old().await;
        assert_eq!(site.verify_phone("sms", PHONE, &code).await.error(), "otp_expired");
        // Sent again it is another one.
        let body = json!({"type": "sms", "phone": PHONE});
        assert_eq!(site.post("/resend", body).await.status, StatusCode::OK);
        assert_ne!(site.code_to(PHONE), code);
        let answer = site.verify_phone("sms", PHONE, &site.code_to(PHONE)).await;
        assert_eq!(answer.status, StatusCode::OK);
    });
}

#[test]
fn sending_again_does_not_tell_who_is_there() {
    let alike = async |site: &Site<'_>| {
        for kind in ["sms", "phone_change"] {
            for phone in [PHONE, OTHER] {
                let answer = site.post("/resend", json!({"type": kind, "phone": phone})).await;
                assert_eq!(
                    (answer.status, answer.body),
                    (StatusCode::OK, json!({})),
                    "{kind} {phone}"
                );
            }
        }
    };
    with_configured_site(CONFIRM, async |site: &Site| {
        site.post("/otp", json!({"phone": PHONE})).await;
        alike(site).await;
        assert_eq!(site.messages().len(), 2, "the number that was not confirmed was sent its code");
    });
}

#[test]
fn a_user_changes_to_a_number_that_is_proved() {
    with_configured_site(CONFIRM, async |site: &Site| {
        let ada = site.confirmed("ada@example.com").await;
        let bob = json!({"phone": OTHER, "password": PASSWORD});
        site.post("/signup", bob).await;
        let taken = site.put(&ada.token, json!({"phone": OTHER})).await;
        assert_eq!(taken.refusal(), (422, "phone_exists".to_owned()));
        let bad = site.put(&ada.token, json!({"phone": PHONE, "channel": "pigeon"})).await;
        assert_eq!(bad.refusal(), (400, "validation_failed".to_owned()));
        let answer = site.put(&ada.token, json!({"phone": "+15551234567"})).await;
        assert_eq!(answer.body["new_phone"], PHONE, "{}", answer.body);
        assert_eq!(answer.body["phone"], "");
        let first = site.code_to(PHONE);
        // Another wish takes the place of the first one.
        site.put(&ada.token, json!({"phone": "15550009999"})).await;
        assert_eq!(site.verify_phone("phone_change", PHONE, &first).await.error(), "otp_expired");
        site.put(&ada.token, json!({"phone": PHONE})).await;
        let code = site.code_to(PHONE);
        assert_eq!(site.verify_phone("sms", PHONE, &code).await.error(), "otp_expired");
        let answer = site.verify_phone("phone_change", PHONE, &code).await;
        let user = &answer.body["user"];
        assert_eq!(
            (&user["id"], &user["phone"]),
            (&json!(ada.id), &json!(PHONE)),
            "{}",
            answer.body
        );
        assert_eq!(user.get("new_phone"), None);
        assert!(user["phone_confirmed_at"].is_string());
        assert_eq!(user["app_metadata"]["providers"], json!(["email", "phone"]));
        assert_eq!(answer.claims()["phone"], PHONE);
    });
}

#[test]
fn a_number_applies_at_once_where_none_is_confirmed() {
    let config = "[auth.sms]\nenable_signup = true\n";
    with_setup(Setup { config, sms: false, ..Setup::default() }, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let answer = site.put(&ada.token, json!({"phone": PHONE})).await;
        assert_eq!(answer.body["phone"], PHONE, "{}", answer.body);
        let body = json!({"phone": OTHER, "password": PASSWORD});
        let answer = site.post("/signup", body).await;
        assert!(answer.body["access_token"].is_string(), "{}", answer.body);
        assert_eq!(answer.body["user"]["app_metadata"]["provider"], "phone");
        let taken = json!({"phone": OTHER, "password": PASSWORD});
        assert_eq!(site.post("/signup", taken).await.error(), "user_already_exists");
    });
}

#[test]
fn without_a_carrier_everybody_is_told_the_same() {
    with_setup(Setup { config: CONFIRM, sms: false, ..Setup::default() }, async |site: &Site| {
        for (path, body) in [
            ("/otp", json!({"phone": PHONE})),
            ("/otp", json!({"phone": PHONE, "channel": "whatsapp"})),
            ("/signup", json!({"phone": PHONE, "password": PASSWORD})),
            ("/resend", json!({"type": "sms", "phone": PHONE})),
        ] {
            let answer = site.post(path, body).await;
            assert_eq!(answer.refusal(), (422, "sms_send_failed".to_owned()), "{path}");
        }
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn numbers_of_tests_have_their_codes_and_are_sent_nothing() {
    let config = CONFIRM.to_owned() + "[auth.sms.test_otp]\n15551234567 = \"424242\"\n";
    with_setup(Setup { config: &config, sms: false, ..Setup::default() }, async |site: &Site| {
        let answer = site.post("/otp", json!({"phone": PHONE})).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
        assert_eq!(site.verify_phone("sms", PHONE, "424243").await.error(), "otp_expired");
        let answer = site.verify_phone("sms", PHONE, "424242").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        // Nothing was asked for a second time.
        assert_eq!(site.verify_phone("sms", PHONE, "424242").await.error(), "otp_expired");
        let ada = site.confirmed("ada@example.com").await;
        site.sql("delete from auth.users where phone = '15551234567'").await;
        site.put(&ada.token, json!({"phone": PHONE})).await;
        let answer = site.verify_phone("phone_change", PHONE, "424242").await;
        assert_eq!(answer.body["user"]["phone"], PHONE, "{}", answer.body);
        assert!(site.messages().is_empty());
    });
}

#[test]
fn codes_that_are_set_end_when_they_are_to_end() {
    let over = "test_otp_valid_until = \"2020-01-01T00:00:00Z\"\n[auth.sms.test_otp]\n15551234567 = \"424242\"\n";
    let config = CONFIRM.to_owned() + over;
    with_configured_site(&config, async |site: &Site| {
        site.post("/otp", json!({"phone": PHONE})).await;
        assert_eq!(site.messages().len(), 1);
        let answer = site.verify_phone("sms", PHONE, "424242").await;
        assert!(answer.status == StatusCode::FORBIDDEN || site.code_to(PHONE) == "424242");
    });
}

#[test]
fn one_number_is_written_in_few_ways() {
    with_configured_site(CONFIRM, async |site: &Site| {
        for written in ["+15551234567", "15551234567", "+1 555 123 4567"] {
            assert_eq!(site.post("/otp", json!({"phone": written})).await.status, StatusCode::OK);
        }
        assert_eq!(site.count("auth.users").await, 1);
        for other in [
            "005551234567",
            "1-555-123-4567",
            "１５５５１２３４５６７",
            "1555123456a",
            "++15551234567",
            "1555\t1234567",
            "12345678901234567890",
            "'; drop table auth.users; --",
        ] {
            for path in ["/otp", "/signup", "/token?grant_type=password"] {
                let body = json!({"phone": other, "password": PASSWORD});
                let answer = site.post(path, body).await;
                assert_eq!(
                    answer.refusal(),
                    (400, "validation_failed".to_owned()),
                    "{path} {other}"
                );
                assert_eq!(answer.message(), "Invalid phone number format (E.164 required)");
            }
        }
    });
}

#[test]
fn a_second_message_has_to_wait_whoever_is_there() {
    let config = CONFIRM.replace("max_frequency = \"0s\"", "max_frequency = \"30s\"");
    with_configured_site(&config, async |site: &Site| {
        assert_eq!(site.post("/otp", json!({"phone": PHONE})).await.status, StatusCode::OK);
        for (path, body) in [
            ("/otp", json!({"phone": PHONE})),
            ("/resend", json!({"type": "sms", "phone": PHONE})),
            ("/signup", json!({"phone": PHONE, "password": PASSWORD})),
        ] {
            let answer = site.post(path, body).await;
            assert_eq!(answer.refusal(), (429, "over_sms_send_rate_limit".to_owned()), "{path}");
            assert_eq!(answer.headers["retry-after"], "30");
        }
        for status in [200, 429] {
            let body = json!({"type": "sms", "phone": OTHER});
            assert_eq!(site.post("/resend", body).await.status, status, "nobody is there");
        }
    });
}

#[test]
fn a_user_by_phone_is_sent_the_nonce_by_message() {
    let config = "[auth.sms]\nenable_signup = true\nmax_frequency = \"0s\"\n[auth.email]\nsecure_password_change = true\n";
    with_configured_site(config, async |site: &Site| {
        let body = json!({"phone": PHONE, "password": PASSWORD});
        let ada = site.post("/signup", body).await.signed_in();
        site.sql("update auth.sessions set created_at = created_at - interval '25 hours'").await;
        let answer = site.get("/reauthenticate", &ada.token).await;
        assert!(answer.body["message_id"].is_string(), "{}", answer.body);
        let body = json!({"password": "another horse", "nonce": site.code_to(PHONE)});
        assert_eq!(site.put(&ada.token, body).await.status, StatusCode::OK);
    });
}
