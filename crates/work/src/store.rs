//! Our statements on the tables of `plinth`, one function each. All run as the owner role, on a pool of its login.

mod event;
mod schedule;
mod step;

pub(crate) use step::{Ended, StepRun};

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use plinth_wire::{Batch, Format, Lane, Pool, Row, Rows, Statement, WireError};
use serde_json::{Value, json};

use crate::journal::JournalError;
use crate::patience::{PATIENCE, soon};
use crate::rule::{Rule, Script, Values};
use crate::value::{self, numbers, text, texts};

pub(crate) use event::{Kept, NewEvent, StoredHook};
pub(crate) use schedule::{DueSchedule, Move};

/// SQLSTATE of `plinth.fence`: a job is not this worker's any more.
pub(crate) const LOST: &str = "PLF01";

/// SQLSTATE of a job that is to be made for a key of the wrong type. Nothing mends that.
pub(crate) const NO_KEY: &str = "PLF02";

/// SQLSTATE of a job that is to be made for a row that there is not, which may come.
pub(crate) const NO_ROW: &str = "PLF03";

/// A statement whose text is kept: sessions find what they have prepared by where it is in memory.
pub(crate) type Shared = LazyLock<Arc<str>>;

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => { $(pub(crate) static $name: $crate::store::Shared = std::sync::LazyLock::new(|| std::sync::Arc::from($text));)* };
}
pub(crate) use statements;

statements! {
    CLAIM = include_str!("store/claim.sql");
    TAKE_LIMITED = include_str!("store/take_limited.sql");
    FINISH = include_str!("store/finish.sql");
    FAIL = include_str!("store/fail.sql");
    PARK = include_str!("store/park.sql");
    CANCEL = include_str!("store/cancel.sql");
    PROMOTE = include_str!("store/promote.sql");
    REAP_END = include_str!("store/reap_end.sql");
    REAP_JOBS = include_str!("store/reap_jobs.sql");
    REAP_FORGET = "delete from plinth.worker where alive_until = '-infinity'
                   and not exists (select from plinth.job where job.worker = worker.id and job.state = 'r')";
    BEAT = include_str!("store/beat.sql");
    RELEASE = include_str!("store/release.sql");
    ORPHANS = include_str!("store/orphans.sql");
    STEP_RECORD = include_str!("store/step_record.sql");
    STEP_WAIT = include_str!("store/step_wait.sql");
    STEP_CALL = include_str!("store/step_call.sql");
    STEP_NOTE = include_str!("store/step_note.sql");
    STEP_SETTLE = include_str!("store/step_settle.sql");
    STEP_FORGET = include_str!("store/step_forget.sql");
    STEP_RUN = "select plinth.run_step($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, current_setting('search_path'))";
    HOLD = "with mine as (
              select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
            ) select plinth.fence(count(*) = 1) from mine";
    STEP_LIST = "select name, state = 'd',
                        case when state = 'd' then coalesce(result, 'null') else 'null' end, error, noted
                 from plinth.step where job = $1 order by at, name";
    MINE = "select plinth.fence(count(*) = 1) from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled
              and not exists (select from plinth.leaving where leaving.job = $1)";
    // Nobody waits here: who holds it ends it, or cancels it. What ran before it in this transaction may have cancelled it
    // as well, and that holds.
    STILL_MINE = "with mine as (
                    select cancelled from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r'
                      and (not cancelled or xmin = pg_current_xact_id()::xid)
                    for update skip locked
                  ) select plinth.fence(count(*) = 1), bool_or(cancelled) from mine";
    CANCEL_CHILDREN = "select plinth.cancel_jobs(array(select id from plinth.job where parent = $1 and state in ('q', 'w', 'r')), true)
                       where not exists (select from plinth.job where id = $1)";
    CANCEL_LEAVING = "select plinth.cancel_leaving()";
    CLOSE_RATE = "insert into plinth.rate (binding, key, begun, closed_until)
                  select binding, coalesce(rate_key, ''), '{}', clock_timestamp() + $2 * interval '1 second' from plinth.job where id = $1
                  on conflict (binding, key) do update set closed_until = excluded.closed_until";
    REGISTER = "insert into plinth.worker (name, alive_until) values ($1, clock_timestamp() + $2 * interval '1 second') returning id";
    BINDINGS = include_str!("store/bindings.sql");
    DEPTHS = include_str!("store/depths.sql");
    GLANCE = include_str!("store/glance.sql");
    ROTATE = "select plinth.rotate_history($1 * interval '1 second')";
    // A claim that is lost in a crash of the server has done nothing: its job is queued as before.
    HASTE = "set local synchronous_commit = off";
    LIMIT = "select set_config('statement_timeout', $1, true)";
    ROLE = "select set_config('role', $1, true)";
    OWNER = "select set_config('role', $1, true), set_config('statement_timeout', '0', true)";
}

/// A job that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) id: i64,
    pub(crate) binding: i32,
    pub(crate) priority: u8,
    pub(crate) place: i64,
    pub(crate) key: Option<String>,
    /// JSON.
    pub(crate) input: Option<Bytes>,
    pub(crate) attempt: u32,
    pub(crate) failures: u32,
    /// How long it had been there when it was taken.
    pub(crate) waited: Duration,
    /// Whether it has a journal.
    pub(crate) has_steps: bool,
}

/// Where to look for queued jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) binding: i32,
    pub(crate) priority: u8,
    /// Where to begin.
    pub(crate) place: i64,
    /// How many.
    pub(crate) most: usize,
}

/// What a heartbeat learned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    /// False when the lease is over.
    pub(crate) alive: bool,
    /// Jobs of ours that were cancelled.
    pub(crate) cancelled: Vec<i64>,
    /// Grows when bindings change.
    pub(crate) revision: i64,
}

/// The rules of a project at one moment.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What says that they are these: another number, other rules.
    pub revision: i64,
    /// Of every binding that is neither paused nor removed.
    pub rules: Vec<Rule>,
}

/// What a look at a project without an engine tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glance {
    /// Grows when bindings change.
    pub revision: i64,
    /// Whether an engine has something to do at once.
    pub ready: bool,
    /// When it will, if that is known.
    pub due_in: Option<Duration>,
}

/// Unfinished jobs of one binding in one state.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// The binding's name.
    pub binding: String,
    /// The state.
    pub state: &'static str,
    /// How many.
    pub jobs: u64,
    /// Age of the oldest, in seconds.
    pub oldest_seconds: f64,
}

/// A job that ends well, with the SQL of its end.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) job: Claimed,
    pub(crate) rule: Arc<Rule>,
    pub(crate) out: Value,
    pub(crate) values: Values,
}

/// The project's database, as the owner of its objects.
#[derive(Debug)]
pub struct Store {
    pool: Arc<Pool>,
    owner: Arc<str>,
}

impl Store {
    /// Over a pool of the login that acts as the role `owner`.
    pub fn new(pool: Arc<Pool>, owner: impl Into<Arc<str>>) -> Self {
        Self { pool, owner: owner.into() }
    }

    /// Closes connections that nobody uses at the moment.
    pub(crate) fn close_idle(&self) {
        self.pool.close_idle(Duration::ZERO);
    }

    pub(crate) async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, WireError> {
        let role = Arc::clone(&self.owner);
        self.pool.run(Batch { role, statements, lane: Lane::Write, rollback: false }).await
    }

    async fn one(&self, sql: &Shared, params: Vec<value::Value>) -> Result<Vec<Row>, WireError> {
        let mut rows = self.run(vec![statement(sql, params)]).await?;
        Ok(rows.pop().map(Rows::into_text).unwrap_or_default())
    }

    /// The JSON value that a statement gives; null when it gives none.
    pub(crate) async fn json(
        &self,
        sql: &Shared,
        params: Vec<value::Value>,
    ) -> Result<Value, WireError> {
        let rows = self.one(sql, params).await?;
        Ok(rows.first().map(|row| json_at(row, 0)).unwrap_or_default())
    }

    /// The JSON values that a statement gives, one in a row.
    pub(crate) async fn json_list(
        &self,
        sql: &Shared,
        params: Vec<value::Value>,
    ) -> Result<Vec<Value>, WireError> {
        Ok(self.one(sql, params).await?.iter().map(|row| json_at(row, 0)).collect())
    }

    pub(crate) async fn worker_register(
        &self,
        name: &str,
        lease: Duration,
    ) -> Result<i64, WireError> {
        let rows = self.one(&REGISTER, vec![text(name), text(lease.as_secs_f64())]).await?;
        rows.first().and_then(|row| number(row, 0)).ok_or(WireError::Closed)
    }

    pub(crate) async fn worker_beat(
        &self,
        worker: i64,
        lease: Duration,
        jobs: &[i64],
    ) -> Result<Beat, WireError> {
        let params = vec![text(worker), text(lease.as_secs_f64()), numbers(jobs)];
        let rows = self.one(&BEAT, params).await?;
        let row = rows.first().ok_or(WireError::Closed)?;
        Ok(Beat {
            alive: number(row, 0) == Some(1_i64),
            cancelled: number_list(row, 1),
            revision: number(row, 2).unwrap_or_default(),
        })
    }

    pub(crate) async fn worker_release(&self, worker: i64) -> Result<(), WireError> {
        self.one(&RELEASE, vec![text(worker)]).await.map(drop)
    }

    /// Queues the jobs of this worker that are not among `known`; says how many.
    pub(crate) async fn worker_orphans(
        &self,
        worker: i64,
        known: &[i64],
    ) -> Result<usize, WireError> {
        Ok(self.one(&ORPHANS, vec![text(worker), numbers(known)]).await?.len())
    }

    /// Queues the jobs of workers whose lease is over; says how many workers and how many jobs.
    pub(crate) async fn worker_reap(&self) -> Result<(usize, u64), WireError> {
        let steps = [&REAP_END, &REAP_JOBS, &REAP_FORGET];
        let rows = self.run(steps.map(|sql| statement(sql, Vec::new())).into()).await?;
        let jobs = rows.get(1).and_then(|rows| number(rows.text().first()?, 0));
        Ok((rows.first().map_or(0, |rows| rows.text().len()), jobs.unwrap_or_default()))
    }

    /// The rules by which an engine works now. A binding that cannot be understood is left out, with a line in the log.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub async fn rules(&self) -> Result<Rules, WireError> {
        let rows = soon(PATIENCE, self.one(&BINDINGS, Vec::new())).await?;
        let revision = rows.first().and_then(|row| number(row, 0)).unwrap_or_default();
        Ok(Rules { revision, rules: rows.iter().filter_map(rule).collect() })
    }

    /// Whether there is work for these bindings, without a claim to it. It is cheap, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub async fn glance(&self, bindings: &[i32]) -> Result<Glance, WireError> {
        let rows = soon(PATIENCE, self.one(&GLANCE, vec![numbers(bindings)])).await?;
        let row = rows.first().ok_or(WireError::Closed)?;
        let due_in = number::<f64>(row, 2).map(|seconds| seconds.clamp(0.0, 1e9));
        Ok(Glance {
            revision: number(row, 0).unwrap_or_default(),
            ready: text_at(row, 1).as_deref() == Some("t"),
            due_in: due_in.map(Duration::from_secs_f64),
        })
    }

    /// Unfinished jobs by binding and state: of at most 500 such pairs, those with the most jobs.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub async fn depths(&self) -> Result<Vec<Depth>, WireError> {
        Ok(self.one(&DEPTHS, Vec::new()).await?.iter().filter_map(depth).collect())
    }

    pub(crate) async fn history_rotate(&self, keep: Duration) -> Result<(), WireError> {
        self.one(&ROTATE, vec![text(keep.as_secs_f64())]).await.map(drop)
    }

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
            numbers(sources.iter().map(|source| source.most)),
            text(most),
        ];
        self.claimed(vec![statement(&HASTE, Vec::new()), statement(&CLAIM, params)]).await
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
        let mut statements = vec![statement(&FINISH, vec![text(Value::Array(list)), text(worker)])];
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

    fn mine(&self, sql: &Shared, job: &Claimed, worker: i64) -> Statement {
        statement(sql, vec![text(job.id), text(job.attempt), text(worker)])
    }

    /// SQL of the manifest, with the rights and the time that it has, and the owner role again behind it.
    fn scripts(&self, rule: &Rule, scripts: &[Script], values: &Values) -> Vec<Statement> {
        self.scripts_as(rule.role.as_deref(), rule, scripts, values)
    }

    /// SQL of the meters for what is written with these values.
    fn records(&self, rule: &Rule, values: &Values) -> Vec<Statement> {
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

    fn scripts_as(
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

fn statement(sql: &Shared, params: Vec<value::Value>) -> Statement {
    Statement { sql: Arc::clone(sql), params, format: Format::Text }
}

fn lost_or(error: WireError) -> JournalError {
    match &error {
        WireError::Database(database) if database.code == LOST => JournalError::Lost,
        _ => JournalError::Database(error),
    }
}

fn text_at(row: &Row, column: usize) -> Option<String> {
    let value = row.get(column)?.as_ref()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn number<N: std::str::FromStr>(row: &Row, column: usize) -> Option<N> {
    text_at(row, column)?.parse().ok()
}

fn number_list(row: &Row, column: usize) -> Vec<i64> {
    let text = text_at(row, column).unwrap_or_default();
    text.trim_matches(['{', '}']).split(',').filter_map(|number| number.parse().ok()).collect()
}

fn json_at(row: &Row, column: usize) -> Value {
    let value = row.get(column).and_then(Option::as_ref);
    value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
}

fn claimed(row: &Row) -> Option<Claimed> {
    Some(Claimed {
        id: number(row, 0)?,
        binding: number(row, 1)?,
        priority: number(row, 2)?,
        place: number(row, 3)?,
        key: text_at(row, 4),
        input: row.get(5)?.clone(),
        attempt: number(row, 6)?,
        failures: number(row, 7)?,
        waited: Duration::from_secs_f64(number::<f64>(row, 8)?.clamp(0.0, 1e9)),
        has_steps: text_at(row, 9).as_deref() == Some("t"),
    })
}

fn depth(row: &Row) -> Option<Depth> {
    let state = text_at(row, 1)?;
    Some(Depth {
        binding: text_at(row, 0)?,
        state: crate::inspect::UNFINISHED.into_iter().find(|known| *known == state)?,
        jobs: number(row, 2)?,
        oldest_seconds: number::<f64>(row, 3)?.max(0.0),
    })
}

/// The rule of a row of `bindings.sql`; `None` where the row is only about the revision.
fn rule(row: &Row) -> Option<Rule> {
    let (id, kind) = (number(row, 1)?, text_at(row, 3)?);
    let spec = json_at(row, 4);
    let found = match kind.as_str() {
        "row" => match text_at(row, 5) {
            Some(key_type) => {
                serde_json::from_value(spec).map(|spec| Rule::of_binding(id, &spec, &key_type))
            }
            None => {
                tracing::warn!(
                    binding.name = text_at(row, 2),
                    "the table of a binding, or its key, is gone"
                );
                return None;
            }
        },
        "hook" => serde_json::from_value(spec).map(|spec| Rule::of_hook(id, &spec)),
        "schedule" => serde_json::from_value(spec).map(|spec| Rule::of_schedule(id, &spec)),
        _ => return None,
    };
    found
        .inspect_err(|error| {
            tracing::warn!(binding.name = text_at(row, 2), error = %error, "a binding cannot be understood");
        })
        .ok()
}
