//! Hashing on threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::Params;
use tokio::sync::oneshot;

use super::stored::{self, Cost, Memory, Verdict};

/// A thread that had nothing to do for this long gives its memory back.
const IDLE: Duration = Duration::from_secs(30);

/// How much less of a busy processor hashing gets than everything else (the "nice" value). 10 leaves it a
/// tenth of the weight of a thread that serves requests: enough that sign-ins go on, slowly, on a machine
/// that is full.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What hashing may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HasherSettings {
    /// Threads, each with the memory of one hash. At least 1 is started.
    pub threads: usize,
    /// Passwords that may wait for a thread. Beyond that callers get [`HasherError::Busy`].
    pub queue: usize,
    /// What a new hash costs.
    pub cost: Cost,
}

impl Default for HasherSettings {
    /// Half of the processors, and about a second of waiting for each thread.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / 2).max(1);
        Self { threads, queue: threads * 48, cost: Cost::default() }
    }
}

/// Why a password was neither hashed nor compared.
#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// As many passwords as may wait are waiting. The client should come back later (429 or 503).
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The threads have ended, or hashing failed.
    #[error("the password could not be hashed")]
    Failed,
    /// The configured cost is outside of what argon2 and we allow.
    #[error("the configured cost of password hashes cannot be used")]
    Cost,
    /// A thread could not be started.
    #[error("no thread could be started for password hashes")]
    Thread(#[source] std::io::Error),
}

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Hashes and compares passwords on a few threads of low priority, so that a flood of sign-ins takes neither
/// the threads nor, on Linux, the processor time of anything else. (Elsewhere the priority is a
/// process's, not a thread's, and is left alone.)
///
/// Cloning is cheap; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Hasher {
    queue: SyncSender<Job>,
    params: Arc<Params>,
    /// Passwords that were taken to be hashed or compared.
    taken: Arc<AtomicU64>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// [`HasherError::Cost`] and [`HasherError::Thread`].
    pub fn start(settings: HasherSettings) -> Result<Self, HasherError> {
        let params = Arc::new(settings.cost.params().ok_or(HasherError::Cost)?);
        let (queue, jobs) = sync_channel(settings.queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..settings.threads.max(1) {
            let (jobs, params) = (Arc::clone(&jobs), Arc::clone(&params));
            std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&jobs, &params))
                .map_err(HasherError::Thread)?;
        }
        Ok(Self { queue, params, taken: Arc::default() })
    }

    /// How many passwords were hashed or compared so far, or wait for it.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Hashes a new password with argon2id, as a PHC string.
    ///
    /// # Errors
    ///
    /// [`HasherError::Busy`] and [`HasherError::Failed`].
    pub async fn hash(&self, password: &str) -> Result<String, HasherError> {
        let (params, password) = (Arc::clone(&self.params), password.to_owned());
        let hash = self.run(move |memory| stored::hash(&params, password.as_bytes(), memory));
        hash.await?.ok_or(HasherError::Failed)
    }

    /// Compares `password` with the stored `hash`.
    ///
    /// # Errors
    ///
    /// [`HasherError::Busy`] and [`HasherError::Failed`].
    pub async fn verify(&self, password: &str, hash: &str) -> Result<Verdict, HasherError> {
        let params = Arc::clone(&self.params);
        let (password, hash) = (password.to_owned(), hash.to_owned());
        self.run(move |memory| {
            let verdict = stored::verify(&params, password.as_bytes(), &hash, memory);
            memory.trim(&params);
            verdict
        })
        .await
    }

    /// Takes as long as [`verify`](Self::verify) with a hash of ours, queue and refusals included: for
    /// users who do not exist or have no password, so that the time does not tell.
    ///
    /// Imported users are an exception until they sign in for the first time and get a hash of ours:
    /// comparing with bcrypt (cost 10) takes three times as long, with Firebase's scrypt
    /// half as long again. Nothing done for the unknown would look like all kinds of hashes at once.
    ///
    /// # Errors
    ///
    /// [`HasherError::Busy`] and [`HasherError::Failed`].
    pub async fn verify_nothing(&self, password: &str) -> Result<(), HasherError> {
        let (params, password) = (Arc::clone(&self.params), password.to_owned());
        self.run(move |memory| stored::verify_nothing(&params, password.as_bytes(), memory)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HasherError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            // Nobody waits any more: the client went away while others were before it.
            if !reply.is_closed() {
                let _ = reply.send(work(memory));
            }
        });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => HasherError::Busy,
            TrySendError::Disconnected(_) => HasherError::Failed,
        })?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        answer.await.map_err(|_| HasherError::Failed)
    }
}

/// What a thread does until the last [`Hasher`] is gone.
fn work(jobs: &Mutex<Receiver<Job>>, params: &Params) {
    lower_priority();
    let mut memory = Memory::default();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(IDLE);
        match next {
            Ok(job) => {
                // A panic in a library must not take the thread with it.
                if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
                    tracing::error!("hashing a password panicked");
                    memory.clear();
                }
                memory.trim(params);
            }
            Err(RecvTimeoutError::Timeout) => memory.clear(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// On Linux a "process" in this call is a thread, and none at all is the one that calls.
#[cfg(target_os = "linux")]
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "passwords are hashed with normal priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn hasher(threads: usize, queue: usize) -> Hasher {
        let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
        Hasher::start(HasherSettings { threads, queue, cost }).unwrap()
    }

    /// Keeps the only thread of `hasher` busy until the barrier is reached a second time.
    fn occupy(hasher: &Hasher) -> Arc<Barrier> {
        let barrier = Arc::new(Barrier::new(2));
        let held = Arc::clone(&barrier);
        let job: Job = Box::new(move |_| {
            held.wait();
            held.wait();
        });
        hasher.queue.try_send(job).unwrap();
        barrier.wait();
        barrier
    }

    #[tokio::test]
    async fn a_hash_is_verified() {
        let hasher = hasher(1, 4);
        let hash = hasher.hash("secret").await.unwrap();
        assert_eq!(hasher.verify("secret", &hash).await.unwrap(), Verdict::Match { rehash: false });
        assert_eq!(hasher.verify("other", &hash).await.unwrap(), Verdict::Mismatch);
        assert_eq!(hasher.verify("secret", "nothing").await.unwrap(), Verdict::Unsupported);
        hasher.verify_nothing("secret").await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let hasher = hasher(1, 2);
        let barrier = occupy(&hasher);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.hash("secret").await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(matches!(hasher.hash("secret").await, Err(HasherError::Busy)));
        assert!(matches!(hasher.verify_nothing("secret").await, Err(HasherError::Busy)));
        barrier.wait();
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        hasher.hash("secret").await.unwrap();
    }

    #[tokio::test]
    async fn those_who_went_away_are_not_worked_for() {
        let hasher = hasher(1, 8);
        let barrier = occupy(&hasher);
        let (done, seen) = std::sync::mpsc::channel();
        let gone = hasher.clone();
        let waiting = tokio::spawn(async move { gone.run(move |_| done.send(()).unwrap()).await });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        barrier.wait();
        hasher.hash("secret").await.unwrap();
        assert!(seen.recv().is_err(), "the work was dropped, not done");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_at_once_get_their_own_answers() {
        let hasher = hasher(2, 256);
        let hash = hasher.hash("secret 7").await.unwrap();
        let all: Vec<_> = (0..200)
            .map(|number| {
                let (hasher, hash) = (hasher.clone(), hash.clone());
                tokio::spawn(async move {
                    hasher.verify(&format!("secret {number}"), &hash).await.unwrap()
                })
            })
            .collect();
        for (number, one) in all.into_iter().enumerate() {
            let fits = matches!(one.await.unwrap(), Verdict::Match { .. });
            assert_eq!(fits, number == 7);
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_only() {
        let hasher = hasher(1, 4);
        let failed = hasher.run(|_| -> u32 { panic!("in a library") }).await;
        assert!(matches!(failed, Err(HasherError::Failed)));
        hasher.hash("secret").await.unwrap();
    }

    #[test]
    fn costs_that_cannot_work_are_refused() {
        for (memory_kib, passes, lanes) in [(4, 1, 1), (64, 0, 1), (64, 1, 0), (1 << 30, 1, 1)] {
            let cost = Cost { memory_kib, passes, lanes };
            let settings = HasherSettings { cost, ..HasherSettings::default() };
            assert!(matches!(Hasher::start(settings), Err(HasherError::Cost)));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashing_is_what_waits_on_a_busy_machine() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let niceness = hasher(1, 1).run(|_| rustix::process::getpriority_process(None)).await;
        assert!(niceness.unwrap().unwrap() >= NICENESS);
        let after = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(before, after, "only the thread was touched");
    }
}
