//! Jobs that rows do not make by themselves: those that are called, or come from a delivery.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use plinth_work::action::{Actions, Noop, SqlStatement};
use plinth_work::engine::{Engine, Options};
use plinth_work::hook::{Hooks, Request};
use plinth_work::install::apply;
use plinth_work::manifest::Manifest;

use crate::support::{Bench, with_bench};

const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'idle', tenant text, weight int default 0, out jsonb, error text);
    insert into task (id, tenant, weight) values (1, 'a', 1), (2, 'a', 2), (3, 'b', 3);
    create table told (n bigint generated always as identity, what text, out jsonb)";

/// Applies a manifest and works by it.
pub(crate) async fn work(bench: &mut Bench<'_>, manifest: &str) -> Engine {
    let manifest = Manifest::parse(manifest).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    apply(bench.owner.client_mut(), &manifest).await.unwrap();
    let store = bench.store();
    let rules = store.rules().await.unwrap().rules;
    let options = Options {
        poll: Duration::from_millis(20),
        lease: Duration::from_secs(2),
        ..Options::default()
    };
    let actions = Actions::default().with(Noop).with(SqlStatement).with_flow();
    Engine::start("test", store, actions, rules, options)
}

const LIMITED: &str = "[[binding]]
name = 'move'
on = 'task'
when = \"status = 'go'\"
action = 'noop'
limit = { key = 'tenant', per = '1h', max = 1 }
concurrency = { key = 'tenant', max = 1 }
priority = 'weight'
fair = 'tenant || weight'
";

#[test]
fn a_called_job_has_the_priority_and_the_keys_of_its_row() {
    with_bench(TASKS, async |bench| {
        let manifest = Manifest::parse(LIMITED).unwrap();
        apply(bench.owner.client_mut(), &manifest).await.unwrap();
        bench.run("select plinth.add_job('move', id::text, '7', 5) from task order by id").await;
        let called = "select string_agg(concat_ws(' ', key, priority, fair, rate_key, seat_key), ', ' order by id) from plinth.job";
        let wanted = "1 1 a1 a a, 2 2 a2 a a, 3 3 b3 b b";
        assert_eq!(bench.text(called).await, wanted);
        assert_eq!(
            bench.text("select distinct input::text || '/' || parent from plinth.job").await,
            "7/5"
        );
        // As the triggers make them.
        bench.run("delete from plinth.job; update task set status = 'go'").await;
        assert_eq!(bench.text(called).await, wanted);
    });
}

#[test]
fn limits_by_key_hold_for_called_and_for_enqueued_jobs() {
    with_bench(TASKS, async |bench| {
        let engine = work(bench, LIMITED).await;
        bench
            .run(
                "select plinth.enqueue('move') from generate_series(1, 3);
                 select plinth.add_job('move', id::text, null, null) from task, generate_series(1, 3) order by id",
            )
            .await;
        // One of each tenant, and one of those that are about no row.
        let begun =
            "select string_agg(coalesce(key, 'none'), ',' order by key) from plinth.job_done";
        bench.until("select count(*) from plinth.job_done", "3").await;
        let found = bench.text(begun).await;
        assert!(["1,3,none", "2,3,none"].contains(&found.as_str()), "{found}");
        engine.stop().await;
        assert_eq!(bench.text("select count(*) from plinth.job_done").await, "3");
        assert_eq!(bench.text("select count(*) from plinth.job").await, "9");
    });
}

const HOOKED: &str = "[[binding]]
name = 'move'
on = 'task'
when = \"status = 'go'\"
action = 'sql'
with = { run = \"update task set status = 'moved', out = $input->'body' where id = $row returning to_jsonb(tenant)\" }
failed = \"update task set error = $error where id = $row\"
retry = { attempts = 1 }

[[hook]]
name = 'paid'
verify = { scheme = 'none' }
binding = 'move'
row = \"select id from task where id = ($body->>'task')::bigint or $body ? 'any' and id = 3\"
done = \"insert into told (what, out) values ($event, $out)\"
failed = \"insert into told (what) values ($error)\"
retry = { attempts = 2, first = '10ms' }

[[hook]]
name = 'wrong'
verify = { scheme = 'none' }
binding = 'move'
row = \"select $body->>'task'\"
failed = \"insert into told (what) values ($error)\"
retry = { attempts = 2, first = '10ms' }
";

async fn deliver(bench: &Bench<'_>, name: &str, body: &'static str) {
    let hooks = Hooks::new(bench.store(), Arc::new(|_: &str| None), Arc::new(|| {}));
    let (method, headers) = (&Method::POST, &HeaderMap::new());
    let path = format!("/{name}");
    let request =
        Request { method, path: &path, headers, body: Bytes::from_static(body.as_bytes()) };
    let answer = hooks.answer(request).await.expect("there is such a hook");
    assert_eq!(answer.status.as_u16(), 200);
}

const TOLD: &str = "select string_agg(coalesce(out::text, 'null'), ',' order by n) from told";

#[test]
fn a_delivery_does_the_work_of_a_binding_for_a_row_once() {
    with_bench(TASKS, async |bench| {
        let engine = work(bench, HOOKED).await;
        deliver(bench, "paid", r#"{"task": 1}"#).await;
        deliver(bench, "paid", r#"{"task": 1}"#).await;
        bench.until(TOLD, "\"a\"").await;
        assert_eq!(
            bench.text("select out from task where status = 'moved'").await,
            r#"{"task": 1}"#
        );
        let jobs = "select string_agg(binding.name || ':' || coalesce(key, '') || ':' || (parent is null), ',' order by job.id)
            from plinth.job_done as job join plinth.binding on binding.id = job.binding";
        bench.until(jobs, "paid::true,move:1:false").await;
        // A query without a row: nothing is done, and `done` says so.
        deliver(bench, "paid", r#"{"task": 99}"#).await;
        bench.until(TOLD, "\"a\",null").await;
        assert_eq!(bench.text("select count(*) from plinth.job_done").await, "3");
        engine.stop().await;
    });
}

#[test]
fn a_delivery_for_a_row_or_key_that_there_is_not_is_a_dead_letter_that_says_so() {
    with_bench(TASKS, async |bench| {
        let engine = work(bench, HOOKED).await;
        let told = "select string_agg(what, ', ' order by n) from told";
        deliver(bench, "wrong", r#"{"task": "99"}"#).await;
        let no_row = r#"step `move`: there is no row "99" in "public"."task""#;
        bench.until(told, no_row).await;
        deliver(bench, "wrong", r#"{"task": "abc"}"#).await;
        let no_key = r#"step `move`: "abc" is no key of "public"."task""#;
        bench.until(told, &format!("{no_row}, {no_key}")).await;
        // A row may come; a key of another type will not.
        let dead =
            "select string_agg(failures::text, ',' order by id) from plinth.job where state = 'd'";
        assert_eq!(bench.text(dead).await, "2,1");
        assert_eq!(bench.text("select count(*) from plinth.job_done").await, "0");
        engine.stop().await;
    });
}
