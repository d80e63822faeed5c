//! What looks for jobs find, and what they have PostgreSQL read.

use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_work::action::{Actions, Noop};
use plinth_work::engine::{Engine, Options};
use plinth_work::rule::Rule;

use crate::engine::{STATES, TASKS, bind, engine, engine_with, options};
use crate::support::{Bench, with_bench};

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
