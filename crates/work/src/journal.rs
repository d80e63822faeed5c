//! What the steps of a job came to. A step that is here does not run again, whatever happened since.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plinth_wire::{Secret, WireError};
use serde_json::{Value, json};

use crate::manifest::{self, Sql};
use crate::meter::{Ledger, Used};
use crate::rule::{Rule, Script, Values};
use crate::sealed;
use crate::store::{Claimed, Ended, StepRun, Store};

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
    /// There is no binding of that name.
    #[error("there is no binding `{0}`")]
    NoBinding(String),
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
    /// Until an event of that name and without a key comes, at most so long.
    Event(String, Duration),
    /// Until an event of that name with this key comes, at most so long.
    Keyed {
        /// The event's name.
        event: String,
        /// Its key; `None`: an event without one.
        key: Option<String>,
        /// How long; then the step's value is null. That of an event never is.
        limit: Duration,
    },
    /// Until a job of that binding, made with this input, has ended.
    Job(String, String),
    /// Until a job of a binding for a row has ended.
    Row {
        /// The binding's name.
        binding: String,
        /// The row's key.
        key: Option<String>,
        /// What the job is made with.
        input: Value,
    },
}

/// The steps of one job, as this attempt knows them.
#[derive(Clone)]
pub struct Journal {
    store: Arc<Store>,
    rule: Arc<Rule>,
    job: Claimed,
    worker: i64,
    steps: Arc<Mutex<BTreeMap<String, Step>>>,
    /// The place of the next step at least: those beside each other are journaled at the same time.
    next_place: Arc<AtomicUsize>,
    /// Whether there are steps, or the answer to one was lost.
    journaled: Arc<AtomicBool>,
    ledger: Ledger,
    /// What must not come into it.
    hidden: Arc<[Secret]>,
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
        journaled: Arc<AtomicBool>,
    ) -> Self {
        let ledger = Ledger::new(&rule.action, Arc::clone(&rule.meters));
        let (steps, hidden) = (Arc::new(Mutex::new(steps)), Arc::default());
        let next_place = Arc::default();
        Self { store, rule, job, worker, steps, next_place, journaled, ledger, hidden }
    }

    /// The same journal, for a step that calls an action.
    pub(crate) fn of_step(&self, step: &str, action: &str) -> Self {
        Self { ledger: self.ledger.of_step(step, action), ..self.clone() }
    }

    /// Has these secrets taken out of what is journaled.
    pub(crate) fn hide(&mut self, secrets: Vec<Secret>) {
        self.hidden = secrets.into();
    }

    /// The secrets that the call was given.
    pub(crate) fn hidden(&self) -> &[Secret] {
        &self.hidden
    }

    /// What the calls of this attempt have used.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
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
    pub async fn record(&self, name: &str, mut value: Value) -> Result<(), JournalError> {
        self.room_for(name)?;
        sealed::hide(&mut value, &self.hidden);
        let step = json!({"name": name, "index": self.take_place(), "out": value});
        let values = Values { step: Some(step), used: self.ledger.take_own(), ..self.named(None) };
        let job = (&self.job, self.worker);
        let written = self.store.step_record(job, &self.rule, name, &values).await;
        self.written(written, values.used)?;
        self.remember(name, Step::Done(value));
        Ok(())
    }

    /// Has a step wait. The action then answers [`Outcome::Waits`](crate::action::Outcome::Waits).
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn wait(&self, name: &str, mut until: Until) -> Result<(), JournalError> {
        self.room_for(name)?;
        match &mut until {
            Until::Row { input, .. } => sealed::hide(input, &self.hidden),
            Until::Job(_, input) => sealed::hide_in_text(input, &self.hidden),
            Until::Time(_) | Until::Event(..) | Until::Keyed { .. } => {}
        }
        let known = self.store.step_wait(&self.job, self.worker, name, &until).await?;
        if let (false, Until::Job(binding, _) | Until::Row { binding, .. }) = (known, until) {
            return Err(JournalError::NoBinding(binding));
        }
        self.remember(name, Step::Waiting);
        Ok(())
    }

    /// Forgets a step that failed, so that the next attempt does it again.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn forget(&self, name: &str) -> Result<(), JournalError> {
        self.store.step_forget(&self.job, self.worker, name).await?;
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Takes note of waits that have ended since the last attempt, in their order: `each_step` runs for them.
    pub(crate) async fn note(&self, ended: &[Ended]) -> Result<(), JournalError> {
        if self.rule.each_step.is_empty() {
            return Ok(());
        }
        for (at, step) in ended.iter().enumerate() {
            let (out, error) = match self.get(&step.name) {
                Some(Step::Done(out)) => (out, None),
                Some(Step::Failed(error)) => (Value::Null, Some(error)),
                Some(Step::Waiting) | None => continue,
            };
            let entry = json!({"name": step.name, "index": step.index, "out": out, "error": error});
            let mut values = Values { step: Some(entry), ..self.named(None) };
            if let Some(Value::Object(steps)) = &mut values.steps {
                steps.retain(|name, _| !ended[at..].iter().any(|later| later.name == *name));
            }
            let job = (&self.job, self.worker);
            self.store.step_note(job, &self.rule, &step.name, &values).await?;
        }
        Ok(())
    }

    /// All steps whose names begin so, with what is behind that.
    pub fn below(&self, scope: &str) -> Vec<(String, Step)> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let below = steps
            .iter()
            .filter_map(|(name, step)| Some((name.strip_prefix(scope)?.to_owned(), step.clone())));
        below.collect()
    }

    /// Runs a statement as a step, whose entry is written in the statement's own transaction. A step that is there does
    /// not run again.
    pub(crate) async fn run(
        &self,
        name: &str,
        (sql, role): (&Sql, Option<&str>),
        input: &Value,
    ) -> Result<Value, JournalError> {
        self.room_for(name)?;
        if self.ledger.is_step() {
            self.ledger.accept();
        }
        let values = Values { used: self.ledger.take_own(), ..self.named(Some(input)) };
        let script = self.script(sql);
        let run =
            StepRun { name, index: self.take_place(), role, script: &script, values: &values };
        let out = self.store.step_run((&self.job, self.worker), &self.rule, &run).await;
        let out = self.written(out, values.used)?;
        self.remember(name, Step::Done(out.clone()));
        Ok(out)
    }

    /// The first value that a query of the manifest gives, as text.
    pub(crate) async fn ask(
        &self,
        (script, role): (&Script, Option<&str>),
        input: &Value,
    ) -> Result<Option<String>, JournalError> {
        let values = self.named(Some(input));
        let job = (&self.job, self.worker);
        self.store.step_ask(job, &self.rule, (script, role), &values).await
    }

    /// The steps of the binding, where its action is `flow`.
    pub(crate) fn flow(&self) -> &[manifest::Step] {
        &self.rule.steps
    }

    /// A statement of the manifest, ready to run.
    pub(crate) fn script(&self, sql: &Sql) -> Script {
        let rendered = sql.render(&self.rule.key_type);
        Script::new(rendered.text, rendered.names)
    }

    /// Keeps what calls used where it is certain that it was not written. Where nobody knows, the step is looked for again,
    /// and what it used is written if it is not there.
    fn written<T>(
        &self,
        written: Result<T, JournalError>,
        used: Vec<Used>,
    ) -> Result<T, JournalError> {
        if let Err(JournalError::Database(WireError::Database(error))) = &written
            && !error.is_fatal()
        {
            self.ledger.give_back(used);
        }
        written
    }

    /// What SQL may name in the middle of an attempt.
    fn named(&self, input: Option<&Value>) -> Values {
        let mut values = Values::of(&self.job, &self.rule);
        if let Some(input) = input {
            values.input = Some(input.clone());
        }
        values.steps = Some(self.values());
        values
    }

    /// A place among the steps that are done, which no other step of this attempt is given.
    fn take_place(&self) -> usize {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let done = steps.values().filter(|step| !matches!(step, Step::Waiting)).count();
        let place = done.max(self.next_place.load(Ordering::Relaxed));
        self.next_place.store(place + 1, Ordering::Relaxed);
        place
    }

    fn room_for(&self, name: &str) -> Result<(), JournalError> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = steps.len() < MAX_STEPS || steps.contains_key(name);
        if fits && name.len() <= MAX_STEP_NAME && !name.contains('\0') {
            self.journaled.store(true, Ordering::Relaxed);
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
