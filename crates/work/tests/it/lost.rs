//! Lost workers, and lost answers.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_work::action::{Actions, Noop};
use plinth_work::engine::{Engine, Options};
use plinth_work::manifest::Name;
use plinth_work::rule::Script;

use crate::engine::{STATES, Slow, TASKS, engine, options};
use crate::support::{Bench, pending, rule, with_bench};

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
