//! What a job does: one trait for SQL, HTTP, flows and every connector.

mod flow;
mod http;
mod noop;
mod sql;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use plinth_wire::WireError;
use serde_json::Value;

pub use flow::Flow;
pub use http::{HttpRequest, MAX_ANSWER, Secrets, signing_secret};
pub use noop::Noop;
pub use sql::SqlStatement;

use crate::journal::{Journal, JournalError};
use crate::store::{NO_KEY, NO_ROW};

/// What an action's work is, boxed: actions are chosen by name.
pub type Work<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Something that a job can do.
pub trait Action: Send + Sync {
    /// Its name in manifests, such as `http.request`.
    fn name(&self) -> &'static str;

    /// Whether these settings will do, before anything runs.
    ///
    /// # Errors
    ///
    /// What is wrong, in words for the manifest's author.
    fn check(&self, with: &Value) -> Result<(), String>;

    /// Does it. The future is dropped when the job is cancelled, its time is over, or its worker lost its lease.
    fn run<'a>(&'a self, call: &'a Call) -> Work<'a>;
}

/// One attempt of a job, for its action.
#[derive(Debug)]
pub struct Call {
    /// The project's name.
    pub project: Arc<str>,
    /// The binding's name.
    pub binding: String,
    /// The job.
    pub job: i64,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// How many attempts failed before.
    pub failures: u32,
    /// Key of the row that it is about.
    pub row: Option<String>,
    /// What `input` gave, or what the job was made with.
    pub input: Value,
    /// Settings of the action.
    pub with: Value,
    /// The role whose rights its SQL has; `None`: the owner role.
    pub role: Option<String>,
    /// How long this attempt may take.
    pub timeout: Duration,
    /// The step of a flow that it is.
    pub step: Option<String>,
    /// What its steps came to.
    pub journal: Journal,
}

impl Call {
    /// The call of an action that is a step of this one.
    fn of_step(&self, step: &str, action: &str, input: Value, with: Value) -> Self {
        Self {
            project: Arc::clone(&self.project),
            binding: self.binding.clone(),
            job: self.job,
            attempt: self.attempt,
            failures: self.failures,
            row: self.row.clone(),
            input,
            with,
            role: self.role.clone(),
            timeout: self.timeout,
            step: Some(step.to_owned()),
            journal: self.journal.of_step(step, action),
        }
    }

    /// Says what the call used, such as tokens and cost. Meters of the manifest record it with whatever the call or the
    /// attempt comes to: a step, success, failure, a wait. Each report is recorded by itself; a call that succeeds without
    /// any is recorded once, with null.
    pub fn used(&self, usage: Value) {
        self.journal.ledger().report(usage);
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done; the value becomes `$out`.
    Done(Value),
    /// It failed, and may be tried again.
    Failed(String),
    /// It failed, and trying again will not help.
    Never(String),
    /// Nobody knows whether it happened: trying again could do it twice.
    Unknown(String),
    /// Not before so much time has passed, as a provider said; the attempt does not count. Other jobs under the same
    /// rate limit wait as well.
    NotBefore(Duration, String),
    /// It goes on when one of these steps is done.
    Waits(Vec<String>),
}

/// How long a job waits when PostgreSQL was not there to write its journal.
const BREATH: Duration = Duration::from_secs(1);

impl From<JournalError> for Outcome {
    /// What it means for an attempt that its journal could not be written or asked.
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Bound | JournalError::NoBinding(_) => Self::Never(error.to_string()),
            // Whatever is said is not heard.
            JournalError::Lost => Self::Failed(error.to_string()),
            JournalError::Database(WireError::Database(error)) if error.code == NO_KEY => {
                Self::Never(error.message)
            }
            JournalError::Database(WireError::Database(error)) if error.code == NO_ROW => {
                Self::Failed(error.message)
            }
            JournalError::Database(WireError::Database(error)) if !error.is_fatal() => {
                Self::Failed(format!("{} ({})", error.message, error.code))
            }
            JournalError::Database(error) => Self::NotBefore(BREATH, error.to_string()),
        }
    }
}

/// The actions that there are, by name.
#[derive(Clone, Default)]
pub struct Actions(HashMap<&'static str, Arc<dyn Action>>);

impl Actions {
    /// Adds an action; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, action: impl Action + 'static) -> Self {
        self.0.insert(action.name(), Arc::new(action));
        self
    }

    /// Adds `flow`, whose steps are all that were added before.
    #[must_use]
    pub fn with_flow(self) -> Self {
        let flow = Flow::new(self.clone());
        self.with(flow)
    }

    /// The action of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Action>> {
        self.0.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Actions").field(&self.names()).finish()
    }
}
