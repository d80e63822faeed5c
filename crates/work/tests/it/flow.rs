//! Actions that need nothing but the database: statements, flows, events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plinth_work::action::{Action, Actions, Call, Noop, Outcome, SqlStatement, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::manifest::Name;
use plinth_work::rule::{Rule, Script};
use serde_json::{Value, json};

use crate::support::{Bench, pending, rule, with_bench};

const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'pending', tenant text, error text, out jsonb);
    create table effect (n bigint generated always as identity, what text, task bigint, step jsonb);";

const OUT: &str =
    "select coalesce(out::text, status || coalesce(': ' || error, '')) from task where id = 1";

fn options() -> Options {
    Options { poll: Duration::from_millis(20), lease: Duration::from_secs(2), ..Options::default() }
}

/// A rule with an action's settings, whose output its row keeps.
fn keeping(id: i32, action: &str, with: Value) -> Rule {
    let done = "update task set status = 'done', out = $1::jsonb where id = $2::bigint";
    let steps = with.get("steps").cloned().map(|steps| serde_json::from_value(steps).unwrap());
    let with = if steps.is_some() { Value::Null } else { with };
    Rule {
        with,
        steps: steps.unwrap_or_default(),
        done: vec![Script::new(done, [Name::Out, Name::Row])],
        ..rule(id, action)
    }
}

fn actions(more: impl Action + 'static) -> Actions {
    Actions::default().with(Noop).with(SqlStatement).with(more).with_flow()
}

fn sql(name: &str, run: &str) -> Value {
    json!({"name": name, "do": {"act": {"action": "sql", "with": {"run": run}}}})
}

fn effect(name: &str) -> Value {
    sql(
        name,
        &format!(
            "insert into effect (what, task) values ('{name}', $row) returning to_jsonb(what)"
        ),
    )
}

async fn start(bench: &mut Bench<'_>, action: &str, with: Value) -> Engine {
    start_with(bench, actions(Gate), action, with).await
}

async fn start_with(bench: &mut Bench<'_>, actions: Actions, action: &str, with: Value) -> Engine {
    let id = bench.binding("task").await;
    bench.install(&pending(id)).await.unwrap();
    Engine::start("test", bench.store(), actions, vec![keeping(id, action, with)], options())
}

/// Never ends while its gate is shut.
struct Gate;

static SHUT: AtomicBool = AtomicBool::new(false);

impl Action for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(async {
            if SHUT.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Outcome::Done(call.input.clone())
        })
    }
}

/// Fails as often as it has not been tried twice.
struct Third;

impl Action for Third {
    fn name(&self) -> &'static str {
        "third"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        let outcome = match call.attempt {
            1 | 2 => Outcome::Failed("not yet".to_owned()),
            _ => Outcome::Done(json!(call.attempt)),
        };
        Box::pin(async { outcome })
    }
}

#[test]
fn a_statement_gives_its_value_or_its_rows_or_nothing() {
    for (run, wanted) in [
        ("select jsonb_build_object('row', $row, 'job', $job > 0)", r#"{"job": true, "row": 1}"#),
        ("insert into effect (what) values ('a;$x') returning to_jsonb(what)", r#""a;$x""#),
        (
            "with w as (insert into effect (what) values ('a') returning what) select what, 1 as n from w",
            r#"[{"n": 1, "what": "a"}]"#,
        ),
        ("update effect set what = ''", "null"),
        ("insert into effect (what, task) values ('b', $row)", "null"),
        ("select 1 where false", "null"),
        (
            "merge into effect using (select 1) as s on false when not matched then insert (what) values ('m')",
            "null",
        ),
    ] {
        with_bench(TASKS, async |bench| {
            let engine = start(bench, "sql", json!({"run": run})).await;
            bench.run("insert into task (id) values (1)").await;
            bench.until("select status from task", "done").await;
            assert_eq!(bench.text("select coalesce(out, 'null') from task").await, wanted, "{run}");
            engine.stop().await;
        });
    }
}

#[test]
fn a_statement_has_the_rights_of_its_role() {
    let setup = format!(
        "{TASKS} create table secret (a int); revoke all on secret from anon, authenticated;
         create function who() returns jsonb language sql as $$ select to_jsonb(current_user::text) $$;"
    );
    with_bench(&setup, async |bench| {
        let engine = start(bench, "flow", json!({"steps": [
            {"name": "a", "do": {"act": {"action": "sql", "with": {"run": "select who()", "role": "anon"}}}},
            {"name": "b", "do": {"act": {"action": "sql", "with": {"run": "select who()", "role": "service_role"}}}},
            {"name": "c", "do": {"act": {"action": "sql", "with": {"run": "select who()", "role": "authenticated"}}}},
            sql("all", "select $steps"),
            {"name": "d", "do": {"act": {"action": "sql", "with": {"run": "delete from secret", "role": "anon"}}}},
        ]})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select status from task", "failed").await;
        let error = bench.text("select error from task").await;
        assert_eq!(error, "step `d`: permission denied for table secret (42501)");
        let all = bench.text("select result from plinth.step where name = 'all'").await;
        assert_eq!(all, r#"{"a": "anon", "b": "service_role", "c": "authenticated"}"#);
        engine.stop().await;
    });
}

#[test]
fn a_flow_gives_its_last_step_and_later_steps_see_earlier_ones() {
    with_bench(TASKS, async |bench| {
        let engine = start(bench, "flow", json!({"steps": [
            sql("one", "select to_jsonb($row + 1)"),
            {"name": "skipped", "when": "false -- not this", "do": {"sleep": {"ms": 3_600_000}}},
            {"name": "kept", "when": "$steps->>'one' = '2'", "do": {"act": {"action": "noop", "input": "select to_jsonb(7)"}}},
            {"name": "nap", "do": {"sleep": {"ms": 50}}},
            {"name": "both", "do": {"parallel": [sql("left", "select to_jsonb('l'::text)"), {"name": "right", "do": {"sleep": {"ms": 20}}}]}},
            {"name": "last", "do": {"act": {"action": "noop", "input": "select $steps"}}},
        ]})).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select status from task", "done").await;
        let out: Value = serde_json::from_str(&bench.text(OUT).await).unwrap();
        assert_eq!(
            out,
            json!({
                "one": 2, "skipped": null, "kept": 7, "nap": null,
                "both": {"left": "l", "right": null}, "left": "l", "right": null,
            })
        );
        assert_eq!(bench.text("select count(*) from plinth.step").await, "0");
        assert_eq!(bench.text("select jsonb_array_length(steps) from plinth.job_done").await, "8");
        engine.stop().await;
    });
}

#[test]
fn a_step_that_is_done_is_not_done_again_after_a_crash() {
    with_bench(TASKS, async |bench| {
        let id = bench.binding("task").await;
        bench.install(&pending(id)).await.unwrap();
        let with = json!({"steps": [
            effect("first"),
            {"name": "both", "do": {"parallel": [effect("left"), {"name": "gate", "do": {"act": {"action": "gate"}}}]}},
            effect("last"),
        ]});
        let each = "insert into effect (what, task, step) values ('each', $1::bigint, $2::jsonb)";
        let rule = || Rule {
            each_step: vec![Script::new(each, [Name::Row, Name::Step])],
            ..keeping(id, "flow", with.clone())
        };
        SHUT.store(true, Ordering::SeqCst);
        let doomed = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = doomed.enter();
        let engine = Engine::start("test", bench.store(), actions(Gate), vec![rule()], options());
        drop(entered);
        bench.run("insert into task (id) values (1)").await;
        bench.until("select count(*) from plinth.step where name in ('first', 'left')", "2").await;
        doomed.shutdown_background();
        drop(engine);

        SHUT.store(false, Ordering::SeqCst);
        let engine = Engine::start("test", bench.store(), actions(Gate), vec![rule()], options());
        bench.until("select status from task", "done").await;
        let effects = "select string_agg(what, ',' order by what) from effect where what <> 'each'";
        assert_eq!(bench.text(effects).await, "first,last,left");
        let steps = "select string_agg(step->>'name' || ':' || (step->>'index'), ',' order by n) from effect where what = 'each'";
        assert_eq!(bench.text(steps).await, "first:0,left:1,gate:2,both:3,last:4");
        assert_eq!(bench.text("select failures from plinth.job_done").await, "1");
        engine.stop().await;
    });
}

#[test]
fn steps_beside_each_other_have_places_of_their_own() {
    with_bench(TASKS, async |bench| {
        let id = bench.binding("task").await;
        bench.install(&pending(id)).await.unwrap();
        let with = json!({"steps": [
            effect("first"),
            {"name": "both", "do": {"parallel": [effect("own"), effect("web"), {"name": "nap", "do": {"sleep": {"ms": 20}}}]}},
            effect("last"),
        ]});
        let each = "insert into effect (what, step) values ('each', $1::jsonb)";
        let rule =
            Rule { each_step: vec![Script::new(each, [Name::Step])], ..keeping(id, "flow", with) };
        let engine = Engine::start("test", bench.store(), actions(Gate), vec![rule], options());
        bench.run("insert into task (id) values (1)").await;
        bench.until("select status from task", "done").await;
        let places = "select string_agg(step->>'index', ',' order by (step->>'index')::int) from effect where what = 'each'";
        assert_eq!(bench.text(places).await, "0,1,2,3,4,5");
        engine.stop().await;
    });
}

#[test]
fn waits_that_are_over_have_their_each_step_once() {
    with_bench(TASKS, async |bench| {
        let id = bench.binding("task").await;
        bench.install(&pending(id)).await.unwrap();
        let other = bench.binding("other").await;
        let with = json!({"steps": [
            {"name": "nap", "do": {"sleep": {"ms": 20}}},
            {"name": "ok", "do": {"wait": {"event": "go", "timeout_ms": 3_600_000}}},
            {"name": "own", "do": {"call": {"binding": "other"}}},
            sql("last", "select $steps->'own'"),
        ]});
        let each = "insert into effect (what, step) values ($1::jsonb::text, $2::jsonb)";
        // The call fails once; what runs after the sleep fails once, and then once more.
        let picky = "insert into effect (what) select 'picky' where 1 / case when $1::int < 3 and $2::jsonb->>'name' = 'nap' then 0 else 1 end = 1 and $2::jsonb->>'name' = 'nap'";
        let flow = Rule {
            each_step: vec![
                Script::new(each, [Name::Steps, Name::Step]),
                Script::new(picky, [Name::Attempt, Name::Step]),
            ],
            retry: plinth_work::rule::Retry { attempts: 9, ..rule(id, "flow").retry },
            ..keeping(id, "flow", with)
        };
        let run =
            "select to_jsonb(1 / (select count(*) from effect where step->>'error' is not null))";
        let callee = Rule {
            done: Vec::new(),
            failed: Vec::new(),
            retry: plinth_work::rule::Retry { attempts: 1, ..rule(other, "sql").retry },
            with: json!({"run": run}),
            ..rule(other, "sql")
        };
        let engine =
            Engine::start("test", bench.store(), actions(Gate), vec![flow, callee], options());
        bench.run("insert into task (id) values (1)").await;
        bench.until("select name from plinth.step where state = 'e'", "ok").await;
        bench.run("select plinth.notify('go', '7', key => '1')").await;
        bench.until("select status from task", "done").await;
        assert_eq!(bench.text(OUT).await, "1");
        let told = "select string_agg(concat_ws(' ', step->>'name', step->>'index', step->'out', step->>'error', what), ', ' order by n)
            from effect where step is not null";
        assert_eq!(
            bench.text(told).await,
            "nap 0 null {}, ok 1 7 {\"nap\": null}, \
             own 2 null division by zero (22012) {\"ok\": 7, \"nap\": null}, \
             own 2 1 {\"ok\": 7, \"nap\": null}, \
             last 3 1 {\"ok\": 7, \"nap\": null, \"own\": 1}"
        );
        assert_eq!(bench.text("select count(*) from effect where what = 'picky'").await, "1");
        engine.stop().await;
    });
}

#[test]
fn a_statement_of_a_lost_worker_takes_no_effect() {
    with_bench(TASKS, async |bench| {
        let slow = "insert into effect (what, task) select 'slow', $row from (select pg_advisory_xact_lock(77), pg_sleep(case $attempt when 1 then 1 else 0 end)) as s";
        let engine = start(bench, "sql", json!({"run": slow})).await;
        bench.run("insert into task (id) values (1)").await;
        bench
            .until("select count(*) from pg_locks where locktype = 'advisory' and objid = 77", "1")
            .await;
        bench.run("update plinth.worker set alive_until = now() - interval '1 second'").await;
        bench.until("select status from task", "done").await;
        assert_eq!(bench.text("select count(*) from effect").await, "1");
        engine.stop().await;
    });
}

#[test]
fn a_failing_step_fails_the_attempt_and_the_next_begins_with_it() {
    with_bench(TASKS, async |bench| {
        let with = json!({"steps": [
            effect("first"),
            {"name": "third", "do": {"act": {"action": "third"}}},
            sql("last", "select $input"),
        ]});
        let engine = start_with(bench, actions(Third), "flow", with).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select status from task", "done").await;
        assert_eq!(bench.text(OUT).await, "3");
        assert_eq!(bench.text("select count(*) from effect").await, "1");
        let history = "select failures || ' ' || error from plinth.job_done";
        assert_eq!(bench.text(history).await, "2 step `third`: not yet");
        engine.stop().await;
    });
}

#[test]
fn an_event_wakes_those_that_wait_for_it_and_nobody_else() {
    with_bench(TASKS, async |bench| {
        let with = json!({"steps": [
            {"name": "ok", "do": {"wait": {"event": "approved", "timeout_ms": 3_600_000}}},
        ]});
        let engine = start(bench, "flow", with).await;
        bench.run("insert into task select number from generate_series(1, 4) as number").await;
        bench.until("select count(*) from plinth.job where state = 'w'", "4").await;
        assert_eq!(bench.text("select plinth.notify('other', key => '1')").await, "0");
        assert_eq!(bench.text("select plinth.notify('approved')").await, "0");
        assert_eq!(
            bench.text("select plinth.notify('approved', '{\"by\": 1}', key => '2')").await,
            "1"
        );
        bench.until("select status from task where id = 2", "done").await;
        assert_eq!(bench.text("select out from task where id = 2").await, r#"{"by": 1}"#);
        let job = bench.text("select id from plinth.job where key = '3'").await;
        assert_eq!(
            bench.text(&format!("select plinth.notify('approved', job => {job})")).await,
            "1"
        );
        bench.until("select status from task where id = 3", "done").await;
        assert_eq!(bench.text("select out from task where id = 3").await, "{}");
        assert_eq!(
            bench.text("select string_agg(key, ',' order by key) from plinth.job").await,
            "1,4"
        );
        // As service_role, which has no rights on the tables.
        bench
            .run("set role service_role; select plinth.notify('approved', key => '1'); reset role")
            .await;
        bench.until("select status from task where id = 1", "done").await;
        engine.stop().await;
    });
}

#[test]
fn an_event_that_comes_while_its_job_is_parked_is_not_missed() {
    with_bench(TASKS, async |bench| {
        let with = json!({"steps": [
            {"name": "ok", "do": {"wait": {"event": "go", "timeout_ms": 3_600_000}}},
        ]});
        let engine = start(bench, "flow", with).await;
        bench.run("insert into task select number from generate_series(1, 200) as number").await;
        // Again and again, at any moment between the beginning of a wait and its parking.
        let left = "select count(*) from task where status <> 'done'";
        let notify = "do $$ begin perform plinth.notify('go', key => event_key) from (
            select distinct event_key from plinth.step where state = 'e' order by 1 limit 7) as s; end $$";
        while bench.text(left).await != "0" {
            bench.run(notify).await;
        }
        assert_eq!(bench.text("select count(*) from plinth.job_done").await, "200");
        engine.stop().await;
    });
}

#[test]
fn a_wait_that_is_over_gives_null_and_an_event_is_too_late() {
    with_bench(TASKS, async |bench| {
        let engine = start(
            bench,
            "flow",
            json!({"steps": [
                {"name": "ok", "do": {"wait": {"event": "approved", "timeout_ms": 50}}},
                {"name": "nap", "do": {"sleep": {"ms": 300}}},
                sql("last", "select jsonb_build_object('ok', $steps->'ok', 'is', $steps ? 'ok')"),
            ]}),
        )
        .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select name from plinth.step where state = 's'", "nap").await;
        assert_eq!(bench.text("select plinth.notify('approved', key => '1')").await, "0");
        bench.until("select status from task", "done").await;
        assert_eq!(bench.text(OUT).await, r#"{"is": true, "ok": null}"#);
        engine.stop().await;
    });
}

#[test]
fn a_flow_calls_other_bindings_and_fails_with_them() {
    with_bench(TASKS, async |bench| {
        let other = "insert into plinth.binding (name, kind, spec) values ('other', 'row', '{\"priority\": 3}') returning id";
        let other: i32 = bench.owner.query_one(other, &[]).await.unwrap().get(0);
        let id = bench.binding("task").await;
        bench.install(&pending(id)).await.unwrap();
        let with = json!({"steps": [
            {"name": "both", "do": {"parallel": [
                {"name": "own", "do": {"call": {"binding": "other"}}},
                {"name": "two", "do": {"call": {"binding": "other", "row": "select $row + 1"}}},
            ]}},
        ]});
        let callee = Rule {
            priorities: vec![3],
            done: Vec::new(),
            failed: Vec::new(),
            retry: plinth_work::rule::Retry { attempts: 1, ..rule(other, "sql").retry },
            with: json!({"run": "select to_jsonb($row / (1 - (select count(*) from effect where task = $row)))"}),
            ..rule(other, "sql")
        };
        let rules = vec![keeping(id, "flow", with), callee];
        let engine = Engine::start("test", bench.store(), actions(Gate), rules, options());
        bench.run("insert into task (id) values (1)").await;
        bench.until("select status from task where id = 1", "done").await;
        assert_eq!(bench.text(OUT).await, r#"{"own": 1, "two": 2}"#);
        bench.run("insert into effect (what, task) values ('broken', 10); insert into task (id) values (10)").await;
        bench.until("select status from task where id = 10", "failed").await;
        let error = bench.text("select error from task where id = 10").await;
        assert!(error.starts_with("step `own`: division by zero"), "{error}");
        // Each of three attempts called it, and the other one once.
        let calls = "select count(*) filter (where key = '10') || '/' || count(*) filter (where key = '11') from (
            select key from plinth.job where parent is not null union all select key from plinth.job_done where parent is not null) as s";
        assert_eq!(bench.text(calls).await, "3/1");
        engine.stop().await;
    });
    with_bench(TASKS, async |bench| {
        let with = json!({"steps": [{"name": "a", "do": {"call": {"binding": "nobody"}}}]});
        let engine = start(bench, "flow", with).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select status from task", "failed").await;
        assert_eq!(
            bench.text("select error from task").await,
            "step `a`: there is no binding `nobody`"
        );
        engine.stop().await;
    });
}

#[test]
fn a_job_that_sleeps_is_cancelled_with_its_row() {
    with_bench(TASKS, async |bench| {
        let with = json!({"steps": [effect("a"), {"name": "nap", "do": {"sleep": {"ms": 3_600_000}}}, effect("b")]});
        let engine = start(bench, "flow", with).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select state from plinth.job", "w").await;
        bench.run("update task set status = 'cancelled'").await;
        bench.until("select string_agg(outcome, ',') from plinth.job_done", "cancelled").await;
        assert_eq!(bench.text("select count(*) from plinth.step").await, "0");
        assert_eq!(bench.text("select count(*) from effect").await, "1");
        engine.stop().await;
    });
}

#[test]
fn jobs_are_made_by_name() {
    with_bench(TASKS, async |bench| {
        let run = "insert into effect (what) select $input->>'a'";
        let engine = start(bench, "sql", json!({"run": run})).await;
        bench.run("set role service_role; select plinth.enqueue('task', '{\"a\": \"b\"}'); reset role").await;
        bench.until("select string_agg(what, ',') from effect", "b").await;
        let error = bench.owner.batch_execute("select plinth.enqueue('nobody')").await.unwrap_err();
        assert_eq!(error.as_db_error().unwrap().message(), "there is no binding \"nobody\"");
        for call in ["plinth.enqueue('task')", "plinth.notify('a')"] {
            let refused = format!("set role anon; select {call}");
            assert!(bench.owner.batch_execute(&refused).await.is_err(), "{call}");
            bench.run("reset role").await;
        }
        engine.stop().await;
    });
}
