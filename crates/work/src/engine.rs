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

/// Keys of a limited binding that one look asks at most.
const MOST_KEYS: usize = 1024;

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
    for number in 0_usize.. {
        while attempts.try_join_next().is_some() {}
        *shared.looking() = Some(Instant::now());
        // What ends during the look may make room for what it leaves behind.
        shared.crowded.store(true, Ordering::Relaxed);
        let mut look = TakingLook {
            shared,
            finisher,
            attempts: &mut *attempts,
            // What took too long gets more time: there may be much to step over.
            patience: shared.patience() * 2_u32.pow(failures),
            number,
            pause: shared.options.poll,
            taken: 0,
        };
        let looked = look.take(&mut promoted).await;
        let (some, pause) = (look.taken > 0, look.pause);
        *shared.looking() = None;
        match looked {
            Ok(()) => failures = 0,
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
        }
        if some && shared.room() > 0 {
            continue;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// One look for jobs.
struct TakingLook<'a> {
    shared: &'a Arc<Shared>,
    finisher: &'a Finisher,
    attempts: &'a mut JoinSet<()>,
    patience: Duration,
    /// Who comes first changes from look to look.
    number: usize,
    /// When to look again at the latest.
    pause: Duration,
    /// Jobs that it took, which run already.
    taken: usize,
}

impl TakingLook<'_> {
    /// Looks for those whose time has come, for those of unlimited bindings in one statement, and for those of each limited one.
    async fn take(&mut self, promoted: &mut Instant) -> Result<(), WireError> {
        let (shared, rules) = (self.shared, self.shared.rules());
        let room = shared.room().min(shared.options.batch);
        if room == 0 || rules.is_empty() {
            return Ok(());
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
        let (mut limited, unlimited): (Vec<_>, Vec<_>) = rules
            .values()
            .map(|rule| (&**rule, free(rule)))
            .partition(|(rule, _)| rule.is_limited());
        limited.sort_unstable_by_key(|(rule, _)| rule.id);
        let first = self.number % limited.len().max(1);
        limited.rotate_left(first);
        // A backlog of one kind may fill all the room there is.
        let left = if self.number.is_multiple_of(2) {
            self.take_unlimited(unlimited, room).await?;
            self.take_limited(limited, room).await?
        } else {
            let left = self.take_limited(limited, room).await;
            self.take_unlimited(unlimited, room).await?;
            left?
        };
        shared.crowded.store(full || left || self.taken > 0, Ordering::Relaxed);
        Ok(())
    }

    /// Looks for jobs of these bindings, so many of each, in a look that has `room` for so many.
    async fn take_unlimited(
        &mut self,
        rules: Vec<(&Rule, usize)>,
        room: usize,
    ) -> Result<(), WireError> {
        let (shared, room) = (self.shared, room.saturating_sub(self.taken));
        let look = shared.sources().of(rules.into_iter());
        if look.is_empty() || room == 0 {
            return Ok(());
        }
        let claim = shared.store.job_claim(shared.worker(), &look, room, self.patience);
        let taken = soon(self.patience, claim).await?;
        shared.sources().passed(&look, &taken);
        self.start(taken);
        Ok(())
    }

    /// The same for limited bindings. What fails for one is no reason to leave out others. Says whether jobs stay behind for
    /// which the end of another one may make room.
    async fn take_limited(
        &mut self,
        rules: Vec<(&Rule, usize)>,
        room: usize,
    ) -> Result<bool, WireError> {
        if rules.is_empty() {
            return Ok(false);
        }
        self.hear(&rules).await?;
        let (mut left, mut failed) = (false, None);
        for (rule, free) in rules {
            match self.take_limited_of(rule, free, room).await {
                Ok(stays) => left |= stays && rule.seats.is_some(),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(left), Err)
    }

    /// Learns of new jobs of limited bindings.
    async fn hear(&mut self, rules: &[(&Rule, usize)]) -> Result<(), WireError> {
        let shared = self.shared;
        let from = shared.turns().news();
        if let Some(from) = from {
            let bindings: Vec<i32> = rules.iter().map(|(rule, _)| rule.id).collect();
            let news = shared.store.job_news(&bindings, from, MOST_NEWS);
            let (end, found) = soon(self.patience, news).await?;
            if shared.turns().heard(from, end, found) {
                self.pause = Duration::ZERO;
            }
        }
        Ok(())
    }

    /// Looks for jobs of one limited binding. Says whether some stay behind.
    async fn take_limited_of(
        &mut self,
        rule: &Rule,
        free: usize,
        room: usize,
    ) -> Result<bool, WireError> {
        let (shared, begun) = (self.shared, Instant::now());
        let (keys, rest) = {
            let turns = shared.turns();
            (turns.keys(rule.id), turns.rest(rule.id, begun.into()))
        };
        if let Some(rest) = rest {
            self.pause = self.pause.min(rest);
            return Ok(true);
        }
        let (mut asked, mut stays, mut cut) = (0, false, false);
        while asked < keys.min(MOST_KEYS) {
            let most = free.min(room.saturating_sub(self.taken));
            let look = shared.turns().next(rule.id, most, asked > 0);
            if most == 0 || look.turns.is_empty() {
                break;
            }
            let (store, patience) = (&shared.store, self.patience);
            let take = store.job_take_limited(shared.worker(), rule, most, &look, patience);
            let limited = soon(patience, take).await?;
            shared.turns().passed(rule.id, &look, &limited);
            cut |= limited.taken.is_empty() && !limited.cuts.is_empty();
            stays |= limited.no_room || !limited.stays.is_empty();
            if !limited.looked {
                self.pause = self.pause.min(GIVE_WAY);
            }
            // Those that were asked may all be at their limit, and others not.
            asked = match limited.looked && limited.taken.is_empty() && !limited.no_room {
                true => asked + look.turns.chunk_by(|one, next| one.fair == next.fair).count(),
                false => keys,
            };
            self.start(limited.taken.into_iter().map(|(job, _)| job).collect());
        }
        let mut turns = shared.turns();
        if asked < keys || cut {
            // The others come after a rest, which many keys without room must not make one long look.
            self.pause = self.pause.min(turns.take_rest(rule.id, begun.into()));
        }
        if let (true, Some(rate)) = (stays, rule.rate) {
            self.pause =
                turns.room_in(rule.id, rate.per).map_or(self.pause, |it| it.min(self.pause));
        }
        Ok(stays)
    }

    fn start(&mut self, jobs: Vec<Claimed>) {
        self.taken += jobs.len();
        for job in jobs {
            start(self.shared, self.finisher, self.attempts, job);
        }
    }
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
