//! Throughput beside a transaction that is open and does nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use plinth_work::action::{Actions, Noop};
use plinth_work::engine::{Engine, Options};

use super::drain::insert;
use super::place::{Limit, Place};

/// Parts of the time that are looked at alone.
const INTERVALS: u32 = 10;

/// Jobs that wait at any time, about.
const WAITING: u64 = 5000;

/// Rows that one statement inserts.
const CHUNK: u64 = 1000;

/// An interval: jobs per second, and the processor time of each.
pub(super) struct Interval {
    pub(super) rate: f64,
    pub(super) micros: f64,
}

/// Has jobs done for `time`, with a transaction beside them that sees the beginning.
pub(super) async fn measure(
    place: &Place,
    limit: Limit,
    time: Duration,
    options: Options,
) -> Result<Vec<Interval>> {
    let table = format!("task_idle_{limit:?}").to_lowercase();
    let rule = place.table(&table, "noop", limit).await?;
    let idle = place.owner().await?;
    let owner = place.owner().await?;
    let actions = Actions::default().with(Noop);
    let engine = Engine::start("bench", place.store(), actions, vec![rule], options);
    let done = || engine.counters().done.load(Ordering::Relaxed);
    let mut inserted = 0;
    let mut intervals = Vec::new();
    // The first interval, without the transaction, only warms up.
    for number in 0..=INTERVALS {
        if number == 1 {
            let begin = format!(
                "set idle_in_transaction_session_timeout = 0; set statement_timeout = 0;
                 begin isolation level repeatable read; select txid_current(), count(*) from {table}"
            );
            idle.batch_execute(&begin).await?;
        }
        let (cpu, start, before) = (place.cpu()?, Instant::now(), done());
        while start.elapsed() < time / INTERVALS {
            if inserted < done() + WAITING {
                insert(&owner, &table, CHUNK).await?;
                inserted += CHUNK;
                engine.wake();
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let (jobs, spent) = ((done() - before) as f64, place.cpu()? - cpu);
        let micros = (spent.load + spent.postgres) as f64 / jobs;
        intervals.push(Interval { rate: jobs / start.elapsed().as_secs_f64(), micros });
    }
    engine.stop().await;
    idle.batch_execute("rollback").await?;
    idle.close().await;
    owner.close().await;
    intervals.remove(0);
    Ok(intervals)
}
