//! Sessions in the hands of callers, and how they come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{Inner, READ_DRAIN_LIMIT};
use crate::counters::count;
use crate::{Batch, Connection, Lane, Rows, WireError, shard};

/// A connection with its place in the budget.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) generation: usize,
    /// How often the pool's connections had been replaced when it began.
    pub(super) renewal: usize,
    /// The thread whose runtime serves the socket.
    pub(super) home: usize,
    pub(super) opened: Instant,
    /// Gives back what the connection takes up.
    pub(super) _place: Place,
}

/// A connection's place in the budget, and in the count of its pool.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) open: Arc<AtomicUsize>,
    pub(super) _budget: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session that a caller holds. Dropping it gives the session back, after its answer was read.
pub(super) struct Lease {
    pub(super) pool: Arc<Inner>,
    pub(super) session: Option<Session>,
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// How long its answer is waited for when it is dropped in the middle.
    pub(super) drain_limit: Duration,
}

impl Session {
    pub(super) fn move_here(self) -> Option<Self> {
        let connection = self.connection.move_here().ok()?;
        Some(Self { connection, home: shard::home(), ..self })
    }
}

impl Lease {
    pub(super) async fn run(&mut self, batch: &Batch) -> Result<Vec<Rows>, WireError> {
        let limit = self.pool.options.answer_timeout;
        if batch.lane != Lane::Write {
            self.drain_limit = READ_DRAIN_LIMIT;
        }
        let Some(session) = &mut self.session else { return Err(WireError::Closed) };
        let Ok(result) = tokio::time::timeout(limit, session.connection.run(batch)).await else {
            count(&self.pool.counters.connections_lost, 1);
            // Whoever drops the lease has it cancelled.
            self.drain_limit = Duration::ZERO;
            return Err(WireError::AnswerTimeout(limit));
        };
        if !matches!(result, Ok(_) | Err(WireError::Database(_))) {
            count(&self.pool.counters.connections_lost, 1);
            self.session = None;
        }
        result
    }

    /// Passes on the large value that the answer ended with.
    pub(super) async fn pass_on(mut self) {
        let Some(session) = &mut self.session else { return };
        if self.pool.pass_on(&mut session.connection).await.is_err() {
            self.session = None;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        let slot = self.slot.take();
        let (pool, limit) = (self.pool.clone(), self.drain_limit);
        if !session.connection.is_busy() {
            pool.give_back(session);
            return;
        }
        // The caller went away in the middle. Without a runtime the socket is simply closed.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            match tokio::time::timeout(limit, session.connection.drain()).await {
                Ok(Ok(())) => pool.give_back(session),
                Ok(Err(_lost)) => drop(session),
                Err(_elapsed) => {
                    pool.cancel(&session.connection).await;
                    drop(session);
                }
            }
            drop(slot);
        });
    }
}
