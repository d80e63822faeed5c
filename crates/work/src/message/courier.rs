//! Takes messages and delivers them: one courier for each project and instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use plinth_wire::WireError;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::endpoint::next_tick;
use super::outside::Outside;
use super::sign::Keys;
use super::work::Work;
use super::{deliver, statements};
use crate::Store;
use crate::value::text;

/// Heartbeats in a lease.
const BEATS: u32 = 5;

/// How often schedules are looked at.
const TICK: Duration = Duration::from_millis(500);

/// How often what is old is removed.
const ROTATE: Duration = Duration::from_secs(600);

/// After so much time without a message, the tables are looked at less often.
const CALM: Duration = Duration::from_secs(30);

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
    /// The same when there were none for a while.
    pub calm_poll: Duration,
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
            calm_poll: Duration::from_secs(1),
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
        let worker = AtomicI64::new(0);
        let project = project.into();
        let shared = Arc::new(Shared { project, store, outside, keys, options, wake, worker });
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

/// A courier's life: a worker is registered, works until its lease is lost, and another one is registered.
async fn run(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        let registered =
            shared.store.worker_register(&shared.options.name, shared.options.lease).await;
        match registered {
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
    let lost = tokio::select! {
        () = keep(shared) => true,
        () = tick(shared) => false,
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
    let worker = shared.worker.load(Ordering::Relaxed);
    if let Err(error) = shared.store.worker_release(worker).await {
        tracing::debug!(error = %error, "the courier cannot give its lease back; it will run out");
    } else {
        let _ = shared.store.json(&statements::RECLAIM, Vec::new()).await;
    }
}

/// Keeps the lease until it is lost, and queues the messages of others that lost theirs.
async fn keep(shared: &Shared) {
    let lease = shared.options.lease;
    let mut sure = Instant::now();
    let mut rotated: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        match shared.store.worker_beat(shared.worker.load(Ordering::Relaxed), lease, &[]).await {
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
        let reaped = shared.store.worker_reap().await.is_ok();
        let back = shared.store.json(&statements::RECLAIM, Vec::new()).await;
        if reaped && back.is_ok_and(|messages| messages != 0) {
            shared.wake.notify_one();
        }
        if rotated.is_none_or(|at| at.elapsed() > ROTATE) {
            rotated = Some(Instant::now());
            let keep = text(shared.options.keep.as_secs_f64());
            if let Err(error) = shared.store.json(&statements::ROTATE, vec![keep]).await {
                tracing::warn!(project.name = %shared.project, error = %error, "old messages cannot be removed");
            }
        }
        sleep(lease / BEATS).await;
    }
}

/// Publishes what schedules say, for ever.
async fn tick(shared: &Shared) {
    loop {
        sleep(TICK).await;
        match tick_once(shared).await {
            Ok(0) => {}
            Ok(_) => shared.wake.notify_one(),
            Err(error) => {
                tracing::debug!(project.name = %shared.project, error = %error, "schedules cannot be looked at");
            }
        }
    }
}

async fn tick_once(shared: &Shared) -> Result<usize, WireError> {
    let due = shared.store.json_list(&statements::SCHEDULES_DUE, Vec::new()).await?;
    for schedule in &due {
        let id = schedule["id"].as_str().unwrap_or_default();
        let Some(next) = next_tick(schedule["cron"].as_str().unwrap_or_default(), Timestamp::now())
        else {
            tracing::warn!(schedule.id = id, "the schedule has no next tick");
            continue;
        };
        let params = vec![text(id), text(schedule["due"].as_str().unwrap_or_default()), text(next)];
        if let Err(error) = shared.store.json(&statements::TICK, params).await {
            tracing::warn!(schedule.id = id, error = %error, "the schedule's message cannot be published");
        }
    }
    Ok(due.len())
}

/// Takes messages whenever there may be some and there is room.
async fn take(shared: &Arc<Shared>, deliveries: &mut JoinSet<()>) {
    let mut busy = Instant::now();
    loop {
        while deliveries.try_join_next().is_some() {}
        let room = shared.options.most.saturating_sub(deliveries.len());
        let taken = match take_once(shared, room).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(project.name = %shared.project, error = %error, "messages cannot be taken");
                sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        let some = !taken.is_empty();
        for work in taken {
            deliveries.spawn(deliver(Arc::clone(shared), work));
        }
        if some {
            busy = Instant::now();
            continue;
        }
        let calm = busy.elapsed() > CALM && deliveries.is_empty();
        let options = &shared.options;
        let poll = if calm { options.calm_poll } else { options.poll };
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep(poll) => {}
        }
    }
}

async fn take_once(shared: &Shared, room: usize) -> Result<Vec<Work>, WireError> {
    if room == 0 {
        return Ok(Vec::new());
    }
    let worker = shared.worker.load(Ordering::Relaxed);
    let taken = shared.store.json_list(&statements::TAKE, vec![text(worker), text(room)]).await?;
    let read = |value: Value| {
        serde_json::from_value(value)
            .inspect_err(
                |error| tracing::error!(error = %error, "a message cannot be read by this version"),
            )
            .ok()
    };
    Ok(taken.into_iter().filter_map(read).collect())
}

/// Delivers a message once and writes what that came to.
async fn deliver(shared: Arc<Shared>, work: Work) {
    let worker = shared.worker.load(Ordering::Relaxed);
    let reply = match deliver::request(&work, &shared.keys, Timestamp::now()) {
        Ok(request) => {
            let limit = request.timeout;
            let sent = timeout(limit, shared.outside.send(request)).await;
            sent.unwrap_or_else(|_late| Err(format!("no answer within {limit:?}")))
        }
        Err(error) => Err(error),
    };
    let outcome = deliver::outcome(&work, reply, Timestamp::now());
    write(&shared, &work, worker, outcome).await;
    shared.wake.notify_one();
}

/// Writes the outcome until that succeeds or the message is somebody else's. The lease keeps it as long.
async fn write(shared: &Shared, work: &Work, worker: i64, mut outcome: Value) {
    let mut tries = PATIENCE.iter();
    loop {
        let params = vec![text(&work.id), text(work.attempt), text(worker), text(&outcome)];
        let error = match shared.store.json(&statements::FINISH, params).await {
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
