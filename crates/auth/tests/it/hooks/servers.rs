//! Hooks that are servers.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::listener::{Listener, agree};
use crate::support::{Ask, PASSWORD, Setup, Site, with_configured_site, with_setup};

/// Waits until the server was asked so often.
async fn asked(listener: &Listener, times: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while listener.asked().len() < times {
        assert!(Instant::now() < deadline, "{:?}", listener.asked());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    listener.asked()
}

#[test]
fn a_server_gives_the_claims() {
    let listener = Listener::start(|payload| {
        let mut claims = payload["claims"].clone();
        claims["plan"] = json!("gold");
        json!({"claims": claims})
    });
    with_configured_site(&listener.config("custom_access_token"), async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        assert_eq!(ada.claims()["plan"], "gold");
        let asked = listener.asked();
        assert_eq!(asked[0]["user_id"], ada.id.as_str());
        assert_eq!(asked[0]["claims"]["email"], "ada@example.com");
        assert_eq!(asked[0]["claims"]["iss"], site.issuer());
        assert_eq!(asked[0]["metadata"]["ip_address"], "127.0.0.1");
    });
}

#[test]
fn a_server_may_refuse_a_sign_in() {
    let listener = Listener::start(|_| json!({"error": {"http_code": 429, "message": "Later."}}));
    with_configured_site(&listener.config("custom_access_token"), async |site: &Site| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let answer = site.post("/signup", body).await;
        assert_eq!((answer.status.as_u16(), answer.message()), (429, "Later."));
        assert_eq!(site.count("auth.sessions").await, 0);
    });
}

#[test]
fn a_server_that_knows_another_secret_is_no_consent() {
    let listener = Listener::start(agree);
    let config = listener.config("before_user_created").replace("MDEy", "MDEz");
    with_configured_site(&config, async |site: &Site| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.refusal(), (500, "unexpected_failure".to_owned()));
        assert_eq!(answer.message(), "Hook requires authorization token");
        assert_eq!(site.count("auth.users").await, 0);
        assert!(listener.asked().is_empty());
    });
}

#[test]
fn a_server_is_given_the_mails() {
    let listener = Listener::start(agree);
    let config = listener.config("send_email") + "[auth.email]\nenable_confirmations = true\n";
    with_configured_site(&config, async |site: &Site| {
        let body =
            json!({"email": "ada@example.com", "password": PASSWORD, "data": {"name": "Ada"}});
        let answer = site.post("/signup?redirect_to=http://127.0.0.1:3000/in", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let asked = listener.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["user"]["email"], "ada@example.com");
        assert_eq!(asked[0]["user"]["user_metadata"]["name"], "Ada");
        let data = &asked[0]["email_data"];
        assert_eq!(data["email_action_type"], "signup");
        assert_eq!(data["redirect_to"], "http://127.0.0.1:3000/in");
        assert_eq!(data["site_url"], site.issuer());
        assert!(site.mails().await.is_empty(), "the hook sends instead");

        let hash = data["token_hash"].as_str().unwrap();
        let verified = site.post("/verify", json!({"type": "signup", "token_hash": hash})).await;
        assert_eq!(verified.status, StatusCode::OK, "{}", verified.body);
    });
}

#[test]
fn a_server_is_given_both_codes_of_a_change() {
    let listener = Listener::start(agree);
    with_configured_site(&listener.config("send_email"), async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let body = json!({"email": "ada@example.org"});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), body).await.status, StatusCode::OK);
        let asked = listener.asked();
        assert_eq!(asked.len(), 1, "one call for both addresses");
        let data = &asked[0]["email_data"];
        assert_eq!(data["email_action_type"], "email_change");
        assert_eq!(asked[0]["user"]["new_email"], "ada@example.org");
        let code = |email: &str, token: &Value| json!({"type": "email_change", "email": email, "token": token});
        let first = site.post("/verify", code("ada@example.com", &data["token"])).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.body);
        // The digest of this name belongs to the new address.
        let second = json!({"type": "email_change", "token_hash": data["token_hash"]});
        let second = site.post("/verify", second).await;
        assert_eq!(second.body["user"]["email"], "ada@example.org", "{}", second.body);
    });
}

#[test]
fn a_refusal_to_mail_reaches_the_client_unless_it_would_tell_who_is_there() {
    let listener = Listener::start(|_| json!({"error": {"http_code": 503, "message": "No post."}}));
    let config = listener.config("send_email") + "[auth.email]\nmax_frequency = \"0s\"\n";
    with_configured_site(&config, async |site: &Site| {
        site.sign_up("ada@example.com").await;
        let link = site.post("/otp", json!({"email": "ada@example.com"})).await;
        assert_eq!((link.status.as_u16(), link.message()), (503, "No post."));
        let known = site.post("/recover", json!({"email": "ada@example.com"})).await;
        let unknown = site.post("/recover", json!({"email": "eve@example.com"})).await;
        assert_eq!((known.status, &known.body), (StatusCode::OK, &json!({})));
        assert_eq!((known.status, known.body), (unknown.status, unknown.body));
        let asked = asked(&listener, 2).await;
        assert_eq!(asked[1]["email_data"]["email_action_type"], "recovery");
    });
}

#[test]
fn a_server_is_told_of_changes() {
    let listener = Listener::start(agree);
    let config = listener.config("send_email")
        + "[auth.email.notification.password_changed]\nenabled = true\n";
    with_configured_site(&config, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let body = json!({"password": "another horse"});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), body).await.status, StatusCode::OK);
        let asked = asked(&listener, 1).await;
        assert_eq!(asked[0]["email_data"]["email_action_type"], "password_changed_notification");
        assert!(site.mails().await.is_empty());
    });
}

#[test]
fn a_server_is_given_the_text_messages() {
    let listener = Listener::start(agree);
    let config = listener.config("send_sms")
        + "[auth.sms]\nenable_signup = true\nenable_confirmations = true\n[auth.sms.test_otp]\n4915100000000 = \"123456\"\n";
    with_configured_site(&config, async |site: &Site| {
        let body = json!({"phone": "+4915112345678"});
        let answer = site.post("/otp", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let asked = listener.asked();
        assert_eq!(asked[0]["sms"]["phone"], "4915112345678");
        assert_eq!(asked[0]["user"]["phone"], "4915112345678");
        assert!(site.messages().is_empty(), "the hook sends instead");
        let code =
            json!({"type": "sms", "phone": "4915112345678", "token": asked[0]["sms"]["otp"]});
        assert_eq!(site.post("/verify", code).await.status, StatusCode::OK);

        assert_eq!(
            site.post("/otp", json!({"phone": "4915100000000"})).await.status,
            StatusCode::OK
        );
        assert_eq!(listener.asked().len(), 1, "a code that is set is sent by nobody");
    });
}

#[test]
fn who_asks_is_counted_and_told_by_the_address() {
    let listener = Listener::start(agree);
    let config = listener.config("before_user_created")
        + "[auth]\nenable_anonymous_sign_ins = true\n[auth.rate_limit]\nanonymous_users = 2\n";
    let limits = plinth_auth::limits::LimitSettings {
        anonymous_users: plinth_auth::config::Rate { count: 2, per: Duration::from_secs(3600) },
        ..plinth_auth::limits::LimitSettings::default()
    };
    with_setup(Setup { config: &config, limits, ..Setup::default() }, async |site: &Site| {
        let anonymous = async |ip: &str| {
            let ip = ip.parse().unwrap();
            let ask = Ask { method: "POST", target: "/signup", ip, ..Ask::default() };
            site.ask(ask).await.status.as_u16()
        };
        for (ip, status) in [
            ("192.0.2.1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.1", 429),
            ("192.0.2.2", 200),
            // A proxy on this machine that says nothing stands for all of its clients.
            ("127.0.0.1", 200),
            ("127.0.0.1", 200),
            ("127.0.0.1", 200),
        ] {
            assert_eq!(anonymous(ip).await, status, "{ip}");
        }
        assert_eq!(listener.asked()[0]["metadata"]["ip_address"], "192.0.2.1");
    });
}
