//! What hub, subscriptions and stream have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::counters::count;
use crate::hub::subscription::Subscriber;
use crate::hub::{HubOptions, life};
use crate::{Counters, Ended, GapReason};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: HubOptions,
    pub(super) counters: Arc<Counters>,
    runtime: Handle,
    state: Mutex<State>,
    /// Grows with every change of the subscriptions.
    generation: AtomicU64,
    /// Says so to those who wait.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    subscribers: Vec<Arc<Subscriber>>,
    /// Reads the stream; there while somebody listens, and some time longer.
    task: Option<JoinHandle<()>>,
    slot: Option<String>,
    closed: bool,
}

impl Shared {
    pub(super) fn new(options: HubOptions, runtime: Handle) -> Self {
        Self {
            options,
            counters: Arc::default(),
            runtime,
            state: Mutex::default(),
            generation: AtomicU64::new(0),
            changed: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a subscriber in, and begins to read if nobody does.
    pub(super) fn add(self: &Arc<Self>, subscriber: Arc<Subscriber>) {
        let mut state = self.state();
        if state.closed {
            subscriber.queue.end(Ended::Closed);
            return;
        }
        state.subscribers.push(subscriber);
        if state.task.is_none() {
            state.task = Some(self.runtime.spawn(life::run(self.clone())));
        }
        drop(state);
        self.tell();
    }

    pub(super) fn remove(&self, subscriber: &Arc<Subscriber>) {
        self.state().subscribers.retain(|other| !Arc::ptr_eq(other, subscriber));
        self.tell();
    }

    fn tell(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.send_replace(());
    }

    /// Who listens.
    pub(super) fn subscribers(&self) -> Vec<Arc<Subscriber>> {
        self.state().subscribers.clone()
    }

    /// Number of the set of subscribers.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Hears of changes of the set of subscribers from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Tells everybody that changes are missing.
    pub(super) fn gap(&self, reason: GapReason) {
        let told = self.subscribers().iter().filter(|it| it.queue.gap(reason)).count();
        count(&self.counters.gaps, told);
    }

    pub(super) fn slot(&self) -> Option<String> {
        self.state().slot.clone()
    }

    pub(super) fn set_slot(&self, slot: Option<String>) {
        self.state().slot = slot;
    }

    /// Returns when nobody has listened for the time that the stream lingers, or the hub is closed.
    pub(super) async fn forsaken(&self) {
        let mut changes = self.changes();
        loop {
            let (closed, listened) = {
                let state = self.state();
                (state.closed, !state.subscribers.is_empty())
            };
            if closed {
                return;
            }
            // The sender is ours, and so `changed` does not fail.
            if listened {
                let _ = changes.changed().await;
            } else if timeout(self.options.linger, changes.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Whether the task that asks may end: nobody needs it any more, and the next subscriber will begin another.
    pub(super) fn retire(&self) -> bool {
        let mut state = self.state();
        let over = state.closed || state.subscribers.is_empty();
        if over {
            state.task = None;
        }
        over
    }

    pub(super) async fn close(&self) {
        let task = {
            let mut state = self.state();
            state.closed = true;
            for subscriber in state.subscribers.drain(..) {
                subscriber.queue.end(Ended::Closed);
            }
            state.task.take()
        };
        self.tell();
        if let Some(task) = task {
            // It does not panic, and nobody else aborts it.
            let _ = task.await;
        }
    }
}
