//! A list of steps in the manifest, one after the other or beside each other.

use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::{Action, Actions, Call, Outcome, Work};
use crate::journal::{JournalError, Step as Entry, Until};
use crate::manifest::{self, Deed, Sql, Step};

/// `flow`: does its steps in order; what the last one gives is its output.
///
/// What a step gave is journaled, and the step is not done again: an attempt begins at the first step that is not there. A
/// step that waits parks the job, which holds no worker meanwhile. A step that fails fails the attempt. Steps beside each
/// other all run to their ends, whatever becomes of the others.
#[derive(Debug, Clone)]
pub struct Flow {
    actions: Actions,
}

/// How a step went.
enum Went {
    /// It gave this.
    On(Value),
    /// It goes on when one of these is done.
    Waits(Vec<String>),
    /// That is what the attempt comes to.
    Ends(Outcome),
}

impl Flow {
    /// A flow whose steps do these actions.
    pub fn new(actions: Actions) -> Self {
        Self { actions }
    }

    async fn steps(&self, call: &Call, steps: &[Step]) -> Outcome {
        let mut value = call.input.clone();
        for step in steps {
            match self.step(call, step, &value).await {
                Went::On(given) => value = given,
                Went::Waits(steps) => return Outcome::Waits(steps),
                Went::Ends(outcome) => return outcome,
            }
        }
        Outcome::Done(value)
    }

    async fn step(&self, call: &Call, step: &Step, before: &Value) -> Went {
        let went = self.attempt(call, step, before).await;
        went.unwrap_or_else(|error| Went::Ends(named(step, error.into())))
    }

    async fn attempt(
        &self,
        call: &Call,
        step: &Step,
        before: &Value,
    ) -> Result<Went, JournalError> {
        match call.journal.get(&step.name) {
            Some(Entry::Done(value)) => return Ok(Went::On(value)),
            Some(Entry::Waiting) => return Ok(Went::Waits(vec![step.name.clone()])),
            Some(Entry::Failed(error)) => {
                // The attempt fails with it, and the next one does it again.
                call.journal.forget(&step.name).await?;
                return Ok(Went::Ends(named(step, Outcome::Failed(error))));
            }
            None => {}
        }
        if !is_wanted(call, step).await? {
            call.journal.record(&step.name, Value::Null).await?;
            return Ok(Went::On(Value::Null));
        }
        match &step.deed {
            Deed::Act { action, with, input, open } => {
                let input = match input {
                    Some(sql) => json(ask(call, sql).await?),
                    None => before.clone(),
                };
                let with = Value::Object(with.clone());
                let mut call = call.of_step(&step.name, action, input, with);
                self.act(&mut call, step, (action, open)).await
            }
            Deed::Parallel(branches) => self.beside(call, step, branches, before).await,
            Deed::Sleep { .. } | Deed::Wait { .. } | Deed::Call(_) => {
                let Some(until) = until(call, &step.deed, before).await? else {
                    call.journal.record(&step.name, Value::Null).await?;
                    return Ok(Went::On(Value::Null));
                };
                call.journal.wait(&step.name, until).await?;
                Ok(Went::Waits(vec![step.name.clone()]))
            }
        }
    }

    async fn act(
        &self,
        call: &mut Call,
        step: &Step,
        (action, open): (&str, &[String]),
    ) -> Result<Went, JournalError> {
        match self.actions.run(action, call, open).await {
            Outcome::Done(value) => {
                // An action that is a transaction has written it itself.
                if call.journal.get(&step.name).is_none() {
                    call.journal.ledger().accept();
                    call.journal.record(&step.name, value.clone()).await?;
                }
                Ok(Went::On(value))
            }
            Outcome::Waits(steps) => Ok(Went::Waits(steps)),
            outcome => Ok(Went::Ends(named(step, outcome))),
        }
    }

    /// Steps beside each other. All of them come to an end or a wait before that of one counts, so that nothing that was
    /// done is lost.
    async fn beside(
        &self,
        call: &Call,
        step: &Step,
        branches: &[Step],
        before: &Value,
    ) -> Result<Went, JournalError> {
        let runs = branches.iter().map(|branch| Box::pin(self.step(call, branch, before)));
        let (mut values, mut waits, mut ends) = (Map::new(), Vec::new(), Vec::new());
        for (branch, went) in branches.iter().zip(join_all(runs).await) {
            match went {
                Went::On(value) => drop(values.insert(branch.name.clone(), value)),
                Went::Waits(steps) => waits.extend(steps),
                Went::Ends(outcome) => ends.push(outcome),
            }
        }
        if let Some(worst) = ends.into_iter().max_by_key(gravity) {
            return Ok(Went::Ends(worst));
        }
        if !waits.is_empty() {
            return Ok(Went::Waits(waits));
        }
        let value = Value::Object(values);
        call.journal.record(&step.name, value.clone()).await?;
        Ok(Went::On(value))
    }
}

impl Action for Flow {
    fn name(&self) -> &'static str {
        "flow"
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        match with.as_object().is_none_or(Map::is_empty) {
            true => Ok(()),
            false => Err("`flow` has no settings".to_owned()),
        }
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(self.steps(call, call.journal.flow()))
    }
}

/// Which of several outcomes the attempt has.
fn gravity(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Unknown(_) => 3,
        Outcome::Never(_) => 2,
        Outcome::Failed(_) => 1,
        Outcome::NotBefore(..) | Outcome::Waits(_) | Outcome::Done(_) => 0,
    }
}

/// The outcome with the step's name in its reason.
fn named(step: &Step, outcome: Outcome) -> Outcome {
    let told = |error: String| format!("step `{}`: {error}", step.name);
    match outcome {
        Outcome::Failed(error) => Outcome::Failed(told(error)),
        Outcome::Never(error) => Outcome::Never(told(error)),
        Outcome::Unknown(error) => Outcome::Unknown(told(error)),
        Outcome::NotBefore(wait, error) => Outcome::NotBefore(wait, told(error)),
        Outcome::Done(_) | Outcome::Waits(_) => outcome,
    }
}

/// Whether its condition holds. That of steps beside each other is asked once, before the first of them begins.
async fn is_wanted(call: &Call, step: &Step) -> Result<bool, JournalError> {
    let Some(when) = &step.when else { return Ok(true) };
    if let Deed::Parallel(branches) = &step.deed
        && branches.iter().any(|branch| call.journal.get(&branch.name).is_some())
    {
        return Ok(true);
    }
    let script = call.journal.script(when).into_test();
    let role = call.role.as_deref();
    Ok(call.journal.ask((&script, role), &call.input).await?.as_deref() == Some("t"))
}

async fn ask(call: &Call, sql: &Sql) -> Result<Option<String>, JournalError> {
    let script = call.journal.script(sql);
    call.journal.ask((&script, call.role.as_deref()), &call.input).await
}

fn json(text: Option<String>) -> Value {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// What a step waits for that does nothing itself; `None` when it calls a binding for no row.
async fn until(call: &Call, deed: &Deed, before: &Value) -> Result<Option<Until>, JournalError> {
    let row = call.row.clone();
    Ok(Some(match deed {
        Deed::Wait { event, key, timeout_ms } => {
            let key = match key {
                Some(sql) => ask(call, sql).await?,
                None => row,
            };
            let limit = std::time::Duration::from_millis(*timeout_ms);
            Until::Keyed { event: event.clone(), key, limit }
        }
        Deed::Call(manifest::Call { binding, row: query }) => {
            let key = match query {
                Some(sql) => match ask(call, sql).await? {
                    Some(key) => Some(key),
                    None => return Ok(None),
                },
                None => row,
            };
            Until::Row { binding: binding.clone(), key, input: before.clone() }
        }
        Deed::Sleep { ms } => Until::Time(std::time::Duration::from_millis(*ms)),
        Deed::Act { .. } | Deed::Parallel(_) => Until::Time(std::time::Duration::ZERO),
    }))
}
