//! What the steps of a job came to. A step that is here does not run again, whatever happened since.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plinth_wire::WireError;
use serde_json::{Value, json};

use crate::rule::{Rule, Values};
use crate::store::{Claimed, Store};

/// Most steps of a job.
pub const MAX_STEPS: usize = 10_000;

/// Longest name of a step, in bytes.
pub const MAX_STEP_NAME: usize = 200;

/// Why a step cannot be journaled.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The job is not this worker's any more.
    #[error("the job's lease is lost")]
    Lost,
    /// Too many steps, or too long a name.
    #[error("a job has at most {MAX_STEPS} steps, and a step's name at most {MAX_STEP_NAME} bytes")]
    Bound,
    /// PostgreSQL failed.
    #[error("cannot write the journal")]
    Database(#[source] WireError),
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is done.
    Done(Value),
    /// What it waited for failed.
    Failed(String),
    /// It waits for a time, an event or another job.
    Waiting,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Until so much time has passed.
    Time(Duration),
    /// Until an event of that name comes, at most so long.
    Event(String, Duration),
    /// Until a job of that binding, made with this input, has ended.
    Job(String, String),
}

/// The steps of one job, as this attempt knows them.
#[derive(Clone)]
pub struct Journal {
    store: Arc<Store>,
    rule: Arc<Rule>,
    job: Claimed,
    worker: i64,
    steps: Arc<Mutex<BTreeMap<String, Step>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("job", &self.job.id).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn new(
        store: Arc<Store>,
        rule: Arc<Rule>,
        (job, worker): (Claimed, i64),
        steps: BTreeMap<String, Step>,
    ) -> Self {
        Self { store, rule, job, worker, steps: Arc::new(Mutex::new(steps)) }
    }

    /// What is known of a step.
    pub fn get(&self, name: &str) -> Option<Step> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The values of all steps that are done, by name.
    pub fn values(&self) -> Value {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let done = steps.iter().filter_map(|(name, step)| match step {
            Step::Done(value) => Some((name.clone(), value.clone())),
            Step::Failed(_) | Step::Waiting => None,
        });
        Value::Object(done.collect())
    }

    /// Writes down what a step came to.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; then the step must be taken as not done.
    pub async fn record(&self, name: &str, value: Value) -> Result<(), JournalError> {
        self.room_for(name)?;
        let values = Values {
            step: Some(json!({"name": name, "out": value})),
            steps: Some(self.values()),
            ..Values::of(&self.job, &self.rule)
        };
        self.store.step_record((&self.job, self.worker), &self.rule, name, &values).await?;
        self.remember(name, Step::Done(value));
        Ok(())
    }

    /// Has a step wait. The action then answers [`Outcome::Waits`](crate::action::Outcome::Waits).
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn wait(&self, name: &str, until: Until) -> Result<(), JournalError> {
        self.room_for(name)?;
        self.store.step_wait(&self.job, self.worker, name, &until).await?;
        self.remember(name, Step::Waiting);
        Ok(())
    }

    fn room_for(&self, name: &str) -> Result<(), JournalError> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = steps.len() < MAX_STEPS || steps.contains_key(name);
        if fits && name.len() <= MAX_STEP_NAME && !name.contains('\0') {
            Ok(())
        } else {
            Err(JournalError::Bound)
        }
    }

    fn remember(&self, name: &str, step: Step) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.insert(name.to_owned(), step);
    }
}
