//! Jobs: taken, prepared, ended, put back.

use std::sync::Arc;
use std::time::Duration;

use plinth_wire::{Rows, Statement, WireError};
use serde_json::{Value, json};

use super::read::{claimed, json_at, number, text_at, turn};
use super::{
    CANCEL, CANCEL_CHILDREN, CANCEL_LEAVING, CLAIM, CLOSE_RATE, Claimed, FAIL, FINISH,
    FINISH_PLAIN, Finish, HASTE, HOLD, LIMIT, Limited, Look, MAY_COUNT, MINE, NEWS, OWNER, PARK,
    PROMOTE, REHOME, ROLE, STILL_MINE, SURVEY, SURVEY_END, SURVEY_TURNS, Shared, Source, Store,
    Survey, TAKE_LIMITED, Turn, WHOLE, lost_or, statement,
};
use crate::journal::JournalError;
use crate::rule::{Rule, Script, Values};
use crate::value::{numbers, text, texts};

impl Store {
    /// Queues jobs whose time has come, at most `most`; says where. Those that are to be cancelled and were held end.
    pub(crate) async fn job_promote(&self, most: usize) -> Result<Vec<Turn>, WireError> {
        let leaving = statement(&CANCEL_LEAVING, Vec::new());
        let rows = self.run(vec![leaving, statement(&PROMOTE, vec![text(most)])]).await?.pop();
        Ok(turns(rows))
    }

    /// Has at most `most` queued jobs wait where these rules look for them; says how many. Reads all jobs.
    pub(crate) async fn job_rehome(
        &self,
        rules: impl Iterator<Item = &Rule>,
        most: usize,
    ) -> Result<u64, WireError> {
        let known: Vec<Value> = rules
            .map(|rule| json!({"id": rule.id, "priorities": rule.priorities, "limited": rule.is_limited()}))
            .collect();
        let rehome = statement(&REHOME, vec![text(Value::Array(known)), text(most)]);
        let rows = self.run(vec![statement(&WHOLE, Vec::new()), rehome]).await?.pop();
        Ok(rows.and_then(|rows| number(rows.text().first()?, 0)).unwrap_or_default())
    }

    pub(crate) async fn job_claim(
        &self,
        worker: i64,
        sources: &[Source],
        most: usize,
        patience: Duration,
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
        let haste = statement(&HASTE, vec![limit(patience)]);
        let claim = vec![haste, statement(&CLAIM, params)];
        let rows = self.run(claim).await?.pop().map(Rows::into_text).unwrap_or_default();
        Ok(rows.iter().filter_map(claimed).collect())
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
        let (end, found) = self.at_end(statement(&SURVEY, params)).await?;
        let found = found.text().iter();
        let found =
            found.filter_map(|row| Some((number(row, 0)?, number(row, 1)?, number(row, 2)?)));
        Ok(Survey { end, found: found.collect() })
    }

    /// The first queued job of each turn of these bindings and priorities, for as long as that takes, and the number that
    /// all jobs have got which were not committed then.
    pub(crate) async fn job_survey_turns(
        &self,
        queues: &[(i32, u8)],
        most: usize,
    ) -> Result<(i64, Vec<Turn>), WireError> {
        let (bindings, priorities) = (queues.iter().map(|it| it.0), queues.iter().map(|it| it.1));
        let params = vec![numbers(bindings), numbers(priorities), text(most)];
        let (end, found) = self.at_end(statement(&SURVEY_TURNS, params)).await?;
        Ok((end, turns(Some(found))))
    }

    /// The first queued job of each turn of these bindings among those with numbers from `from` on, at most `most` numbers,
    /// and the last number that was given.
    pub(crate) async fn job_news(
        &self,
        bindings: &[i32],
        from: i64,
        most: i64,
    ) -> Result<(i64, Vec<Turn>), WireError> {
        let params = vec![numbers(bindings), text(from), text(from + most)];
        let (end, found) = self.at_end(statement(&NEWS, params)).await?;
        Ok((end, turns(Some(found))))
    }

    /// The last number of jobs and places that was given, and then the rows of a statement: what has a number before that
    /// one and is not seen by the statement is not committed.
    async fn at_end(&self, look: Statement) -> Result<(i64, Rows), WireError> {
        let mut rows = self.run(vec![statement(&SURVEY_END, Vec::new()), look]).await?;
        let (Some(found), Some(end)) = (rows.pop(), rows.pop()) else {
            return Err(WireError::Closed);
        };
        let end = end.text().first().and_then(|row| number(row, 0)).ok_or(WireError::Closed)?;
        Ok((end, found))
    }

    /// Takes up to `most` jobs of the rule's binding.
    pub(crate) async fn job_take_limited(
        &self,
        worker: i64,
        rule: &Rule,
        most: usize,
        look: &Look,
        patience: Duration,
    ) -> Result<Limited, WireError> {
        let rate = rule.rate;
        let params = vec![
            text(worker),
            text(rule.id),
            text(most),
            text(rate.map_or(0.0, |rate| rate.per.as_secs_f64())),
            rate.and_then(|rate| text(rate.max)),
            rule.seats.and_then(text),
            texts(look.turns.iter().map(|turn| turn.fair.as_str())),
            numbers(look.turns.iter().map(|turn| turn.priority)),
            numbers(look.turns.iter().map(|turn| turn.place)),
            text(look.depth),
            text(look.first_seat),
        ];
        let may = statement(&MAY_COUNT, vec![text(rule.id), limit(patience)]);
        let mut rows = self.run(vec![may, statement(&TAKE_LIMITED, params)]).await?;
        let (Some(rows), Some(may)) = (rows.pop(), rows.pop()) else {
            return Err(WireError::Closed);
        };
        let looked = may.text().first().and_then(|row| text_at(row, 0)).as_deref() == Some("t");
        let mut limited = Limited { looked, ..Limited::default() };
        for row in rows.text() {
            let fair = text_at(row, 11).unwrap_or_default();
            match text_at(row, 12).as_deref() {
                Some("r") => limited.taken.extend(claimed(row).map(|job| (job, fair))),
                Some("c") => limited.cuts.extend(turn(row, [1, 11, 2, 3])),
                Some("x") => limited.no_room = true,
                Some("s") => limited.first_seat = number(row, 3),
                _ => limited.stays.extend(turn(row, [1, 11, 2, 3])),
            }
        }
        Ok(limited)
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
        let within = text(rule.timeout.as_millis());
        let mut statements = vec![statement(&LIMIT, vec![within])];
        if let Some(role) = role {
            statements.push(statement(&ROLE, vec![text(role)]));
        }
        statements.extend(own);
        statements.push(statement(&OWNER, vec![text(&self.owner)]));
        statements
    }
}

/// What a statement may take that nobody waits for longer than that: it ends before.
fn limit(patience: Duration) -> crate::value::Value {
    text((patience * 4 / 5).as_millis())
}

/// Turns of rows with binding, key, priority and place.
fn turns(rows: Option<Rows>) -> Vec<Turn> {
    let rows = rows.map(Rows::into_text).unwrap_or_default();
    rows.iter().filter_map(|row| turn(row, [0, 1, 2, 3])).collect()
}

fn statements_of(scripts: &[Script], values: &Values) -> Vec<Statement> {
    scripts.iter().map(|script| script.statement(values)).collect()
}
