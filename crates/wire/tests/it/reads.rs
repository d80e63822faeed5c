//! Reads that share connections: each gets its own answer, whatever happens to the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_wire::{
    Batch, Budget, ConnectConfig, Connection, Format, Lane, Pool, PoolOptions, Rows, WireError,
};
use tokio::task::JoinHandle;

use crate::support::{batch, batch_as, first, on_server, statement};

/// A pool with one connection for shared reads and `max_connections` in all.
fn pool(config: &ConnectConfig, max_connections: usize) -> Pool {
    let options = PoolOptions {
        max_connections,
        read_connections: Some(1),
        acquire_timeout: Duration::from_secs(20),
        ..PoolOptions::default()
    };
    Pool::new(config.clone(), Budget::new(max_connections), options)
}

fn read(sql: &str) -> Batch {
    Batch { lane: Lane::Read, ..batch(&[sql]) }
}

/// A read with a parameter: an *enter* statement, as every request has, and a query.
fn read_as(role: &str, number: usize) -> Batch {
    let number = number.to_string();
    let enter = statement("select set_config('request.number', $1, true)", &[&number]);
    let query = "select current_setting('request.number') || ':' || ($1::int / $2::int)::text";
    let divisor = if number.ends_with('7') { "0" } else { "1" };
    let batch = batch_as(role, &[enter, statement(query, &[&number, divisor])]);
    Batch { lane: Lane::Read, ..batch }
}

fn spawn(pool: &Pool, batch: Batch) -> JoinHandle<Result<String, WireError>> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.run(batch).await.map(|results| first(results.last().unwrap())) })
}

#[test]
fn every_read_gets_its_own_answer_or_its_own_error() {
    on_server(async |config| {
        let pool = pool(&config, 4);
        for round in 0..5 {
            let reads: Vec<_> =
                (0..200).map(|n| spawn(&pool, read_as(["a", "b"][n % 2], n + round))).collect();
            for (n, read) in reads.into_iter().enumerate() {
                let n = n + round;
                match read.await.unwrap() {
                    Ok(answer) => assert_eq!(answer, format!("{n}:{n}")),
                    Err(WireError::Database(error)) => {
                        assert_eq!((error.code.as_str(), n % 10), ("22012", 7));
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        assert_eq!(pool.status().waiting, 0);
    });
}

#[test]
fn settings_of_one_read_do_not_reach_the_next_on_the_same_connection() {
    on_server(async |config| {
        let pool = pool(&config, 1);
        let set = spawn(&pool, read("select set_config('request.number', 'mine', true)"));
        let get = "select coalesce(nullif(current_setting('request.number', true), ''), 'none')";
        let reads: Vec<_> = (0..20).map(|_| spawn(&pool, read(get))).collect();
        assert_eq!(set.await.unwrap().unwrap(), "mine");
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap(), "none");
        }
    });
}

#[test]
fn short_reads_pass_a_slow_one() {
    on_server(async |config| {
        let pool = pool(&config, 2);
        // So that groups have grown and the slow one travels together with others.
        for read in (0..40).map(|n| spawn(&pool, read_as("r", n * 10))).collect::<Vec<_>>() {
            read.await.unwrap().unwrap();
        }
        let slow = spawn(&pool, read("select pg_sleep(1)::text || 'slow'"));
        let others: Vec<_> = (0..40).map(|n| spawn(&pool, read_as("r", n * 10))).collect();
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert!(!slow.is_finished(), "nobody waited for the slow one");
        assert_eq!(slow.await.unwrap().unwrap(), "slow");
    });
}

#[test]
fn a_large_answer_leaves_the_shared_connection() {
    on_server(async |config| {
        let pool = pool(&config, 2);
        let large = || pool.counters().large_reads.load(Ordering::Relaxed);
        let slow = || pool.counters().slow_reads.load(Ordering::Relaxed);
        let answer = spawn(&pool, read("select repeat('x', 200 * 1024)")).await.unwrap().unwrap();
        assert_eq!((answer.len(), large()), (200 * 1024, 0));
        // Before all of it has come: rows enough for many reads of the socket.
        let rows = "select repeat('x', 1024) from generate_series(1, 20000)";
        for _ in 0..50 {
            let before = slow();
            let answer = pool.run(read(rows)).await.unwrap();
            assert_eq!(answer[0].text().len(), 20_000);
            // An answer that was slow before it was large left for that reason.
            if large() > 0 {
                return;
            }
            assert_eq!(slow(), before + 1, "neither slow nor large");
        }
        panic!("every one of the answers was slow before it was large");
    });
}

#[test]
fn an_answer_that_nobody_waits_for_does_not_mix_with_the_next() {
    on_server(async |config| {
        let mut connection = Connection::open(&config, 8).await.unwrap();
        let binary = |sql: &str| {
            let mut batch = batch(&["select 1", sql]);
            batch.statements[1].format = Format::Binary;
            batch
        };
        // Left in its middle: the first statement has been answered, the second has not.
        let slow = binary("select pg_sleep(0.2)::text || repeat('x', 100000)");
        let left = connection.run(&slow);
        assert!(tokio::time::timeout(Duration::from_millis(100), left).await.is_err());
        connection.drain().await.unwrap();
        let results = connection.run(&binary("select 2::int4")).await.unwrap();
        let Rows::Binary(rows) = &results[1] else { panic!("{results:?}") };
        assert_eq!(rows.messages.iter().map(|rows| rows.len()).sum::<usize>(), 15);
    });
}

#[test]
fn writes_get_their_turn_while_reads_keep_coming() {
    on_server(async |config| {
        let pool = pool(&config, 1);
        let reading = tokio::spawn({
            let pool = pool.clone();
            async move {
                loop {
                    let reads: Vec<_> =
                        (0..20).map(|n| spawn(&pool, read_as("r", n * 10))).collect();
                    for read in reads {
                        read.await.unwrap().unwrap();
                    }
                }
            }
        });
        for _ in 0..20 {
            pool.run(batch(&["create temporary table t (x int) on commit drop"])).await.unwrap();
        }
        reading.abort();
        assert!(reading.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn reads_behind_one_that_lost_the_connection_are_run_again() {
    on_server(async |config| {
        let pool = pool(&config, 2);
        for read in (0..40).map(|n| spawn(&pool, read_as("r", n * 10))).collect::<Vec<_>>() {
            read.await.unwrap().unwrap();
        }
        let fatal = spawn(&pool, read("select pg_terminate_backend(pg_backend_pid())"));
        let others: Vec<_> = (0..40).map(|n| spawn(&pool, read_as("r", n * 10))).collect();
        assert!(matches!(fatal.await.unwrap(), Err(WireError::Terminated(_))));
        for other in others {
            other.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_read_whose_statement_is_out_of_date_is_run_again_unseen() {
    on_server(async |config| {
        let pool = pool(&config, 1);
        pool.run(batch(&["create table t (x int)", "insert into t values (1)"])).await.unwrap();
        assert_eq!(spawn(&pool, read("select * from t")).await.unwrap().unwrap(), "1");
        pool.run(batch(&["alter table t add column y int"])).await.unwrap();
        let reads: Vec<_> = (0..10).map(|_| spawn(&pool, read("select * from t"))).collect();
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap(), "1");
        }
    });
}

#[test]
fn callers_that_go_away_do_not_disturb_the_others() {
    on_server(async |config| {
        let pool = pool(&config, 1);
        for _ in 0..10 {
            let reads: Vec<_> = (0..20).map(|n| spawn(&pool, read_as("r", n * 10))).collect();
            for (n, read) in reads.into_iter().enumerate() {
                if n % 3 == 0 {
                    read.abort();
                } else {
                    assert_eq!(read.await.unwrap().unwrap(), format!("{0}:{0}", n * 10));
                }
            }
        }
    });
}

#[test]
fn a_read_without_a_server_is_a_connect_error_for_each_caller() {
    on_server(async |config| {
        let config = ConnectConfig {
            host: plinth_wire::Host::Tcp("127.0.0.1".to_owned()),
            port: 1,
            ..config
        };
        let pool = Arc::new(pool(&config, 2));
        let reads: Vec<_> = (0..10).map(|n| spawn(&pool, read_as("r", n))).collect();
        for read in reads {
            assert!(matches!(read.await.unwrap(), Err(WireError::Connect(_))));
        }
    });
}

#[test]
fn a_read_waits_a_bounded_time_for_a_busy_pool() {
    on_server(async |config| {
        let options = PoolOptions {
            max_connections: 1,
            acquire_timeout: Duration::from_millis(100),
            ..PoolOptions::default()
        };
        let pool = Pool::new(config.clone(), Budget::new(1), options);
        let write = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(batch(&["select pg_sleep(1)"])).await }
        });
        while pool.status().busy == 0 {
            tokio::task::yield_now().await;
        }
        let error = spawn(&pool, read("select 1")).await.unwrap().unwrap_err();
        assert!(matches!(error, WireError::PoolTimeout(_)), "{error:?}");
        write.await.unwrap().unwrap();
        assert_eq!(spawn(&pool, read("select '1'")).await.unwrap().unwrap(), "1");
    });
}
