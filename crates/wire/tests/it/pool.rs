//! Pools: bounds, waiting, recovery.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use plinth_wire::{Batch, Budget, ConnectConfig, Lane, Pool, PoolOptions, WireError};

use crate::support::{batch, first, on_server};

const BACKEND: &str = "select pg_backend_pid()";

const SLEEPING: &str = "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'";

fn pool(config: &ConnectConfig, budget: &Arc<Budget>, options: PoolOptions) -> Pool {
    Pool::new(config.clone(), budget.clone(), options)
}

fn small(max_connections: usize) -> PoolOptions {
    PoolOptions {
        max_connections,
        acquire_timeout: Duration::from_millis(200),
        ..PoolOptions::default()
    }
}

#[test]
fn connections_are_opened_on_use_and_used_again() {
    on_server(async |config| {
        let budget = Budget::new(4);
        let pool = pool(&config, &budget, small(4));
        assert_eq!(budget.available(), 4);
        let one = first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]);
        let two = first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]);
        assert_eq!(one, two);
        assert_eq!((budget.available(), pool.status().idle), (3, 1));
        pool.close_idle(Duration::ZERO);
        assert_eq!((budget.available(), pool.status().idle), (4, 0));
    });
}

#[test]
fn connections_that_are_busy_when_all_are_replaced_do_not_come_back() {
    on_server(async |config| {
        let [pool, other] = [(); 2].map(|()| pool(&config, &Budget::new(4), small(1)));
        let alone = batch;
        let reads = |sql: &[&str]| Batch { lane: Lane::Read, ..batch(sql) };
        for batch in [alone, reads] {
            let slow = tokio::spawn({
                let (pool, batch) = (pool.clone(), batch(&[BACKEND, "select pg_sleep(0.3)"]));
                async move { first(&pool.run(batch).await.unwrap()[0]) }
            });
            while first(&other.run(alone(&[SLEEPING])).await.unwrap()[0]) == "0" {}
            pool.renew();
            let before = slow.await.unwrap();
            let after = first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]);
            assert_ne!(after, before);
        }
    });
}

#[test]
fn who_waits_too_long_for_a_busy_pool_is_told_so() {
    on_server(async |config| {
        let pool = pool(&config, &Budget::new(4), small(1));
        let slow = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(batch(&["select pg_sleep(1)"])).await }
        });
        while pool.status().busy == 0 {
            tokio::task::yield_now().await;
        }
        let error = pool.run(batch(&["select 1"])).await.unwrap_err();
        assert!(matches!(error, WireError::PoolTimeout(_)), "{error:?}");
        slow.await.unwrap().unwrap();
        pool.run(batch(&["select 1"])).await.unwrap();
    });
}

#[test]
fn the_queue_before_a_pool_is_bounded() {
    on_server(async |config| {
        let options = PoolOptions { max_waiting: 0, ..small(1) };
        let pool = pool(&config, &Budget::new(4), options);
        let error = pool.run(batch(&["select 1"])).await.unwrap_err();
        assert!(matches!(error, WireError::Overloaded(0)), "{error:?}");
    });
}

#[test]
fn a_pool_takes_the_place_of_another_ones_idle_connection() {
    on_server(async |config| {
        let budget = Budget::new(1);
        let (one, two) = (pool(&config, &budget, small(2)), pool(&config, &budget, small(2)));
        one.run(batch(&["select 1"])).await.unwrap();
        assert_eq!(one.status().idle, 1);
        two.run(batch(&["select 1"])).await.unwrap();
        assert_eq!((one.status().idle, two.status().idle), (0, 1));
    });
}

#[test]
fn a_pool_gets_the_place_that_another_one_is_still_using() {
    on_server(async |config| {
        let budget = Budget::new(1);
        let one = pool(&config, &budget, small(1));
        let options = PoolOptions { acquire_timeout: Duration::from_secs(20), ..small(1) };
        let two = pool(&config, &budget, options);
        let slow = tokio::spawn({
            let one = one.clone();
            async move { one.run(batch(&["select pg_sleep(0.3)"])).await }
        });
        while budget.available() > 0 {
            tokio::task::yield_now().await;
        }
        two.run(batch(&["select 1"])).await.unwrap();
        slow.await.unwrap().unwrap();
        assert_eq!(one.status().idle, 0);
    });
}

#[test]
fn busy_pools_share_the_budget_and_keep_their_connections() {
    on_server(async |config| {
        let budget = Budget::new(4);
        let options = PoolOptions { acquire_timeout: Duration::from_secs(60), ..small(4) };
        let pools = [0, 1].map(|_| pool(&config, &budget, options.clone()));
        let mut callers = tokio::task::JoinSet::new();
        for pool in &pools {
            for _ in 0..8 {
                let pool = pool.clone();
                callers.spawn(async move {
                    for _ in 0..50 {
                        pool.run(batch(&["select 1"])).await.unwrap();
                    }
                });
            }
        }
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
        let opened: u64 =
            pools.iter().map(|pool| pool.counters().connections_opened.load(Relaxed)).sum();
        assert!(opened < 80, "800 batches opened {opened} connections");
    });
}

#[test]
fn a_pool_that_falls_silent_gives_young_connections_to_who_waits() {
    on_server(async |config| {
        let budget = Budget::new(2);
        let [silent, waiting] = [2, 1].map(|most| pool(&config, &budget, small(most)));
        let sleep = || silent.run(batch(&["select pg_sleep(0.01)"]));
        // The other waits before these are done, so that nothing was idle when it looked.
        let (first, second, waited) = tokio::join!(sleep(), sleep(), async {
            tokio::task::yield_now().await;
            waiting.run(batch(&["select 1"])).await
        });
        first.and(second).and(waited).unwrap();
    });
}

#[test]
fn a_caller_that_goes_away_leaves_a_usable_connection() {
    on_server(async |config| {
        let pool = pool(&config, &Budget::new(4), small(1));
        let before = first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]);
        let abandoned = batch(&["select pg_sleep(0.1), 'not yours'"]);
        let answer = tokio::time::timeout(Duration::from_millis(20), pool.run(abandoned)).await;
        assert!(answer.is_err());
        let after = first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]);
        assert_eq!(before, after, "the same connection, with its own answer");
    });
}

#[test]
fn a_terminated_backend_costs_one_request_at_most() {
    on_server(async |config| {
        let budget = Budget::new(4);
        let (pool, other) = (pool(&config, &budget, small(1)), pool(&config, &budget, small(1)));
        let victim = first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]);
        let kill = format!("select pg_terminate_backend({victim}, 5000)");
        other.run(batch(&[&kill])).await.unwrap();
        // The end of the session may not have been seen yet; then this request is the one.
        let _ = pool.run(batch(&["select 1"])).await;
        pool.run(batch(&["select 1"])).await.unwrap();
    });
}

#[test]
fn a_restart_of_the_server_costs_no_request_that_comes_after_it() {
    on_server(async |config| {
        let budget = Budget::new(8);
        let (pool, other) = (pool(&config, &budget, small(6)), pool(&config, &budget, small(1)));
        let mut six = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let pool = pool.clone();
            six.spawn(async move { pool.run(batch(&["select pg_sleep(0.2)"])).await.map(drop) });
        }
        six.join_all().await.into_iter().for_each(|answer| answer.unwrap());
        assert_eq!(pool.status().idle, 6);
        // As a restart does, and returns when they are gone.
        let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
                   where pid <> pg_backend_pid() and datname = current_database()";
        assert_eq!(other.run(batch(&[end])).await.unwrap()[0].text().len(), 6);
        pool.run(batch(&["select 1"])).await.unwrap();
        assert_eq!(pool.status().idle, 1, "the others ended with the server");
    });
}

#[test]
fn a_session_that_ends_during_an_answer_is_reported_and_replaced() {
    on_server(async |config| {
        let pool = pool(&config, &Budget::new(4), small(1));
        let suicide = "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)";
        let error = pool.run(batch(&[suicide])).await.unwrap_err();
        let WireError::Terminated(error) = error else { panic!("{error:?}") };
        assert_eq!(error.code, "57P01");
        pool.run(batch(&["select 1"])).await.unwrap();
    });
}

#[test]
fn a_statement_whose_result_changed_is_prepared_again_unseen() {
    on_server(async |config| {
        let pool = pool(&config, &Budget::new(4), small(1));
        pool.run(batch(&["create temporary table t (x int)"])).await.unwrap();
        pool.run(batch(&["select * from t"])).await.unwrap();
        pool.run(batch(&["alter table t add column y int"])).await.unwrap();
        pool.run(batch(&["select * from t"])).await.unwrap();
        pool.run(batch(&["alter table t add column z int"])).await.unwrap();
        pool.forget_statements();
        pool.run(batch(&["select * from t"])).await.unwrap();
    });
}

#[test]
fn a_read_that_nobody_waits_for_any_more_is_cancelled() {
    on_server(async |config| {
        let [pool, other] = [(); 2].map(|()| pool(&config, &Budget::new(4), small(1)));
        let shared = Batch { lane: Lane::Read, ..batch(&["select pg_sleep(3600)"]) };
        let alone = Batch { lane: Lane::ReadAlone, ..shared.clone() };
        for (cancelled, read) in [(1, shared), (2, alone)] {
            let caller = tokio::spawn({
                let pool = pool.clone();
                async move { pool.run(read).await.map(drop) }
            });
            while first(&other.run(batch(&[SLEEPING])).await.unwrap()[0]) == "0" {}
            caller.abort();
            while first(&other.run(batch(&[SLEEPING])).await.unwrap()[0]) != "0" {}
            assert_eq!(pool.counters().connections_cancelled.load(Relaxed), cancelled);
            assert_eq!(pool.counters().connections_lost.load(Relaxed), 0);
        }
        assert_ne!(first(&pool.run(batch(&[BACKEND])).await.unwrap()[0]), "");
    });
}

#[test]
fn a_write_that_nobody_waits_for_any_more_is_done_all_the_same() {
    on_server(async |config| {
        let [pool, other] = [(); 2].map(|()| pool(&config, &Budget::new(4), small(1)));
        other.run(batch(&["create table t (x text)"])).await.unwrap();
        let caller = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(batch(&["select pg_sleep(0.5)", "insert into t values ('done')"]))
                    .await
                    .map(drop)
            }
        });
        while first(&other.run(batch(&[SLEEPING])).await.unwrap()[0]) == "0" {}
        caller.abort();
        while first(&other.run(batch(&["select count(*) from t"])).await.unwrap()[0]) == "0" {}
        assert_eq!(pool.counters().connections_cancelled.load(Relaxed), 0);
    });
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    on_server(async |config| {
        let answer_timeout = Duration::from_millis(100);
        let options =
            PoolOptions { answer_timeout, acquire_timeout: Duration::from_secs(60), ..small(1) };
        let [hasty, other] =
            [options, small(1)].map(|options| pool(&config, &Budget::new(4), options));
        for lane in [Lane::Write, Lane::Read] {
            let sleep = Batch { lane, ..batch(&["select pg_sleep(3600)"]) };
            let error = hasty.run(sleep).await.unwrap_err();
            assert!(matches!(error, WireError::AnswerTimeout(_)), "{error:?}");
            hasty.run(batch(&["select 1"])).await.unwrap();
            while first(&other.run(batch(&[SLEEPING])).await.unwrap()[0]) != "0" {}
        }
        assert_eq!(hasty.counters().connections_cancelled.load(Relaxed), 2);
    });
}

#[test]
fn a_closed_pool_says_so() {
    on_server(async |config| {
        let pool = pool(&config, &Budget::new(4), small(1));
        pool.run(batch(&["select 1"])).await.unwrap();
        pool.close();
        assert_eq!(pool.status().idle, 0);
        let error = pool.run(batch(&["select 1"])).await.unwrap_err();
        assert!(matches!(error, WireError::Closed), "{error:?}");
    });
}

#[test]
fn a_server_that_is_not_there_is_a_connect_error() {
    on_server(async |config| {
        let mut config = config.clone();
        config.host = plinth_wire::Host::Tcp("127.0.0.1".to_owned());
        config.port = 1;
        let pool = Pool::new(config, Budget::new(4), small(1));
        let error = pool.run(batch(&["select 1"])).await.unwrap_err();
        assert!(matches!(error, WireError::Connect(_)), "{error:?}");
    });
}
