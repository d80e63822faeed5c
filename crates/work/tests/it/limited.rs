//! Bindings that take turns, or limit how many jobs begin, or run at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use plinth_work::action::{Actions, Noop, Outcome};
use plinth_work::engine::{Engine, Options};
use plinth_work::install::RowBinding;
use plinth_work::rule::{Rate, Rule};

use crate::engine::{Fails, STATES, Slow, TASKS, engine, engine_with, options};
use crate::look::{are_found, read_little};
use crate::support::{Bench, pending, rule, with_bench};

#[test]
fn turns_are_taken_across_tenants() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        bench.run("create view slow as select 1").await;
        let slow = Slow(&CALLS, Duration::from_millis(5));
        let actions = Actions::default().with(slow);
        let engine = engine(bench, actions, |rule| {
            rule.action = "slow".to_owned();
            rule.fair = true;
            rule.most = 1;
        })
        .await;
        bench.run("insert into task (id, tenant) select number, 'big' from generate_series(1, 50) as number;
                   insert into task (id, tenant) values (100, 'small'), (101, 'small')").await;
        bench.until(STATES, "done:52").await;
        let calls = CALLS.lock().unwrap().clone();
        let place = |id: &str| calls.iter().position(|call| call == id).unwrap();
        assert!(place("101") < 12, "{calls:?}");
        engine.stop().await;
    });
}

#[test]
fn no_more_begin_in_a_time_than_the_limit_says() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::ZERO);
        let engine = engine(bench, Actions::default().with(slow), |rule| {
            rule.action = "slow".to_owned();
            rule.rate = Some(Rate { max: 3, per: Duration::from_millis(800) });
        })
        .await;
        bench.run("insert into task (id, tenant) select number, 'a' from generate_series(1, 7) as number;
                   insert into task (id, tenant) values (8, 'b')").await;
        bench.until(STATES, "done:8").await;
        // The first of any four beginnings of a tenant is at least that long before the last.
        let spans = "select min(started_at - before) >= interval '0.8 seconds' from (
            select started_at, lag(started_at, 3) over (order by started_at) as before
            from plinth.job_done join task on task.id::text = key where tenant = 'a') as s";
        assert_eq!(bench.text(spans).await, "true");
        engine.stop().await;
    });
}

#[test]
fn no_more_run_at_once_than_there_are_seats() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(30));
        let engine = engine(bench, Actions::default().with(slow), |rule| {
            rule.action = "slow".to_owned();
            rule.seats = Some(2);
        })
        .await;
        let other = {
            let rules = vec![Rule { action: "slow".to_owned(), seats: Some(2), ..rule(1, "slow") }];
            let actions = Actions::default().with(Slow(&CALLS, Duration::from_millis(30)));
            Engine::start("test", bench.store(), actions, rules, options())
        };
        bench.run("insert into task (id, tenant) select number, 'a' from generate_series(1, 20) as number").await;
        bench.until(STATES, "done:20").await;
        let overlap = "select max(n) from (select (select count(*) from plinth.job_done as o
            where o.started_at <= d.started_at and o.finished_at > d.started_at) as n from plinth.job_done as d) as s";
        assert_eq!(bench.text(overlap).await, "2");
        assert_eq!(bench.text("select count(*) from plinth.seat").await, "0");
        engine.stop().await;
        other.stop().await;
    });
}

#[test]
fn jobs_of_long_transactions_are_found_in_their_turn() {
    are_found(|rule| rule.fair = true);
}

#[test]
fn looks_at_turns_step_over_nothing_that_was_read_before() {
    read_little(|rule| rule.fair = true);
}

#[test]
fn seats_are_counted_without_those_that_are_gone() {
    read_little(|rule| rule.seats = Some(50));
}

#[test]
fn beginnings_are_counted_without_those_that_are_too_old() {
    read_little(|rule| rule.rate = Some(Rate { max: 20, per: Duration::from_millis(10) }));
}

#[test]
fn beginnings_that_count_no_more_are_forgotten() {
    with_bench(TASKS, async |bench| {
        let engine = engine(bench, Actions::default(), |rule| {
            rule.rate = Some(Rate { max: 20, per: Duration::from_millis(10) });
        })
        .await;
        bench
            .run("insert into task (id, tenant) select n, n % 3 from generate_series(1, 200) as n")
            .await;
        bench.until(STATES, "done:200").await;
        bench.until("select count(*) from plinth.beginning", "0").await;
        engine.stop().await;
    });
}

#[test]
fn who_has_room_is_found_behind_many_who_have_none() {
    with_bench(TASKS, async |bench| {
        // By somebody else, who does not end.
        bench.run("insert into plinth.seat (job, binding, key) select -n, 1, lpad(n::text, 4, '0') from generate_series(1, 900) as n").await;
        let engine = engine(bench, Actions::default(), |rule| rule.seats = Some(1)).await;
        bench.run("insert into task (id, tenant) select n, lpad(n::text, 4, '0') from generate_series(1, 1000) as n").await;
        bench.until(STATES, "done:100,pending:900").await;
        bench.run("insert into task (id, tenant) values (2000, '0500'), (2001, '0950')").await;
        bench.until(STATES, "done:101,pending:901").await;
        // One of them has room again.
        bench.run("delete from plinth.seat where key = '0500'").await;
        bench.until(STATES, "done:103,pending:899").await;
        engine.stop().await;
    });
}

#[test]
fn a_limit_without_a_key_is_one_for_all() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(20));
        let engine = engine(bench, Actions::default().with(slow), |rule| {
            rule.action = "slow".to_owned();
            rule.seats = Some(3);
        })
        .await;
        bench
            .run("insert into task (id) select number from generate_series(1, 30) as number")
            .await;
        bench.until(STATES, "done:30").await;
        let overlap = "select max(n) from (select (select count(*) from plinth.job_done as o
            where o.started_at <= d.started_at and o.finished_at > d.started_at) as n from plinth.job_done as d) as s";
        assert_eq!(bench.text(overlap).await, "3");
        engine.stop().await;
    });
}

#[test]
fn a_key_of_which_a_provider_said_not_before_waits_and_others_do_not() {
    with_bench(TASKS, async |bench| {
        let later = || Outcome::NotBefore(Duration::from_secs(2), "wait".to_owned());
        let fails = Fails(AtomicU32::new(1), later);
        let engine = engine(bench, Actions::default().with(fails), |rule| {
            rule.action = "fails".to_owned();
            rule.rate = Some(Rate { max: 100, per: Duration::from_secs(60) });
        })
        .await;
        bench.run("insert into task (id, tenant) values (1, 'a')").await;
        bench.until("select count(*) from plinth.closed", "1").await;
        bench.run("create table known as select * from plinth.closed").await;
        bench.run("insert into task (id, tenant) select n, case n % 2 when 0 then 'a' else 'b' end from generate_series(2, 21) as n").await;
        bench.until(STATES, "done:21").await;
        let early = "select count(*) from plinth.job_done join task on task.id::text = key join known on true
                     where tenant = 'a' and started_at < until";
        assert_eq!(bench.text(early).await, "0");
        let meanwhile = early.replace("'a'", "'b'");
        assert_eq!(bench.text(&meanwhile).await, "10");
        // Nobody remembers it for ever.
        bench.until("select count(*) from plinth.closed", "0").await;
        engine.stop().await;
    });
}

#[test]
fn a_key_is_closed_for_as_long_as_was_said_at_most() {
    with_bench(TASKS, async |bench| {
        static LATER: AtomicU32 = AtomicU32::new(2);
        // The first says a long time, the second a short one.
        let later = || {
            let second = LATER.fetch_sub(1, Ordering::SeqCst) == 1;
            let seconds = if second { 1 } else { 600 };
            Outcome::NotBefore(Duration::from_secs(seconds), "wait".to_owned())
        };
        let fails = Fails(AtomicU32::new(2), later);
        let engine = engine(bench, Actions::default().with(fails), |rule| {
            rule.action = "fails".to_owned();
            rule.rate = Some(Rate { max: 100, per: Duration::from_secs(60) });
        })
        .await;
        bench.run("insert into task (id, tenant) values (1, 'a'), (2, 'a')").await;
        bench.until("select count(*) from plinth.job where state = 'w'", "2").await;
        let left = "select until > now() + interval '5 minutes' from plinth.closed";
        assert_eq!(bench.text(left).await, "true");
        engine.stop().await;
    });
}

#[test]
fn a_full_key_is_in_the_way_of_no_other_in_the_same_turn() {
    with_bench(
        "create table task (id bigint primary key, status text not null default 'pending', tenant text, provider text)",
        async |bench| {
            let spec = r#"{"fair": "tenant", "limit": {"key": "provider"}, "concurrency": {"key": "tenant"}}"#;
            let sql = format!(
                "insert into plinth.binding (name, kind, spec) values ('task', 'row', '{spec}')"
            );
            bench.run(&sql).await;
            let binding = RowBinding {
                fair: Some("tenant".to_owned()),
                rate_key: Some("provider".to_owned()),
                seat_key: Some("tenant".to_owned()),
                ..pending(1)
            };
            bench.install(&binding).await.unwrap();
            let rate = Some(Rate { max: 1, per: Duration::from_secs(3600) });
            let rules = vec![Rule { fair: true, rate, seats: Some(1), ..rule(1, "noop") }];
            let actions = Actions::default().with(Noop);
            let engine = Engine::start("test", bench.store(), actions, rules, options());
            bench.run("insert into task (id, tenant, provider) select n, 'a', 'x' from generate_series(1, 600) as n;
                       insert into task (id, tenant, provider) values (1000, 'a', 'y'), (1001, 'b', 'x'), (1002, 'b', 'z')").await;
            bench.until("select string_agg(provider, '' order by provider) from task where status = 'done'", "xyz").await;
            engine.stop().await;
        },
    );
}

/// Of an engine that looks by itself as good as never.
fn only_when_woken() -> Options {
    Options { poll: Duration::from_secs(3600), ..options() }
}

#[test]
fn who_gives_a_seat_back_lets_the_next_one_begin() {
    static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    with_bench(TASKS, async |bench| {
        let slow = Slow(&CALLS, Duration::from_millis(5));
        let engine = engine_with(bench, Actions::default().with(slow), only_when_woken(), |rule| {
            rule.action = "slow".to_owned();
            rule.seats = Some(2);
        })
        .await;
        bench
            .run("insert into task (id, tenant) select n, 'a' from generate_series(1, 40) as n")
            .await;
        engine.wake();
        bench.until(STATES, "done:40").await;
        engine.stop().await;
    });
}

#[test]
fn more_begin_as_soon_as_the_limit_lets_them() {
    with_bench(TASKS, async |bench| {
        let engine = engine_with(bench, Actions::default(), only_when_woken(), |rule| {
            rule.rate = Some(Rate { max: 3, per: Duration::from_millis(200) });
        })
        .await;
        bench
            .run("insert into task (id, tenant) select n, 'a' from generate_series(1, 12) as n")
            .await;
        engine.wake();
        bench.until(STATES, "done:12").await;
        engine.stop().await;
    });
}

/// Rows without a tenant make jobs of binding 1, the others of binding 2.
async fn two_bindings(bench: &mut Bench<'_>) {
    for (name, when) in [("alone", "tenant is null"), ("tenants", "tenant is not null")] {
        let id = bench.binding(name).await;
        let binding = RowBinding {
            when: format!("status = 'pending' and {when}"),
            fair: Some("tenant".to_owned()),
            ..pending(id)
        };
        let binding = if id == 1 { RowBinding { fair: None, ..binding } } else { binding };
        bench.install(&binding).await.unwrap();
    }
}

#[test]
fn a_backlog_without_limits_leaves_room_for_limited_jobs() {
    with_bench(TASKS, async |bench| {
        two_bindings(bench).await;
        bench.run("insert into task (id) select n from generate_series(1, 2000) as n;
                   insert into task (id, tenant) select n, 'a' from generate_series(3001, 3003) as n").await;
        let options = Options { most: 4, batch: 4, ..options() };
        let rules = vec![rule(1, "noop"), Rule { fair: true, ..rule(2, "noop") }];
        let actions = Actions::default().with(Noop);
        let engine = Engine::start("test", bench.store(), actions, rules, options);
        bench.until(STATES, "done:2003").await;
        let before = "select count(*) < 1000 from plinth.job_done as done where binding = 1 and done.started_at <
            (select max(started_at) from plinth.job_done as done where binding = 2)";
        assert_eq!(bench.text(before).await, "true");
        engine.stop().await;
    });
}

#[test]
fn a_binding_whose_looks_fail_is_in_the_way_of_no_other() {
    with_bench(TASKS, async |bench| {
        two_bindings(bench).await;
        // Longer than any interval.
        let never = Rate { max: 1, per: Duration::from_secs(u64::MAX) };
        let rules = vec![
            Rule { rate: Some(never), ..rule(1, "noop") },
            Rule { fair: true, ..rule(2, "noop") },
        ];
        bench
            .run(
                "insert into task (id) values (1);
                   insert into task (id, tenant) select n, 'a' from generate_series(2, 9) as n",
            )
            .await;
        let actions = Actions::default().with(Noop);
        let engine = Engine::start("test", bench.store(), actions, rules, options());
        bench.until(STATES, "done:8,pending:1").await;
        engine.stop().await;
    });
}

#[test]
fn a_look_at_a_turn_with_many_full_keys_ends_and_others_go_on_from_there() {
    let tasks = "create table task (id bigint primary key, status text not null default 'pending', tenant text, provider text)";
    with_bench(tasks, async |bench| {
        let spec = r#"{"fair": "tenant", "limit": {"key": "provider"}}"#;
        bench
            .run(&format!(
                "insert into plinth.binding (name, kind, spec) values ('task', 'row', '{spec}')"
            ))
            .await;
        let text = |sql: &str| Some(sql.to_owned());
        let binding = RowBinding { fair: text("tenant"), rate_key: text("provider"), ..pending(1) };
        bench.install(&binding).await.unwrap();
        bench.run("insert into plinth.beginning (binding, key, at, until)
                     select 1, n::text, now(), now() + interval '1 day' from generate_series(1, 3000) as n;
                   insert into task (id, tenant, provider) select n, 'a', n % 3000 + 1 from generate_series(1, 6000) as n;
                   insert into task (id, tenant, provider) values (7000, 'a', 'free');
                   insert into plinth.worker (name, alive_until) values ('other', now() + interval '1 hour')").await;
        let look = "select string_agg(state::text || (place > 100), ',') from plinth.take_limited(
            (select id from plinth.worker), 1, 64, interval '1 day', 1, null, '{a}', '{0}', '{1}', 64, 0)";
        assert_eq!(bench.text(look).await, "qfalse,ctrue");
        let rate = Some(Rate { max: 1, per: Duration::from_secs(24 * 3600) });
        let rules = vec![Rule { fair: true, rate, ..rule(1, "noop") }];
        let actions = Actions::default().with(Noop);
        let engine = Engine::start("test", bench.store(), actions, rules, options());
        bench.until(STATES, "done:1,pending:6000").await;
        // The first ones are not forgotten meanwhile.
        bench.run("delete from plinth.beginning where key = '2'").await;
        bench.until(STATES, "done:2,pending:5999").await;
        engine.stop().await;
    });
}
