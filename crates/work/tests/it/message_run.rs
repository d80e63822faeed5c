//! Steps of workflow runs, as an endpoint's library asks for them.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::message_support::Post;
use crate::support::{Bench, with_bench};

/// Far away, so that a delivery is the test's own.
const LATER: (&str, &str) = ("upstash-delay", "1h");

/// A run whose endpoint is at `path`.
struct Run<'a> {
    post: &'a Post,
    id: &'a str,
    path: &'a str,
}

impl<'a> Run<'a> {
    async fn begin(post: &'a Post, id: &'a str, path: &'a str, headers: &[(&str, &str)]) -> Self {
        let mut all = vec![("upstash-workflow-init", "true"), ("upstash-workflow-runid", id)];
        all.extend(headers);
        post.publish(path, &all, r#"{"stepId": 1}"#).await;
        Self { post, id, path }
    }

    /// Appends a step, as a library does.
    async fn append(&self, step: &Value, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut all = vec![("upstash-workflow-init", "false"), ("upstash-workflow-runid", self.id)];
        all.extend(headers);
        let target = format!("/v2/publish/{}{}", self.post.endpoint.url, self.path);
        self.post.ask("POST", &target, &all, step.to_string()).await
    }

    /// Publishes what a library calls for step `number`.
    async fn call(&self, number: &str, path: &str) -> (StatusCode, Value) {
        let endpoint = format!("{}{}", self.post.endpoint.url, self.path);
        let headers = [
            ("upstash-workflow-calltype", "toCallback"),
            ("upstash-workflow-runid", self.id),
            ("upstash-retries", "0"),
            ("upstash-callback", endpoint.as_str()),
            ("upstash-callback-workflow-calltype", "fromCallback"),
            ("upstash-callback-workflow-runid", self.id),
            ("upstash-callback-forward-upstash-workflow-stepid", number),
        ];
        let target = format!("/v2/publish/{}{path}", self.post.endpoint.url);
        self.post.ask("POST", &target, &headers, "asked").await
    }

    async fn wait(&self, number: i64, event: &str) {
        let wait = json!({
            "url": format!("{}{}", self.post.endpoint.url, self.path), "timeout": "1h",
            "step": {"stepId": number, "stepName": "wait", "stepType": "Wait", "concurrent": 1},
        });
        let headers = [("upstash-workflow-runid", self.id)];
        let target = format!("/v2/wait/{event}");
        let (status, answer) = self.post.ask("POST", &target, &headers, wait.to_string()).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }

    async fn resume(&self) {
        let target = format!("/v2/workflows/dlq/resume?workflowRunId={}", self.id);
        let (status, answer) = self.post.ask("POST", &target, &[], "").await;
        assert_eq!(
            (status, &answer["workflowRuns"][0]["workflowRunId"]),
            (StatusCode::OK, &json!(self.id))
        );
    }

    /// The state of the run, and what became of its messages by the steps that they are.
    async fn stands(&self, bench: &Bench<'_>) -> String {
        let id = self.id;
        let sql = format!(
            "select (select state from plinth.run where id = '{id}') || coalesce((
               select string_agg(' ' || state::text || kind::text || coalesce(plinth.message_text(body), ''), '' order by place)
               from plinth.message where run = '{id}'), '')"
        );
        bench.text(&sql).await
    }

    async fn is_failed(&self, bench: &Bench<'_>) {
        let state = format!("select state from plinth.run where id = '{}'", self.id);
        bench.until(&state, "RUN_FAILED").await;
    }

    /// Waits until none of its deliveries is under way.
    async fn is_running_no_more(&self, bench: &Bench<'_>) {
        let running = format!(
            "select count(*) from plinth.message where run = '{}' and state = 'r'",
            self.id
        );
        bench.until(&running, "0").await;
    }

    /// The steps that the endpoint was told of, and how often.
    async fn journal(&self, bench: &Bench<'_>) -> String {
        let sql = format!(
            "select string_agg(plinth.message_text(body), ' ' order by place) from plinth.run_step where run = '{}'",
            self.id
        );
        bench.text(&sql).await
    }

    /// Waits until nothing of it is left to deliver.
    async fn is_quiet(&self, bench: &Bench<'_>) {
        let left = format!(
            "select count(*) from plinth.message where run = '{}' and state in ('q', 'r')",
            self.id
        );
        bench.until(&left, "0").await;
    }
}

fn step(number: i64) -> Value {
    json!({"stepId": number})
}

fn plan(number: i64) -> Value {
    json!({"stepId": 0, "targetStep": number})
}

/// As if the message that is that step were delivered once more: nobody knows what came of the first time.
async fn deliver_again(bench: &Bench<'_>, run: &str, body: &str) {
    let again = format!(
        "insert into plinth.message (id, kind, due_at, url, run, step, settings, body, attempt, retried)
         select run_step.message, 's', now(), run.url, run.id, run_step.step, run.settings, run_step.body, 1, 0
         from plinth.run_step join plinth.run on run.id = run_step.run
         where run.id = '{run}' and plinth.message_text(run_step.body) = '{body}'"
    );
    bench.run(&again).await;
}

#[test]
fn what_comes_of_a_failed_run_counts_when_it_goes_on() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let run = Run::begin(&post, "wfr_1", "/w", &[("upstash-retries", "0")]).await;
        post.endpoint.wait(1).await;
        run.is_quiet(bench).await;
        run.append(&plan(1), &[LATER]).await;
        run.append(&plan(2), &[LATER]).await;
        run.wait(4, "word").await;
        // The call is under way when the run fails.
        post.endpoint.takes(Duration::from_millis(300), 1);
        run.call("3", "/called").await;
        post.endpoint.wait(2).await;
        post.endpoint.says(500, &[], "broken");
        run.append(&step(5), &[]).await;
        run.is_failed(bench).await;

        // So are a step's function and a webhook's caller.
        let (status, _) = run.append(&step(1), &[]).await;
        assert_eq!(status, StatusCode::CREATED);
        let (_, told) = post.ask("POST", "/v2/notify/word", &[], "data").await;
        assert_eq!(told[0]["workflowRunId"], "wfr_1");
        assert_eq!(post.ask("GET", "/v2/waiters/word", &[], "").await.1, json!([]));
        let (status, _) =
            post.ask("POST", "/v2/workflows/hooks/me/wfr_1/hook", &[], "hooked").await;
        assert_eq!(status, StatusCode::OK);
        let called = "select count(*) from plinth.message where run = 'wfr_1' and kind = 'b' and state = 'h'";
        bench.until(called, "1").await;
        let (status, list) = post.ask("GET", "/v2/workflows/runs/wfr_1", &[], "").await;
        assert_eq!((status, list.as_array().map(Vec::len)), (StatusCode::OK, Some(2)));

        run.resume().await;
        run.wait(6, "hook").await;
        let rest = "select string_agg(step::text, ' ' order by step) from plinth.message where run = 'wfr_1'";
        bench.until(rest, "-2 -1").await;
        let told: Vec<_> = post
            .endpoint
            .got()
            .into_iter()
            .filter(|got| got.header("upstash-workflow-stepid") == "3")
            .collect();
        assert_eq!(told[0].json()["status"], 200);
        let journal = "select string_agg(step::text, ' ' order by step) from plinth.run_step where run = 'wfr_1'";
        assert_eq!(bench.text(journal).await, "1 4 5 6");
        let waited =
            "select string_agg(plinth.message_text(body)::jsonb ->> 'out', ' ' order by step)
                      from plinth.run_step where run = 'wfr_1' and step = 4";
        assert_eq!(bench.text(waited).await, "ZGF0YQ==");
        post.close().await;
    });
}

#[test]
fn a_run_whose_dead_letter_is_gone_takes_nothing_more() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.endpoint.says(489, &[("upstash-nonretryable-error", "true")], "");
        let run = Run::begin(&post, "wfr_1", "/w", &[]).await;
        run.is_failed(bench).await;
        run.wait(2, "word").await;
        assert_eq!(run.append(&step(1), &[]).await.0, StatusCode::CREATED);
        let (_, deleted) = post.ask("DELETE", "/v2/dlq", &[], "").await;
        assert_eq!(deleted["deleted"], 1);
        assert_eq!(run.append(&step(1), &[]).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(post.ask("GET", "/v2/waiters/word", &[], "").await.1, json!([]));
        assert_eq!(run.stands(bench).await, "RUN_FAILED");
        post.close().await;
    });
}

#[test]
fn deliveries_that_end_while_the_run_is_failed_are_not_repeated() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let run = Run::begin(&post, "wfr_1", "/w", &[]).await;
        post.endpoint.wait(1).await;
        run.is_quiet(bench).await;
        // One delivery brings its result, another one fails in the middle, the third lets the run fail.
        post.endpoint.takes(Duration::from_millis(300), 1);
        run.append(&plan(1), &[]).await;
        post.endpoint.wait(2).await;
        post.endpoint.fails_late(Duration::from_millis(300));
        run.append(&plan(2), &[]).await;
        post.endpoint.wait(3).await;
        post.endpoint.says(489, &[("upstash-nonretryable-error", "true")], "");
        run.append(&plan(3), &[]).await;
        run.is_failed(bench).await;
        run.append(&step(1), &[]).await;
        run.is_quiet(bench).await;

        run.resume().await;
        run.is_quiet(bench).await;
        let got = post.endpoint.wait(7).await;
        let times = |body: &Value| got.iter().filter(|got| ends_with(got.json(), body)).count();
        assert_eq!(
            (times(&plan(1)), times(&plan(2)), times(&plan(3)), times(&step(1))),
            (1, 2, 2, 1)
        );
        assert_eq!(run.stands(bench).await, "RUN_STARTED");
        post.close().await;
    });
}

/// Whether a list of steps ends with that one.
fn ends_with(list: Value, step: &Value) -> bool {
    use base64::Engine as _;
    let last = list.as_array().and_then(|list| list.last()?["body"].as_str().map(str::to_owned));
    let last = last.and_then(|last| base64::engine::general_purpose::STANDARD.decode(last).ok());
    last.is_some_and(|last| last == step.to_string().as_bytes())
}

#[test]
fn no_step_is_there_twice() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let run = Run::begin(&post, "wfr_1", "/w", &[]).await;
        post.endpoint.wait(1).await;
        run.is_quiet(bench).await;
        let (_, first) = run.append(&step(1), &[]).await;
        run.is_quiet(bench).await;
        let (status, second) = run.append(&step(1), &[]).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        assert_eq!(second, json!({"messageId": first["messageId"], "deduplicated": true}));
        // Also those that are not delivered yet, and those that ask at the same time.
        let two = step(2);
        let ask = || run.append(&two, &[LATER]);
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        let known = [a, b, c, d].into_iter().filter(|(_, answer)| answer["deduplicated"] == true);
        assert_eq!(known.count(), 3);
        run.append(&plan(3), &[LATER]).await;
        assert_eq!(run.append(&plan(3), &[LATER]).await.1["deduplicated"], true);
        run.call("4", "/called").await;
        assert_eq!(run.call("4", "/called").await.1["deduplicated"], true);
        run.wait(5, "word").await;
        run.wait(5, "word").await;
        assert_eq!(
            post.ask("GET", "/v2/waiters/word", &[], "").await.1.as_array().map(Vec::len),
            Some(1)
        );
        for child in ["wfr_a", "wfr_b"] {
            let body = json!({"body": "", "workflowRunId": "wfr_1", "step": step(6)});
            let headers = [
                ("upstash-workflow-init", "true"),
                ("upstash-workflow-invoke", "true"),
                ("upstash-workflow-runid", child),
                LATER,
            ];
            post.publish("/child", &headers, &body.to_string()).await;
        }
        assert_eq!(
            bench.text("select string_agg(id, ' ') from plinth.run where parent = 'wfr_1'").await,
            "wfr_a"
        );
        post.close().await;
    });
}

#[test]
fn what_the_run_has_gone_beyond_is_not_delivered_again() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let run = Run::begin(&post, "wfr_1", "/w", &[]).await;
        for body in [step(1), plan(2), plan(3), step(2)] {
            run.append(&body, &[]).await;
            run.is_quiet(bench).await;
        }
        let before = post.endpoint.wait(5).await.len();
        // The second plan has no result, and the first result cannot be the last one without it.
        for body in [step(1), plan(2), plan(3), step(2)] {
            deliver_again(bench, "wfr_1", &body.to_string()).await;
            run.is_quiet(bench).await;
        }
        deliver_again(bench, "wfr_1", r#"{"stepId": 1}"#).await;
        run.is_quiet(bench).await;
        let got = post.endpoint.got();
        let again: Vec<_> = got[before..]
            .iter()
            .map(|got| (ends_with(got.json(), &plan(3)), ends_with(got.json(), &step(2))))
            .collect();
        assert_eq!(again, [(true, false), (false, true)]);
        post.close().await;
    });
}

#[test]
fn a_delivery_whose_result_is_there_does_not_fail_its_run() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.endpoint.fails_late(Duration::from_millis(300));
        let run = Run::begin(&post, "wfr_1", "/w", &[("upstash-retries", "0")]).await;
        post.endpoint.wait(1).await;
        run.append(&step(1), &[LATER]).await;
        run.is_running_no_more(bench).await;
        assert_eq!(run.stands(bench).await, r#"RUN_STARTED qs{"stepId":1}"#);
        assert_eq!(run.journal(bench).await, r#"{"stepId": 1}"#);
        post.close().await;
    });
}

#[test]
fn a_waiter_is_told_by_one_of_those_that_come_at_the_same_time() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let run = Run::begin(&post, "wfr_1", "/w", &[]).await;
        post.endpoint.wait(1).await;
        run.is_quiet(bench).await;
        run.wait(1, "word").await;
        // Somebody holds the waiter until both have seen it.
        bench.run("begin; select from plinth.message where run = 'wfr_1' for update").await;
        let both = async {
            tokio::join!(
                post.ask("POST", "/v2/notify/word", &[], "one"),
                post.ask("POST", "/v2/notify/word", &[], "two")
            )
        };
        let hold = async {
            let other = bench.session().await;
            let waiting = "select count(*) from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()";
            while other.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            bench.run("commit").await;
            other.close().await;
        };
        let (((_, one), (_, two)), ()) = tokio::join!(both, hold);
        let told = [one, two].map(|told| told.as_array().map(Vec::len).unwrap_or_default());
        assert_eq!(told.iter().sum::<usize>(), 1, "{told:?}");
        post.close().await;
    });
}

#[test]
fn the_end_of_a_failed_run_is_asked_for_again_when_it_goes_on() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.endpoint.says(489, &[("upstash-nonretryable-error", "true")], "");
        let run = Run::begin(&post, "wfr_1", "/w", &[]).await;
        run.is_failed(bench).await;
        let end =
            async || post.ask("DELETE", "/v2/workflows/runs/wfr_1?cancel=false", &[], "1").await.0;
        assert_eq!(end().await, StatusCode::CONFLICT);
        run.resume().await;
        assert_eq!(end().await, StatusCode::OK);
        run.is_quiet(bench).await;
        assert_eq!(run.stands(bench).await, "RUN_SUCCESS");
        assert_eq!(end().await, StatusCode::OK);
        post.close().await;
    });
}

#[test]
fn logs_have_what_the_types_of_clients_say() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let own = [
            ("upstash-forward-x-own", "yes"),
            ("upstash-forward-x-key", "k"),
            ("upstash-redact-fields", "header[x-key]"),
        ];
        let run = Run::begin(&post, "wfr_1", "/w", &own).await;
        post.endpoint.wait(1).await;
        run.is_quiet(bench).await;
        run.wait(1, "word").await;
        post.ask("POST", "/v2/notify/word", &[], "data").await;
        run.is_quiet(bench).await;
        let broken =
            [("upstash-nonretryable-error", "true"), ("upstash-error-step-name", "breaks")];
        post.endpoint.says(489, &broken, "");
        run.append(&step(2), &[]).await;
        run.is_failed(bench).await;

        let (_, logs) = post.ask("GET", "/v2/workflows/logs?workflowRunId=wfr_1", &[], "").await;
        let found = &logs["runs"][0];
        let response: Value =
            serde_json::from_str(found["workflowRunResponse"].as_str().unwrap()).unwrap();
        assert_eq!(response, "the endpoint answered 489");
        let groups = found["steps"].as_array().unwrap();
        let (next, done) = groups.split_last().unwrap();
        for group in done {
            assert_eq!(
                group["steps"][0]["headers"],
                json!({"x-own": ["yes"], "x-key": ["REDACTED"]})
            );
        }
        let wait = &done[1]["steps"][0];
        assert_eq!(
            (&wait["waitTimeoutDuration"], &wait["waitTimeout"]),
            (&json!("3600s"), &json!(false))
        );
        assert!(wait["waitTimeoutDeadline"].as_f64() > wait["createdAt"].as_f64(), "{wait}");
        let failed = &next["steps"][0];
        assert_eq!(
            (&failed["state"], &failed["stepName"]),
            (&json!("STEP_FAILED"), &json!("breaks"))
        );
        post.close().await;
    });
}
