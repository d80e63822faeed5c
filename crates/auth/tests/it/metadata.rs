//! What is stored about users has to fit into their tokens.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, CONFIRM, PASSWORD, Site, with_configured_site, with_site};

const ADA: &str = "ada@example.com";

/// Metadata of so many bytes of JSON.
fn of_size(bytes: usize) -> Value {
    json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())})
}

#[track_caller]
fn too_large(answer: &Answer, what: &str) {
    assert_eq!(answer.refusal(), (400, "validation_failed".to_owned()), "{what}");
    assert!(answer.message().contains("too large"), "{what}: {}", answer.message());
}

#[test]
fn what_no_token_could_carry_is_refused_wherever_it_is_written() {
    let config = "[auth]\nenable_anonymous_sign_ins = true\n";
    with_configured_site(config, async |site: &Site| {
        let ada = site.sign_up(ADA).await;
        let big = of_size(41 * 1024);
        let admin = site.service_key();
        let user = format!("/admin/users/{}", ada.id);
        let new = |name: &str| json!({"email": "b@example.com", "password": PASSWORD, name: big});
        for (method, path, token, body) in [
            ("POST", "/signup", None, new("data")),
            ("POST", "/signup", None, json!({"data": big})),
            ("POST", "/otp", None, json!({"email": "b@example.com", "data": big})),
            ("PUT", "/user", Some(&ada.token), json!({"data": big})),
            ("POST", "/admin/users", Some(&admin), new("user_metadata")),
            ("POST", "/admin/users", Some(&admin), new("app_metadata")),
            ("PUT", &user, Some(&admin), json!({"user_metadata": big})),
            ("PUT", &user, Some(&admin), json!({"app_metadata": big})),
            ("POST", "/invite", Some(&admin), json!({"email": "b@example.com", "data": big})),
        ] {
            let answer = site.send(method, path, token.map(String::as_str), body).await;
            too_large(&answer, &format!("{method} {path}"));
        }
        assert_eq!(site.count("auth.users").await, 1);
        // It is both together, and what is there already.
        let half = of_size(21 * 1024);
        let body = json!({"app_metadata": half});
        assert_eq!(site.send("PUT", &user, Some(&admin), body).await.status, StatusCode::OK);
        too_large(&site.put(&ada.token, json!({"data": half})).await, "both");
        let (one, other) = (json!({"b": half["a"]}), json!({"a": null}));
        too_large(
            &site.send("PUT", &user, Some(&admin), json!({"app_metadata": one})).await,
            "more",
        );
        let body = json!({"app_metadata": other});
        assert_eq!(site.send("PUT", &user, Some(&admin), body).await.status, StatusCode::OK);
        assert_eq!(site.put(&ada.token, json!({"data": half})).await.status, StatusCode::OK);
    });
}

#[test]
fn a_token_that_carries_as_much_as_may_be_is_taken() {
    with_site(async |site: &Site| {
        let body = json!({"email": ADA, "password": PASSWORD, "data": of_size(40_800)});
        let answer = site.post("/signup", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        // With room for the other headers of a request, all of which may have 64 KiB.
        assert!(answer.token().len() < 56 * 1024, "{}", answer.token().len());
        assert_eq!(site.get("/user", answer.token()).await.status, StatusCode::OK);
    });
}

#[test]
fn a_link_that_an_administrator_makes_brings_no_more() {
    with_configured_site(CONFIRM, async |site: &Site| {
        site.post("/signup", json!({"email": ADA, "password": PASSWORD})).await;
        let body = json!({"type": "signup", "email": ADA, "password": PASSWORD, "data": of_size(41 * 1024)});
        let key = site.service_key();
        too_large(&site.send("POST", "/admin/generate_link", Some(&key), body).await, "link");
    });
}
