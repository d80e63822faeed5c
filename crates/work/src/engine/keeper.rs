//! What an engine does on the side: keeps its lease, learns what was cancelled, rotates history, finds what was lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_wire::WireError;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::sources::MOST_LEFT;
use super::turns::MOST_TURNS;
use crate::patience::soon;
use crate::store::Held;

/// How often waiting jobs are looked at.
pub(super) const PROMOTE: Duration = Duration::from_millis(200);

/// Most waiting jobs that are queued at once.
pub(super) const MOST_PROMOTED: usize = 1000;

/// How often history is rotated.
const ROTATE: Duration = Duration::from_secs(3600);

/// Most deliveries that are forgotten at once; what is beyond goes an hour later.
const MOST_FORGOTTEN: usize = 20_000;

/// Heartbeats in a lease.
const BEATS: u32 = 5;

/// Surveys of queues are so far apart at least.
const SURVEY: Duration = Duration::from_secs(1);

/// Most jobs that are moved at once to where they are looked for.
const MOST_MOVED: usize = 10_000;

/// What may read all jobs, or all that remains of them, takes at most this part of the time.
const SHARE: u32 = 30;

/// Keeps the worker's lease until it is lost.
pub(super) async fn keep(shared: &Arc<Shared>) {
    let lease = shared.options.lease;
    let mut sure = Instant::now();
    let mut rotated: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        let jobs: Vec<i64> = shared.running().keys().copied().collect();
        let beat = shared.store.worker_beat(shared.worker(), lease, &jobs);
        match soon(shared.patience(), beat).await {
            Ok(beat) if !beat.alive => return,
            Ok(beat) => {
                sure = asked;
                shared.revision.store(beat.revision, Ordering::Relaxed);
                let running = shared.running();
                for cancelled in beat.cancelled.iter().filter_map(|job| running.get(job)) {
                    cancelled.cancel.notify_one();
                }
            }
            Err(error) => {
                tracing::warn!(project.name = %shared.project, error = %error, "cannot keep the lease");
            }
        }
        // Our own clock may only end a lease early, never keep it: a frozen process learns it here.
        if sure.elapsed() > lease {
            return;
        }
        if rotated.is_none_or(|at| at.elapsed() > ROTATE) {
            rotated = Some(Instant::now());
            let rotate = shared.store.history_rotate(shared.options.keep);
            if let Err(error) = soon(shared.patience(), rotate).await {
                tracing::warn!(project.name = %shared.project, error = %error, "cannot rotate the history of jobs");
            }
            let prune = shared.store.event_prune(shared.options.keep_events, MOST_FORGOTTEN);
            if let Err(error) = soon(shared.patience(), prune).await {
                tracing::warn!(project.name = %shared.project, error = %error, "cannot forget old deliveries");
            }
        }
        sleep(lease / BEATS).await;
    }
}

/// Finds out where queues begin, and what looks for jobs have stepped over.
pub(super) async fn survey(shared: &Shared) {
    loop {
        let begun = Instant::now();
        let rules = shared.rules();
        let (limited, unlimited): (Vec<_>, Vec<_>) =
            rules.values().partition(|rule| rule.is_limited());
        let looked_at = shared.sources().surveyed(unlimited.into_iter().map(|rule| &**rule));
        if !looked_at.is_empty() {
            match shared.store.job_survey(&looked_at, MOST_LEFT).await {
                Ok(survey) => {
                    if shared.sources().learn(&looked_at, &survey) {
                        shared.wake.notify_one();
                    }
                }
                Err(error) => {
                    tracing::warn!(project.name = %shared.project, error = %error, "cannot survey the queues");
                }
            }
        }
        let queues =
            limited.into_iter().flat_map(|rule| rule.priorities.iter().map(|it| (rule.id, *it)));
        let queues: Vec<(i32, u8)> = queues.collect();
        if !queues.is_empty() {
            match shared.store.job_survey_turns(&queues, MOST_TURNS).await {
                Ok((end, found)) => {
                    if shared.turns().surveyed(&queues, end, found) {
                        shared.wake.notify_one();
                    }
                }
                Err(error) => {
                    tracing::warn!(project.name = %shared.project, error = %error, "cannot survey the turns");
                }
            }
        }
        tokio::select! {
            () = sleep(SURVEY.max(begun.elapsed() * SHARE)) => {}
            () = shared.changed.notified() => {}
        }
    }
}

/// Queues again what lost workers left behind, and what this one has without knowing of it: the answer to its claim was lost,
/// or its end could not be written.
///
/// No index has running jobs by worker, which every claim would pay for, so each of these looks may read all jobs. They are in
/// nobody's way here.
pub(super) async fn sweep(shared: &Shared) {
    let lease = shared.options.lease;
    let mut settled = Instant::now();
    loop {
        sleep(lease / BEATS).await;
        let begun = Instant::now();
        match shared.store.worker_reap().await {
            Ok((_, 0)) | Err(_) => {}
            Ok((workers, jobs)) => {
                tracing::info!(project.name = %shared.project, workers, jobs, "queued the jobs of lost workers again");
                shared.counters.reaped.fetch_add(jobs, Ordering::Relaxed);
                shared.wake.notify_one();
            }
        }
        if let Err(error) = shared.store.rate_forget().await {
            tracing::warn!(project.name = %shared.project, error = %error, "cannot forget when jobs began");
        }
        if settled.elapsed() >= lease / 2 {
            if let Err(error) = settle(shared).await {
                tracing::warn!(project.name = %shared.project, error = %error, "cannot look for jobs that were lost");
            }
            settled = Instant::now();
        }
        sleep(begun.elapsed() * SHARE).await;
    }
}

/// Queues jobs that are this worker's and that it does not know of, and those of workers that nobody knows. Jobs that are
/// queued where nobody looks come to where somebody does.
async fn settle(shared: &Shared) -> Result<(), WireError> {
    // What was taken before the look that is under way runs here by now, or never will.
    let looking = shared.looking().map(|since| since.elapsed()).unwrap_or_default();
    let worker = shared.worker();
    let held = shared.store.worker_held(worker, looking + shared.patience()).await?;
    let lost: Vec<_> = {
        let running = shared.running();
        let is_lost = |held: &Held| held.worker != worker || !running.contains_key(&held.job);
        held.into_iter().filter(is_lost).collect()
    };
    if !lost.is_empty() {
        let orphans = shared.store.worker_orphans(&lost).await?;
        shared.counters.orphans.fetch_add(orphans as u64, Ordering::Relaxed);
        shared.wake.notify_one();
    }
    let rules = shared.rules();
    let astray = shared.store.job_rehome(rules.values().map(|rule| &**rule), MOST_MOVED).await?;
    if astray > 0 {
        tracing::info!(project.name = %shared.project, jobs = astray, "moved jobs that nobody would have looked for");
        shared.changed.notify_one();
    }
    Ok(())
}
