//! Rows that move.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use plinth_work::action::{Action, Actions, Call, Noop, Outcome, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::manifest::Name;
use plinth_work::rule::{Rule, Script};
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
async fn bind(bench: &mut Bench<'_>, change: impl FnOnce(&mut Rule)) -> Rule {
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
fn a_lost_worker_gives_way_and_its_late_word_is_not_heard() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(1500));
        let engine =
            engine(bench, Actions::default().with(slow), |rule| rule.action = "slow".to_owned())
                .await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select state from plinth.job", "r").await;
        // As if the worker had been frozen for longer than its lease.
        bench.run("update plinth.worker set alive_until = now() - interval '1 second'").await;
        bench.until(STATES, "done:1").await;
        assert_eq!(bench.text("select count(*) || '/' || max(failures) || '/' || max(attempts) from plinth.job_done").await, "1/1/2");
        assert_eq!(CALLS.lock().unwrap().len(), 2);
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

#[test]
fn a_claim_whose_answer_was_lost_is_found_again() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |rule| rule.seats = Some(1)).await;
        bench.until("select count(*) from plinth.worker", "1").await;
        // As such a claim leaves it behind.
        bench
            .run(
                "alter table task disable trigger user; insert into task (id) values (1);
                   insert into plinth.job (binding, key, state, worker, attempt, started_at)
                   select binding.id, '1', 'r', worker.id, 1, clock_timestamp() from plinth.binding, plinth.worker;
                   insert into plinth.seat (job, binding, key) select id, binding, '' from plinth.job",
            )
            .await;
        bench.until(STATES, "done:1").await;
        assert_eq!(engine.counters().orphans.load(Ordering::Relaxed), 1);
        engine.stop().await;
    });
}

#[test]
fn a_worker_whose_lease_was_ended_takes_nothing_more() {
    with_bench(TASKS, async |bench| {
        let mut engines = Vec::new();
        for _ in 0..2 {
            engines.push(match engines.is_empty() {
                true => engine(bench, Actions::default(), |_| {}).await,
                false => Engine::start(
                    "test",
                    bench.store(),
                    Actions::default().with(Noop),
                    vec![rule(1, "noop")],
                    options(),
                ),
            });
        }
        // Leases end all the time, whatever the workers are about.
        for round in 0..40_i64 {
            let insert = "insert into task select number from generate_series($1::bigint * 50 + 1, $1::bigint * 50 + 50) as number";
            bench.owner.execute(insert, &[&round]).await.unwrap();
            bench.run("update plinth.worker set alive_until = clock_timestamp() - interval '1 second'").await;
        }
        bench.until("select count(*) from task where status <> 'pending'", "2000").await;
        assert_eq!(bench.text("select count(*) from plinth.job where state <> 'd'").await, "0");
        for engine in engines {
            engine.stop().await;
        }
    });
}

#[test]
fn a_late_word_does_not_end_a_job_that_waits_for_another_worker() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(300));
        let actions = Actions::default().with(slow);
        let engine = engine(bench, actions, |rule| rule.action = "slow".to_owned()).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select count(*) from plinth.job where state = 'r'", "1").await;
        // As somebody does who ended the lease of a worker that stood still; but nobody takes the job at once.
        engine.set_rules(Vec::new());
        bench.run("update plinth.job set state = 'q', worker = null, failures = 1").await;
        let heard =
            "select xact_rollback > 0 from pg_stat_database where datname = current_database()";
        bench.until(heard, "true").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(bench.text("select state from plinth.job").await, "q");
        engine.set_rules(vec![rule(1, "slow")]);
        bench.until(STATES, "done:1").await;
        assert_eq!(
            bench.text("select count(*) || outcome from plinth.job_done group by outcome").await,
            "1done"
        );
        engine.stop().await;
    });
}

#[test]
fn a_worker_that_waited_for_a_row_does_not_overwrite_its_successor() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |rule| {
            let running = "update task set status = 'running' where id = $1::bigint";
            rule.running = vec![Script::new(running, [Name::Row])];
        })
        .await;
        bench.run("begin; insert into task (id, status) values (1, 'draft'); commit").await;
        let user = bench.database.connect().await.unwrap();
        user.batch_execute("begin; update task set error = 'mine' where id = 1").await.unwrap();
        bench.run("insert into plinth.job (binding, key) values (1, '1')").await;
        // Only a superuser sees what other sessions wait for.
        let admin = bench.database.connect().await.unwrap();
        let waits = "select count(*) from pg_stat_activity
                     where wait_event_type = 'Lock' and datname = current_database()";
        while admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Its successor was there and has finished meanwhile.
        bench.run("delete from plinth.job").await;
        user.batch_execute("update task set status = 'done'; commit").await.unwrap();
        user.close().await;
        while admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        admin.close().await;
        engine.stop().await;
        assert_eq!(bench.text(STATES).await, "done:1");
    });
}

#[test]
fn a_lost_worker_is_followed_though_one_of_its_jobs_is_held() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        bench.binding("task").await;
        bench.install(&pending(1)).await.unwrap();
        bench
            .run(
                "insert into task (id) values (1), (2);
                   insert into plinth.worker (name, alive_until) values ('lost', '-infinity');
                   update plinth.job set state = 'r', attempt = 1, worker = 1",
            )
            .await;
        let held = bench.database.connect().await.unwrap();
        held.batch_execute("begin; select from plinth.job where key = '2' for update")
            .await
            .unwrap();
        let actions = Actions::default().with(Slow(&CALLS, Duration::ZERO));
        let rules = vec![rule(1, "slow")];
        let engine = Engine::start("test", bench.store(), actions, rules, options());
        bench.until(STATES, "done:1,pending:1").await;
        assert_eq!(engine.counters().leases_lost.load(Ordering::Relaxed), 0);
        held.batch_execute("rollback").await.unwrap();
        held.close().await;
        bench.until(STATES, "done:2").await;
        bench.until("select count(*) from plinth.worker where name = 'lost'", "0").await;
        engine.stop().await;
    });
}

#[test]
fn who_stops_gives_back_jobs_that_it_does_not_know_of() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench.until("select count(*) from plinth.worker", "1").await;
        bench
            .run(
                "insert into plinth.job (binding, key, state, worker, attempt)
                 select 1, '1', 'r', id, 1 from plinth.worker",
            )
            .await;
        engine.stop().await;
        assert_eq!(
            bench.text("select state::text || coalesce(worker, 0) from plinth.job").await,
            "q0"
        );
    });
}

#[test]
fn who_stops_gives_back_what_it_is_taking_at_that_moment() {
    with_bench(TASKS, async |bench| {
        let id = bench.binding("task").await;
        let unhurried = Options { lease: Duration::from_secs(60), ..options() };
        let engine = Engine::start(
            "test",
            bench.store(),
            Actions::default().with(Noop),
            vec![rule(id, "noop")],
            unhurried,
        );
        bench.until("select count(*) from plinth.worker", "1").await;
        // A claim that goes on in the database though nobody waits for its answer any more.
        let claim = bench.session().await;
        claim
            .batch_execute(
                "begin; select plinth.hold(id) from plinth.worker;
                 insert into plinth.job (binding, key, state, worker, attempt) select 1, '1', 'r', id, 1 from plinth.worker",
            )
            .await
            .unwrap();
        let (admin, stopped) =
            (bench.database.connect().await.unwrap(), tokio::spawn(engine.stop()));
        let waits = "select from pg_stat_activity where application_name = 'plinth work'
                     and wait_event_type = 'Lock' and (query like 'update plinth.worker%' or query like '-- Gives back%')";
        while admin.query(waits, &[]).await.unwrap().is_empty() {}
        claim.batch_execute("commit").await.unwrap();
        stopped.await.unwrap();
        let left = "select state::text || coalesce(worker, 0) from plinth.job";
        assert_eq!(bench.text(left).await, "q0");
        assert_eq!(bench.text("select count(*) from plinth.worker").await, "0");
        admin.close().await;
        claim.close().await;
    });
}

#[test]
fn a_job_of_a_worker_that_is_not_known_is_queued_again() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench
            .run(
                "begin; insert into task (id) values (1);
                 update plinth.job set state = 'r', attempt = 1, worker = 4711, started_at = clock_timestamp(); commit",
            )
            .await;
        bench.until(STATES, "done:1").await;
        assert_eq!(engine.counters().orphans.load(Ordering::Relaxed), 1);
        engine.stop().await;
    });
}

#[test]
fn jobs_that_wait_for_a_time_are_not_looked_at_before() {
    const JOBS: i64 = 3000;
    with_bench(TASKS, async |bench| {
        let waiting = format!(
            "insert into plinth.job (binding, state, place, due_at)
             select 1, 'w', null, now() + interval '1 hour' from generate_series(1, {JOBS})"
        );
        bench.run(&waiting).await;
        let before = reads(bench).await;
        // Looks for lost jobs, which may read all, come with the lease.
        let options = Options { lease: Duration::from_secs(60), ..options() };
        let engine = engine_with(bench, Actions::default(), options, |_| {}).await;
        bench.run("insert into task select generate_series(1, 3)").await;
        bench.until(STATES, "done:3").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        engine.stop().await;
        let indexes = reads(bench).await[0] - before[0];
        // Who goes reads all once, to give back what is his.
        assert!(indexes < 2 * JOBS, "{indexes}");
    });
}

#[test]
fn a_job_that_was_taken_again_while_its_end_was_unheard_is_not_forgotten() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(200));
        let actions = Actions::default().with(slow);
        let engine = engine(bench, actions, |rule| rule.action = "slow".to_owned()).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select state from plinth.job", "r").await;
        cut_the_end(bench).await;
        // It is put back, as by an answer that was not heard, and taken again before the first attempt has given up.
        bench.run("update plinth.job set state = 'q', worker = null, place = nextval('plinth.job_number'); commit").await;
        bench.until(STATES, "done:1").await;
        engine.stop().await;
    });
}

#[test]
fn a_job_whose_rule_went_while_it_was_taken_is_given_back() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench.until("select count(*) from plinth.worker", "1").await;
        // A claim waits for its worker's row, which also keeps the lease from ending.
        bench.run("begin; select from plinth.worker for update").await;
        let user = bench.database.connect().await.unwrap();
        user.batch_execute("insert into task (id) values (1)").await.unwrap();
        engine.wake();
        let waits = "select from pg_stat_activity where application_name = 'plinth work'
                     and wait_event_type = 'Lock' and query like '-- Takes%'";
        while user.query(waits, &[]).await.unwrap().is_empty() {}
        user.close().await;
        engine.set_rules(Vec::new());
        bench.run("commit").await;
        bench.until("select attempt || state::text from plinth.job", "1q").await;
        engine.set_rules(vec![rule(1, "noop")]);
        bench.until(STATES, "done:1").await;
        engine.stop().await;
    });
}

#[test]
fn a_job_that_was_cancelled_while_its_end_could_not_be_written_ends() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(200));
        let actions = Actions::default().with(slow);
        let engine = engine(bench, actions, |rule| rule.action = "slow".to_owned()).await;
        bench.run("insert into task (id) values (1)").await;
        bench.until("select state from plinth.job", "r").await;
        cut_the_end(bench).await;
        bench.run("update plinth.job set cancelled = true; commit").await;
        bench.until("select string_agg(outcome, ',') from plinth.job_done", "cancelled").await;
        engine.stop().await;
    });
}

#[test]
fn jobs_of_long_transactions_are_found_behind_what_was_done_meanwhile() {
    are_found(|_| {});
}

/// Has jobs of transactions end that were longer than looks wait for them.
pub(crate) fn are_found(change: fn(&mut Rule)) {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), change).await;
        let (one, many) =
            (bench.database.connect().await.unwrap(), bench.database.connect().await.unwrap());
        one.batch_execute("begin; insert into task (id) values (1)").await.unwrap();
        many.batch_execute("begin; insert into task select generate_series(1001, 1500)")
            .await
            .unwrap();
        for round in 2..=9 {
            let insert = format!(
                "insert into task select generate_series({round} * 1000 + 501, {round} * 1000 + 700)"
            );
            bench.run(&insert).await;
            bench.until("select count(*) from task where status = 'pending'", "0").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        one.batch_execute("commit").await.unwrap();
        bench.until("select count(*) from task where status = 'done'", "1601").await;
        many.batch_execute("commit").await.unwrap();
        bench.until("select count(*) from task where status = 'done'", "2101").await;
        assert_eq!(engine.counters().claims.load(Ordering::Relaxed), 2101);
        one.close().await;
        many.close().await;
        engine.stop().await;
    });
}

/// Entries of indexes on jobs that were read, and rows in reading all of them.
async fn reads(bench: &Bench<'_>) -> [i64; 2] {
    // Sessions count when they end.
    let gone = "select count(*) from pg_stat_activity where application_name = 'plinth work'";
    bench.until(gone, "0").await;
    let tables =
        "relid in ('plinth.job'::regclass, 'plinth.seat'::regclass, 'plinth.beginning'::regclass)";
    let indexes =
        format!("select sum(idx_tup_read)::bigint from pg_stat_user_indexes where {tables}");
    let whole = format!("select sum(seq_tup_read)::bigint from pg_stat_user_tables where {tables}");
    let (indexes, whole) = (bench.text(&indexes).await, bench.text(&whole).await);
    [indexes, whole].map(|count| count.parse().unwrap())
}

#[test]
fn plans_do_not_trust_what_was_known_of_the_table_when_it_was_empty() {
    read_little(|_| {});
}

/// Looks at what jobs of 20 tenants have PostgreSQL read: beside an old transaction, and when tables are full of what remains
/// of jobs, or empty, and known for the opposite.
pub(crate) fn read_little(change: fn(&mut Rule)) {
    const JOBS: i64 = 2000;
    with_bench(TASKS, async |bench| {
        let rule = bind(bench, change).await;
        let admin = bench.database.connect().await.unwrap();
        let old = bench.database.connect().await.unwrap();
        let begin = "begin isolation level repeatable read; select count(*) from task";
        old.batch_execute(begin).await.unwrap();
        let mut before = [0, 0];
        for round in 1..=3 {
            let actions = Actions::default().with(Noop);
            let rules = vec![rule.clone()];
            let engine = Engine::start("test", bench.store(), actions, rules, options());
            // Those that come alone have their statements planned for a table that is nearly empty.
            for (first, count) in (0..20).map(|one| (one, 1)).chain([(20, JOBS)]) {
                let first = round * 10_000 + first;
                let insert = format!(
                    "insert into task (id, tenant) select {first} + n, n % 20 from generate_series(1, {count}) as n"
                );
                bench.run(&insert).await;
                bench.until("select count(*) from task where status = 'pending'", "0").await;
            }
            engine.stop().await;
            let now = reads(bench).await;
            let [indexes, whole] = [now[0] - before[0], now[1] - before[1]];
            assert!(indexes < 100 * JOBS && whole < 10 * JOBS, "{round}: {indexes} {whole}");
            before = now;
            // The table is full of what remains of jobs the second time, and empty the third.
            if round == 2 {
                old.batch_execute("rollback").await.unwrap();
            }
            admin
                .batch_execute("vacuum analyze plinth.job, plinth.seat, plinth.beginning")
                .await
                .unwrap();
        }
        old.close().await;
        admin.close().await;
    });
}

#[test]
fn a_claim_that_nobody_waits_for_does_not_go_on() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench.until("select count(*) from plinth.worker", "1").await;
        bench.run("begin; select from plinth.worker for update").await;
        let admin = bench.database.connect().await.unwrap();
        admin.batch_execute("insert into task (id) values (1)").await.unwrap();
        let waits = "select pid, query_start::text from pg_stat_activity where application_name = 'plinth work'
                     and datname = current_database() and wait_event_type = 'Lock' and query like '-- Takes%'";
        let (pid, since): (i32, String) = loop {
            if let Some(row) = admin.query_opt(&format!("{waits} limit 1"), &[]).await.unwrap() {
                break (row.get(0), row.get(1));
            }
        };
        let still = format!("{waits} and pid = {pid} and query_start::text = '{since}'");
        while !admin.query(&still, &[]).await.unwrap().is_empty() {}
        admin.close().await;
        bench.run("commit").await;
        bench.until(STATES, "done:1").await;
        engine.stop().await;
    });
}

#[test]
fn a_claim_that_was_written_long_after_it_was_given_up_is_found() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |_| {}).await;
        bench.until("select count(*) from plinth.worker", "1").await;
        bench
            .run(
                "begin; insert into task (id) values (1);
                 update plinth.job set state = 'r', place = null, attempt = 1, started_at = clock_timestamp(), worker = (select id from plinth.worker); commit",
            )
            .await;
        bench.until(STATES, "done:1").await;
        engine.stop().await;
    });
}

/// Holds the only job in a transaction when it is to end, and ends the session that waits for that.
async fn cut_the_end(bench: &Bench<'_>) {
    bench.run("begin; select from plinth.job for update").await;
    let admin = bench.database.connect().await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where application_name = 'plinth work' and wait_event_type = 'Lock' and query like '%jsonb_to_recordset%'";
    while admin.query(end, &[]).await.unwrap().is_empty() {}
    admin.close().await;
}
