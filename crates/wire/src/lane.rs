//! The queue of short reads, and how many of them travel together.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::pool::lock;
use crate::{Batch, Rows, WireError};

/// Most reads that one connection is sent at once.
const MAX_DEPTH: usize = 8;

/// A read that its connection was given up on, or that never got one. The caller runs it alone.
#[derive(Debug)]
pub(crate) enum Unserved {
    /// What is wrong is known.
    Failed(WireError),
    /// Nothing is wrong with the read; it is given back.
    Returned(Batch),
}

pub(crate) type Reply = Result<Vec<Rows>, Unserved>;

/// A read that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    reply: oneshot::Sender<Reply>,
    since: Instant,
}

impl Pending {
    pub(crate) fn answer(self, reply: Reply) {
        // The caller may have gone away.
        let _ = self.reply.send(reply);
    }

    /// Returns when the caller has gone away.
    pub(crate) async fn abandoned(&mut self) {
        self.reply.closed().await;
    }

    pub(crate) fn give_back(self) {
        let _ = self.reply.send(Err(Unserved::Returned(self.batch)));
    }
}

/// Short reads share few connections: several travel in one write and come back in one read, which
/// saves most of the system calls and switches that a read by key otherwise consists of.
///
/// Workers take groups from the queue, at most `places` at a time. How many reads make a group grows
/// by one with each group that went well and falls to one when a read turned out to be slow.
#[derive(Debug)]
pub(crate) struct ReadLane {
    state: Mutex<State>,
    places: usize,
    /// Whether reads wait for the worker that is out rather than call another, as long as one group can
    /// take them all: right where answers come at once, for they are then sent and answered together.
    patient: bool,
    /// Holds one permit for each parked worker that was called and has not heard it yet.
    calls: Notify,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Pending>,
    /// Places that are taken.
    workers: usize,
    /// Workers that have a place and nothing to do, and were not called.
    parked: usize,
    depth: usize,
}

impl ReadLane {
    pub(crate) fn new(places: usize, patient: bool) -> Self {
        let state = State { queue: VecDeque::new(), workers: 0, parked: 0, depth: 1 };
        Self { state: Mutex::new(state), places: places.max(1), patient, calls: Notify::new() }
    }

    /// Queues a read. The second value says that the caller must start a worker; a place is taken
    /// for it already.
    ///
    /// # Errors
    ///
    /// [`WireError::Overloaded`] when `max_waiting` reads wait already.
    pub(crate) fn push(
        &self,
        batch: Batch,
        max_waiting: usize,
    ) -> Result<(oneshot::Receiver<Reply>, bool), WireError> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.lock();
        if state.queue.len() >= max_waiting {
            return Err(WireError::Overloaded(state.queue.len()));
        }
        state.queue.push_back(Pending { batch, reply, since: Instant::now() });
        if self.patient && state.is_enough() {
            return Ok((answer, false));
        }
        Ok((answer, self.send_another(&mut state)))
    }

    /// Has another worker see to the reads that wait, because the one that is out does not come back as
    /// soon as it should. True when the caller must start it.
    pub(crate) fn call_another(&self) -> bool {
        let mut state = self.lock();
        !state.queue.is_empty() && self.send_another(&mut state)
    }

    fn send_another(&self, state: &mut State) -> bool {
        if state.parked > 0 {
            state.parked -= 1;
            self.calls.notify_one();
            return false;
        }
        state.start_worker(self.places)
    }

    /// The next reads for a worker. With `None` it is parked: it keeps its place and must wait for
    /// [`ReadLane::called`] or [`ReadLane::leave`].
    pub(crate) fn take_group(&self) -> Option<Vec<Pending>> {
        let mut state = self.lock();
        if state.queue.is_empty() {
            state.parked += 1;
            return None;
        }
        let takers = if self.patient { state.workers - state.parked } else { self.places };
        let share = state.queue.len().div_ceil(takers.max(1));
        let size = share.min(state.depth);
        Some(state.queue.drain(..size).collect())
    }

    /// Waits until a parked worker is called.
    pub(crate) async fn called(&self) {
        self.calls.notified().await;
    }

    /// A parked worker gives up its place. False when it was called in this moment: it has to hear
    /// the call.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.lock();
        let uncalled = state.parked > 0;
        if uncalled {
            state.parked -= 1;
            state.workers -= 1;
        }
        uncalled
    }

    /// Calls all parked workers, so that they see that they are not needed here.
    pub(crate) fn dismiss(&self) {
        let mut state = self.lock();
        for _ in 0..std::mem::take(&mut state.parked) {
            self.calls.notify_one();
        }
    }

    /// Workers that hold a connection and have nothing to do.
    pub(crate) fn parked(&self) -> usize {
        self.lock().parked
    }

    /// A group was answered without delay.
    pub(crate) fn went_well(&self) {
        let mut state = self.lock();
        state.depth = (state.depth + 1).min(MAX_DEPTH);
    }

    /// A worker is held up: its place is free, and the reads behind the slow one wait again, first
    /// in the queue. True when the caller must start a worker.
    pub(crate) fn held_up(&self, behind: Vec<Pending>) -> bool {
        let mut state = self.lock();
        state.depth = 1;
        state.workers -= 1;
        for pending in behind.into_iter().rev() {
            state.queue.push_front(pending);
        }
        !state.queue.is_empty() && state.start_worker(self.places)
    }

    /// Takes a place again after [`ReadLane::held_up`], if there is one.
    pub(crate) fn come_back(&self) -> bool {
        self.lock().start_worker(self.places)
    }

    /// How much longer the first in the queue may wait, after those who waited for `limit` were told
    /// that it took too long. `None` when nobody waits; the worker's place is then free.
    pub(crate) fn patience(&self, limit: Duration) -> Option<Duration> {
        let mut state = self.lock();
        while let Some(first) = state.queue.front() {
            let waited = first.since.elapsed();
            if waited < limit {
                return Some(limit - waited);
            }
            if let Some(pending) = state.queue.pop_front() {
                pending.answer(Err(Unserved::Failed(WireError::PoolTimeout(limit))));
            }
        }
        state.workers -= 1;
        None
    }

    /// Gives all waiting reads back to their callers, and frees the worker's place.
    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        state.workers -= 1;
        state.queue.drain(..).for_each(Pending::give_back);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Whether those who are out can take all that wait when they come back.
    fn is_enough(&self) -> bool {
        self.queue.len() <= (self.workers - self.parked) * self.depth
    }

    fn start_worker(&mut self, places: usize) -> bool {
        let free = self.workers < places;
        self.workers += usize::from(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;

    fn read(name: &str) -> Batch {
        Batch { role: name.into(), statements: Vec::new(), lane: Lane::Read, rollback: false }
    }

    fn names(group: &[Pending]) -> Vec<&str> {
        group.iter().map(|pending| &*pending.batch.role).collect()
    }

    fn lane(places: usize, reads: &[&str]) -> (ReadLane, Vec<oneshot::Receiver<Reply>>) {
        let lane = ReadLane::new(places, false);
        let answers = reads.iter().map(|name| lane.push(read(name), 100).unwrap().0).collect();
        (lane, answers)
    }

    #[test]
    fn a_worker_is_started_for_every_free_place_and_no_more() {
        let lane = ReadLane::new(2, false);
        let started: Vec<bool> = (0..4).map(|_| lane.push(read("r"), 100).unwrap().1).collect();
        assert_eq!(started, [true, true, false, false]);
    }

    #[test]
    fn where_answers_come_at_once_reads_wait_for_the_worker_that_is_out() {
        let lane = ReadLane::new(2, true);
        assert!(lane.push(read("a"), 100).unwrap().1, "nobody is there");
        lane.take_group().unwrap();
        (0..3).for_each(|_| lane.went_well());
        let started: Vec<bool> = (0..4).map(|_| lane.push(read("r"), 100).unwrap().1).collect();
        assert_eq!(started, [false; 4], "one group of four");
        assert!(lane.push(read("s"), 100).unwrap().1, "more than one worker can take");
        assert_eq!(lane.take_group().unwrap().len(), 3, "its share");
    }

    #[test]
    fn a_worker_that_stays_out_is_not_waited_for() {
        let lane = ReadLane::new(2, true);
        lane.push(read("a"), 100).unwrap();
        lane.take_group().unwrap();
        assert!(!lane.call_another(), "nobody waits");
        assert!(!lane.push(read("b"), 100).unwrap().1);
        assert!(lane.call_another());
        assert_eq!(names(&lane.take_group().unwrap()), ["b"]);
    }

    #[test]
    fn a_parked_worker_is_called_before_another_one_is_started() {
        let (lane, _answers) = lane(2, &["a"]);
        lane.take_group().unwrap();
        assert!(lane.take_group().is_none());
        assert_eq!(lane.parked(), 1);
        let (_answer, start) = lane.push(read("b"), 100).unwrap();
        assert!(!start, "the parked one was called");
        assert!(!lane.leave(), "who was called must come");
        assert_eq!(names(&lane.take_group().unwrap()), ["b"]);
        assert!(lane.take_group().is_none());
        assert!(lane.leave());
        assert!(lane.push(read("c"), 100).unwrap().1, "its place was free again");
    }

    #[test]
    fn the_queue_is_bounded() {
        let lane = ReadLane::new(1, false);
        lane.push(read("a"), 1).unwrap();
        assert!(matches!(lane.push(read("b"), 1), Err(WireError::Overloaded(1))));
    }

    #[test]
    fn groups_grow_while_all_goes_well_and_leave_work_for_other_places() {
        let (lane, _answers) = lane(1, &["a", "b", "c", "d", "e", "f"]);
        assert_eq!(names(&lane.take_group().unwrap()), ["a"]);
        lane.went_well();
        assert_eq!(names(&lane.take_group().unwrap()), ["b", "c"]);
        let (lane, _answers) = self::lane(3, &["a", "b", "c", "d"]);
        (0..10).for_each(|_| lane.went_well());
        assert_eq!(names(&lane.take_group().unwrap()), ["a", "b"]);
    }

    #[test]
    fn reads_behind_a_slow_one_are_first_in_the_queue_again() {
        let (lane, _answers) = lane(1, &["a", "b", "c", "d"]);
        (0..2).for_each(|_| lane.went_well());
        let mut group = lane.take_group().unwrap();
        assert_eq!(names(&group), ["a", "b", "c"]);
        assert!(lane.held_up(group.split_off(1)), "somebody must take them");
        assert_eq!(names(&lane.take_group().unwrap()), ["b"], "one at a time now");
        assert!(!lane.come_back(), "the place is taken");
    }

    #[test]
    fn who_waited_too_long_is_told_so() {
        let (lane, mut answers) = lane(1, &["a"]);
        assert!(lane.patience(Duration::from_secs(60)).is_some());
        assert!(lane.patience(Duration::ZERO).is_none());
        let reply = answers[0].try_recv().unwrap();
        assert!(matches!(reply, Err(Unserved::Failed(WireError::PoolTimeout(_)))));
        assert!(lane.come_back(), "the place is free");
    }
}
