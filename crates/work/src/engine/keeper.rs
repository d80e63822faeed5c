//! What an engine does on the side: keeps its lease, queues what others lost, learns what was cancelled, rotates history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Shared;
use crate::patience::soon;

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
        match soon(shared.patience(), shared.store.worker_reap()).await {
            Ok((_, 0)) | Err(_) => {}
            Ok((workers, jobs)) => {
                tracing::info!(project.name = %shared.project, workers, jobs, "queued the jobs of lost workers again");
                shared.counters.reaped.fetch_add(jobs, Ordering::Relaxed);
                shared.wake.notify_one();
            }
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
