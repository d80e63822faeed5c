//! Jobs: taken, prepared, ended, put back.

use std::sync::Arc;
use std::time::Duration;

use plinth_wire::{Rows, Statement, WireError};
use serde_json::{Value, json};

use super::read::{claimed, json_at, number, text_at};
use super::{
    CANCEL, CANCEL_CHILDREN, CANCEL_LEAVING, CLAIM, CLOSE_RATE, Claimed, FAIL, FINISH,
    FINISH_PLAIN, Finish, HASTE, HOLD, LIMIT, MINE, OWNER, PARK, PROMOTE, ROLE, STILL_MINE, SURVEY,
    SURVEY_END, Shared, Source, Store, Survey, TAKE_LIMITED, lost_or, statement,
};
use crate::journal::JournalError;
use crate::rule::{Rule, Script, Values};
use crate::value::{numbers, text, texts};

impl Store {
    /// Queues jobs whose time has come; says how many, at most `most`. Those that are to be cancelled and were held end.
    pub(crate) async fn job_promote(&self, most: usize) -> Result<usize, WireError> {
        let leaving = statement(&CANCEL_LEAVING, Vec::new());
        let rows = self.run(vec![leaving, statement(&PROMOTE, vec![text(most)])]).await?;
        Ok(rows.last().map_or(0, |rows| rows.text().len()))
    }

    pub(crate) async fn job_claim(
        &self,
        worker: i64,
        sources: &[Source],
        most: usize,
    ) -> Result<Vec<Claimed>, WireError> {
        let params = vec![
            text(worker),
            numbers(sources.iter().map(|source| source.binding)),
            numbers(sources.iter().map(|source| source.priority)),
            numbers(sources.iter().map(|source| source.place)),
            numbers(sources.iter().map(|source| source.until)),
            numbers(sources.iter().map(|source| source.most)),
            text(most),
        ];
        self.claimed(vec![statement(&HASTE, Vec::new()), statement(&CLAIM, params)]).await
    }

    /// Looks for `most` queued jobs in each of these, for as long as that takes.
    pub(crate) async fn job_survey(
        &self,
        sources: &[Source],
        most: usize,
    ) -> Result<Survey, WireError> {
        let params = vec![
            numbers(sources.iter().map(|source| source.binding)),
            numbers(sources.iter().map(|source| source.priority)),
            numbers(sources.iter().map(|source| source.until)),
            text(most),
        ];
        // The end first: what gets a place before it, and is not seen by the second, is not committed.
        let rows =
            self.run(vec![statement(&SURVEY_END, Vec::new()), statement(&SURVEY, params)]).await?;
        let [end, found] = rows.as_slice() else { return Err(WireError::Closed) };
        let end = end.text().first().and_then(|row| number(row, 0)).ok_or(WireError::Closed)?;
        let found = found.text().iter();
        let found =
            found.filter_map(|row| Some((number(row, 0)?, number(row, 1)?, number(row, 2)?)));
        Ok(Survey { end, found: found.collect() })
    }

    pub(crate) async fn job_take_limited(
        &self,
        worker: i64,
        rule: &Rule,
        most: usize,
    ) -> Result<Vec<Claimed>, WireError> {
        let rate = rule.rate;
        let params = vec![
            text(worker),
            text(rule.id),
            text(most),
            text(rate.map_or(0.0, |rate| rate.per.as_secs_f64())),
            rate.and_then(|rate| text(rate.max)),
            rule.seats.and_then(text),
        ];
        self.claimed(vec![statement(&TAKE_LIMITED, params)]).await
    }

    async fn claimed(&self, statements: Vec<Statement>) -> Result<Vec<Claimed>, WireError> {
        let rows = self.run(statements).await?.pop().map(Rows::into_text).unwrap_or_default();
        Ok(rows.iter().filter_map(claimed).collect())
    }

    /// Runs what comes before the action: `running`, then `input`, whose value is returned. `None` when there is no row.
    pub(crate) async fn job_prepare(
        &self,
        job: &Claimed,
        worker: i64,
        rule: &Rule,
        values: &Values,
    ) -> Result<Option<Value>, JournalError> {
        let mut statements = vec![self.mine(&MINE, job, worker)];
        if !rule.running.is_empty() {
            statements.extend(self.scripts(rule, &rule.running, values));
        }
        if let Some(input) = &rule.input {
            statements.extend(self.scripts(rule, std::slice::from_ref(input), values));
        }
        if !rule.running.is_empty() {
            // It may have waited for a row while another worker took its place.
            statements.push(self.mine(&STILL_MINE, job, worker));
        }
        let mut rows = self.run(statements).await.map_err(lost_or)?;
        if !rule.running.is_empty() {
            let still = rows.pop().map(Rows::into_text).unwrap_or_default();
            if still.first().and_then(|row| text_at(row, 1)).as_deref() == Some("t") {
                // By what it did to its row.
                return Err(JournalError::Lost);
            }
        }
        if rule.input.is_some() {
            // The role is put back after it.
            rows.pop();
            let value = rows.pop().map(Rows::into_text).unwrap_or_default();
            return Ok(value.first().map(|row| json_at(row, 0)));
        }
        Ok(Some(values.input.clone().unwrap_or_default()))
    }

    /// Ends jobs, all of them or none, in one transaction with the SQL of their ends.
    pub(crate) async fn job_finish(
        &self,
        worker: i64,
        ends: &[Finish],
    ) -> Result<(), JournalError> {
        let list: Vec<Value> = ends
            .iter()
            .map(|end| json!({"id": end.job.id, "attempt": end.job.attempt, "out": end.out}))
            .collect();
        let finish = if ends.iter().all(|end| end.plain) { &FINISH_PLAIN } else { &FINISH };
        let mut statements = vec![statement(finish, vec![text(Value::Array(list)), text(worker)])];
        // Jobs of one binding share what comes before and after its SQL.
        let mut ends: Vec<&Finish> = ends.iter().collect();
        ends.sort_by_key(|end| end.rule.id);
        for same in ends.chunk_by(|one, next| Arc::ptr_eq(&one.rule, &next.rule)) {
            let rule = &same[0].rule;
            let own = |end: &&Finish| statements_of(&rule.done, &end.values);
            let own = same.iter().flat_map(own).collect();
            statements.extend(self.limited(rule.role.as_deref(), rule, own));
            for end in same {
                statements.extend(self.records(rule, &end.values));
            }
        }
        // Nothing of ours comes after that.
        statements.pop_if(|last| Arc::ptr_eq(&last.sql, &OWNER));
        self.run(statements).await.map(drop).map_err(lost_or)
    }

    /// Puts a job back that failed, for `delay`, or for good when there is none, and then runs `failed`.
    pub(crate) async fn job_fail(
        &self,
        (job, worker): (&Claimed, i64),
        rule: &Rule,
        delay: Option<Duration>,
        counts: bool,
        values: &Values,
    ) -> Result<(), JournalError> {
        let params = vec![
            text(job.id),
            text(job.attempt),
            text(worker),
            delay.and_then(|delay| text(delay.as_secs_f64())),
            values.error.as_ref().and_then(text),
            text(i32::from(counts)),
        ];
        let mut statements = vec![statement(&FAIL, params)];
        if delay.is_none() {
            statements.extend(self.scripts(rule, &rule.failed, values));
        } else if let (false, Some(delay)) = (counts, delay) {
            let params = vec![text(job.id), text(delay.as_secs_f64())];
            statements.extend(rule.rate.map(|_| statement(&CLOSE_RATE, params)));
        }
        statements.extend(self.records(rule, values));
        self.run(statements).await.map(drop).map_err(lost_or)
    }

    pub(crate) async fn job_park(
        &self,
        (job, worker): (&Claimed, i64),
        rule: &Rule,
        steps: &[String],
        values: &Values,
    ) -> Result<(), JournalError> {
        let steps = texts(steps.iter().map(String::as_str));
        let mine = || vec![text(job.id), text(job.attempt), text(worker)];
        let park = mine().into_iter().chain([steps]).collect();
        let mut statements = vec![statement(&HOLD, mine()), statement(&PARK, park)];
        statements.extend(self.records(rule, values));
        self.run(statements).await.map(drop).map_err(lost_or)
    }

    /// Ends a job of this worker that was cancelled, or whose row is `gone`, and cancels what it called; false when that is
    /// not so.
    pub(crate) async fn job_cancel(
        &self,
        job: &Claimed,
        worker: i64,
        gone: bool,
    ) -> Result<bool, WireError> {
        let params = vec![text(job.id), text(job.attempt), text(worker), text(gone)];
        let children = statement(&CANCEL_CHILDREN, vec![text(job.id)]);
        let rows = self.run(vec![statement(&CANCEL, params), children]).await?;
        Ok(rows.first().is_some_and(|rows| !rows.text().is_empty()))
    }

    pub(super) fn mine(&self, sql: &Shared, job: &Claimed, worker: i64) -> Statement {
        statement(sql, vec![text(job.id), text(job.attempt), text(worker)])
    }

    /// SQL of the manifest, with the rights and the time that it has, and the owner role again behind it.
    pub(super) fn scripts(
        &self,
        rule: &Rule,
        scripts: &[Script],
        values: &Values,
    ) -> Vec<Statement> {
        self.scripts_as(rule.role.as_deref(), rule, scripts, values)
    }

    /// SQL of the meters for what is written with these values.
    pub(super) fn records(&self, rule: &Rule, values: &Values) -> Vec<Statement> {
        let mut statements = Vec::new();
        for used in &values.used {
            let values = values.of_used(used);
            for meter in rule.meters.iter() {
                let record = meter.of(&used.action).unwrap_or_default();
                statements.extend(self.scripts_as(meter.role(), rule, record, &values));
            }
        }
        statements
    }

    pub(super) fn scripts_as(
        &self,
        role: Option<&str>,
        rule: &Rule,
        scripts: &[Script],
        values: &Values,
    ) -> Vec<Statement> {
        self.limited(role, rule, statements_of(scripts, values))
    }

    /// People's SQL as their role and within their time, and then ours again.
    fn limited(&self, role: Option<&str>, rule: &Rule, own: Vec<Statement>) -> Vec<Statement> {
        if own.is_empty() {
            return own;
        }
        let limit = text(rule.timeout.as_millis());
        let mut statements = vec![statement(&LIMIT, vec![limit])];
        if let Some(role) = role {
            statements.push(statement(&ROLE, vec![text(role)]));
        }
        statements.extend(own);
        statements.push(statement(&OWNER, vec![text(&self.owner)]));
        statements
    }
}

fn statements_of(scripts: &[Script], values: &Values) -> Vec<Statement> {
    scripts.iter().map(|script| script.statement(values)).collect()
}
