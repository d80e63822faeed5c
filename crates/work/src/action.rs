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

use plinth_wire::{Secret, WireError};
use serde_json::Value;

pub use flow::Flow;
pub use http::{HttpRequest, MAX_ANSWER, Secrets, signing_secret};
pub use noop::Noop;
pub use sql::SqlStatement;

use crate::journal::{Journal, JournalError};
use crate::sealed::{self, Opener, Unopened};
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

    /// Where it wants sealed values opened in its input, with these settings: paths such as `account.access_token`, besides
    /// those that the manifest names.
    fn opens(&self, _with: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Values that these settings name, such as variables of the environment, and that must not come back: they are taken
    /// out of what it says and journals.
    fn conceals(&self, _project: &str, _with: &Value) -> Vec<Secret> {
        Vec::new()
    }

    /// Does it. The future is dropped when the job is cancelled, its time is over, or its worker lost its lease.
    fn run<'a>(&'a self, call: &'a Call) -> Work<'a>;
}

/// One attempt of a job, for its action.
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

impl fmt::Debug for Call {
    /// Without the input, which may have secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut call = f.debug_struct("Call");
        call.field("binding", &self.binding).field("job", &self.job).field("step", &self.step);
        call.finish_non_exhaustive()
    }
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
    pub fn used(&self, mut usage: Value) {
        sealed::hide(&mut usage, self.journal.hidden());
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
pub struct Actions {
    all: HashMap<&'static str, Arc<dyn Action>>,
    opener: Option<Arc<dyn Opener>>,
}

impl Actions {
    /// Adds an action; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, action: impl Action + 'static) -> Self {
        self.all.insert(action.name(), Arc::new(action));
        self
    }

    /// Has sealed values opened by somebody.
    #[must_use]
    pub fn with_opener(mut self, opener: impl Opener + 'static) -> Self {
        self.opener = Some(Arc::new(opener));
        self
    }

    /// Adds `flow`, whose steps are all that were added before, with the opener of before.
    #[must_use]
    pub fn with_flow(self) -> Self {
        let flow = Flow::new(self.clone());
        self.with(flow)
    }

    /// The action of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Action>> {
        self.all.get(name)
    }

    /// Does an action, which gets the sealed values at these paths opened. They are nowhere else: not in what comes back, and
    /// not in what it journals.
    pub(crate) async fn run(&self, action: &str, call: &mut Call, open: &[String]) -> Outcome {
        let Some(action) = self.get(action) else {
            return Outcome::Never(format!("there is no action `{action}`"));
        };
        let paths = [open, &action.opens(&call.with)].concat();
        match sealed::open_at(self.opener.as_deref(), &mut call.input, &paths).await {
            Ok(mut secrets) => {
                secrets.extend(action.conceals(&call.project, &call.with));
                call.journal.hide(secrets);
            }
            Err(Unopened::Never(error)) => return Outcome::Never(error),
            Err(Unopened::NoKey(error)) => return Outcome::Failed(error),
        }
        let mut outcome = action.run(call).await;
        let secrets = call.journal.hidden();
        match &mut outcome {
            Outcome::Done(value) => sealed::hide(value, secrets),
            Outcome::Failed(error)
            | Outcome::Never(error)
            | Outcome::Unknown(error)
            | Outcome::NotBefore(_, error) => sealed::hide_in_text(error, secrets),
            Outcome::Waits(_) => {}
        }
        outcome
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.all.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Actions").field(&self.names()).finish()
    }
}
