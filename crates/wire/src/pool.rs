//! Connections of one login to one database, under a budget shared by all pools of a cluster.

mod budget;
mod clock;
mod lease;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub use budget::Budget;
use lease::{Lease, Place, Session};

use crate::counters::{Counters, count};
use crate::lane::{ReadLane, Unserved};
use crate::shard;
use crate::{Batch, ConnectConfig, Connection, Lane, Rows, WireError};

/// How long a connection whose caller went away may take to finish its answer; then its statement is cancelled.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The same for a read, which changes nothing that somebody might still want.
const READ_DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// How long a pool keeps a connection that it opened, though others wait.
const KEPT_AT_LEAST: Duration = Duration::from_millis(50);

/// Bounds of one pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Most connections of this pool at once.
    pub max_connections: usize,
    /// How many threads say [`pin_thread`](crate::pin_thread) and use the pool; 1 when none does.
    pub shards: usize,
    /// How many connections batches of [`Lane::Read`] share as long as they are short. `None` means
    /// two per core when the server is on this machine, and `max_connections` when a network is in
    /// between, where waiting costs the server nothing.
    pub read_connections: Option<usize>,
    /// How long a caller waits for a connection before [`WireError::PoolTimeout`].
    pub acquire_timeout: Duration,
    /// Most callers that wait at once; one more gets [`WireError::Overloaded`].
    pub max_waiting: usize,
    /// How long an answer may take before [`WireError::AnswerTimeout`]: a safety net above the
    /// server's own `statement_timeout`.
    pub answer_timeout: Duration,
    /// Prepared statements kept per connection; with 0, statements have no names.
    pub cached_statements: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 16,
            shards: 1,
            read_connections: None,
            acquire_timeout: Duration::from_secs(10),
            max_waiting: 4096,
            answer_timeout: Duration::from_secs(60),
            cached_statements: 256,
        }
    }
}

/// What a pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Open connections that nobody uses.
    pub idle: usize,
    /// Connections in use.
    pub busy: usize,
    /// Callers waiting for a connection.
    pub waiting: usize,
}

/// Connections of one login role to one database. Cloning it gives another handle to the same pool.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ConnectConfig,
    options: PoolOptions,
    budget: Arc<Budget>,
    slots: Arc<Semaphore>,
    /// Places for large values that are passed on while they come. A slow client keeps its connection
    /// for long, so that half of them are for everybody else; without a place a value is read whole.
    passing: Arc<Semaphore>,
    /// One per shard.
    lanes: Vec<ReadLane>,
    /// Most recently used last, so that the first may grow old and be closed.
    idle: Mutex<Vec<Idle>>,
    waiting: AtomicUsize,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
    /// Callers and workers that wait for an idle connection or the budget.
    wanting: AtomicUsize,
    /// Says that a connection became idle.
    returned: Notify,
    /// Raised when prepared statements must be forgotten.
    generation: AtomicUsize,
    /// Raised when connections must be replaced.
    renewals: AtomicUsize,
    closed: AtomicBool,
    counters: Counters,
}

#[derive(Debug)]
struct Idle {
    session: Session,
    since: Instant,
}

impl Pool {
    /// A pool without connections; they are opened when they are needed.
    pub fn new(config: ConnectConfig, budget: Arc<Budget>, options: PoolOptions) -> Self {
        let read_connections = options.read_connections.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            if config.host.is_local() { 2 * cores } else { options.max_connections }
        });
        let shards = options.shards.max(1);
        let places = read_connections.div_ceil(shards);
        let inner = Arc::new(Inner {
            slots: Arc::new(Semaphore::new(options.max_connections.max(1))),
            passing: Arc::new(Semaphore::new(options.max_connections / 2)),
            lanes: (0..shards).map(|_| ReadLane::new(places, config.host.is_local())).collect(),
            config,
            options,
            budget,
            idle: Mutex::default(),
            waiting: AtomicUsize::new(0),
            open: Arc::default(),
            wanting: AtomicUsize::new(0),
            returned: Notify::new(),
            generation: AtomicUsize::new(0),
            renewals: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
        });
        inner.budget.register(&inner);
        Self { inner }
    }

    /// Runs a batch on some connection: one vector of rows per statement.
    ///
    /// A batch of [`Lane::Read`] may travel with others and may, when that turns out badly for it,
    /// run a second time; any other is sent again only when the server said that nothing of it was
    /// executed because a prepared statement was out of date.
    ///
    /// # Errors
    ///
    /// Every [`WireError`]; its documentation says which of them mean that nothing was executed.
    pub async fn run(&self, batch: Batch) -> Result<Vec<Rows>, WireError> {
        // Its future is large and moves with those that hold it, which most requests would pay for in vain.
        let alone = |batch| Box::pin(async move { self.run_alone(&batch).await });
        if batch.lane != Lane::Read || batch.rollback {
            return alone(batch).await;
        }
        let shard = shard::home() % self.inner.lanes.len();
        let reads = &self.inner.lanes[shard];
        let pushed = reads.push(batch, self.inner.options.max_waiting);
        let (answer, start) =
            pushed.inspect_err(|_| count(&self.inner.counters.callers_refused, 1))?;
        if start {
            tokio::spawn(worker::serve_reads(self.inner.clone(), shard));
        }
        match answer.await {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(Unserved::Returned(batch))) => {
                count(&self.inner.counters.repeated_reads, 1);
                alone(batch).await
            }
            Ok(Err(Unserved::Failed(error))) => Err(error),
            Err(_worker_gone) => Err(WireError::Closed),
        }
    }

    async fn run_alone(&self, batch: &Batch) -> Result<Vec<Rows>, WireError> {
        let mut lease = Inner::acquire(&self.inner).await?;
        count(&self.inner.counters.batches_alone, 1);
        let result = match lease.run(batch).await {
            Err(WireError::Database(error)) if error.is_stale_statement() => {
                if let Some(session) = &mut lease.session {
                    session.connection.forget_statements();
                }
                lease.run(batch).await
            }
            result => result,
        };
        if lease.session.as_ref().is_some_and(|session| session.connection.is_passing()) {
            tokio::spawn(lease.pass_on());
        }
        result
    }

    /// Makes every connection prepare its statements anew, after the schema changed.
    pub fn forget_statements(&self) {
        self.inner.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Replaces all connections, since a session keeps the settings that its login had when it began: idle ones are closed
    /// at once, busy ones after their answer.
    pub fn renew(&self) {
        self.inner.renewals.fetch_add(1, Ordering::Release);
        lock(&self.inner.idle).clear();
    }

    /// Closes connections that nobody has used for `idle_for`.
    pub fn close_idle(&self, idle_for: Duration) {
        lock(&self.inner.idle).retain(|idle| idle.since.elapsed() < idle_for);
    }

    /// Closes the pool: idle connections at once, busy ones after their answer; callers that wait
    /// or come later get [`WireError::Closed`].
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.slots.close();
        lock(&self.inner.idle).clear();
        self.inner.dismiss();
    }

    /// What the pool has done so far.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// What the pool is doing now.
    pub fn status(&self) -> PoolStatus {
        let parked: usize = self.inner.lanes.iter().map(ReadLane::parked).sum();
        let idle = lock(&self.inner.idle).len() + parked;
        let taken = self.inner.slots.available_permits() + parked;
        let busy = self.inner.options.max_connections.saturating_sub(taken);
        let reads: usize = self.inner.lanes.iter().map(ReadLane::waiting).sum();
        let waiting = self.inner.waiting.load(Ordering::Relaxed) + reads;
        PoolStatus { idle, busy, waiting }
    }
}

impl Inner {
    async fn acquire(self: &Arc<Self>) -> Result<Lease, WireError> {
        let ahead = self.waiting.load(Ordering::Relaxed);
        if ahead >= self.options.max_waiting {
            count(&self.counters.callers_refused, 1);
            return Err(WireError::Overloaded(ahead));
        }
        let _waiting = Counted::enter(&self.waiting);
        let limit = self.options.acquire_timeout;
        let acquired = tokio::time::timeout(limit, self.acquire_unbounded()).await;
        acquired.unwrap_or_else(|_elapsed| {
            count(&self.counters.callers_refused, 1);
            Err(WireError::PoolTimeout(limit))
        })
    }

    async fn acquire_unbounded(self: &Arc<Self>) -> Result<Lease, WireError> {
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => {
                self.dismiss();
                self.slots.clone().acquire_owned().await.map_err(|_closed| WireError::Closed)?
            }
        };
        let mut wanting = None;
        let session = loop {
            if let Some(session) = self.take_idle() {
                break session;
            }
            wanting.get_or_insert_with(|| Counted::enter(&self.wanting));
            // Another caller may be done before the budget has room for one connection more.
            let permit = tokio::select! {
                biased;
                permit = self.budget.acquire() => permit,
                () = self.returned.notified() => continue,
            };
            break self.open(permit).await?;
        };
        Ok(Lease {
            pool: self.clone(),
            session: Some(session),
            slot: Some(slot),
            drain_limit: DRAIN_LIMIT,
        })
    }

    /// Passes on the large value that an answer ended with, if it did, and reads what is left of it.
    ///
    /// # Errors
    ///
    /// Those that end the session.
    async fn pass_on(&self, connection: &mut Connection) -> Result<(), WireError> {
        if !connection.is_passing() {
            return Ok(());
        }
        let passed = match connection.pass_on(self.options.answer_timeout).await {
            // The rows were complete: what PostgreSQL says after them changes nothing for a read.
            Ok(()) => tokio::time::timeout(DRAIN_LIMIT, connection.receive())
                .await
                .unwrap_or(Err(WireError::AnswerTimeout(DRAIN_LIMIT)))
                .map(drop),
            Err(error) => Err(error),
        };
        passed.inspect_err(|_| count(&self.counters.connections_lost, 1))
    }

    /// Ends what the connection runs, for which nobody waits; then it can be closed.
    async fn cancel(&self, connection: &Connection) {
        count(&self.counters.connections_cancelled, 1);
        connection.cancel(&self.config).await;
    }

    /// Whether somebody waits for a connection that a worker could do without for a moment.
    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
            || self.budget.waiting.load(Ordering::Relaxed) > 0
            || self.closed.load(Ordering::Relaxed)
    }

    /// Has workers without work look whether somebody wants their connections.
    fn dismiss(&self) {
        self.lanes.iter().for_each(ReadLane::dismiss);
    }

    async fn open(&self, permit: OwnedSemaphorePermit) -> Result<Session, WireError> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let place = Place { open: self.open.clone(), _budget: permit };
        let generation = self.generation.load(Ordering::Relaxed);
        let renewal = self.renewals.load(Ordering::Acquire);
        let opened = Connection::open(&self.config, self.options.cached_statements).await;
        let mut connection = opened.inspect_err(|_| count(&self.counters.connections_failed, 1))?;
        connection.share_places(self.passing.clone());
        count(&self.counters.connections_opened, 1);
        Ok(Session {
            connection,
            generation,
            renewal,
            home: shard::home(),
            opened: Instant::now(),
            _place: place,
        })
    }

    /// The most recently used idle session that the server has not hung up on.
    fn take_idle(&self) -> Option<Session> {
        loop {
            let mut session = self.pop_idle()?;
            if !session.connection.is_reusable() || self.is_outdated(&session) {
                continue;
            }
            if session.home != shard::home() {
                let Some(moved) = session.move_here() else { continue };
                session = moved;
            }
            let generation = self.generation.load(Ordering::Relaxed);
            if session.generation != generation {
                session.connection.forget_statements();
                session.generation = generation;
            }
            return Some(session);
        }
    }

    /// The most recently used idle session of this thread, else of any.
    fn pop_idle(&self) -> Option<Session> {
        let home = shard::home();
        let mut idle = lock(&self.idle);
        let last = idle.len().checked_sub(1)?;
        let own = idle.iter().rposition(|idle| idle.session.home == home);
        Some(idle.remove(own.unwrap_or(last)).session)
    }

    fn give_back(&self, session: Session) {
        let ends = self.closed.load(Ordering::Acquire) || self.is_outdated(&session);
        if ends || (self.budget.waiting.load(Ordering::Relaxed) > 0 && self.must_give(&session)) {
            return;
        }
        lock(&self.idle).push(Idle { session, since: Instant::now() });
        self.returned.notify_one();
    }

    /// Whether the session began before all were to be replaced.
    fn is_outdated(&self, session: &Session) -> bool {
        session.renewal != self.renewals.load(Ordering::Acquire)
    }

    /// Whether another pool, which waits, has less than this one. A connection is not given away right
    /// after it was opened, or one that cannot be shared evenly would be opened again and again.
    fn must_give(&self, session: &Session) -> bool {
        let share = self.budget.share();
        let rests = share > 0 && session.opened.elapsed() < KEPT_AT_LEAST;
        self.open.load(Ordering::Relaxed) > share && !rests
    }
}

/// One of those counted; leaves the count when it is dropped, however that comes about.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// No invariant of these lists can be broken by a panic in between, so poisoning is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
