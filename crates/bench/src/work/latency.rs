//! From the commit of a row to the start of its action.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use plinth_replication::{
    ChangeHub, Event, Filter, HubOptions, Overflow, Publication, QueueBounds, Subscription,
};
use plinth_work::action::{Action, Actions, Call, Outcome, Work};
use plinth_work::engine::{Engine, Options};
use tokio::runtime::Handle;
use tokio::time::{interval_at, sleep};

use super::drain::until_done;
use super::place::{Limit, Place};

/// Sessions that insert.
const SESSIONS: u64 = 8;

/// Publication of new jobs.
const PUBLICATION: &str = "bench_jobs";

/// How an engine learns of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// The change hub tells of them.
    Hub,
    /// It looks so often.
    Poll(Duration),
}

/// Waits, sorted.
pub(super) struct Latencies {
    /// From the answer to the row's commit.
    pub(super) committed: Vec<Duration>,
    /// From the sending of the row's insert.
    pub(super) sent: Vec<Duration>,
}

/// The moments of each row, in microseconds since the beginning.
struct Moments {
    begin: Instant,
    sent: Vec<AtomicU64>,
    committed: Vec<AtomicU64>,
    begun: Vec<AtomicU64>,
}

/// An action that notes when it began.
struct Stamp(Arc<Moments>);

impl Action for Stamp {
    fn name(&self) -> &'static str {
        "stamp"
    }

    fn check(&self, _with: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        let row = call.row.as_deref().and_then(|row| row.parse().ok());
        if let Some(row) = row {
            self.0.note(&self.0.begun, row);
        }
        Box::pin(async { Outcome::Done(serde_json::Value::Null) })
    }
}

impl Moments {
    fn new(rows: usize) -> Self {
        let none = || (0..rows).map(|_| AtomicU64::new(0)).collect();
        Self { begin: Instant::now(), sent: none(), committed: none(), begun: none() }
    }

    fn note(&self, of: &[AtomicU64], row: usize) {
        let micros = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some(moment) = of.get(row) {
            moment.store(micros, Ordering::Relaxed);
        }
    }

    fn waits(&self, from: &[AtomicU64]) -> Vec<Duration> {
        let wait = |(from, to): (&AtomicU64, &AtomicU64)| {
            // The action may begin before the answer has reached whoever committed.
            let wait = to.load(Ordering::Relaxed).saturating_sub(from.load(Ordering::Relaxed));
            Duration::from_micros(wait)
        };
        let mut waits: Vec<Duration> = from.iter().zip(&self.begun).map(wait).collect();
        waits.sort_unstable();
        waits
    }
}

/// Offers `rate` rows per second for `time`, each in a transaction of its own.
pub(super) async fn measure(
    place: &Place,
    wake: Wake,
    rate: u64,
    time: Duration,
) -> Result<Latencies> {
    let table = match wake {
        Wake::Hub => "task_hub",
        Wake::Poll(_) => "task_poll",
    };
    let rule = place.table(table, "stamp", Limit::None).await?;
    let rows = rate * time.as_secs();
    let moments = Arc::new(Moments::new(usize::try_from(rows)?));
    let poll = match wake {
        Wake::Hub => Duration::from_secs(10),
        Wake::Poll(poll) => poll,
    };
    let actions = Actions::default().with(Stamp(Arc::clone(&moments)));
    let options = Options { poll, ..Options::default() };
    let engine = Arc::new(Engine::start("bench", place.store(), actions, vec![rule], options));
    let hub = match wake {
        Wake::Hub => Some(listen(place, &engine).await?),
        Wake::Poll(_) => None,
    };
    let mut inserting = Vec::new();
    for session in 0..SESSIONS {
        let moments = Arc::clone(&moments);
        let owner = place.owner().await?;
        inserting.push(tokio::spawn(async move {
            let sql = format!("insert into {table} (id) values ($1)");
            let insert = owner.prepare(&sql).await?;
            let pause = Duration::from_micros(1_000_000 * SESSIONS / rate);
            let first = tokio::time::Instant::now() + pause * u32::try_from(session)? / 8;
            let mut turns = interval_at(first, pause);
            for row in (session..rows).step_by(usize::try_from(SESSIONS)?) {
                turns.tick().await;
                let at = usize::try_from(row)?;
                moments.note(&moments.sent, at);
                owner.execute(&insert, &[&i64::try_from(row)?]).await?;
                moments.note(&moments.committed, at);
            }
            owner.close().await;
            anyhow::Ok(())
        }));
    }
    for task in inserting {
        task.await??;
    }
    until_done(engine.counters(), rows).await?;
    if let Some((hub, listening)) = hub {
        hub.close().await;
        listening.await?;
    }
    Arc::into_inner(engine).context("somebody still has the engine")?.stop().await;
    let (committed, sent) = (moments.waits(&moments.committed), moments.waits(&moments.sent));
    Ok(Latencies { committed, sent })
}

/// Wakes the engine when a job is committed. Returns once everything that is committed from now on is told of.
async fn listen(
    place: &Place,
    engine: &Arc<Engine>,
) -> Result<(ChangeHub, tokio::task::JoinHandle<()>)> {
    let admin = place.admin().await?;
    let make =
        format!("create publication {PUBLICATION} for table plinth.job with (publish = 'insert')");
    admin.batch_execute(&make).await?;
    admin.close().await;
    let publications = vec![Publication::existing(PUBLICATION)];
    let options = HubOptions::new(place.replication(), publications);
    let hub = ChangeHub::new(options, Handle::current());
    let filter = Filter::tables([("plinth", "job")]);
    let mut changes = hub.subscribe("work", filter, QueueBounds::default(), Overflow::Gap);
    until_live(&mut changes).await?;
    let engine = Arc::clone(engine);
    let listening = tokio::spawn(async move {
        while changes.next().await.is_ok() {
            engine.wake();
        }
    });
    Ok((hub, listening))
}

async fn until_live(changes: &mut Subscription) -> Result<()> {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), changes.next()).await?;
        if let Event::Live { .. } = event.map_err(|ended| anyhow::anyhow!("{ended:?}"))? {
            // What was there when it went live has been seen by now.
            sleep(Duration::from_millis(100)).await;
            return Ok(());
        }
    }
}

/// The wait that `share` of all are shorter than.
pub(super) fn quantile(waits: &[Duration], share: f64) -> Duration {
    let last = waits.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    waits.get(at).copied().unwrap_or_default()
}
