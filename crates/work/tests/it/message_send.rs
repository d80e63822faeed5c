//! Messages that are published, delivered, tried again, and dead.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::message_support::Post;
use crate::support::{Bench, with_bench};

const NOTHING_LEFT: &str = "select count(*) from plinth.message";

/// The states that a message went through.
async fn states(bench: &Bench<'_>, id: &str) -> String {
    let sql = format!(
        "select string_agg(state, ' ' order by id) from plinth.message_event where message = '{id}'"
    );
    bench.text(&sql).await
}

#[test]
fn a_message_is_delivered_signed_and_as_it_was_written() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let headers = [
            ("content-type", "application/json"),
            ("upstash-method", "PUT"),
            ("upstash-forward-x-own", "yes"),
            ("upstash-label", "one,two"),
            ("authorization", "Bearer not to be forwarded"),
        ];
        let id = post.publish("/hook//a?b=c&d=%20", &headers, r#"{"hello":"world"}"#).await;
        let got = post.endpoint.wait(1).await.remove(0);
        assert_eq!((got.method.as_str(), got.path.as_str()), ("PUT", "/hook//a?b=c&d=%20"));
        assert_eq!(got.body, r#"{"hello":"world"}"#);
        assert_eq!(got.header("x-own"), "yes");
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.header("upstash-message-id"), id);
        assert_eq!(got.header("upstash-retried"), "0");
        assert_eq!(got.header("upstash-label"), "one,two");
        assert_eq!(got.header("authorization"), "");
        let signed: Vec<_> = got.header("upstash-signature").split('.').collect();
        assert_eq!(signed.len(), 3);
        bench.until(NOTHING_LEFT, "0").await;
        assert_eq!(states(bench, &id).await, "CREATED ACTIVE DELIVERED");
        let (_, log) = post.ask("GET", &format!("/v2/logs?messageIds={id}"), &[], "").await;
        assert_eq!(log["events"].as_array().unwrap().len(), 3);
        assert_eq!(log["events"][0]["state"], "DELIVERED");
        assert_eq!(log["events"][0]["labels"], json!(["one", "two"]));
        let (status, _) = post.ask("GET", &format!("/v2/messages/{id}"), &[], "").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        post.close().await;
    });
}

#[test]
fn what_fails_is_tried_again_and_is_dead_then() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        for _ in 0..3 {
            post.endpoint.says(500, &[("x-why", "broken")], "no");
        }
        let back = format!("{}/failed", post.endpoint.url);
        let headers = [
            ("upstash-retries", "2"),
            ("upstash-retry-delay", "10 * (1 + retried)"),
            ("upstash-failure-callback", &*back),
            ("upstash-failure-callback-forward-x-about", "it"),
            ("upstash-label", "l"),
        ];
        let id = post.publish("/broken", &headers, "body").await;
        let got = post.endpoint.wait(4).await;
        let retried: Vec<_> = got[..3].iter().map(|got| got.header("upstash-retried")).collect();
        assert_eq!(retried, ["0", "1", "2"]);
        let told = got[3].json();
        assert_eq!((got[3].path.as_str(), got[3].header("x-about")), ("/failed", "it"));
        assert_eq!((&told["status"], &told["body"]), (&json!(500), &json!("bm8=")));
        assert_eq!((&told["retried"], &told["maxRetries"]), (&json!(2), &json!(2)));
        assert_eq!(
            (&told["sourceMessageId"], &told["sourceBody"]),
            (&json!(id), &json!("Ym9keQ=="))
        );
        assert_eq!(
            states(bench, &id).await,
            "CREATED ACTIVE ERROR RETRY ACTIVE ERROR RETRY ACTIVE ERROR FAILED"
        );
        let (_, dead) = post.ask("GET", "/v2/dlq?label=l", &[], "").await;
        let letter = &dead["messages"][0];
        assert_eq!(letter["dlqId"], told["dlqId"]);
        assert_eq!(
            (&letter["responseStatus"], &letter["responseBody"]),
            (&json!(500), &json!("no"))
        );
        assert_eq!(letter["responseHeader"]["X-Why"], json!(["broken"]));
        let (_, none) = post.ask("GET", "/v2/dlq?label=other", &[], "").await;
        assert_eq!(none["messages"], json!([]));

        // Delivered again, it is a new message.
        let target = format!("/v2/dlq/retry?dlqIds={}", letter["dlqId"].as_str().unwrap());
        let (_, again) = post.ask("POST", &target, &[], "").await;
        let new = again["responses"][0]["messageId"].as_str().unwrap().to_owned();
        assert_ne!(new, id);
        let got = post.endpoint.wait(5).await;
        assert_eq!((got[4].header("upstash-message-id"), got[4].body.as_str()), (&*new, "body"));
        bench.until(NOTHING_LEFT, "0").await;
        post.close().await;
    });
}

#[test]
fn answers_say_when_to_try_again_or_never() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.endpoint.says(429, &[("retry-after", "1")], "");
        post.endpoint.says(489, &[("upstash-nonretryable-error", "true")], "gone");
        let begun = std::time::Instant::now();
        post.publish("/later", &[], "").await;
        post.endpoint.wait(2).await;
        assert!(begun.elapsed() >= Duration::from_millis(950));
        bench.until("select count(*) from plinth.message where state = 'd'", "1").await;
        let (_, dead) = post.ask("GET", "/v2/dlq", &[], "").await;
        let id = dead["messages"][0]["dlqId"].as_str().unwrap().to_owned();
        assert_eq!(dead["messages"][0]["responseStatus"], 489);
        let (status, one) = post.ask("GET", &format!("/v2/dlq/{id}"), &[], "").await;
        assert_eq!((status, &one["dlqId"]), (StatusCode::OK, &json!(id)));
        let (_, deleted) = post.ask("DELETE", "/v2/dlq?count=100", &[], "").await;
        assert_eq!(deleted, json!({"deleted": 1}));
        let (status, _) = post.ask("DELETE", &format!("/v2/dlq/{id}"), &[], "").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        post.close().await;
    });
}

#[test]
fn callbacks_are_messages_of_their_own() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.endpoint.says(503, &[], "");
        post.endpoint.says(500, &[], "");
        let back = format!("{}/back", post.endpoint.url);
        let headers = [
            ("upstash-callback", &*back),
            ("upstash-callback-forward-x-for", "you"),
            ("upstash-callback-retries", "1"),
            ("upstash-callback-retry-delay", "1"),
            ("upstash-retry-delay", "1"),
            ("upstash-forward-x-sent", "s"),
        ];
        let id = post.publish("/do", &headers, "work").await;
        // Two attempts with a callback each, of which the first is delivered twice.
        let got = post.endpoint.wait(5).await;
        bench.until(NOTHING_LEFT, "0").await;
        let back: Vec<Value> =
            got.iter().filter(|got| got.path == "/back").map(|got| got.json()).collect();
        let mut statuses: Vec<_> =
            back.iter().map(|told| told["status"].as_u64().unwrap()).collect();
        statuses.sort_unstable();
        assert!(statuses == [200, 503, 503] || statuses == [200, 200, 503], "{statuses:?}");
        assert!(back.iter().all(|told| told["sourceMessageId"] == *id));
        assert!(back.iter().all(|told| told["sourceHeader"]["x-sent"] == json!(["s"])));
        let called = got.iter().find(|got| got.path == "/back").unwrap();
        assert_eq!(
            (called.header("x-for"), called.header("content-type")),
            ("you", "application/json")
        );
        post.close().await;
    });
}

#[test]
fn delayed_messages_can_be_read_and_cancelled() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let redacted = [
            ("upstash-delay", "1h"),
            ("upstash-redact-fields", "body,header[x-secret]"),
            ("upstash-forward-x-secret", "s"),
        ];
        let id = post.publish("/later", &redacted, "hidden").await;
        let (_, message) = post.ask("GET", &format!("/v2/messages/{id}"), &[], "").await;
        assert_eq!(
            (&message["body"], &message["header"]["x-secret"]),
            (&json!("REDACTED"), &json!(["REDACTED"]))
        );
        assert!(
            message["notBefore"].as_i64().unwrap() - message["createdAt"].as_i64().unwrap()
                >= 3_599_000
        );
        let (status, _) = post.ask("DELETE", &format!("/v2/messages/{id}"), &[], "").await;
        assert_eq!(status, StatusCode::OK);
        let (status, _) = post.ask("DELETE", &format!("/v2/messages/{id}"), &[], "").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(states(bench, &id).await, "CREATED CANCELED");

        for label in ["a", "a", "b"] {
            post.publish("/later", &[("upstash-delay", "1h"), ("upstash-label", label)], "").await;
        }
        let (_, gone) = post.ask("DELETE", "/v2/messages?label=a&count=100", &[], "").await;
        assert_eq!(gone, json!({"cancelled": 2}));
        let (_, gone) = post.ask("DELETE", "/v2/messages", &[], "").await;
        assert_eq!(gone, json!({"cancelled": 1}));
        assert!(post.endpoint.got().is_empty());
        post.close().await;
    });
}

#[test]
fn what_was_published_a_moment_ago_is_not_published_again() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let target = format!("/v2/publish/{}/once", post.endpoint.url);
        let by_id = [("upstash-deduplication-id", "order-1")];
        let (status, first) = post.ask("POST", &target, &by_id, "a").await;
        assert_eq!(status, StatusCode::CREATED);
        let (status, second) = post.ask("POST", &target, &by_id, "b").await;
        assert_eq!(status, StatusCode::ACCEPTED);
        assert_eq!(
            (&second["messageId"], &second["deduplicated"]),
            (&first["messageId"], &json!(true))
        );
        let by_content = [("upstash-content-based-deduplication", "true")];
        post.ask("POST", &target, &by_content, "same").await;
        let (_, again) = post.ask("POST", &target, &by_content, "same").await;
        assert_eq!(again["deduplicated"], true);
        post.ask("POST", &target, &by_content, "other").await;
        bench.until(NOTHING_LEFT, "0").await;
        assert_eq!(post.endpoint.got().len(), 3);
        // The window ends.
        bench.run("update plinth.message_seen set until = now()").await;
        let (status, third) = post.ask("POST", &target, &by_id, "c").await;
        assert_eq!(
            (status, third["messageId"] == first["messageId"]),
            (StatusCode::CREATED, false)
        );
        post.close().await;
    });
}

#[test]
fn a_batch_is_published_whole_or_not_at_all() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let url = &post.endpoint.url;
        let bad = json!([
            {"destination": format!("{url}/a"), "headers": {}, "body": "1"},
            {"destination": "no-such-group", "headers": {}, "body": "2"},
        ]);
        let (status, refused) = post.ask("POST", "/v2/batch", &[], bad.to_string()).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(refused["error"].as_str().unwrap().contains("no-such-group"));
        assert_eq!(bench.text(NOTHING_LEFT).await, "0");

        let group = json!({"endpoints": [{"name": "one", "url": format!("{url}/one")}, {"url": format!("{url}/two")}]});
        post.ask("POST", "/v2/topics/both/endpoints", &[], group.to_string()).await;
        let good = json!([
            {"destination": format!("{url}/a"), "headers": {"Upstash-Forward-X": "1"}, "body": "1"},
            {"destination": "both", "headers": {"content-type": "text/plain"}, "body": "2"},
        ]);
        let (_, answers) = post.ask("POST", "/v2/batch", &[], good.to_string()).await;
        assert!(answers[0]["messageId"].is_string());
        assert_eq!(answers[1].as_array().unwrap().len(), 2);
        let got = post.endpoint.wait(3).await;
        let mut paths: Vec<_> = got.iter().map(|got| got.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/a", "/one", "/two"]);
        post.close().await;
    });
}

#[test]
fn headers_that_cannot_be_sent_are_refused() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let url = &post.endpoint.url;
        for (name, value) in [
            ("upstash-forward-x", "a\r\nx: 1"),
            ("upstash-forward-x a", "1"),
            ("upstash-forward-ü", "1"),
            ("content-type", "a\u{1}"),
        ] {
            let batch = json!([{"destination": url, "headers": {name: value}}]).to_string();
            let (status, answer) = post.ask("POST", "/v2/batch", &[], batch).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name} {answer}");
            assert!(answer["error"].as_str().unwrap().contains("header"));
        }
        let batch = json!([{"destination": url, "headers": {"Upstash-Forward-X": "ü"}}]);
        post.ask("POST", "/v2/batch", &[], batch.to_string()).await;
        let got = post.endpoint.wait(1).await;
        assert_eq!(got[0].headers["x"].as_bytes(), "ü".as_bytes());
        post.close().await;
    });
}

#[test]
fn logs_are_asked_for_by_who_published() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.publish("/x", &[], "").await;
        let id = post.publish("/x", &[("upstash-delay", "1h")], "").await;
        post.endpoint.wait(1).await;
        bench.until(NOTHING_LEFT, "1").await;
        post.ask("DELETE", &format!("/v2/messages/{id}"), &[], "").await;
        let count = async |target: &str| {
            let (_, log) = post.ask("GET", target, &[], "").await;
            log["events"].as_array().unwrap().len()
        };
        assert_eq!(count("/v2/events?callerIp=127.0.0.1").await, 5);
        assert_eq!(count("/v2/logs?callerIp=10.0.0.1&callerIp=127.0.0.1").await, 5);
        assert_eq!(count("/v2/events?callerIp=10.0.0.1").await, 0);
        post.close().await;
    });
}
