//! Ends jobs, as many in one transaction as there are to end at the moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::Shared;
use crate::journal::JournalError;
use crate::store::Finish;

/// Jobs that wait for their end to be written; those beyond wait with their attempts.
const WAITING: usize = 1024;

/// A job to end, and whom to tell how that went.
pub(super) type Ending = (Finish, oneshot::Sender<Result<(), JournalError>>);

/// The task that ends jobs.
#[derive(Debug)]
pub(super) struct Finisher {
    sender: mpsc::Sender<Ending>,
    task: JoinHandle<()>,
}

impl Finisher {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(finish_all(Arc::clone(shared), receiver));
        Self { sender, task }
    }

    pub(super) fn sender(&self) -> mpsc::Sender<Ending> {
        self.sender.clone()
    }

    /// Ends what was given to it, as far as that takes no longer than `patience`, and then itself. Nobody waits for it any
    /// more: what is not written by then runs again.
    pub(super) async fn stop(self, patience: Duration) {
        drop(self.sender);
        let mut task = self.task;
        match timeout(patience, &mut task).await {
            Ok(Err(error)) => tracing::error!(error = %error, "ending jobs broke"),
            Ok(Ok(())) => {}
            Err(_late) => task.abort(),
        }
    }
}

async fn finish_all(shared: Arc<Shared>, mut receiver: mpsc::Receiver<Ending>) {
    let most = shared.options.finish_batch.max(1);
    let permits = Arc::new(Semaphore::new(shared.options.finishers.max(1)));
    let mut writing = JoinSet::new();
    loop {
        // First the permit, then the jobs: those that come while all are busy go together.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let mut endings = Vec::new();
        if receiver.recv_many(&mut endings, most).await == 0 {
            break;
        }
        while writing.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        writing.spawn(async move {
            finish(&shared, endings).await;
            drop(permit);
        });
    }
    while writing.join_next().await.is_some() {}
}

async fn finish(shared: &Shared, endings: Vec<Ending>) {
    let (ends, tell): (Vec<Finish>, Vec<_>) = endings.into_iter().unzip();
    shared.counters.finish_transactions.fetch_add(1, Ordering::Relaxed);
    let result = shared.store.job_finish(shared.worker(), &ends).await;
    if result.is_ok() || ends.len() == 1 {
        let mut result = Some(result);
        for tell in tell {
            let _gone = tell.send(result.take().unwrap_or(Ok(())));
        }
        return;
    }
    // One of them spoils it for all, so each goes alone.
    for (end, tell) in ends.into_iter().zip(tell) {
        shared.counters.finish_transactions.fetch_add(1, Ordering::Relaxed);
        let _gone = tell.send(shared.store.job_finish(shared.worker(), &[end]).await);
    }
}
