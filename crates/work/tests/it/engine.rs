//! Rows that move.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use plinth_work::action::{Action, Actions, Call, Noop, Outcome, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::rule::Rule;
use serde_json::{Value, json};

use crate::support::{Bench, pending, rule, with_bench};

pub(crate) const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'pending', tenant text, error text)";

pub(crate) const STATES: &str = "select string_agg(status || ':' || n, ',' order by status) from (select status, count(*) as n from task group by 1) as s";

pub(crate) fn options() -> Options {
    Options { poll: Duration::from_millis(20), lease: Duration::from_secs(2), ..Options::default() }
}

pub(crate) async fn engine(
    bench: &mut Bench<'_>,
    actions: Actions,
    change: impl FnOnce(&mut Rule),
) -> Engine {
    engine_with(bench, actions, options(), change).await
}

pub(crate) async fn engine_with(
    bench: &mut Bench<'_>,
    actions: Actions,
    options: Options,
    change: impl FnOnce(&mut Rule),
) -> Engine {
    let rule = bind(bench, change).await;
    Engine::start("test", bench.store(), actions.with(Noop), vec![rule], options)
}

/// Has pending tasks make jobs, whose limits count by tenant.
pub(crate) async fn bind(bench: &mut Bench<'_>, change: impl FnOnce(&mut Rule)) -> Rule {
    let id = bench.binding("task").await;
    let mut rule = rule(id, "noop");
    change(&mut rule);
    let key = rule.is_limited().then(|| "tenant".to_owned());
    let mut binding = pending(id);
    if rule.rate.is_some() {
        binding.rate_key = key;
    } else if rule.seats.is_some() {
        binding.seat_key = key;
    } else {
        binding.fair = key;
    }
    bench.install(&binding).await.unwrap();
    rule
}

/// Fails so many times, in the way that it is told, and then succeeds.
pub(crate) struct Fails(pub(crate) AtomicU32, pub(crate) fn() -> Outcome);

impl Action for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, _call: &'a Call) -> Work<'a> {
        let left =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let outcome = if left.is_ok() { (self.1)() } else { Outcome::Done(json!({"at": "last"})) };
        Box::pin(async move { outcome })
    }
}

/// Remembers what it was called for, and takes its time.
pub(crate) struct Slow(pub(crate) &'static Mutex<Vec<String>>, pub(crate) Duration);

impl Action for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        self.0.lock().unwrap().push(call.row.clone().unwrap_or_default());
        Box::pin(async move {
            tokio::time::sleep(self.1).await;
            Outcome::Done(Value::Null)
        })
    }
}

#[test]
fn rows_move_and_their_jobs_are_history() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench.run("insert into task select number from generate_series(1, 500) as number").await;
        engine.wake();
        bench.until(STATES, "done:500").await;
        engine.stop().await;
        assert_eq!(bench.text("select count(*) from plinth.job").await, "0");
        assert_eq!(
            bench
                .text("select count(distinct key) || outcome from plinth.job_done group by outcome")
                .await,
            "500done"
        );
        assert_eq!(bench.text("select count(*) from plinth.worker").await, "0");
    });
}

#[test]
fn what_fails_is_tried_again_and_then_dead_with_its_reason() {
    with_bench(TASKS, async |bench| {
        let fails = Fails(AtomicU32::new(2), || Outcome::Failed("not yet".to_owned()));
        let engine =
            engine(bench, Actions::default().with(fails), |rule| rule.action = "fails".to_owned())
                .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(STATES, "done:1").await;
        assert_eq!(
            bench.text("select failures || '/' || error from plinth.job_done").await,
            "2/not yet"
        );
        engine.stop().await;
    });
    with_bench(TASKS, async |bench| {
        let fails = Fails(AtomicU32::new(9), || Outcome::Failed("broken".to_owned()));
        let engine =
            engine(bench, Actions::default().with(fails), |rule| rule.action = "fails".to_owned())
                .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(STATES, "failed:1").await;
        assert_eq!(bench.text("select error from task").await, "broken");
        assert_eq!(
            bench
                .text("select state::text || '/' || failures || '/' || error from plinth.job")
                .await,
            "d/3/broken"
        );
        engine.stop().await;
    });
}

#[test]
fn an_end_whose_sql_fails_is_a_failure_and_leaves_nothing_half_done() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench.run("alter table task add check (id <> 7 or status <> 'done')").await;
        bench.run("insert into task select number from generate_series(1, 20) as number").await;
        bench.until(STATES, "done:19,failed:1").await;
        let error = bench.text("select error from task where id = 7").await;
        assert!(error.starts_with("`done`: new row for relation"), "{error}");
        engine.stop().await;
    });
}

#[test]
fn never_again_and_not_before_are_what_they_say() {
    with_bench(TASKS, async |bench| {
        let fails = Fails(AtomicU32::new(1), || Outcome::Never("forbidden".to_owned()));
        let engine =
            engine(bench, Actions::default().with(fails), |rule| rule.action = "fails".to_owned())
                .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(STATES, "failed:1").await;
        assert_eq!(bench.text("select failures from plinth.job").await, "1");
        engine.stop().await;
    });
    with_bench(TASKS, async |bench| {
        let later = || Outcome::NotBefore(Duration::from_millis(300), "wait".to_owned());
        let fails = Fails(AtomicU32::new(5), later);
        let engine =
            engine(bench, Actions::default().with(fails), |rule| rule.action = "fails".to_owned())
                .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(STATES, "done:1").await;
        assert_eq!(bench.text("select failures from plinth.job_done").await, "0");
        engine.stop().await;
    });
}

#[test]
fn a_running_job_is_cancelled_with_its_row() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_secs(3600));
        let engine =
            engine(bench, Actions::default().with(slow), |rule| rule.action = "slow".to_owned())
                .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select state from plinth.job", "r").await;
        bench.run("delete from task").await;
        bench
            .until(
                "select outcome from plinth.job_done union all select 'none' limit 1",
                "cancelled",
            )
            .await;
        engine.stop().await;
    });
}

#[test]
fn priority_goes_first_and_age_goes_before_it_at_last() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let id = bench.binding("task").await;
        bench.install(&pending(id)).await.unwrap();
        bench.run("insert into task select number from generate_series(1, 4) as number;
                   update plinth.job set priority = 1 where key = '3';
                   update plinth.job set enqueued_at = now() - interval '11 minutes' where key = '4'").await;
        let rule = Rule { priorities: vec![1, 0], most: 1, ..rule(id, "slow") };
        let actions = Actions::default().with(Slow(&CALLS, Duration::ZERO));
        let engine = Engine::start(
            "test",
            bench.store(),
            actions,
            vec![rule],
            Options { batch: 1, ..options() },
        );
        bench.until(STATES, "done:4").await;
        let calls = CALLS.lock().unwrap().clone();
        assert_eq!(calls[..1], ["3"], "{calls:?}");
        engine.stop().await;
    });
}

#[test]
fn a_full_binding_takes_the_next_job_when_one_ends() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let id = bench.binding("task").await;
        bench.install(&pending(id)).await.unwrap();
        bench.run("insert into task select number from generate_series(1, 20) as number").await;
        let rule = Rule { most: 1, ..rule(id, "slow") };
        let actions = Actions::default().with(Slow(&CALLS, Duration::from_millis(1)));
        // Nothing but the end of the job before makes it look again.
        let never = Options { poll: Duration::from_secs(3600), ..options() };
        let engine = Engine::start("test", bench.store(), actions, vec![rule], never);
        bench.until(STATES, "done:20").await;
        engine.stop().await;
    });
}
