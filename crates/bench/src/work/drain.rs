//! Jobs from the row to its new status, with what they cost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use plinth_postgres::Connection;
use plinth_work::Counters;
use plinth_work::action::{Actions, Noop};
use plinth_work::engine::{Engine, Options};

use super::place::{Limit, Place};
use crate::cpu::Cpu;

/// Rows that one statement inserts while jobs run.
const CHUNK: u64 = 1000;

/// What a number of jobs took.
pub(super) struct Drained {
    pub(super) jobs: u64,
    pub(super) time: Duration,
    pub(super) cost: Cost,
}

/// What was written, and the processor time.
pub(super) struct Cost {
    pub(super) cpu: Cpu,
    /// Commits in the log, those of whoever inserts too.
    pub(super) commits: u64,
    pub(super) wal_bytes: u64,
    /// Flushes of the log.
    pub(super) flushes: u64,
    /// Versions of rows in `plinth` that became garbage.
    pub(super) dead: u64,
    /// Those that no vacuum had taken away at the end.
    pub(super) dead_left: u64,
}

/// Counts from when it is made.
pub(super) struct Meter<'a> {
    place: &'a Place,
    admin: Connection,
    cpu: Cpu,
    lsn: String,
    flushes: i64,
    dead: i64,
}

impl<'a> Meter<'a> {
    pub(super) async fn start(place: &'a Place) -> Result<Self> {
        let admin = place.admin().await?;
        // Others' garbage is not counted as ours.
        for sql in ["vacuum (analyze) plinth.job", "checkpoint"] {
            admin.batch_execute(sql).await?;
        }
        let (flushes, dead, _) = counts(&admin).await?;
        let lsn = admin.query_one("select pg_current_wal_insert_lsn()::text", &[]).await?.get(0);
        Ok(Self { place, cpu: place.cpu()?, admin, lsn, flushes, dead })
    }

    pub(super) async fn stop(self) -> Result<Cost> {
        let cpu = self.place.cpu()? - self.cpu;
        let bytes = "select pg_current_wal_insert_lsn()::text, (pg_current_wal_insert_lsn() - $1::text::pg_lsn)::bigint";
        let row = self.admin.query_one(bytes, &[&self.lsn]).await?;
        let (end, bytes): (String, i64) = (row.get(0), row.get(1));
        let commits = "select count::bigint from pg_get_wal_stats($1::text::pg_lsn, least($2::text::pg_lsn, pg_current_wal_flush_lsn()), true)
                       where \"resource_manager/record_type\" = 'Transaction/COMMIT'";
        let commits: i64 = self.admin.query_one(commits, &[&self.lsn, &end]).await?.get(0);
        // Sessions report what they did a second later at most.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let (flushes, dead, left) = counts(&self.admin).await?;
        self.admin.close().await;
        Ok(Cost {
            cpu,
            commits: commits.try_into()?,
            wal_bytes: bytes.try_into()?,
            flushes: (flushes - self.flushes).try_into()?,
            dead: (dead - self.dead).try_into()?,
            dead_left: left.try_into()?,
        })
    }
}

/// Flushes of the log, versions that became garbage, and those that still are.
async fn counts(admin: &Connection) -> Result<(i64, i64, i64)> {
    let sql = "select (select sum(fsyncs)::bigint from pg_stat_io where object = 'wal'),
                 sum(n_tup_upd + n_tup_del)::bigint, sum(n_dead_tup)::bigint
               from pg_stat_all_tables where schemaname = 'plinth'";
    let older = "select (select wal_sync from pg_stat_wal),
                   sum(n_tup_upd + n_tup_del)::bigint, sum(n_dead_tup)::bigint
                 from pg_stat_all_tables where schemaname = 'plinth'";
    let version = "select current_setting('server_version_num')::integer";
    let version: i32 = admin.query_one(version, &[]).await?.get(0);
    let row = admin.query_one(if version >= 180_000 { sql } else { older }, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// Has `jobs` rows done, of which half are there before the engine and the others come while it runs.
pub(super) async fn measure(
    place: &Place,
    limit: Limit,
    jobs: u64,
    options: Options,
) -> Result<Drained> {
    let table = format!("task_{limit:?}_{}", options.batch).to_lowercase();
    let rule = place.table(&table, "noop", limit).await?;
    let owner = place.owner().await?;
    let before = jobs / 2;
    insert(&owner, &table, before).await?;
    let meter = Meter::start(place).await?;
    let start = Instant::now();
    let engine =
        Engine::start("bench", place.store(), Actions::default().with(Noop), vec![rule], options);
    let counters = Arc::clone(engine.counters());
    let mut inserted = before;
    while inserted < jobs {
        let chunk = CHUNK.min(jobs - inserted);
        insert(&owner, &table, chunk).await?;
        inserted += chunk;
        engine.wake();
        // The queue stays shorter than what was there at first.
        while counters.done.load(Ordering::Relaxed) + before < inserted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    until_done(&counters, jobs).await?;
    let time = start.elapsed();
    let cost = meter.stop().await?;
    engine.stop().await;
    let undone = format!("select count(*) from {table} where status <> 'done'");
    let undone: i64 = owner.query_one(&undone, &[]).await?.get(0);
    ensure!(undone == 0, "{undone} rows of {table} are not done");
    owner.close().await;
    Ok(Drained { jobs, time, cost })
}

pub(super) async fn insert(owner: &Connection, table: &str, rows: u64) -> Result<()> {
    let sql = format!("insert into {table} (status) select 'pending' from generate_series(1, $1)");
    owner.execute(&sql, &[&i32::try_from(rows)?]).await?;
    Ok(())
}

/// Waits until so many jobs are done; fails when none is for half a minute.
pub(super) async fn until_done(counters: &Counters, jobs: u64) -> Result<()> {
    let done = || counters.done.load(Ordering::Relaxed);
    let mut seen = (done(), Instant::now());
    while done() < jobs {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if done() != seen.0 {
            seen = (done(), Instant::now());
        }
        ensure!(seen.1.elapsed() < Duration::from_secs(30), "stuck at {} jobs of {jobs}", seen.0);
    }
    Ok(())
}

impl Drained {
    pub(super) fn rate(&self) -> f64 {
        self.jobs as f64 / self.time.as_secs_f64()
    }

    /// A share of each job.
    pub(super) fn each(&self, total: u64) -> f64 {
        total as f64 / self.jobs as f64
    }
}
