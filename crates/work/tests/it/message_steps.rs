//! What runs append, and what is refused of it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::message_support::Post;
use crate::support::with_bench;

/// A batch of one message that the run `wfr_1` appends, with these headers besides.
fn step(destination: &Value, headers: &[(&str, &str)]) -> Value {
    let mut all = json!({"upstash-workflow-runid": "wfr_1", "upstash-workflow-init": "false"});
    for (name, value) in headers {
        all[*name] = json!(value);
    }
    json!([{"destination": destination, "headers": all, "body": "{\"stepId\":1}"}])
}

async fn begin(post: &Post) {
    let target = format!("/v2/trigger/{}/flow", post.endpoint.url);
    let headers = [("upstash-workflow-runid", "wfr_1")];
    let (status, answer) = post.ask("POST", &target, &headers, "{}").await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

#[test]
fn a_step_that_cannot_be_appended_fails_its_run() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        begin(&post).await;
        let url = json!(format!("{}/flow", post.endpoint.url));
        let call = ("upstash-workflow-calltype", "toCallback");
        let (child, begins) =
            (("upstash-workflow-runid", "wfr_2"), ("upstash-workflow-init", "true"));
        let invoke = ("upstash-workflow-invoke", "true");
        let mut many = step(&url, &[]);
        many = Value::Array(vec![many[0].clone(); 1001]);
        for batch in [
            step(&json!("api.example.com/x"), &[call]),
            step(&json!("ftp://example.com"), &[call]),
            step(&json!("no-such-group"), &[call]),
            step(&Value::Null, &[call]),
            step(&url, &[call, ("upstash-retry-delay", "foo(retried)")]),
            step(&url, &[call, ("upstash-timeout", "2w")]),
            step(
                &url,
                &[
                    call,
                    ("upstash-flow-control-key", "k"),
                    ("upstash-flow-control-value", "parallelism=0"),
                ],
            ),
            step(&url, &[call, ("upstash-callback", "nowhere")]),
            step(&url, &[("upstash-delay", "1w")]),
            step(&url, &[("upstash-delay", "-1s")]),
            step(&url, &[("upstash-not-before", "NaN")]),
            step(&url, &[child, begins, invoke, ("upstash-retry-delay", "x")]),
            many,
        ] {
            let (status, answer) = post.ask("POST", "/v2/batch", &[], batch.to_string()).await;
            assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{answer} {}", batch[0]);
            assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()));
        }
        let headers = [("upstash-workflow-runid", "wfr_1")];
        for timeout in [json!("2w"), json!(-1), json!(1e30)] {
            let wait = json!({"url": url, "timeout": timeout, "step": {"stepId": 1}}).to_string();
            let (status, answer) = post.ask("POST", "/v2/wait/word", &headers, wait).await;
            assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{answer} {timeout}");
        }
        // What is no step is refused as ever.
        let target = "/v2/publish/api.example.com/x";
        let (status, _) = post.ask("POST", target, &[], "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        post.close().await;
    });
}

#[test]
fn a_step_of_a_run_that_is_over_is_told_so() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        begin(&post).await;
        post.ask("DELETE", "/v2/workflows/runs/wfr_1", &[], "").await;
        let url = json!(format!("{}/flow", post.endpoint.url));
        let (status, answer) =
            post.ask("POST", "/v2/batch", &[], step(&url, &[]).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let headers = [("upstash-workflow-runid", "wfr_1")];
        let wait = json!({"url": url, "timeout": "2d", "step": {"stepId": 1}}).to_string();
        let (status, answer) = post.ask("POST", "/v2/wait/word", &headers, wait).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        post.close().await;
    });
}

#[test]
fn a_run_has_an_id_by_which_it_can_be_ended() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let url = format!("{}/flow", post.endpoint.url);
        let trigger = async |id: &str| {
            let headers = json!({"upstash-workflow-runid": id, "upstash-workflow-init": "true"});
            let batch = json!([{"destination": url, "headers": headers, "body": "{}"}]);
            post.ask("POST", "/v2/batch", &[], batch.to_string()).await
        };
        for id in [
            "wfr_order/1",
            "wfr_q?x=1",
            "wfr_h#1",
            "wfr_50%25",
            "wfr_ü",
            "wfr_a\\b",
            "wfr_a,b",
            "..",
        ] {
            let (status, answer) = trigger(id).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{id} {answer}");
            let error = answer["error"].as_str().unwrap();
            assert!(error.contains(id) && error.contains("letters"), "{error}");
        }
        for id in ["wfr_order-1", "wfr_a@b.test:7", "wfr_two words", "wfr_~(x)=+'"] {
            let (status, answer) = trigger(id).await;
            assert_eq!(status, StatusCode::OK, "{id} {answer}");
            let target = format!("/v2/workflows/runs/{}?cancel=false", id.replace(' ', "%20"));
            post.ask("DELETE", &target, &[], "").await;
        }
        let started = "select count(*) from plinth.run where state = 'RUN_STARTED'";
        assert_eq!(bench.text(started).await, "0");
        post.close().await;
    });
}

#[test]
fn a_run_shows_nothing_of_bodies_that_are_to_be_redacted() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let target = format!("/v2/trigger/{}/flow", post.endpoint.url);
        let headers =
            [("upstash-workflow-runid", "wfr_1"), ("upstash-redact-fields", "body,header")];
        post.ask("POST", &target, &headers, "hidden").await;
        let url = json!(format!("{}/flow", post.endpoint.url));
        let mut step = step(&url, &[]);
        step[0]["body"] = json!(r#"{"stepId":1,"stepName":"one","out":"hidden"}"#);
        post.ask("POST", "/v2/batch", &[], step.to_string()).await;
        let got = post.endpoint.wait(2).await;
        assert!(got.iter().all(|got| !got.body.is_empty()));
        bench.until("select count(*) from plinth.message", "0").await;
        let (_, log) = post.ask("GET", "/v2/workflows/events?groupBy=workflowRunId", &[], "").await;
        assert!(!log.to_string().contains("hidden"), "{log}");
        let steps = &log["runs"][0]["steps"];
        assert_eq!(steps[0]["steps"][0]["out"], "REDACTED");
        assert_eq!(steps[1]["steps"][0]["stepName"], "one");
        post.close().await;
    });
}

#[test]
fn a_webhook_tells_the_url_that_was_called() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        begin(&post).await;
        let target = "/v2/workflows/hooks/u/wfr_1/paid?a=b%20c";
        let (status, _) = post.ask("POST", target, &[], "x").await;
        assert_eq!(status, StatusCode::OK);
        let data = bench
            .text("select convert_from(decode(data, 'base64'), 'UTF8') from plinth.run_notice")
            .await;
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(data["url"], format!("/p/test/work{target}"));
        post.close().await;
    });
}

#[test]
fn who_waits_is_shown_as_it_asked() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        begin(&post).await;
        let url = format!("{}/flow", post.endpoint.url);
        let headers = [("upstash-workflow-runid", "wfr_1")];
        let wait = json!({
            "url": url, "timeout": "2d", "timeoutUrl": url, "timeoutBody": "late",
            "timeoutHeaders": {"Upstash-Workflow-RunId": ["wfr_1"]}, "step": {"stepId": 1},
        });
        post.ask("POST", "/v2/wait/word", &headers, wait.to_string()).await;
        let (_, waiters) = post.ask("GET", "/v2/waiters/word", &[], "").await;
        for part in ["url", "timeoutUrl", "timeoutBody", "timeoutHeaders"] {
            assert_eq!(waiters[0][part], wait[part], "{part}");
        }
        post.close().await;
    });
}
