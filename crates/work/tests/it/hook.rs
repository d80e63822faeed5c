//! Deliveries that become jobs once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use plinth_wire::Secret;
use plinth_work::action::{Actions, Noop};
use plinth_work::engine::{Engine, Options};
use plinth_work::hook::{EventFilter, Hooks, Request, Response, events, replay};
use plinth_work::manifest::{Manifest, Name};
use plinth_work::rule::Script;

use crate::support::{Bench, rule, with_bench};

const SETUP: &str = "create table got (id bigint generated always as identity, event text, kind text, headers jsonb)";

const GITHUB: &str = r#"
    [[hook]]
    name = "github"
    verify = { scheme = "github", secret = "env:HOOK_SECRET" }
    event_id = "x-github-delivery"
    done = "insert into got (event, kind, headers) values ($event, $body->>'kind', $headers)"
"#;

/// Keeps the manifest's hooks as an installation does.
async fn install(bench: &Bench<'_>, manifest: &str) {
    let manifest = format!("name = \"test\"\n{manifest}");
    let manifest = Manifest::parse(&manifest).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    for hook in &manifest.hooks {
        let spec = serde_json::to_string(&hook.spec).unwrap();
        let sql = "insert into plinth.binding as known (name, kind, spec) values ($1, 'hook', $2::text::jsonb)
            on conflict (name) do update set spec = excluded.spec, state = 'active'";
        bench.owner.execute(sql, &[&hook.spec.name, &spec]).await.unwrap();
    }
}

fn hooks(bench: &Bench<'_>) -> Hooks {
    let secret = |name: &str| match name {
        "HOOK_SECRET" => Some(Secret::new("secret")),
        "OTHER_SECRET" => Some(Secret::new("other")),
        _ => None,
    };
    Hooks::new(bench.store(), Arc::new(secret), Arc::new(|| {}))
}

fn headers(body: &str, secret: &str, event: &str) -> HeaderMap {
    let signature =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| headers.insert(name, HeaderValue::from_str(value).unwrap());
    set("x-hub-signature-256", &format!("sha256={hex}"));
    set("x-github-delivery", event);
    set("authorization", "Bearer hidden");
    set("content-type", "application/json");
    headers
}

async fn send(hooks: &Hooks, path: &str, headers: &HeaderMap, body: &str) -> Option<Response> {
    let (method, body) = (&Method::POST, Bytes::from(body.to_owned()));
    hooks.answer(Request { method, path, headers, body }).await
}

async fn status(hooks: &Hooks, path: &str, headers: &HeaderMap, body: &str) -> u16 {
    send(hooks, path, headers, body).await.map_or(404, |response| response.status.as_u16())
}

async fn counts(bench: &Bench<'_>) -> String {
    bench.text("select (select count(*) from plinth.event) || ' kept, ' || (select count(*) from plinth.job) || ' queued'").await
}

#[test]
fn a_delivery_is_kept_once_and_becomes_one_job() {
    with_bench(SETUP, async |bench| {
        install(bench, GITHUB).await;
        let (one, two) = (hooks(bench), hooks(bench));
        let body = r#"{"kind": "push"}"#;
        let sent = headers(body, "secret", "delivery-1");
        let all =
            (0..10).map(|n| status(if n % 2 == 0 { &one } else { &two }, "/github", &sent, body));
        for answer in all {
            assert_eq!(answer.await, 200);
        }
        assert_eq!(counts(bench).await, "1 kept, 1 queued");
        let job = bench.text("select input from plinth.job").await;
        assert!(!job.contains("hidden") && !job.contains("sha256="), "{job}");
        assert_eq!(bench.text("select body = convert_to('{\"kind\": \"push\"}', 'utf8') and job = (select id from plinth.job) from plinth.event").await, "true");

        let binding = bench.text("select id from plinth.binding").await.parse().unwrap();
        let mut rule = rule(binding, "noop");
        rule.done = vec![Script::new(
            "insert into got (event, kind, headers) values ($1, ($2::jsonb)->>'kind', $3::jsonb)",
            [Name::Event, Name::Body, Name::Headers],
        )];
        let options = Options { poll: Duration::from_millis(20), ..Options::default() };
        let engine = Engine::start(
            "test",
            bench.store(),
            Actions::default().with(Noop),
            vec![rule],
            options,
        );
        let got = "select string_agg(event || ':' || kind || ':' || (headers->>'content-type'), ',' order by id) from got";
        bench.until(got, "delivery-1:push:application/json").await;
        // Also long after it is done.
        assert_eq!(status(&one, "/github", &sent, body).await, 200);
        assert_eq!(counts(bench).await, "1 kept, 0 queued");

        let store = bench.store();
        let filter =
            EventFilter { hook: Some("github".to_owned()), event: None, before: None, most: 10 };
        let listed = events(&store, &filter).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].event.as_str(), listed[0].body_bytes), ("delivery-1", 16));
        assert_eq!(listed[0].received_at.as_bytes()[10], b'T', "{}", listed[0].received_at);
        assert!(replay(&store, listed[0].id).await.unwrap().is_some());
        bench
            .until("select count(*) from got where event = 'delivery-1' and kind = 'push'", "2")
            .await;
        assert_eq!(replay(&store, listed[0].id + 1).await.unwrap(), None);
        engine.stop().await;
    });
}

#[test]
fn repeats_that_race_make_one_job() {
    with_bench(SETUP, async |bench| {
        install(bench, GITHUB).await;
        let body = r#"{"kind": "push"}"#;
        let (one, two) = (Arc::new(hooks(bench)), Arc::new(hooks(bench)));
        let mut sending = tokio::task::JoinSet::new();
        for number in 0..40 {
            let hooks = Arc::clone(if number % 2 == 0 { &one } else { &two });
            let sent = headers(body, "secret", &format!("delivery-{}", number % 4));
            sending.spawn(async move { status(&hooks, "/github", &sent, body).await });
        }
        assert!(sending.join_all().await.iter().all(|status| *status == 200));
        assert_eq!(counts(bench).await, "4 kept, 4 queued");
    });
}

#[test]
fn strangers_learn_nothing_and_change_nothing() {
    with_bench(SETUP, async |bench| {
        install(bench, GITHUB).await;
        install(
            bench,
            r#"
            [[hook]]
            name = "path"
            verify = { scheme = "path-token", secret = "env:HOOK_SECRET" }
            done = "select 1"
            [[hook]]
            name = "unset"
            verify = { scheme = "path-token", secret = "env:NOWHERE" }
            done = "select 1"
            "#,
        )
        .await;
        let hooks = hooks(bench);
        let wrong = headers("{}", "guess", "1");
        let right = headers("{}", "secret", "1");
        let refused = send(&hooks, "/github", &wrong, "{}").await.unwrap();
        assert_eq!(refused.status, 401);
        let nothing = send(&hooks, "/path", &HeaderMap::new(), "{}").await.unwrap();
        assert_eq!(nothing, refused, "one answer whatever is wrong");
        assert_eq!(status(&hooks, "/path/guess", &wrong, "{}").await, 401);
        for path in
            ["/nowhere", "/nowhere/secret", "/github/secret", "/", "", "/path/secret/x", "/path/"]
        {
            assert_eq!(status(&hooks, path, &right, "{}").await, 404, "{path}");
        }
        assert_eq!(status(&hooks, "/unset/", &right, "{}").await, 404);
        for path in ["/unset", "/unset/x"] {
            assert_eq!(status(&hooks, path, &right, "{}").await, 503, "{path}");
        }
        let broken = "{\"kind\": ";
        assert_eq!(status(&hooks, "/github", &headers(broken, "secret", "1"), broken).await, 400);
        assert_eq!(status(&hooks, "/github", &headers(broken, "guess", "1"), broken).await, 401);
        let long = "x".repeat((1 << 20) + 1);
        assert_eq!(status(&hooks, "/github", &headers(&long, "secret", "1"), &long).await, 413);
        let (headers, body) = (&right, Bytes::new());
        let get = Request { method: &Method::GET, path: "/github", headers, body };
        assert_eq!(hooks.answer(get).await.unwrap().status, 405);
        assert_eq!(counts(bench).await, "0 kept, 0 queued");
        assert_eq!(status(&hooks, "/path/secret", &right, "{}").await, 200);
        assert_eq!(counts(bench).await, "1 kept, 1 queued");
    });
}

#[test]
fn a_hook_that_changes_is_verified_as_it_is_now() {
    with_bench(SETUP, async |bench| {
        install(bench, GITHUB).await;
        let hooks = hooks(bench);
        let sent = |secret, event| headers("{}", secret, event);
        assert_eq!(status(&hooks, "/github", &sent("secret", "1"), "{}").await, 200);
        // The secret is another one: the old one must not be believed for a moment longer.
        install(bench, &GITHUB.replace("HOOK_SECRET", "OTHER_SECRET")).await;
        assert_eq!(status(&hooks, "/github", &sent("secret", "2"), "{}").await, 401);
        assert_eq!(status(&hooks, "/github", &sent("other", "3"), "{}").await, 200);
        // Paused, it takes deliveries and leaves their jobs; removed, it is not there.
        bench.run("update plinth.binding set state = 'paused'").await;
        assert_eq!(status(&hooks, "/github", &sent("other", "4"), "{}").await, 200);
        bench.run("update plinth.binding set state = 'removed'").await;
        assert_eq!(status(&hooks, "/github", &sent("other", "5"), "{}").await, 404);
        assert_eq!(counts(bench).await, "3 kept, 3 queued");
    });
}

#[test]
fn bodies_that_are_no_json_of_postgresql_are_kept_as_they_came() {
    with_bench(SETUP, async |bench| {
        install(
            bench,
            "[[hook]]\nname = \"open\"\nverify = { scheme = \"none\" }\ndone = \"select 1\"",
        )
        .await;
        let woken = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&woken);
        let wake = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let hooks = Hooks::new(bench.store(), Arc::new(|_: &str| None), wake);
        let tiny = format!("0.{}1", "0".repeat(20_000));
        for body in ["", "plain", "a\0b", r#"{"a": "\u0000"}"#, r#"{"a": 1, "a": 2}"#, &tiny] {
            assert_eq!(status(&hooks, "/open", &HeaderMap::new(), body).await, 200, "{body:.20}");
            assert_eq!(status(&hooks, "/open", &HeaderMap::new(), body).await, 200, "{body:.20}");
        }
        assert_eq!(counts(bench).await, "6 kept, 6 queued");
        assert_eq!(woken.load(Ordering::SeqCst), 6);
        let hashes = "select bool_and(event = encode(sha256(body), 'hex')) from plinth.event";
        assert_eq!(bench.text(hashes).await, "true");
        let kinds =
            "select string_agg(jsonb_typeof(input->'body'), ',' order by id) from plinth.job";
        assert_eq!(bench.text(kinds).await, "string,string,string,string,object,string");
    });
}

#[test]
fn old_deliveries_are_forgotten() {
    with_bench(SETUP, async |bench| {
        install(bench, GITHUB).await;
        let hooks = hooks(bench);
        for event in ["old", "new"] {
            assert_eq!(status(&hooks, "/github", &headers("{}", "secret", event), "{}").await, 200);
        }
        bench.run("update plinth.event set received_at = now() - interval '2 hours' where event = 'old'").await;
        let options = Options { keep_events: Duration::from_secs(3600), ..Options::default() };
        let engine = Engine::start("test", bench.store(), Actions::default(), Vec::new(), options);
        bench.until("select string_agg(event, ',') from plinth.event", "new").await;
        engine.stop().await;
    });
}
