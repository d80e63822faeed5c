//! Workers that serve the queue of short reads.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::{Inner, Lease};
use crate::counters::count;
use crate::lane::{Pending, ReadLane, Unserved};
use crate::{Connection, Rows, WireError};

/// How long a worker without work keeps its connection: much longer than a client needs to ask again.
const LINGER: Duration = Duration::from_millis(5);

/// An answer that takes longer holds its worker up: the reads behind it go to others.
const SLOW: Duration = Duration::from_millis(5);

/// An answer that takes longer is not waited for by reads that have a place to go: another worker takes them.
const PROMPT: Duration = Duration::from_millis(1);

/// An answer with more bytes of rows does so too, however fast it comes.
const LARGE_BYTES: usize = 256 * 1024;

/// Serves the reads of one lane. A place in it was taken for this worker.
pub(super) async fn serve_reads(pool: Arc<Inner>, lane: usize) {
    let Some(reads) = pool.lanes.get(lane) else { return };
    let mut worker = Worker { pool: &pool, reads, lane, clock: Clock::new() };
    let mut lease: Option<Lease> = None;
    loop {
        // Who waits for a connection of its own comes first; the queue for connections is fair.
        let current =
            |lease: &Lease| lease.session.as_ref().is_some_and(|own| !pool.is_outdated(own));
        lease = lease.filter(|lease| current(lease) && !pool.is_wanted());
        if lease.is_none() {
            lease = worker.connect().await;
        }
        let Some(lease) = &mut lease else { return };
        let goes_on = match reads.take_group() {
            Some(group) => worker.serve(lease, group).await,
            None => worker.wait().await,
        };
        if !goes_on {
            return;
        }
    }
}

struct Worker<'a> {
    pool: &'a Arc<Inner>,
    reads: &'a ReadLane,
    lane: usize,
    clock: Clock,
}

impl Worker<'_> {
    /// A connection, as long as somebody waits for it. Without one the place in the lane is free.
    async fn connect(&self) -> Option<Lease> {
        loop {
            let patience = self.reads.patience(self.pool.options.acquire_timeout)?;
            match tokio::time::timeout(patience, self.pool.acquire_unbounded()).await {
                Ok(Ok(lease)) => return Some(lease),
                Ok(Err(_)) => {
                    // The callers try by themselves, and each learns the reason.
                    self.reads.give_up();
                    return None;
                }
                Err(_elapsed) => {}
            }
        }
    }

    /// Waits a moment for further reads: the next one finds a connection ready. False when none came
    /// and the place is free.
    async fn wait(&mut self) -> bool {
        let called = self.clock.within(LINGER, pin!(self.reads.called())).await.is_some();
        if !called && self.reads.leave() {
            return false;
        }
        if !called {
            self.reads.called().await;
        }
        true
    }

    /// Sends a group in one write and hands out the answers as they come. False when the worker lost
    /// its place over a slow read.
    async fn serve(&mut self, lease: &mut Lease, group: Vec<Pending>) -> bool {
        let Some(session) = &mut lease.session else {
            return true;
        };
        let mut waiting = VecDeque::with_capacity(group.len());
        count(&self.pool.counters.groups, 1);
        count(&self.pool.counters.batches_shared, group.len());
        for pending in group {
            match session.connection.send(&pending.batch) {
                Ok(()) => waiting.push_back(pending),
                Err(error) => pending.answer(Err(Unserved::Failed(error))),
            }
        }
        let mut has_place = true;
        let mut reusable = true;
        while session.connection.is_busy() {
            let received =
                self.receive(&mut session.connection, &mut waiting, &mut has_place).await;
            // Nobody is there for reads that were handed on.
            let pending = waiting.pop_front();
            match received {
                Ok(result) => {
                    reusable &= hand_out(pending, result);
                    if self.pool.pass_on(&mut session.connection).await.is_err() {
                        reusable = false;
                        break;
                    }
                }
                Err(error) => {
                    // `Closed` says that we gave it up.
                    if !matches!(error, WireError::Closed) {
                        count(&self.pool.counters.connections_lost, 1);
                    }
                    fail(pending, waiting, error);
                    reusable = false;
                    break;
                }
            }
        }
        if !reusable {
            lease.session = None;
        }
        if has_place {
            self.reads.went_well();
            return true;
        }
        self.reads.come_back()
    }

    /// The answer to the oldest read under way. One that is slow or large costs the worker its place.
    async fn receive(
        &mut self,
        connection: &mut Connection,
        waiting: &mut VecDeque<Pending>,
        has_place: &mut bool,
    ) -> Result<Result<Vec<Rows>, WireError>, WireError> {
        let short = {
            let mut receive = pin!(connection.receive_up_to(LARGE_BYTES));
            match self.clock.within(PROMPT, receive.as_mut()).await {
                Some(received) => Some(received),
                None => {
                    if *has_place {
                        self.call_another();
                    }
                    self.clock.within(SLOW - PROMPT, receive).await
                }
            }
        };
        let mut opened = None;
        let counter = match short {
            Some(Ok(Some(received))) if connection.is_passing() => {
                opened = Some(received);
                &self.pool.counters.large_reads
            }
            Some(Ok(Some(received))) => return Ok(received),
            Some(Err(error)) => return Err(error),
            Some(Ok(None)) => &self.pool.counters.large_reads,
            None => &self.pool.counters.slow_reads,
        };
        if std::mem::take(has_place) {
            count(counter, 1);
            self.step_aside(waiting);
        }
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let limit = self.pool.options.answer_timeout;
        // What was handed on is somebody else's: this read is the only one that the connection is needed for.
        let abandoned = async {
            match waiting.front_mut() {
                Some(pending) => pending.abandoned().await,
                None => std::future::pending().await,
            }
        };
        let given_up = tokio::select! {
            received = connection.receive() => return received,
            () = tokio::time::sleep(limit) => WireError::AnswerTimeout(limit),
            () = abandoned => WireError::Closed,
        };
        self.pool.cancel(connection).await;
        Err(given_up)
    }

    /// Has another worker see to those who wait.
    fn call_another(&self) {
        if self.reads.call_another() {
            tokio::spawn(serve_reads(self.pool.clone(), self.lane));
        }
    }

    /// Leaves the reads behind this one, and the place, to another worker.
    fn step_aside(&self, waiting: &mut VecDeque<Pending>) {
        let behind = waiting.split_off(waiting.len().min(1));
        if self.reads.held_up(behind.into()) {
            tokio::spawn(serve_reads(self.pool.clone(), self.lane));
        }
    }
}

/// False when the session's prepared statements are out of date.
fn hand_out(pending: Option<Pending>, result: Result<Vec<Rows>, WireError>) -> bool {
    let Some(pending) = pending else { return true };
    match result {
        Err(WireError::Database(error)) if error.is_stale_statement() => {
            pending.give_back();
            false
        }
        result => {
            pending.answer(result.map_err(Unserved::Failed));
            true
        }
    }
}

/// The session is lost: the read that was being answered fails, those behind it are given back.
fn fail(current: Option<Pending>, behind: VecDeque<Pending>, error: WireError) {
    if let Some(pending) = current {
        pending.answer(Err(Unserved::Failed(error)));
    }
    behind.into_iter().for_each(Pending::give_back);
}
