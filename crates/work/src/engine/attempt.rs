//! One attempt of one job, from input to outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plinth_wire::WireError;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::Shared;
use super::finisher::Ending;
use crate::action::{Call, Outcome};
use crate::counters::BindingCounters;
use crate::journal::{Journal, JournalError};
use crate::rule::{Rule, Values};
use crate::store::{Claimed, Ended, Finish};

/// A wait after which work is tried again that PostgreSQL refused for reasons of its own.
const BREATH: Duration = Duration::from_secs(1);

/// An attempt that is about to run.
pub(super) struct Attempt {
    shared: Arc<Shared>,
    finisher: mpsc::Sender<Ending>,
    rule: Arc<Rule>,
    job: Claimed,
    worker: i64,
    /// Whether it may have steps.
    journaled: Arc<AtomicBool>,
    counted: Arc<BindingCounters>,
}

impl Attempt {
    pub(super) fn new(
        shared: Arc<Shared>,
        finisher: mpsc::Sender<Ending>,
        rule: Arc<Rule>,
        job: Claimed,
    ) -> Self {
        let worker = shared.worker();
        let counted = shared.counters.of_binding(&rule.name);
        counted.claims.fetch_add(1, Ordering::Relaxed);
        let journaled = Arc::new(AtomicBool::new(job.has_steps));
        Self { shared, finisher, rule, job, worker, journaled, counted }
    }

    /// Runs it, unless it is cancelled, and writes what it came to.
    pub(super) async fn run(self, cancel: Arc<Notify>) {
        let counters = &self.shared.counters;
        if self.job.attempt == 1 {
            counters.waits.observe(self.job.waited);
        }
        let begun = Instant::now();
        let outcome = tokio::select! {
            outcome = self.act() => outcome,
            () = cancel.notified() => Err(JournalError::Lost),
        };
        let gone = matches!(outcome, Ok(None));
        let written = match outcome {
            Ok(Some((outcome, values))) => self.write(outcome, values).await,
            Ok(None) => Err(JournalError::Lost),
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {}
            Err(JournalError::Lost) => self.give_up(gone).await,
            Err(error) => self.put_back(error).await,
        }
        counters.runs.observe(begun.elapsed());
        self.shared.ended(self.job.id);
    }

    /// Input and action; `None` when there is no row.
    async fn act(&self) -> Result<Option<(Outcome, Values)>, JournalError> {
        let mut values = Values::of(&self.job, &self.rule);
        if self.job.failures >= self.rule.retry.attempts {
            let error = "its worker was lost in the last attempt".to_owned();
            return Ok(Some((Outcome::Never(error), values)));
        }
        if self.rule.input.is_some() || !self.rule.running.is_empty() {
            let store = &self.shared.store;
            match store.job_prepare(&self.job, self.worker, &self.rule, &values).await {
                Ok(Some(input)) => values.input = Some(input),
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some((self.own_sql("input", error)?, values))),
            }
        }
        let (mut call, ended) = self.call(values.input.clone().unwrap_or_default()).await?;
        if let Err(error) = call.journal.note(&ended).await {
            return Ok(Some((self.own_sql("each_step", error)?, values)));
        }
        let run = self.shared.actions.run(&self.rule.action, &mut call, &self.rule.open);
        let outcome = timeout(self.rule.timeout, run).await;
        let outcome = outcome.unwrap_or_else(|_late| {
            Outcome::Failed(format!("took longer than {:?}", self.rule.timeout))
        });
        if matches!(outcome, Outcome::Done(_)) {
            call.journal.ledger().accept();
        }
        values.used = call.journal.ledger().take_all();
        if self.job.has_steps || !self.rule.done.is_empty() {
            values.steps = Some(call.journal.values());
        }
        Ok(Some((outcome, values)))
    }

    /// What the action gets, and which of its waits have ended meanwhile.
    async fn call(&self, input: Value) -> Result<(Call, Vec<Ended>), JournalError> {
        let store = &self.shared.store;
        let (steps, ended) = match self.job.has_steps {
            true => store.step_list(self.job.id).await.map_err(JournalError::Database)?,
            false => Default::default(),
        };
        let (rule, job) = (Arc::clone(&self.rule), (self.job.clone(), self.worker));
        let call = Call {
            project: Arc::clone(&self.shared.project),
            binding: self.rule.name.clone(),
            job: self.job.id,
            attempt: self.job.failures + 1,
            failures: self.job.failures,
            row: self.job.key.clone(),
            input,
            with: self.rule.with.clone(),
            role: self.rule.role.clone(),
            timeout: self.rule.timeout,
            step: None,
            journal: Journal::new(Arc::clone(store), rule, job, steps, Arc::clone(&self.journaled)),
        };
        Ok((call, ended))
    }

    async fn write(&self, outcome: Outcome, mut values: Values) -> Result<(), JournalError> {
        let counters = &self.shared.counters;
        match outcome {
            Outcome::Done(out) => {
                values.out = Some(out.clone());
                let (rule, job) = (Arc::clone(&self.rule), self.job.clone());
                let (tell, told) = oneshot::channel();
                let plain = job.alone && !self.journaled.load(Ordering::Relaxed);
                let finish = Finish { job, plain, rule, out, values: values.clone() };
                if self.finisher.send((finish, tell)).await.is_err() {
                    return Err(JournalError::Lost);
                }
                match told.await {
                    Ok(Err(JournalError::Database(error))) => {
                        let what = match values.used.is_empty() {
                            true => "done",
                            false => "done` or `record",
                        };
                        let failed =
                            self.of_database(what, &error).ok_or(JournalError::Database(error))?;
                        Box::pin(self.write(failed, values)).await
                    }
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(())) => {
                        counters.done.fetch_add(1, Ordering::Relaxed);
                        self.counted.done.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    }
                    Err(_stopped) => Err(JournalError::Lost),
                }
            }
            Outcome::Failed(error) => {
                let failures = self.job.failures + 1;
                let delay = self.rule.retry.delay(failures, rand::random());
                self.fail(values, error, delay, true).await
            }
            Outcome::Never(error) => self.fail(values, error, None, true).await,
            Outcome::Unknown(error) => {
                self.fail(values, format!("unknown outcome: {error}"), None, true).await
            }
            Outcome::NotBefore(delay, error) => self.fail(values, error, Some(delay), false).await,
            Outcome::Waits(steps) => {
                let job = (&self.job, self.worker);
                let store = &self.shared.store;
                match store.job_park(job, &self.rule, &steps, &values).await {
                    Err(JournalError::Database(error)) if !values.used.is_empty() => {
                        let failed = self
                            .of_database("record", &error)
                            .ok_or(JournalError::Database(error))?;
                        Box::pin(self.write(failed, values)).await
                    }
                    parked => parked,
                }
            }
        }
    }

    async fn fail(
        &self,
        mut values: Values,
        error: String,
        delay: Option<Duration>,
        counts: bool,
    ) -> Result<(), JournalError> {
        let counters = &self.shared.counters;
        let (all, own) = match delay {
            None => (&counters.dead, &self.counted.dead),
            Some(_) => (&counters.retries, &self.counted.retries),
        };
        all.fetch_add(1, Ordering::Relaxed);
        own.fetch_add(1, Ordering::Relaxed);
        values.error = Some(error);
        let job = (&self.job, self.worker);
        let store = &self.shared.store;
        let written = store.job_fail(job, &self.rule, delay, counts, &values).await;
        let Err(JournalError::Database(mut refusal)) = written else { return written };
        // What its calls used, or its last words, cannot be written. It has failed all the same, with both errors.
        let silent = Rule { failed: Vec::new(), ..(*self.rule).clone() };
        let used = std::mem::take(&mut values.used);
        let tries = [(&*self.rule, None), (&silent, Some(&used)), (&silent, None)];
        let has_words = delay.is_none() && !self.rule.failed.is_empty();
        let tries = match (has_words, used.is_empty()) {
            (_, true) => &tries[if has_words { 2 } else { 3 }..],
            (true, false) => &tries[..],
            (false, false) => &tries[..1],
        };
        let first = values.error.take().unwrap_or_default();
        for (rule, used) in tries {
            if self.of_database("failed", &refusal).is_none() {
                break;
            }
            values.error = Some(format!("{first}; and then `failed` or `record`: {refusal}"));
            values.used = used.cloned().unwrap_or_default();
            match store.job_fail(job, rule, delay, counts, &values).await {
                Err(JournalError::Database(error)) => refusal = error,
                written => return written,
            }
        }
        Err(JournalError::Database(refusal))
    }

    /// What an error of the manifest's own SQL before the action means for the attempt, unless it is none of its own.
    fn own_sql(&self, what: &str, error: JournalError) -> Result<Outcome, JournalError> {
        match error {
            JournalError::Database(error) => {
                self.of_database(what, &error).ok_or(JournalError::Database(error))
            }
            other => Err(other),
        }
    }

    /// What the failure of the manifest's own SQL means for the job; `None` when PostgreSQL is not to be reached.
    fn of_database(&self, what: &str, error: &WireError) -> Option<Outcome> {
        match error {
            WireError::Database(database) if !database.is_fatal() => {
                Some(Outcome::Failed(format!("`{what}`: {} ({})", database.message, database.code)))
            }
            _ => None,
        }
    }

    /// It was cancelled, its row is gone, or it is somebody else's by now.
    async fn give_up(&self, gone: bool) {
        match self.shared.store.job_cancel(&self.job, self.worker, gone).await {
            Ok(true) => {
                self.shared.counters.cancelled.fetch_add(1, Ordering::Relaxed);
                self.counted.cancelled.fetch_add(1, Ordering::Relaxed);
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(job.id = self.job.id, error = %error, "cannot write that a job was cancelled");
            }
        }
    }

    /// PostgreSQL was not there to write what became of it: it runs again, and its steps do not.
    async fn put_back(&self, error: JournalError) {
        tracing::warn!(job.id = self.job.id, binding.name = %self.rule.name, error = %error, "cannot write what a job came to");
        let values = Values { error: Some(error.to_string()), ..Values::of(&self.job, &self.rule) };
        let job = (&self.job, self.worker);
        for wait in [1, 2, 4] {
            tokio::time::sleep(BREATH * wait).await;
            let store = &self.shared.store;
            let written = store.job_fail(job, &self.rule, Some(BREATH), false, &values).await;
            match written {
                Ok(()) => return,
                Err(JournalError::Database(_)) => {}
                // Its end was written after all, or it was cancelled meanwhile.
                Err(_lost) => return self.give_up(false).await,
            }
        }
    }
}
