//! Takes messages and delivers them: one courier for each project and instance. It rests while there are none.

mod rest;
mod tick;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use plinth_wire::WireError;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::outside::{NoReply, Outside};
use super::sign::Keys;
use super::work::Work;
use super::{deliver, statements};
use crate::Store;
use crate::patience::{self, soon};
use crate::value::{self, numbers, text, texts};

/// Heartbeats in a lease.
const BEATS: u32 = 5;

/// How often what is old is removed.
const ROTATE: Duration = Duration::from_secs(600);

/// Waits between tries to write what a delivery came to.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How a courier works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the worker, for people.
    pub name: String,
    /// How long a courier that says nothing keeps its messages, on the database's clock.
    pub lease: Duration,
    /// Most deliveries at once.
    pub most: usize,
    /// Longest time without looking for messages while there are some.
    pub poll: Duration,
    /// How long there are none before it rests.
    pub calm: Duration,
    /// Longest time without looking for messages while it rests.
    pub longest_rest: Duration,
    /// How long events and ended runs are kept.
    pub keep: Duration,
    /// How long deliveries may take to end when it stops.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "plinth messages".to_owned(),
            lease: Duration::from_secs(20),
            most: 128,
            poll: Duration::from_millis(200),
            calm: Duration::from_secs(20),
            longest_rest: Duration::from_secs(30),
            keep: Duration::from_secs(7 * 24 * 3600),
            grace: Duration::from_secs(10),
        }
    }
}

/// A running courier. Stops, and gives its messages back, when [`Courier::stop`] is called.
#[derive(Debug)]
pub struct Courier {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Shared {
    project: Arc<str>,
    store: Arc<Store>,
    outside: Arc<dyn Outside>,
    keys: Keys,
    options: Options,
    wake: Arc<Notify>,
    /// The worker that holds the leases.
    worker: AtomicI64,
    /// Messages that are being delivered, with the attempt.
    under_way: Mutex<HashSet<(String, u32)>>,
    /// There are probably messages that are this worker's and that it does not know of.
    uncertain: AtomicBool,
}

impl Shared {
    /// How long our own statements may take.
    fn patience(&self) -> Duration {
        patience::within(self.options.lease)
    }

    /// What a statement says, unless it takes too long.
    async fn json(
        &self,
        sql: &crate::store::Shared,
        params: Vec<value::Value>,
    ) -> Result<Value, WireError> {
        soon(self.patience(), self.store.json(sql, params)).await
    }

    fn worker(&self) -> i64 {
        self.worker.load(Ordering::Relaxed)
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<(String, u32)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether messages were ever sent in a project, as far as it remembers.
///
/// # Errors
///
/// [`WireError`].
pub async fn is_used(store: &Store) -> Result<bool, WireError> {
    let used = soon(patience::PATIENCE, store.json(&statements::USED, Vec::new())).await?;
    Ok(used == true)
}

impl Courier {
    /// Starts to deliver. `wake` says that there may be messages.
    pub fn start(
        project: impl Into<Arc<str>>,
        store: Arc<Store>,
        outside: Arc<dyn Outside>,
        keys: Keys,
        wake: Arc<Notify>,
        options: Options,
    ) -> Self {
        let shared = Arc::new(Shared {
            project: project.into(),
            store,
            outside,
            keys,
            options,
            wake,
            worker: AtomicI64::new(0),
            under_way: Mutex::default(),
            uncertain: AtomicBool::new(false),
        });
        let (stop, stopping) = watch::channel(false);
        Self { stop, task: tokio::spawn(run(shared, stopping)) }
    }

    /// Takes no more messages, waits for deliveries as long as the options say, and gives the others back.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(error = %error, "the courier broke");
        }
    }
}

/// A courier's life: it rests until there is something to do, a worker is registered, works until there is nothing to do
/// any more or its lease is lost, and so on.
async fn run(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = rest::rest(&shared) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let (name, lease) = (&shared.options.name, shared.options.lease);
        match soon(shared.patience(), shared.store.worker_register(name, lease)).await {
            Ok(worker) => {
                shared.worker.store(worker, Ordering::Relaxed);
                work(&shared, &mut stopping).await;
            }
            Err(error) => {
                tracing::warn!(project.name = %shared.project, error = %error, "messages cannot be delivered yet");
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    _ = stopping.changed() => {}
                }
            }
        }
    }
}

async fn work(shared: &Arc<Shared>, stopping: &mut watch::Receiver<bool>) {
    let mut deliveries = JoinSet::new();
    shared.under_way().clear();
    let lost = tokio::select! {
        () = keep(shared) => true,
        () = tick::tick(shared) => false,
        () = take(shared, &mut deliveries) => false,
        _ = stopping.wait_for(|stop| *stop) => false,
    };
    if lost {
        // Somebody else delivers them by now; what ours would write is fenced off.
        tracing::warn!(project.name = %shared.project, "the courier's lease was lost; its messages are left to others");
    } else {
        let all = async { while deliveries.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(shared.options.grace, all) => {}
            () = keep(shared) => {}
        }
    }
    deliveries.shutdown().await;
    let released = shared.store.worker_release(shared.worker());
    if let Err(error) = soon(shared.patience(), released).await {
        tracing::debug!(error = %error, "the courier cannot give its lease back; it will run out");
    } else {
        let _ = shared.json(&statements::RECLAIM, Vec::new()).await;
    }
}

/// Keeps the lease until it is lost, and queues the messages of others that lost theirs.
async fn keep(shared: &Shared) {
    let lease = shared.options.lease;
    let mut sure = Instant::now();
    let mut rotated: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        let beat = shared.store.worker_beat(shared.worker(), lease, &[]);
        match soon(shared.patience(), beat).await {
            Ok(beat) if !beat.alive => return,
            Ok(_) => sure = asked,
            Err(error) => {
                tracing::warn!(project.name = %shared.project, error = %error, "the courier cannot keep its lease");
            }
        }
        // Our own clock may only end a lease early, never keep it: a frozen process learns it here.
        if sure.elapsed() > lease {
            return;
        }
        let reaped = soon(shared.patience(), shared.store.worker_reap()).await.is_ok();
        let back = shared.json(&statements::RECLAIM, Vec::new()).await;
        if reaped && back.is_ok_and(|messages| messages != 0) {
            shared.wake.notify_one();
        }
        if rotated.is_none_or(|at| at.elapsed() > ROTATE) {
            rotated = Some(Instant::now());
            let keep = text(shared.options.keep.as_secs_f64());
            if let Err(error) = shared.json(&statements::ROTATE, vec![keep]).await {
                tracing::warn!(project.name = %shared.project, error = %error, "old messages cannot be removed");
            }
        }
        sleep(lease / BEATS).await;
    }
}

/// Takes messages whenever there may be some and there is room, until there are none for a while.
async fn take(shared: &Arc<Shared>, deliveries: &mut JoinSet<()>) {
    let mut busy = Instant::now();
    let mut settled = Instant::now();
    loop {
        while deliveries.try_join_next().is_some() {}
        let room = shared.options.most.saturating_sub(deliveries.len());
        let taken = match take_once(shared, &mut settled, room).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(project.name = %shared.project, error = %error, "messages cannot be taken");
                // They may have been taken all the same, and only the answer was lost.
                shared.uncertain.store(true, Ordering::Release);
                sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        let some = !taken.is_empty();
        for work in taken {
            shared.under_way().insert((work.id.clone(), work.attempt));
            deliveries.spawn(deliver(Arc::clone(shared), work));
        }
        if some {
            busy = Instant::now();
            continue;
        }
        let calm = busy.elapsed() > shared.options.calm && deliveries.is_empty();
        if calm && rest::may_rest(shared).await {
            return;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep(shared.options.poll) => {}
        }
    }
}

async fn take_once(
    shared: &Shared,
    settled: &mut Instant,
    room: usize,
) -> Result<Vec<Work>, WireError> {
    if room == 0 {
        return Ok(Vec::new());
    }
    // What was taken though that was given up may still be on its way, so that it is also looked for without a reason.
    let late = settled.elapsed() >= shared.options.lease / 2;
    if shared.uncertain.swap(false, Ordering::Acquire) || late {
        give_back_unknown(shared).await?;
        *settled = Instant::now();
    }
    let take = vec![text(shared.worker()), text(room)];
    let taken = shared.store.json_list(&statements::TAKE, take);
    let taken = soon(shared.patience(), taken).await?;
    let read = |value: Value| {
        serde_json::from_value(value)
            .inspect_err(
                |error| tracing::error!(error = %error, "a message cannot be read by this version"),
            )
            .ok()
    };
    Ok(taken.into_iter().filter_map(read).collect())
}

/// Queues messages that are this worker's and that it does not know of.
async fn give_back_unknown(shared: &Shared) -> Result<(), WireError> {
    let known: Vec<(String, u32)> = shared.under_way().iter().cloned().collect();
    let ids = texts(known.iter().map(|(id, _)| id.as_str()));
    let attempts = numbers(known.iter().map(|(_, attempt)| attempt));
    shared.json(&statements::ORPHANS, vec![text(shared.worker()), ids, attempts]).await.map(drop)
}

/// Delivers a message once and writes what that came to.
async fn deliver(shared: Arc<Shared>, work: Work) {
    let worker = shared.worker();
    let reply = match deliver::request(&work, &shared.keys, Timestamp::now()) {
        Ok(request) => {
            let limit = request.timeout;
            let sent = timeout(limit, shared.outside.send(request)).await;
            sent.unwrap_or_else(|_late| {
                Err(NoReply::passing(format!("no answer within {limit:?}")))
            })
        }
        Err(error) => Err(NoReply::lasting(error)),
    };
    let outcome = deliver::outcome(&work, reply, Timestamp::now());
    write(&shared, &work, worker, outcome).await;
    shared.under_way().remove(&(work.id, work.attempt));
    shared.wake.notify_one();
}

/// Writes the outcome until that succeeds or the message is somebody else's. The lease keeps it as long.
async fn write(shared: &Shared, work: &Work, worker: i64, mut outcome: Value) {
    let mut tries = PATIENCE.iter();
    loop {
        let params = vec![text(&work.id), text(work.attempt), text(worker), text(&outcome)];
        let error = match shared.json(&statements::FINISH, params).await {
            Ok(_) => return,
            Err(error) => error,
        };
        match &error {
            // Cancelled, or taken over.
            WireError::Database(database) if database.code == crate::store::LOST => return,
            WireError::Database(database)
                if !database.is_fatal() && !is_passing(&database.code) =>
            {
                tracing::error!(message.id = work.id, error = %error, "what follows from a message cannot be published");
                outcome["items"] = Value::Array(Vec::new());
            }
            _ => {
                tracing::warn!(message.id = work.id, error = %error, "cannot write what a message came to");
            }
        }
        sleep(tries.next().copied().unwrap_or(PATIENCE[PATIENCE.len() - 1])).await;
    }
}

/// Serialization failures and deadlocks.
fn is_passing(code: &str) -> bool {
    code.starts_with("40")
}
