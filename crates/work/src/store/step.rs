//! Statements on the journal of a job.

use std::collections::BTreeMap;

use plinth_wire::{Row, Rows, Statement, WireError};
use serde_json::{Value, json};

use super::{
    Claimed, LIMIT, OWNER, STEP_CALL, STEP_FORGET, STEP_LIST, STEP_NOTE, STEP_RECORD, STEP_RUN,
    STEP_SETTLE, STEP_WAIT, Store, json_at, lost_or, statement, text_at,
};
use crate::journal::{JournalError, Step, Until};
use crate::manifest::Name;
use crate::rule::{Rule, Script, Values};
use crate::value::{self, nullable_texts, text};

/// A statement that is a step.
pub(crate) struct StepRun<'a> {
    pub(crate) name: &'a str,
    /// How many steps came before it.
    pub(crate) index: usize,
    /// Whose rights it has; `None`: the owner role.
    pub(crate) role: Option<&'a str>,
    pub(crate) script: &'a Script,
    pub(crate) values: &'a Values,
}

/// A step whose wait has ended, and of which its job has not taken note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) name: String,
    /// How many steps ended before it.
    pub(crate) index: usize,
}

impl Store {
    /// The journal of a job that is ours, in which waits whose time is over are done, and those that nobody took note of.
    pub(crate) async fn step_list(
        &self,
        job: i64,
    ) -> Result<(BTreeMap<String, Step>, Vec<Ended>), WireError> {
        let of = || vec![text(job)];
        let statements = vec![statement(&STEP_SETTLE, of()), statement(&STEP_LIST, of())];
        let rows = self.run(statements).await?.pop().map(Rows::into_text).unwrap_or_default();
        let step = |row: &Row| {
            let step = match (text_at(row, 1).as_deref(), text_at(row, 3)) {
                (Some("t"), Some(error)) => Step::Failed(error),
                (Some("t"), None) => Step::Done(json_at(row, 2)),
                _ => Step::Waiting,
            };
            Some((text_at(row, 0)?, step))
        };
        let done = rows.iter().filter(|row| text_at(row, 1).as_deref() == Some("t"));
        let ended = done.enumerate().filter_map(|(index, row)| {
            let open = text_at(row, 4).as_deref() == Some("f");
            open.then_some(Ended { name: text_at(row, 0)?, index })
        });
        Ok((rows.iter().filter_map(step).collect(), ended.collect()))
    }

    /// Has the job take note of the end of a wait, with `each_step` behind it.
    pub(crate) async fn step_note(
        &self,
        (job, worker): (&Claimed, i64),
        rule: &Rule,
        name: &str,
        values: &Values,
    ) -> Result<(), JournalError> {
        let params = with(mine(job, worker), [text(name)]);
        let mut statements = vec![statement(&STEP_NOTE, params)];
        statements.extend(self.scripts(rule, &rule.each_step, values));
        self.run(statements).await.map(drop).map_err(lost_or)
    }

    pub(crate) async fn step_record(
        &self,
        (job, worker): (&Claimed, i64),
        rule: &Rule,
        name: &str,
        values: &Values,
    ) -> Result<(), JournalError> {
        let out = values.step.as_ref().and_then(|step| step.get("out")).unwrap_or(&Value::Null);
        let params = with(mine(job, worker), [text(name), text(out)]);
        let mut statements = vec![statement(&STEP_RECORD, params)];
        statements.extend(self.scripts(rule, &rule.each_step, values));
        statements.extend(self.records(rule, values));
        self.run(statements).await.map(drop).map_err(lost_or)
    }

    /// Has a step wait. False when it is for a binding that there is not.
    pub(crate) async fn step_wait(
        &self,
        job: &Claimed,
        worker: i64,
        name: &str,
        until: &Until,
    ) -> Result<bool, JournalError> {
        let event = |event: &str, key: Option<&String>, limit: std::time::Duration| {
            [text('e'), text(limit.as_secs_f64()), text(event), key.and_then(text)]
        };
        let call = |binding: &str, input: value::Value, key: Option<&String>| {
            [text(binding), input, key.and_then(text)]
        };
        let params = with(mine(job, worker), [text(name)]);
        let (sql, params) = match until {
            Until::Time(wait) => {
                (&STEP_WAIT, with(params, [text('s'), text(wait.as_secs_f64()), None, None]))
            }
            Until::Event(name, limit) => (&STEP_WAIT, with(params, event(name, None, *limit))),
            Until::Keyed { event: name, key, limit } => {
                (&STEP_WAIT, with(params, event(name, key.as_ref(), *limit)))
            }
            Until::Job(binding, input) => {
                (&STEP_CALL, with(params, call(binding, text(input), None)))
            }
            Until::Row { binding, key, input } => {
                (&STEP_CALL, with(params, call(binding, text(input), key.as_ref())))
            }
        };
        let rows = self.one(sql, params).await.map_err(lost_or)?;
        Ok(rows.first().and_then(|row| text_at(row, 0)).as_deref() == Some("t"))
    }

    /// Forgets a step that failed.
    pub(crate) async fn step_forget(
        &self,
        job: &Claimed,
        worker: i64,
        name: &str,
    ) -> Result<(), JournalError> {
        let params = with(mine(job, worker), [text(name)]);
        self.one(&STEP_FORGET, params).await.map(drop).map_err(lost_or)
    }

    /// Runs a statement and journals its result, both or neither, with `each_step` behind it.
    pub(crate) async fn step_run(
        &self,
        (job, worker): (&Claimed, i64),
        rule: &Rule,
        run: &StepRun<'_>,
    ) -> Result<Value, JournalError> {
        let own = run.script.statement(run.values);
        let after: Vec<Value> =
            rule.each_step.iter().map(|script| afterwards(script, run.values)).collect();
        let params = with(
            mine(job, worker),
            [
                text(run.name),
                text(run.index),
                run.role.and_then(text),
                text(&own.sql),
                nullable_texts(&own.params),
                rule.role.as_ref().and_then(text),
                text(Value::Array(after)),
            ],
        );
        let mut statements = vec![
            statement(&LIMIT, vec![text(rule.timeout.as_millis())]),
            statement(&STEP_RUN, params),
            statement(&OWNER, vec![text(&self.owner)]),
        ];
        statements.extend(self.records(rule, run.values));
        let rows = self.run(statements).await.map_err(lost_or)?;
        let rows = rows.into_iter().nth(1).map(Rows::into_text).unwrap_or_default();
        Ok(rows.first().map(|row| json_at(row, 0)).unwrap_or_default())
    }

    /// Asks the database something for a step: the first column of the first row.
    pub(crate) async fn step_ask(
        &self,
        (job, worker): (&Claimed, i64),
        rule: &Rule,
        (script, role): (&Script, Option<&str>),
        values: &Values,
    ) -> Result<Option<String>, JournalError> {
        let mut statements: Vec<Statement> = vec![self.mine(&super::MINE, job, worker)];
        statements.extend(self.scripts_as(role, rule, std::slice::from_ref(script), values));
        let mut rows = self.run(statements).await.map_err(lost_or)?;
        // The role is put back after it.
        rows.pop();
        let rows = rows.pop().map(Rows::into_text).unwrap_or_default();
        Ok(rows.first().and_then(|row| text_at(row, 0)))
    }
}

fn mine(job: &Claimed, worker: i64) -> Vec<value::Value> {
    vec![text(job.id), text(job.attempt), text(worker)]
}

fn with<const N: usize>(
    mut params: Vec<value::Value>,
    more: [value::Value; N],
) -> Vec<value::Value> {
    params.extend(more);
    params
}

/// A statement for `plinth.run_step` to run with the step that it made.
fn afterwards(script: &Script, values: &Values) -> Value {
    let statement = script.statement(values);
    let params = statement
        .params
        .iter()
        .map(|value| value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned()));
    let step = script.names().iter().position(|name| *name == Name::Step);
    json!({
        "sql": &*statement.sql,
        "params": params.collect::<Vec<_>>(),
        "step": step.map(|index| index + 1),
    })
}
