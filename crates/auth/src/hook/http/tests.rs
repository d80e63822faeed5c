use std::time::Instant;

use aws_lc_rs::hmac;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::outgoing::double::{Double, closed, json as answer, silent};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn hook(base: &str) -> HttpHook {
    let secrets = Secrets::parse(&format!("v1,whsec_{}", STANDARD.encode(KEY))).unwrap();
    let url = Url::parse(&format!("{base}/hook?key=hidden")).unwrap();
    let hook = HttpHook::new(outgoing::client().unwrap(), url, secrets);
    HttpHook { backoff: Duration::from_millis(20), ..hook }
}

fn busy(status: u16, retry_after: Option<&str>) -> axum::response::Response {
    let mut response = answer(status, "{}");
    if let Some(value) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, value.parse().unwrap());
    }
    response
}

fn typed(status: u16, content_type: Option<&str>) -> axum::response::Response {
    let mut response = axum::response::Response::new(Body::from("{}"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(value) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, value.parse().unwrap());
    }
    response
}

#[tokio::test]
async fn a_call_is_posted_and_signed() {
    let double = Double::json(200, json!({"claims": {}})).await;
    let payload = json!({"user_id": "1"});
    let got = hook(&double.base).call(&payload).await.unwrap();
    assert_eq!(got.as_deref(), Some(&br#"{"claims":{}}"#[..]));

    let [asked] = double.asked().try_into().unwrap();
    let header = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    assert_eq!((asked.method.as_str(), asked.uri.path()), ("POST", "/hook"));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(asked.body, payload.to_string().as_bytes());
    let sent: i64 = header("webhook-timestamp").parse().unwrap();
    assert!((Timestamp::now().as_second() - sent).abs() < 60);

    let (id, signature) = (header("webhook-id"), header("webhook-signature"));
    let mut signed = format!("{id}.{sent}.").into_bytes();
    signed.extend_from_slice(&asked.body);
    let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    hmac::verify(&key, &signed, &tag).unwrap();
}

#[tokio::test]
async fn no_content_is_no_answer() {
    let double = Double::start(|_| typed(204, None)).await;
    assert_eq!(hook(&double.base).call(&json!({})).await.unwrap(), None);
}

#[tokio::test]
async fn a_busy_hook_is_asked_again_with_the_same_id() {
    for status in [429, 503] {
        let double = Double::start(move |count| match count {
            0 => busy(status, Some("0")),
            1 => busy(status, Some("later")),
            _ => answer(200, "{}"),
        });
        let double = double.await;
        assert!(hook(&double.base).call(&json!({})).await.unwrap().is_some());
        let asked = double.asked();
        assert_eq!(asked.len(), 3);
        assert!(
            asked.iter().all(|one| one.headers["webhook-id"] == asked[0].headers["webhook-id"])
        );
    }
}

#[tokio::test]
async fn a_hook_that_stays_busy_is_asked_three_times() {
    let double = Double::start(|_| busy(503, Some("3600"))).await;
    let error = hook(&double.base).call(&json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "Service currently unavailable due to hook");
    assert_eq!((error.status(), error.code()), (500, "unexpected_failure"));
    assert_eq!(double.asked().len(), 3);
}

#[tokio::test]
async fn a_busy_hook_that_names_no_time_is_asked_once() {
    let double = Double::start(|_| busy(429, None)).await;
    let error = hook(&double.base).call(&json!({})).await.unwrap_err();
    assert!(matches!(error, HookError::Unavailable));
    assert_eq!(double.asked().len(), 1);
}

#[tokio::test]
async fn a_hook_that_cannot_be_reached_says_so() {
    let error = hook(&closed().await).call(&json!({})).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (422, "hook_timeout_after_retry"));
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
}

#[tokio::test]
async fn a_silent_hook_is_given_up_in_time() {
    let hook = HttpHook { timeout: Duration::from_millis(200), ..hook(&silent().await) };
    let started = Instant::now();
    let error = hook.call(&json!({})).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!((error.status(), error.code()), (422, "hook_timeout"));
    assert_eq!(error.to_string(), "Failed to reach hook within maximum time of 5.000000 seconds");
}

#[tokio::test]
async fn waits_count_towards_the_timeout() {
    let double = Double::start(|_| busy(503, Some("1"))).await;
    let (timeout, backoff) = (Duration::from_millis(300), Duration::from_secs(60));
    let hook = HttpHook { timeout, backoff, ..hook(&double.base) };
    assert!(matches!(hook.call(&json!({})).await, Err(HookError::Timeout)));
    assert_eq!(double.asked().len(), 1);
}

#[tokio::test]
async fn only_json_is_an_answer() {
    let cases = [
        (200, None, "Invalid Content-Type: Missing Content-Type header"),
        (202, Some("text/html"), "Invalid JSON response. Received content-type: text/html"),
        (
            200,
            Some("application/jsonp"),
            "Invalid JSON response. Received content-type: application/jsonp",
        ),
    ];
    for (status, content_type, message) in cases {
        let double = Double::start(move |_| typed(status, content_type)).await;
        let error = hook(&double.base).call(&json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!((error.status(), error.code()), (400, "hook_payload_invalid_content_type"));
    }
    let double = Double::start(|_| typed(200, Some("Application/JSON; charset=utf-8"))).await;
    assert_eq!(hook(&double.base).call(&json!({})).await.unwrap(), Some(b"{}".to_vec()));
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let double = Double::start(|count| answer(200, &" ".repeat(MAX_ANSWER + count))).await;
    let hook = hook(&double.base);
    assert_eq!(hook.call(&json!({})).await.unwrap().unwrap().len(), MAX_ANSWER);
    let error = hook.call(&json!({})).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (422, "hook_payload_over_size_limit"));
    assert_eq!(error.to_string(), "Payload size exceeded size limit of 204800 bytes");
}

#[tokio::test]
async fn other_statuses_are_failures() {
    let cases = [
        (400, "Invalid payload sent to hook"),
        (401, "Hook requires authorization token"),
        (404, "Unexpected status code returned from hook: 404"),
        (500, "Unexpected status code returned from hook: 500"),
    ];
    for (status, message) in cases {
        let double = Double::start(move |_| answer(status, "{}")).await;
        let error = hook(&double.base).call(&json!({})).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.status()), (message, 500));
        assert_eq!(double.asked().len(), 1);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Double::json(200, json!({})).await;
    let target = elsewhere.base.clone();
    let double = Double::start(move |_| {
        let mut response = answer(307, "{}");
        response.headers_mut().insert("location", target.parse().unwrap());
        response
    });
    let double = double.await;
    let error = hook(&double.base).call(&json!({})).await.unwrap_err();
    assert!(matches!(error, HookError::Status(307)));
    assert!(elsewhere.asked().is_empty());
}
