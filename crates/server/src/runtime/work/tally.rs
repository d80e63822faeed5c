//! What a project's work has come to, for metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use plinth_wire::WireError;
use plinth_work::{Counters, Depth, Store};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a count of jobs holds: whoever asks more often gets the same one.
const COUNT_LIFE: Duration = Duration::from_secs(2);

/// How long counting may take.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// What one project's work has come to in this instance, and its jobs as they were counted last.
pub struct ProjectTally {
    project: String,
    store: Arc<Store>,
    counters: Arc<Counters>,
    /// Whether an engine runs.
    awake: AtomicBool,
    bindings: RwLock<usize>,
    counted: Mutex<Option<(Instant, Vec<Depth>)>>,
    /// Whether it was told that the jobs cannot be counted, and they could not be counted since.
    told: AtomicBool,
}

/// The same at one moment.
#[derive(Debug, Clone)]
pub struct Tally {
    /// The project.
    pub project: String,
    /// What its engines have done since this process began to look after it.
    pub counters: Arc<Counters>,
    /// Whether an engine runs at the moment.
    pub awake: bool,
    /// Bindings that are active.
    pub bindings: usize,
    /// Its unfinished jobs, by binding and state.
    pub depths: Vec<Depth>,
}

impl ProjectTally {
    pub(super) fn new(project: &str, store: Arc<Store>, counters: Arc<Counters>) -> Self {
        Self {
            project: project.to_owned(),
            store,
            counters,
            awake: AtomicBool::new(false),
            bindings: RwLock::new(0),
            counted: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(super) fn set_bindings(&self, bindings: usize) {
        *self.bindings.write().unwrap_or_else(PoisonError::into_inner) = bindings;
    }

    /// Says whether an engine runs from now on.
    pub(super) fn set_awake(&self, awake: bool) {
        self.awake.store(awake, Ordering::Relaxed);
    }

    /// Counts the jobs, for the time in which nobody does.
    pub(super) async fn count_once(&self) {
        let mut counted = self.counted.lock().await;
        self.count(&mut counted).await;
    }

    /// What is known now. Jobs are counted while an engine runs; while none does, the last count holds.
    pub async fn now(&self) -> Tally {
        let awake = self.awake.load(Ordering::Relaxed);
        let mut counted = self.counted.lock().await;
        let fresh = counted.as_ref().is_some_and(|(at, _)| at.elapsed() < COUNT_LIFE);
        if counted.is_none() || (awake && !fresh) {
            self.count(&mut counted).await;
        }
        let depths = counted.as_ref().map(|(_, depths)| depths.clone()).unwrap_or_default();
        Tally {
            project: self.project.clone(),
            counters: self.counters.clone(),
            awake,
            bindings: *self.bindings.read().unwrap_or_else(PoisonError::into_inner),
            depths,
        }
    }

    async fn count(&self, counted: &mut Option<(Instant, Vec<Depth>)>) {
        let found: Result<Vec<Depth>, WireError> = timeout(COUNT_TIMEOUT, self.store.depths())
            .await
            .unwrap_or(Err(WireError::AnswerTimeout(COUNT_TIMEOUT)));
        match found {
            Ok(depths) => {
                self.told.store(false, Ordering::Relaxed);
                *counted = Some((Instant::now(), depths));
            }
            // Each scrape tries again: only the first failure is told.
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => {
                tracing::warn!(project.name = %self.project, error = %error, "cannot count jobs");
            }
            Err(error) => {
                tracing::debug!(project.name = %self.project, error = %error, "cannot count jobs");
            }
        }
    }
}
