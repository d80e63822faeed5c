//! Our statements on the tables of `plinth`, one function each. All run as the owner role, on a pool of its login.

mod event;
mod job;
mod read;
mod schedule;
mod step;

pub(crate) use step::{Ended, StepRun};

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use plinth_wire::{Batch, ConnectConfig, Format, Lane, Pool, Row, Rows, Statement, WireError};
use serde_json::Value;

use crate::journal::JournalError;
use crate::patience::{PATIENCE, soon};
use crate::rule::{Rule, Values};
use crate::value::{self, numbers, text};
use read::{depth, json_at, number, number_list, rule, text_at};

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
    MAY_COUNT = "select pg_try_advisory_xact_lock(hashtext('plinth.take'), $1), set_config('statement_timeout', $2, true)";
    NEWS = include_str!("store/news.sql");
    SURVEY_TURNS = include_str!("store/survey_turns.sql");
    FINISH = include_str!("store/finish.sql");
    FINISH_PLAIN = include_str!("store/finish_plain.sql");
    FAIL = include_str!("store/fail.sql");
    PARK = include_str!("store/park.sql");
    CANCEL = include_str!("store/cancel.sql");
    PROMOTE = include_str!("store/promote.sql");
    REAP_END = include_str!("store/reap_end.sql");
    REAP_JOBS = include_str!("store/reap_jobs.sql");
    REAP_FORGET = "delete from plinth.worker where alive_until = '-infinity'
                   and (select exists (select from plinth.worker where alive_until = '-infinity'))
                   and not exists (select from plinth.job where job.worker = worker.id and job.state = 'r')";
    BEAT = include_str!("store/beat.sql");
    // Waits for takers, whose jobs the next statement then sees.
    RELEASE_END = "update plinth.worker set alive_until = '-infinity' where id = $1";
    RELEASE = include_str!("store/release.sql");
    SURVEY_END = "select last_value from plinth.job_number";
    SURVEY = include_str!("store/survey.sql");
    HELD = "select id, attempt, worker from plinth.job
            where state = 'r' and started_at < statement_timestamp() - $2 * interval '1 second'
              and (worker = $1 or worker <> all (array(select id from plinth.worker)))";
    ORPHANS = include_str!("store/orphans.sql");
    REHOME = include_str!("store/rehome.sql");
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
    CLOSE_RATE = "insert into plinth.closed (binding, key, until)
                  select binding, coalesce(rate_key, ''), clock_timestamp() + $2 * interval '1 second' from plinth.job where id = $1
                  on conflict (binding, key) do update set until = greatest(closed.until, excluded.until)";
    FORGET_BEGINNINGS = "delete from plinth.beginning where until < clock_timestamp()";
    FORGET_CLOSED = "delete from plinth.closed where until < clock_timestamp()";
    REGISTER = "insert into plinth.worker (name, alive_until) values ($1, clock_timestamp() + $2 * interval '1 second') returning id";
    BINDINGS = include_str!("store/bindings.sql");
    DEPTHS = include_str!("store/depths.sql");
    GLANCE = include_str!("store/glance.sql");
    ROTATE = "select plinth.rotate_history($1 * interval '1 second')";
    // A claim that is lost in a crash of the server has done nothing: its job is queued as before.
    // Nor does one go on for which nobody waits any more.
    HASTE = "select set_config('synchronous_commit', 'off', true), set_config('statement_timeout', $1, true)";
    // What people write is planned as PostgreSQL sees fit, and so is what reads whole tables.
    LIMIT = "select set_config('statement_timeout', $1, true), set_config('enable_seqscan', 'on', true)";
    WHOLE = "set local enable_seqscan = on";
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
    /// Whether it has neither a seat nor a caller.
    pub(crate) alone: bool,
}

/// Where to look for queued jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) binding: i32,
    pub(crate) priority: u8,
    /// Where to begin.
    pub(crate) place: i64,
    /// Where to end.
    pub(crate) until: i64,
    /// How many.
    pub(crate) most: usize,
}

/// Queued jobs of a limited binding that come in one turn, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) binding: i32,
    /// The key that turns are taken across.
    pub(crate) fair: String,
    pub(crate) priority: u8,
    /// Where they begin.
    pub(crate) place: i64,
}

/// Where to look for queued jobs of a limited binding.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// In this order.
    pub(crate) turns: Vec<Turn>,
    /// How many jobs of each to look at, first of all.
    pub(crate) depth: usize,
    /// A number that no seat of the binding has before it.
    pub(crate) first_seat: i64,
}

/// What a look at turns came to.
#[derive(Debug, Default)]
pub(crate) struct Limited {
    /// False when somebody else was taking jobs of the binding: nothing was looked at then.
    pub(crate) looked: bool,
    /// Jobs that were taken, and the key of their turns.
    pub(crate) taken: Vec<(Claimed, String)>,
    /// Turns of which jobs stayed behind, beginning with the first of these.
    pub(crate) stays: Vec<Turn>,
    /// Turns that were too long for one look, beginning with the first job that was not seen.
    pub(crate) cuts: Vec<Turn>,
    /// Whether no other key has room either.
    pub(crate) no_room: bool,
    /// The number of the first seat.
    pub(crate) first_seat: Option<i64>,
}

/// What there is in whole queues.
#[derive(Debug)]
pub(crate) struct Survey {
    /// A place that no job had before it.
    pub(crate) end: i64,
    /// Binding, priority and place of queued jobs.
    pub(crate) found: Vec<(i32, u8, i64)>,
}

/// A running job, and who has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) job: i64,
    pub(crate) attempt: i32,
    pub(crate) worker: i64,
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
    /// Whether there is nothing that ends with it: steps, a seat, the wait of a caller.
    pub(crate) plain: bool,
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
    /// Sessions for a store. Its statements find a few rows by an index. Tables of jobs are empty at one moment and full at
    /// the next, or full of what remains of jobs, so that what PostgreSQL knows of their size leads to other plans, which
    /// read them whole for each job.
    pub fn session(mut connect: ConnectConfig) -> ConnectConfig {
        connect.settings.push(("enable_seqscan".to_owned(), "off".to_owned()));
        connect
    }

    /// Over a pool of the login that acts as the role `owner`, with such sessions.
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
        let steps = [&RELEASE_END, &RELEASE].map(|sql| statement(sql, vec![text(worker)]));
        let whole = statement(&WHOLE, Vec::new());
        self.run([whole].into_iter().chain(steps).collect()).await.map(drop)
    }

    /// The jobs that this worker, or one that is not known any more, has for longer than `age`. Reads all jobs.
    pub(crate) async fn worker_held(
        &self,
        worker: i64,
        age: Duration,
    ) -> Result<Vec<Held>, WireError> {
        let held = statement(&HELD, vec![text(worker), text(age.as_secs_f64())]);
        let rows = self.run(vec![statement(&WHOLE, Vec::new()), held]).await?.pop();
        let rows = rows.map(Rows::into_text).unwrap_or_default();
        let held = |row: &Row| {
            Some(Held { job: number(row, 0)?, attempt: number(row, 1)?, worker: number(row, 2)? })
        };
        Ok(rows.iter().filter_map(held).collect())
    }

    /// Queues those of these jobs that are still so held; says how many.
    pub(crate) async fn worker_orphans(&self, jobs: &[Held]) -> Result<usize, WireError> {
        let params = vec![
            numbers(jobs.iter().map(|held| held.job)),
            numbers(jobs.iter().map(|held| held.attempt)),
            numbers(jobs.iter().map(|held| held.worker)),
        ];
        Ok(self.one(&ORPHANS, params).await?.len())
    }

    /// Queues the jobs of workers whose lease is over; says how many workers and how many jobs.
    pub(crate) async fn worker_reap(&self) -> Result<(usize, u64), WireError> {
        let steps = [&WHOLE, &REAP_END, &REAP_JOBS, &REAP_FORGET];
        let rows = self.run(steps.map(|sql| statement(sql, Vec::new())).into()).await?;
        let jobs = rows.get(2).and_then(|rows| number(rows.text().first()?, 0));
        Ok((rows.get(1).map_or(0, |rows| rows.text().len()), jobs.unwrap_or_default()))
    }

    /// Forgets beginnings that count for no rate any more, and keys that are not closed any more. Reads all.
    pub(crate) async fn rate_forget(&self) -> Result<(), WireError> {
        let steps = [&WHOLE, &FORGET_BEGINNINGS, &FORGET_CLOSED];
        self.run(steps.map(|sql| statement(sql, Vec::new())).into()).await.map(drop)
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
