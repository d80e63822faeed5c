//! Requests to people's own code, with a real server on this machine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plinth_outgoing::{Outgoing, OutgoingPolicy};
use plinth_wire::Secret;
use plinth_work::Meter;
use plinth_work::action::{Actions, HttpRequest, Noop, Secrets, SqlStatement};
use plinth_work::engine::{Engine, Options};
use plinth_work::manifest::{MeterSpec, Name, Role};
use plinth_work::rule::{Rule, Script};
use serde_json::{Value, json};

use crate::support::{Bench, pending, rule, with_bench};

const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'pending', tenant text, error text, out jsonb);";

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// What was asked.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    at: Instant,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answer = Box<dyn Fn(usize, &Asked) -> Option<Response> + Send + Sync>;

struct Double {
    asked: Mutex<Vec<Asked>>,
    answer: Answer,
}

/// A server that answers request number n with `answer(n, request)`, or never where that is nothing; its address.
async fn server(
    answer: impl Fn(usize, &Asked) -> Option<Response> + Send + Sync + 'static,
) -> (String, Arc<Double>) {
    let double = Arc::new(Double { asked: Mutex::default(), answer: Box::new(answer) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(handle).with_state(Arc::clone(&double));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, double)
}

async fn handle(State(double): State<Arc<Double>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: to_bytes(body, 1 << 24).await.unwrap().to_vec(),
        at: Instant::now(),
    };
    let count = {
        let mut all = double.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    match (double.answer)(count, &asked) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

impl Double {
    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(status: u16, body: impl ToString) -> Option<Response> {
    Some(Response::builder().status(status).body(Body::from(body.to_string())).unwrap())
}

fn says(instruction: Value) -> Option<Response> {
    answer(200, json!({ "plinth": instruction }))
}

struct Environment;

impl Secrets for Environment {
    fn variable(&self, project: &str, name: &str) -> Option<Secret> {
        assert_eq!(project, "test");
        (name == "TOKEN").then(|| Secret::new("hunter2"))
    }

    fn signing_key(&self, _project: &str) -> Option<Secret> {
        Some(Secret::new(format!("whsec_{}", STANDARD.encode(KEY))))
    }
}

fn actions(policy: OutgoingPolicy) -> Actions {
    let outgoing = Outgoing::new(policy, Duration::from_secs(60)).unwrap();
    let request = HttpRequest::new(outgoing, Arc::new(Environment));
    Actions::default().with(Noop).with(SqlStatement).with(request).with_flow()
}

fn local() -> OutgoingPolicy {
    OutgoingPolicy { allow_http_loopback: true, ..OutgoingPolicy::default() }
}

fn options() -> Options {
    Options { poll: Duration::from_millis(20), lease: Duration::from_secs(2), ..Options::default() }
}

async fn start_as(
    bench: &mut Bench<'_>,
    policy: OutgoingPolicy,
    change: impl FnOnce(&mut Rule),
) -> Engine {
    let id = bench.binding("task").await;
    bench.install(&pending(id)).await.unwrap();
    let done = "update task set status = 'done', out = $1::jsonb where id = $2::bigint";
    let mut rule = Rule {
        input: Some(Script::new(
            "select to_jsonb(t) from task t where id = $1::bigint",
            [Name::Row],
        )),
        done: vec![Script::new(done, [Name::Out, Name::Row])],
        ..rule(id, "http.request")
    };
    change(&mut rule);
    Engine::start("test", bench.store(), actions(policy), vec![rule], options())
}

async fn start(bench: &mut Bench<'_>, with: Value) -> Engine {
    start_as(bench, local(), |rule| rule.with = with).await
}

const DONE: &str = "select status from task where id = 1";
const ERROR: &str = "select error from task where id = 1";
const OUT: &str = "select out from task where id = 1";

#[test]
fn a_request_says_whose_it_is_and_is_signed() {
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|_, _| answer(200, r#"{"ok": true}"#)).await;
        let with = json!({
            "url": format!("{base}/work?x=1"), "method": "PUT",
            "headers": {"authorization": "env:TOKEN", "x-plain": "a"},
        });
        let engine = start(bench, with).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        assert_eq!(bench.text(OUT).await, r#"{"ok": true}"#);
        let [asked] = &double.asked()[..] else { panic!() };
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PUT", "/work?x=1"));
        assert_eq!(asked.json()["status"], "pending");
        let job = bench.text("select id from plinth.job_done").await;
        for (name, wanted) in [
            ("authorization", "hunter2"),
            ("x-plain", "a"),
            ("content-type", "application/json"),
            ("plinth-project", "test"),
            ("plinth-job", job.as_str()),
            ("plinth-attempt", "1"),
            ("webhook-id", asked.header("idempotency-key")),
        ] {
            assert_eq!(asked.header(name), wanted, "{name}");
        }
        assert!(asked.header("plinth-binding").starts_with("rule-"));
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, KEY));
        let (id, time) = (asked.header("webhook-id"), asked.header("webhook-timestamp"));
        context.update(format!("{id}.{time}.").as_bytes());
        context.update(&asked.body);
        let wanted = format!("v1,{}", STANDARD.encode(context.sign()));
        assert_eq!(asked.header("webhook-signature"), wanted);
        // The secret is nowhere in the database.
        let dump = "select (select coalesce(string_agg(t::text, ''), '') from plinth.job_done t) || (select coalesce(string_agg(t::text, ''), '') from plinth.binding t)";
        assert!(!bench.text(dump).await.contains("hunter2"));
        engine.stop().await;
    });
}

#[test]
fn attempts_share_an_idempotency_key_and_jobs_do_not() {
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|n, _| answer(if n < 2 { 500 } else { 200 }, "")).await;
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        bench.run("insert into task (id) values (2)").await;
        bench.until("select status from task where id = 2", "done").await;
        let asked = double.asked();
        let keys: Vec<&str> = asked.iter().map(|asked| asked.header("idempotency-key")).collect();
        assert!(keys[0].len() == 32 && keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
        assert_ne!(keys[2], keys[3]);
        let attempts: Vec<&str> =
            asked.iter().map(|asked| asked.header("plinth-attempt")).collect();
        assert_eq!(attempts, ["1", "2", "3", "1"]);
        engine.stop().await;
    });
}

#[test]
fn a_refusal_is_dead_at_once_and_trouble_after_all_attempts() {
    for (status, failures) in [(404, "1"), (302, "1"), (409, "3"), (429, "3"), (500, "3")] {
        with_bench(TASKS, async |bench| {
            let (base, double) = server(move |_, _| {
                let mut response = answer(status, "the reason").unwrap();
                response.headers_mut().insert("location", "/elsewhere".parse().unwrap());
                Some(response)
            })
            .await;
            let engine = start(bench, json!({"url": base})).await;
            bench.run("insert into task (id) values (1)").await;
            bench.until(DONE, "failed").await;
            assert_eq!(bench.text("select failures from plinth.job").await, failures, "{status}");
            assert_eq!(double.asked().len().to_string(), failures);
            let error = bench.text(ERROR).await;
            assert!(error.contains(&format!("answered {status}: the reason")), "{error}");
            assert!(double.asked().iter().all(|asked| asked.path == "/"));
            engine.stop().await;
        });
    }
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_says() {
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|n, _| {
            let mut response = answer(if n == 0 { 503 } else { 200 }, "").unwrap();
            response.headers_mut().insert("retry-after", "1".parse().unwrap());
            Some(response)
        })
        .await;
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        assert_eq!(bench.text("select failures from plinth.job_done").await, "0");
        let asked = double.asked();
        assert!(asked[1].at - asked[0].at >= Duration::from_secs(1));
        engine.stop().await;
    });
}

#[test]
fn what_does_not_answer_in_time_or_at_all_failed() {
    with_bench(TASKS, async |bench| {
        let (base, _double) = server(|n, _| if n == 0 { None } else { answer(200, "") }).await;
        let engine = start_as(bench, local(), |rule| {
            rule.with = json!({"url": base});
            rule.timeout = Duration::from_millis(300);
        })
        .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        let history = bench.text("select failures || ' ' || error from plinth.job_done").await;
        assert_eq!(history, "1 took longer than 300ms");
        engine.stop().await;
    });
    with_bench(TASKS, async |bench| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "failed").await;
        assert_eq!(bench.text(ERROR).await, format!("{base} could not be reached"));
        assert_eq!(bench.text("select failures from plinth.job").await, "3");
        engine.stop().await;
    });
}

#[test]
fn private_addresses_are_refused_for_good_before_anything_is_sent() {
    for (policy, with, wanted) in [
        (
            OutgoingPolicy::default(),
            json!({"url": "https://127.0.0.1:1/"}),
            "calls to https://127.0.0.1:1 are not allowed",
        ),
        (
            OutgoingPolicy::default(),
            json!({"url": "https://localhost:1/"}),
            "calls to https://localhost:1 are not allowed",
        ),
        (local(), json!({"url": "http://10.0.0.1/"}), "calls to http://10.0.0.1 are not allowed"),
        (
            local(),
            json!({"url": "http://169.254.169.254/latest"}),
            "calls to http://169.254.169.254 are not allowed",
        ),
    ] {
        with_bench(TASKS, async |bench| {
            let engine = start_as(bench, policy, |rule| rule.with = with).await;
            bench.run("insert into task (id) values (1)").await;
            bench.until(DONE, "failed").await;
            assert_eq!(bench.text(ERROR).await, wanted);
            assert_eq!(bench.text("select failures from plinth.job").await, "1");
            engine.stop().await;
        });
    }
}

#[test]
fn a_variable_that_is_not_set_may_be_later() {
    for (with, wanted) in [
        (json!({"url": "env:NOWHERE"}), "there is no variable `NOWHERE`"),
        (json!({"url": "http://127.0.0.1/", "secret": "env:NONE"}), "there is no variable `NONE`"),
    ] {
        with_bench(TASKS, async |bench| {
            let engine = start(bench, with).await;
            bench.run("insert into task (id) values (1)").await;
            bench.until(DONE, "failed").await;
            assert_eq!(bench.text(ERROR).await, wanted);
            assert_eq!(bench.text("select failures from plinth.job").await, "3");
            engine.stop().await;
        });
    }
}

#[test]
fn the_value_of_a_variable_does_not_come_back() {
    for (status, state, column, wanted) in [
        (404, "failed", ERROR, "127.0.0.1 answered 404: you sent [sealed]"),
        (200, "done", OUT, "\"you sent [sealed]\""),
    ] {
        with_bench(TASKS, async |bench| {
            let (base, _double) = server(move |_, asked| {
                answer(status, format!("you sent {}", asked.header("authorization")))
            })
            .await;
            let headers = json!({"authorization": "env:TOKEN"});
            let engine = start(bench, json!({"url": base, "headers": headers})).await;
            bench.run("insert into task (id) values (1)").await;
            bench.until(DONE, state).await;
            assert_eq!(bench.text(column).await, wanted);
            engine.stop().await;
        });
    }
}

#[test]
fn an_answer_is_bounded() {
    with_bench(TASKS, async |bench| {
        let (base, _double) = server(|_, _| answer(200, "a".repeat((8 << 20) + 1))).await;
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "failed").await;
        assert_eq!(bench.text(ERROR).await, "the answer of 127.0.0.1 is longer than 8388608 bytes");
        engine.stop().await;
    });
}

#[test]
fn an_answer_sets_the_outcome() {
    for (instruction, wanted) in [
        (json!({"outcome": "done", "out": [1]}), "done null 0"),
        (json!({"outcome": "never", "error": "no"}), "failed no 1"),
        (json!({"outcome": "unknown", "error": "maybe"}), "failed unknown outcome: maybe 1"),
        (json!({"outcome": "failed", "error": "not now"}), "failed not now 3"),
    ] {
        with_bench(TASKS, async |bench| {
            let (base, _double) = server(move |_, _| says(instruction.clone())).await;
            let engine = start(bench, json!({"url": base})).await;
            bench.run("insert into task (id) values (1)").await;
            let all = "select status || ' ' || coalesce(error, 'null') || ' ' ||
                (select failures from (select failures from plinth.job union all select failures from plinth.job_done) as j) from task";
            bench.until(all, wanted).await;
            engine.stop().await;
        });
    }
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|n, _| match n {
            0 => says(json!({"not_before": "700ms", "error": "later"})),
            _ => answer(200, "1"),
        })
        .await;
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        assert_eq!(bench.text("select failures from plinth.job_done").await, "0");
        let asked = double.asked();
        assert!(asked[1].at - asked[0].at >= Duration::from_millis(700));
        engine.stop().await;
    });
}

/// What a script of somebody's does: research, a nap, an approval, then it is done.
fn script(asked: &Asked) -> Option<Response> {
    let steps = asked.json()["plinth"]["steps"].clone();
    says(if steps.get("research").is_none() {
        json!({"steps": [{"name": "research", "out": {"found": 3}}]})
    } else if steps.get("nap").is_none() {
        json!({"steps": [{"name": "nap", "sleep": "50ms"}]})
    } else if steps.get("approval").is_none() {
        json!({"steps": [{"name": "approval", "wait": {"event": "approved", "timeout": "1h"}}]})
    } else {
        json!({"outcome": "done", "out": steps})
    })
}

#[test]
fn a_script_continues_with_steps() {
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|_, asked| script(asked)).await;
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        let waits = "select count(*) from plinth.job where state = 'w' and exists (select from plinth.step where state = 'e')";
        bench.until(waits, "1").await;
        assert_eq!(bench.text("select plinth.notify('approved', '{\"by\": \"me\"}')").await, "1");
        bench.until(DONE, "done").await;
        let out: Value = serde_json::from_str(&bench.text(OUT).await).unwrap();
        assert_eq!(out, json!({"research": {"found": 3}, "nap": null, "approval": {"by": "me"}}));
        let asked = double.asked();
        assert_eq!(asked.len(), 4);
        assert_eq!(asked[1].json()["status"], "pending");
        let mut keys: Vec<&str> =
            asked.iter().map(|asked| asked.header("idempotency-key")).collect();
        keys.dedup();
        assert_eq!(keys.len(), 4, "each request that has more steps behind it is another");
        assert_eq!(bench.text("select failures from plinth.job_done").await, "0");
        engine.stop().await;
    });
}

#[test]
fn steps_of_a_request_in_a_flow_have_its_name_before_them() {
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|_, asked| match asked.json()["plinth"]["steps"]["a"] {
            Value::Null => says(json!({"steps": [{"name": "a", "out": 1}]})),
            _ => answer(200, r#"{"b": 2}"#),
        })
        .await;
        let steps = json!([
            {"name": "ask", "do": {"act": {"action": "http.request", "with": {"url": base}}}},
            {"name": "last", "do": {"act": {"action": "noop", "input": "select $steps"}}},
        ]);
        let engine = start_as(bench, local(), |rule| {
            rule.action = "flow".to_owned();
            rule.steps = serde_json::from_value(steps).unwrap();
        })
        .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        assert_eq!(bench.text(OUT).await, r#"{"ask": {"b": 2}, "ask/a": 1}"#);
        let asked = double.asked();
        assert!(asked.len() == 2 && asked.iter().all(|asked| asked.header("plinth-step") == "ask"));
        engine.stop().await;
    });
}

#[test]
fn a_script_that_does_not_come_forward_failed() {
    with_bench(TASKS, async |bench| {
        let (base, double) = server(|_, _| says(json!({"steps": [{"name": "a", "out": 1}]}))).await;
        let engine = start(bench, json!({"url": base})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "failed").await;
        assert_eq!(bench.text(ERROR).await, "127.0.0.1 goes on without a new step");
        assert_eq!(double.asked().len(), 4, "two of the first attempt, one of each other");
        engine.stop().await;
    });
}

#[test]
fn what_an_answer_says_it_used_is_recorded_with_its_steps_its_failure_and_its_end() {
    with_bench(TASKS, async |bench| {
        let (base, _) = server(|n, _| match n {
            0 => answer(500, json!({"plinth": {"usage": {"n": 0}}})),
            1 => says(
                json!({"usage": {"n": 1}, "steps": [{"name": "a"}, {"name": "b", "sleep": 0.02}]}),
            ),
            _ => answer(200, json!({"ok": true, "plinth": {"usage": {"n": 2}}})),
        })
        .await;
        bench.run("create table bill (n bigint generated always as identity, usage jsonb)").await;
        let meter = MeterSpec {
            name: "bill".to_owned(),
            actions: vec!["http.*".to_owned()],
            record: vec![
                serde_json::from_value(json!("insert into bill (usage) values ($usage)")).unwrap(),
            ],
            role: Role::Owner,
        };
        let engine = start_as(bench, local(), |rule| {
            rule.with = json!({"url": base});
            rule.meters = [Meter::new(&meter)].into();
        })
        .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(DONE, "done").await;
        assert_eq!(bench.text(OUT).await, r#"{"ok": true}"#);
        let bill = "select string_agg(usage->>'n', ',' order by n) from bill";
        assert_eq!(bench.text(bill).await, "0,1,2");
        engine.stop().await;
    });
}
