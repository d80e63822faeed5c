//! Large values that are passed on while they come.

use std::future::poll_fn;
use std::time::Duration;

use plinth_wire::{Batch, BrokenOff, Budget, Format, Lane, Pieces, Pool, PoolOptions, Rows};

use crate::support::{batch, first, on_server};

/// Bytes of the value that [`large`] answers.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

/// What may be in memory of a value that nobody takes.
const MOST_WAITING: usize = 4;
const MOST_BYTES: usize = 64 * 1024;

fn pool(config: &plinth_wire::ConnectConfig, max_connections: usize) -> Pool {
    let options =
        PoolOptions { max_connections, read_connections: Some(1), ..PoolOptions::default() };
    Pool::new(config.clone(), Budget::new(max_connections), options)
}

fn read(sql: &str) -> Batch {
    let mut batch = Batch { lane: Lane::Read, ..batch(&["select 1", sql]) };
    batch.statements[1].format = Format::Pieces;
    batch
}

fn large() -> Batch {
    read(&format!("select 7, null, repeat('0123456789abcdef', {})", LARGE_BYTES / 16))
}

/// The last statement's row and its value in pieces.
async fn opened(pool: &Pool, batch: Batch) -> (Vec<Option<String>>, Pieces) {
    match pool.run(batch).await.unwrap().pop() {
        Some(Rows::Large(row, value)) => {
            let text = |value: bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
            (row.into_iter().map(|value| value.map(text)).collect(), value)
        }
        rows => panic!("{}", if rows.is_some() { "all of it came at once" } else { "nothing" }),
    }
}

async fn next(value: &mut Pieces) -> Option<Result<bytes::Bytes, BrokenOff>> {
    poll_fn(|context| value.poll_next(context)).await
}

async fn until_idle(pool: &Pool) {
    let busy = async {
        while pool.status().busy > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), busy).await.expect("all connections come back");
}

#[test]
fn a_large_value_is_never_in_memory_as_a_whole() {
    on_server(async |config| {
        let pool = pool(&config, 4);
        let (row, mut value) = opened(&pool, large()).await;
        assert_eq!(row, [Some("7".to_owned()), None]);
        assert_eq!(value.left(), LARGE_BYTES);
        // Everything that is not read stays with the server, however long nobody takes it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let pattern = b"0123456789abcdef".repeat(MOST_BYTES / 16 + 1);
        let (mut length, mut most) = (0, 0);
        loop {
            most = most.max(value.waiting());
            let Some(piece) = next(&mut value).await else { break };
            let piece = piece.unwrap();
            assert!(piece.len() <= MOST_BYTES, "{} bytes in a piece", piece.len());
            assert!(piece == pattern[length % 16..][..piece.len()], "at {length}");
            length += piece.len();
        }
        assert_eq!((length, most), (LARGE_BYTES, MOST_WAITING));
        until_idle(&pool).await;
        assert_eq!(first(&pool.run(read("select 'next'")).await.unwrap()[1]), "next");
        assert_eq!(
            pool.counters().connections_opened.load(std::sync::atomic::Ordering::Relaxed),
            1
        );
    });
}

#[test]
fn a_connection_whose_client_went_away_in_the_middle_serves_others() {
    on_server(async |config| {
        let pool = pool(&config, 2);
        let (_, mut value) = opened(&pool, large()).await;
        assert!(next(&mut value).await.unwrap().is_ok());
        let other = pool.run(read("select 'other'"));
        let other = tokio::time::timeout(Duration::from_secs(10), other).await.unwrap();
        assert_eq!(first(&other.unwrap()[1]), "other", "while the first is still under way");
        drop(value);
        until_idle(&pool).await;
        assert_eq!(pool.counters().connections_lost.load(std::sync::atomic::Ordering::Relaxed), 0);
        for _ in 0..4 {
            let (_, value) = opened(&pool, large()).await;
            drop(value);
            assert_eq!(first(&pool.run(read("select 'next'")).await.unwrap()[1]), "next");
        }
    });
}

#[test]
fn a_session_that_ends_in_the_middle_leaves_no_value_that_looks_whole() {
    on_server(async |config| {
        let pool = pool(&config, 4);
        let end = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity \
                   where datname = current_database() and query like '%0123456789abcdef%' and pid <> pg_backend_pid()";
        // PostgreSQL ends such a session when it has to wait for its client, which a quick one does not let come about.
        loop {
            let (_, mut value) = opened(&pool, large()).await;
            // It says what it runs as soon as somebody reads its state whole, which a busy machine may put off.
            while first(&pool.run(batch(&[end])).await.unwrap()[0]) != "1" {}
            let mut length = 0;
            let left = loop {
                match next(&mut value).await {
                    Some(Ok(piece)) => length += piece.len(),
                    Some(Err(broken)) => break broken.left,
                    None => break 0,
                }
            };
            if left > 0 {
                break;
            }
            assert_eq!(length, LARGE_BYTES, "it is whole after all");
        }
        assert_eq!(first(&pool.run(read("select 'next'")).await.unwrap()[1]), "next");
    });
}

#[test]
fn small_rows_and_values_without_a_place_come_whole() {
    on_server(async |config| {
        let small = pool(&config, 4).run(read("select 1, repeat('x', 200000)")).await.unwrap();
        assert_eq!(small[1].text()[0][1].as_ref().map(bytes::Bytes::len), Some(200_000));
        let several = "select n, repeat('x', 200000) from generate_series(1, 9) n";
        let several = pool(&config, 4).run(read(several)).await.unwrap();
        assert_eq!(several[1].text().len(), 9);
        // Of two connections one is kept for others.
        let pool = pool(&config, 2);
        let (_, _value) = opened(&pool, large()).await;
        let whole = pool.run(large()).await.unwrap();
        assert_eq!(whole[1].text()[0][2].as_ref().map(bytes::Bytes::len), Some(LARGE_BYTES));
    });
}

#[test]
fn an_undone_read_is_passed_on_too() {
    on_server(async |config| {
        let pool = pool(&config, 4);
        let (row, mut value) = opened(&pool, Batch { rollback: true, ..large() }).await;
        assert_eq!(row.len(), 2);
        let mut length = 0;
        while let Some(piece) = next(&mut value).await {
            length += piece.unwrap().len();
        }
        assert_eq!(length, LARGE_BYTES);
        until_idle(&pool).await;
    });
}
