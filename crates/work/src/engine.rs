//! Takes jobs, has their actions run, ends them: one engine for each project and instance.

mod attempt;
mod finisher;
mod keeper;
mod sources;
mod turns;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use plinth_wire::WireError;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use self::attempt::Attempt;
use self::finisher::Finisher;
use self::sources::Sources;
use self::turns::{MOST_NEWS, Turns};
use crate::action::Actions;
use crate::counters::Counters;
use crate::patience::{self, soon};
use crate::rule::Rule;
use crate::store::{Claimed, Store};

/// A look for jobs that took too long may take twice as long the next time, so often.
const MOST_DOUBLINGS: u32 = 4;

/// A failure that goes on is told of again after so long.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// A pause before another look at a binding whose jobs somebody else was taking.
const GIVE_WAY: Duration = Duration::from_millis(20);

/// How an engine works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the worker, for people.
    pub name: String,
    /// How long a worker that says nothing keeps its jobs, on the database's clock.
    pub lease: Duration,
    /// Most jobs of the project that run at once in this instance.
    pub most: usize,
    /// Most jobs that one claim takes.
    pub batch: usize,
    /// Most jobs that one transaction ends.
    pub finish_batch: usize,
    /// Transactions that end jobs at once.
    pub finishers: usize,
    /// Longest time without looking for jobs when nobody says that there are some.
    pub poll: Duration,
    /// How long finished jobs are kept.
    pub keep: Duration,
    /// How long deliveries to webhooks are kept: so long a repeated one changes nothing, and one can be replayed.
    pub keep_events: Duration,
    /// How long running jobs may take to end when the engine stops.
    pub grace: Duration,
    /// Where it counts what it does; one engine after the other may count on.
    pub counters: Arc<Counters>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "plinth".to_owned(),
            lease: Duration::from_secs(20),
            most: 256,
            batch: 128,
            finish_batch: 128,
            finishers: 2,
            poll: Duration::from_secs(1),
            keep: Duration::from_secs(7 * 24 * 3600),
            keep_events: Duration::from_secs(30 * 24 * 3600),
            grace: Duration::from_secs(10),
            counters: Arc::default(),
        }
    }
}

/// A running engine. Stops, and gives its jobs back, when [`Engine::stop`] is called.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the tasks of an engine share.
#[derive(Debug)]
struct Shared {
    project: Arc<str>,
    store: Arc<Store>,
    actions: Actions,
    options: Options,
    counters: Arc<Counters>,
    rules: RwLock<Arc<HashMap<i32, Arc<Rule>>>>,
    /// The worker that holds the leases; 0 before there is one.
    worker: AtomicI64,
    /// The revision of the bindings at the last heartbeat; 0 before there was one.
    revision: AtomicI64,
    /// Where to look for jobs.
    sources: Mutex<Sources>,
    /// Where to look for those of limited bindings.
    turns: Mutex<Turns>,
    /// Since when a look for jobs is under way, and its jobs are not among those that run.
    looking: Mutex<Option<Instant>>,
    /// Running jobs, and how to cancel them.
    running: Mutex<HashMap<i64, Running>>,
    count: AtomicUsize,
    /// The last look left jobs behind for which there was no room.
    crowded: AtomicBool,
    /// There may be jobs to take.
    wake: Notify,
    /// There may be queues that were never looked at.
    changed: Notify,
}

#[derive(Debug)]
struct Running {
    binding: i32,
    cancel: Arc<Notify>,
}

impl Engine {
    /// Starts to work on the jobs of the bindings that `rules` names.
    pub fn start(
        project: impl Into<Arc<str>>,
        store: Arc<Store>,
        actions: Actions,
        rules: Vec<Rule>,
        options: Options,
    ) -> Self {
        let shared = Arc::new(Shared {
            project: project.into(),
            store,
            actions,
            counters: Arc::clone(&options.counters),
            sources: Mutex::new(Sources::new(options.batch)),
            turns: Mutex::default(),
            options,
            rules: RwLock::default(),
            worker: AtomicI64::new(0),
            revision: AtomicI64::new(0),
            looking: Mutex::default(),
            running: Mutex::default(),
            count: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            wake: Notify::new(),
            changed: Notify::new(),
        });
        shared.set_rules(rules);
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(run(Arc::clone(&shared), stopping));
        Self { shared, stop, task }
    }

    /// Says that there may be jobs to take.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Works by other rules from now on. Jobs of bindings that are in no rule stay where they are.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        self.shared.set_rules(rules);
        self.shared.changed.notify_one();
        self.wake();
    }

    /// What it has done.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// The revision of the bindings at the last heartbeat; 0 before the first. When it is another one than that of its rules,
    /// it needs others.
    pub fn revision(&self) -> i64 {
        self.shared.revision.load(Ordering::Relaxed)
    }

    /// Takes no more jobs, waits for those that run as long as the options say, and gives the others back.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(error = %error, "the work engine broke");
        }
    }
}

impl Shared {
    fn set_rules(&self, rules: Vec<Rule>) {
        self.counters.keep(rules.iter().map(|rule| &*rule.name));
        let rules = rules.into_iter().map(|rule| (rule.id, Arc::new(rule))).collect();
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn rules(&self) -> Arc<HashMap<i32, Arc<Rule>>> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn worker(&self) -> i64 {
        self.worker.load(Ordering::Relaxed)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<i64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looking(&self) -> MutexGuard<'_, Option<Instant>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job has left this worker. When that was not written, the database still thinks that it runs here, until
    /// [`keeper::sweep`] finds it.
    fn ended(&self, job: i64) {
        self.running().remove(&job);
        self.count.fetch_sub(1, Ordering::Relaxed);
        if self.crowded.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// How long our own statements may take.
    fn patience(&self) -> Duration {
        patience::within(self.options.lease)
    }

    fn room(&self) -> usize {
        self.options.most.saturating_sub(self.count.load(Ordering::Relaxed))
    }
}

/// The engine's life: a worker is registered, works until its lease is lost, and another one is registered.
async fn run(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        let (name, lease) = (&shared.options.name, shared.options.lease);
        match soon(shared.patience(), shared.store.worker_register(name, lease)).await {
            Ok(worker) => {
                shared.worker.store(worker, Ordering::Relaxed);
                work(&shared, &mut stopping).await;
            }
            Err(error) => {
                tracing::warn!(project.name = %shared.project, error = %error, "cannot register as a worker yet");
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    _ = stopping.changed() => {}
                }
            }
        }
    }
}

/// Works as one worker, until it stops or its lease is lost.
async fn work(shared: &Arc<Shared>, stopping: &mut watch::Receiver<bool>) {
    let finisher = Finisher::start(shared);
    let mut attempts = JoinSet::new();
    let lost = {
        let keeping = keeper::keep(shared);
        let taking = take(shared, &finisher, &mut attempts);
        tokio::select! {
            () = keeping => true,
            () = taking => false,
            () = keeper::survey(shared) => false,
            () = keeper::sweep(shared) => false,
            _ = stopping.wait_for(|stop| *stop) => false,
        }
    };
    if lost {
        // Somebody else works on them by now; what they would write is fenced off.
        tracing::warn!(project.name = %shared.project, "the lease was lost; its jobs are left to others");
        shared.counters.leases_lost.fetch_add(1, Ordering::Relaxed);
        attempts.abort_all();
    } else {
        let all = async { while attempts.join_next().await.is_some() {} };
        let keeping = keeper::keep(shared);
        tokio::select! {
            _ = timeout(shared.options.grace, all) => {}
            () = keeping => {}
        }
    }
    *shared.looking() = None;
    attempts.shutdown().await;
    finisher.stop(shared.patience()).await;
    shared.running().clear();
    shared.count.store(0, Ordering::Relaxed);
    if !lost
        && let Err(error) =
            soon(shared.patience(), shared.store.worker_release(shared.worker())).await
    {
        tracing::warn!(error = %error, "cannot give the lease back; it will run out");
    }
}

/// Takes jobs whenever there may be some and there is room.
async fn take(shared: &Arc<Shared>, finisher: &Finisher, attempts: &mut JoinSet<()>) {
    let mut promoted = Instant::now();
    let mut failures = 0;
    let mut said = None;
    loop {
        while attempts.try_join_next().is_some() {}
        let mut taken = Vec::new();
        *shared.looking() = Some(Instant::now());
        // What took too long gets more time: there may be much to step over.
        let patience = shared.patience() * 2_u32.pow(failures);
        let looked = take_once(shared, &mut promoted, patience, &mut taken).await;
        let some = !taken.is_empty();
        for job in taken {
            start(shared, finisher, attempts, job);
        }
        *shared.looking() = None;
        let pause = match looked {
            Ok(_) if some && shared.room() > 0 => {
                failures = 0;
                continue;
            }
            Ok(pause) => pause,
            Err(error) => {
                let error = error.to_string();
                let known = said.as_ref().is_some_and(|(before, at): &(String, Instant)| {
                    *before == error && at.elapsed() < SAID_AGAIN
                });
                if !known {
                    tracing::warn!(project.name = %shared.project, error, "cannot take jobs");
                    said = Some((error, Instant::now()));
                }
                shared.turns().doubt();
                failures = (failures + 1).min(MOST_DOUBLINGS);
                sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        failures = 0;
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// One look for jobs: those whose time has come, then unlimited bindings in one statement, then each limited one. Says when to
/// look again at the latest. `taken` gets them also when there is an error.
async fn take_once(
    shared: &Shared,
    promoted: &mut Instant,
    patience: Duration,
    taken: &mut Vec<Claimed>,
) -> Result<Duration, WireError> {
    let rules = shared.rules();
    let room = shared.room().min(shared.options.batch);
    if room == 0 || rules.is_empty() {
        shared.crowded.store(true, Ordering::Relaxed);
        return Ok(shared.options.poll);
    }
    if promoted.elapsed() >= keeper::PROMOTE {
        *promoted = Instant::now();
        let promote = shared.store.job_promote(keeper::MOST_PROMOTED);
        for turn in soon(shared.patience(), promote).await? {
            if rules.get(&turn.binding).is_some_and(|rule| rule.is_limited()) {
                shared.turns().learn(turn);
            }
        }
    }
    let mut busy: HashMap<i32, usize> = HashMap::new();
    for running in shared.running().values() {
        *busy.entry(running.binding).or_default() += 1;
    }
    let free = |rule: &Rule| {
        rule.most.saturating_sub(busy.get(&rule.id).copied().unwrap_or_default()).min(room)
    };
    let full = rules.values().any(|rule| free(rule) == 0);
    let unlimited = rules.values().filter(|rule| !rule.is_limited());
    let look = shared.sources().of(unlimited.map(|rule| (&**rule, free(rule))));
    if !look.is_empty() {
        let claim = shared.store.job_claim(shared.worker(), &look, room);
        *taken = soon(patience, claim).await?;
        shared.sources().passed(&look, taken);
    }
    let limited: Vec<_> = rules.values().filter(|rule| rule.is_limited()).collect();
    let limited = limited.into_iter().map(|rule| (&**rule, free(rule)));
    let pause = soon(patience, take_limited(shared, limited.collect(), room, taken)).await?;
    shared.crowded.store(full || !taken.is_empty(), Ordering::Relaxed);
    Ok(pause)
}

/// One look for jobs of limited bindings, so many of each and `room` with those that are in `taken` already.
async fn take_limited(
    shared: &Shared,
    rules: Vec<(&Rule, usize)>,
    room: usize,
    taken: &mut Vec<Claimed>,
) -> Result<Duration, WireError> {
    let mut pause = shared.options.poll;
    if rules.is_empty() {
        return Ok(pause);
    }
    let from = shared.turns().news();
    if let Some(from) = from {
        let bindings: Vec<i32> = rules.iter().map(|(rule, _)| rule.id).collect();
        let (end, found) = shared.store.job_news(&bindings, from, MOST_NEWS).await?;
        if shared.turns().heard(from, end, found) {
            pause = Duration::ZERO;
        }
    }
    for (rule, free) in rules {
        let keys = shared.turns().keys(rule.id);
        let mut asked = 0;
        while asked < keys {
            let most = free.min(room.saturating_sub(taken.len()));
            let look = shared.turns().next(rule.id, most, asked > 0);
            if most == 0 || look.turns.is_empty() {
                break;
            }
            let take = shared.store.job_take_limited(shared.worker(), rule, most, &look);
            let limited = take.await?;
            shared.turns().passed(rule.id, &look, &limited);
            if !limited.looked {
                pause = pause.min(GIVE_WAY);
            }
            // Those that were asked may all be at their limit, and others not.
            asked = match limited.looked && limited.taken.is_empty() && !limited.no_room {
                true => asked + look.turns.chunk_by(|one, next| one.fair == next.fair).count(),
                false => keys,
            };
            taken.extend(limited.taken.into_iter().map(|(job, _)| job));
        }
    }
    Ok(pause)
}

fn start(shared: &Arc<Shared>, finisher: &Finisher, attempts: &mut JoinSet<()>, job: Claimed) {
    // Where there is none, the rules changed while it was being taken: it is found later.
    let Some(rule) = shared.rules().get(&job.binding).cloned() else { return };
    let cancel = Arc::new(Notify::new());
    match shared.running().entry(job.id) {
        // What was written of its last attempt, or its claim, was not heard or undone by a crash, and so it was taken once
        // more. That attempt ends first: nobody begins the other one here, which is found then.
        Entry::Occupied(_) => return,
        Entry::Vacant(place) => {
            place.insert(Running { binding: job.binding, cancel: Arc::clone(&cancel) });
        }
    }
    shared.count.fetch_add(1, Ordering::Relaxed);
    shared.counters.claims.fetch_add(1, Ordering::Relaxed);
    let attempt = Attempt::new(Arc::clone(shared), finisher.sender(), rule, job);
    attempts.spawn(attempt.run(cancel));
}
