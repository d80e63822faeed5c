//! Dead letters, page by page.

use http::StatusCode;
use serde_json::{Value, json};

use crate::message_support::Post;
use crate::support::{Bench, with_bench};

const DEAD: &str = "select count(*) from plinth.message where state = 'd'";

/// Goes through all pages of two; how many there were of what the answers name.
async fn pages(post: &Post, method: &str, path: &str, name: &str, after: impl AsyncFn()) -> usize {
    let (mut cursor, mut found) = (String::new(), 0);
    loop {
        let target = format!("{path}?count=2&cursor={cursor}");
        let (status, answer) = post.ask(method, &target, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        found += answer[name].as_array().map_or_else(
            || answer[name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap(),
            Vec::len,
        );
        assert!(found < 20, "the pages never end");
        after().await;
        match answer["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return found,
        }
    }
}

async fn die(bench: &Bench<'_>, post: &Post, count: u32) {
    for _ in 0..count {
        post.endpoint.says(500, &[], "");
        post.publish("/down", &[("upstash-retries", "0")], "").await;
    }
    bench.until(DEAD, &count.to_string()).await;
}

#[test]
fn letters_that_die_again_while_all_are_retried_wait_for_the_next_time() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        die(bench, &post, 5).await;
        for _ in 0..20 {
            post.endpoint.says(500, &[], "");
        }
        let retried = pages(&post, "POST", "/v2/dlq/retry", "responses", async || {
            bench.until(DEAD, "5").await;
        });
        assert_eq!(retried.await, 5);
        assert_eq!(pages(&post, "DELETE", "/v2/dlq", "deleted", async || ()).await, 5);
        post.close().await;
    });
}

#[test]
fn runs_that_fail_again_while_all_are_taken_up_wait_for_the_next_time() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        for path in ["/v2/workflows/dlq/resume", "/v2/workflows/dlq/restart"] {
            for _ in 0..40 {
                post.endpoint.says(489, &[("upstash-nonretryable-error", "true")], "");
            }
            for _ in 0..5 {
                let target = format!("/v2/trigger/{}/flow", post.endpoint.url);
                post.ask("POST", &target, &[], "{}").await;
            }
            bench.until(DEAD, "5").await;
            let found = pages(&post, "POST", path, "workflowRuns", async || {
                bench.until(DEAD, "5").await;
            });
            assert_eq!(found.await, 5, "{path}");
            assert_eq!(
                pages(&post, "DELETE", "/v2/workflows/dlq", "deleted", async || ()).await,
                5
            );
        }
        post.close().await;
    });
}

#[test]
fn a_place_that_no_list_gave_is_refused() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        for (method, path) in [
            ("GET", "/v2/dlq"),
            ("POST", "/v2/dlq/retry"),
            ("DELETE", "/v2/dlq"),
            ("POST", "/v2/workflows/dlq/resume"),
            ("GET", "/v2/events"),
            ("GET", "/v2/workflows/events"),
        ] {
            for cursor in ["more", "-", "%27x"] {
                let (status, answer) =
                    post.ask(method, &format!("{path}?cursor={cursor}"), &[], "").await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {path} {cursor} {answer}");
            }
            let (status, _) = post.ask(method, &format!("{path}?cursor="), &[], "").await;
            assert_eq!(status, StatusCode::OK);
        }
        let (_, none) = post.ask("GET", "/v2/dlq?cursor=0000000000000-0", &[], "").await;
        assert_eq!(none["messages"], Value::Array(Vec::new()));
        assert_eq!(none["cursor"], json!(""));
        post.close().await;
    });
}
