//! Work at given times: ticks of cron patterns become jobs, each once, however many instances look at the clock.

mod ticks;

use std::sync::Arc;
use std::time::Duration;

use plinth_wire::WireError;
use rand::Rng as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub use ticks::{Pattern, PatternError};

use crate::hook::Wake;
use crate::manifest::ScheduleSpec;
use crate::patience::{PATIENCE, soon};
use crate::store::{DueSchedule, Move, Store};

/// Schedules that one look takes; those beyond come with the next, which follows at once.
const MOST: usize = 100;

/// Wait after PostgreSQL could not be asked.
const BREATH: Duration = Duration::from_secs(1);

/// A task that makes jobs of ticks. The database's clock says when they come.
#[derive(Debug)]
pub struct Ticker {
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Ticker {
    /// Starts to look. A schedule that is new or changed is seen after `poll` at the latest; `queued` is told of new jobs.
    pub fn start(
        project: impl Into<Arc<str>>,
        store: Arc<Store>,
        queued: Wake,
        poll: Duration,
    ) -> Self {
        let wake = Arc::new(Notify::new());
        let (stop, stopping) = watch::channel(false);
        let ticking =
            Ticking { project: project.into(), store, queued, poll, wake: Arc::clone(&wake) };
        Self { wake, stop, task: tokio::spawn(ticking.run(stopping)) }
    }

    /// Says that schedules may have changed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends it. What it was writing is written whole or not at all.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(error = %error, "the schedules' task broke");
        }
    }
}

struct Ticking {
    project: Arc<str>,
    store: Arc<Store>,
    queued: Wake,
    poll: Duration,
    wake: Arc<Notify>,
}

impl Ticking {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        loop {
            let wait = match self.look().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(project.name = %self.project, error = %error, "cannot look at schedules");
                    BREATH
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.wake.notified() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Makes the jobs of ticks that have come; how long nothing is to be done.
    async fn look(&self) -> Result<Duration, WireError> {
        let look = soon(PATIENCE, self.store.schedule_look(MOST)).await?;
        let mut queued = false;
        for schedule in &look.due {
            let to = step(schedule, look.now);
            let moved = soon(PATIENCE, self.store.schedule_move(schedule, &to)).await?;
            if let (true, Some(error)) = (moved, &to.error) {
                tracing::error!(project.name = %self.project, schedule.name = schedule.name, error, "a schedule cannot tick");
            }
            queued |= moved && !to.ticks.is_empty();
        }
        if queued {
            (self.queued)();
        }
        if !look.due.is_empty() {
            // They have new ticks now, which this look has not seen.
            return Ok(Duration::ZERO);
        }
        let next = look.next.and_then(|next| Duration::try_from_secs_f64(next - look.now).ok());
        Ok(next.map_or(self.poll, |next| next.min(self.poll)))
    }
}

/// Where a schedule goes from where it stands, at the time `now`.
fn step(schedule: &DueSchedule, now: f64) -> Move {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let now = now.floor() as i64;
    let nowhere = |pattern: String, error: String| Move {
        pattern,
        next: None,
        error: Some(error),
        ticks: Vec::new(),
    };
    let (spec, pattern) = match read(schedule) {
        Ok(read) => read,
        Err(error) => return nowhere(String::new(), error),
    };
    let name = format!("{} {}", spec.timezone, spec.cron);
    let stands = schedule.stands.as_ref().filter(|stand| stand.pattern == name);
    // One that is new, or whose pattern is, begins now: it has missed nothing.
    let ticks = match stands.and_then(|stand| stand.next) {
        Some(next) => pattern.due(next, now, spec.catch_up),
        None => Vec::new(),
    };
    let next = match stands.and_then(|stand| stand.next) {
        Some(next) if next > now => Some(next),
        _ => pattern.next(now),
    };
    let Some(next) = next else {
        return Move {
            ticks: late(&ticks, spec.jitter_ms),
            ..nowhere(name, "its times never come".to_owned())
        };
    };
    Move { pattern: name, next: Some(next), error: None, ticks: late(&ticks, spec.jitter_ms) }
}

fn read(schedule: &DueSchedule) -> Result<(ScheduleSpec, Pattern), String> {
    let spec: ScheduleSpec =
        serde_json::from_value(schedule.spec.clone()).map_err(|error| error.to_string())?;
    let pattern = Pattern::parse(&spec.cron, &spec.timezone).map_err(|error| error.to_string())?;
    for sql in spec.work.done.iter().chain(&spec.work.running).chain(&spec.work.failed) {
        sql.check_statement().map_err(|error| error.to_string())?;
    }
    Ok((spec, pattern))
}

fn late(ticks: &[i64], jitter_ms: u64) -> Vec<(i64, f64)> {
    let mut random = rand::rng();
    let mut late = || match jitter_ms {
        0 => 0.0,
        most => Duration::from_millis(random.random_range(0..=most)).as_secs_f64(),
    };
    ticks.iter().map(|tick| (*tick, late())).collect()
}
