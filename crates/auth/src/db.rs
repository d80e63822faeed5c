//! Statements on the `auth` schema: batches over a pool that works as its owner.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use plinth_wire::{Batch, Format, Lane, Pool, Row, Rows, Statement, WireError};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The database role that owns the `auth` tables.
const ROLE: &str = "supabase_auth_admin";

/// SQLSTATE `division_by_zero`.
const DIVISION_BY_ZERO: &str = "22012";
/// SQLSTATE `unique_violation`.
const UNIQUE_VIOLATION: &str = "23505";

/// The project's database, as the owner of the `auth` tables.
#[derive(Clone)]
pub struct Db {
    pool: Arc<Pool>,
    notes: bool,
}

/// A statement that is asked so often that its text is kept: sessions find what they have prepared by where it is in
/// memory.
pub(crate) type Shared = LazyLock<Arc<str>>;

/// Statements that are one transaction and one round trip.
#[derive(Debug, Default)]
pub struct Work {
    statements: Vec<Statement>,
    notes: Vec<Statement>,
}

impl Work {
    /// Nothing to do yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One statement.
    pub fn of(sql: &str, params: &[&dyn Param]) -> Self {
        let mut work = Self::new();
        work.add(sql, params);
        work
    }

    /// Adds a statement; returns its place among the results.
    pub fn add(&mut self, sql: &str, params: &[&dyn Param]) -> usize {
        self.statements.push(statement(sql, params));
        self.statements.len() - 1
    }

    /// As [`Work::add`], of a statement whose text is kept.
    pub(crate) fn add_shared(&mut self, sql: &Shared, params: &[&dyn Param]) -> usize {
        let params = params.iter().map(|param| param.text()).collect();
        let statement = Statement { sql: Arc::clone(sql), params, format: Format::Text };
        self.statements.push(statement);
        self.statements.len() - 1
    }

    /// Adds an entry to the log of what happened, which is written after the statements, in the same
    /// transaction, unless the project keeps no log.
    pub(crate) fn note(&mut self, sql: &str, params: &[&dyn Param]) {
        self.notes.push(statement(sql, params));
    }
}

fn statement(sql: &str, params: &[&dyn Param]) -> Statement {
    let params = params.iter().map(|param| param.text()).collect();
    Statement { sql: sql.into(), params, format: Format::Text }
}

/// What the statements of a [`Work`] answered, in order.
#[derive(Debug)]
pub struct Answers(Vec<Rows>);

impl Answers {
    /// The rows of a statement.
    pub fn rows(&self, statement: usize) -> &[Row] {
        self.0.get(statement).map(Rows::text).unwrap_or_default()
    }

    /// The first value of a statement's first row, which is JSON: `None` when there is no row or it is
    /// NULL.
    ///
    /// # Errors
    ///
    /// 500 when it is another shape than `T`.
    pub fn json<T: DeserializeOwned>(&self, statement: usize) -> Result<Option<T>> {
        let first = self.rows(statement).first().and_then(|row| row.first()?.as_ref());
        first.map(|value| parse(value)).transpose()
    }

    /// The first value of every row of a statement, which are JSON.
    ///
    /// # Errors
    ///
    /// 500 when one is another shape than `T`.
    pub fn json_rows<T: DeserializeOwned>(&self, statement: usize) -> Result<Vec<T>> {
        let rows = self.rows(statement).iter();
        rows.filter_map(|row| row.first()?.as_ref()).map(|value| parse(value)).collect()
    }

    /// The first value of a statement's first row as text.
    pub fn text(&self, statement: usize) -> Option<&str> {
        let value = self.rows(statement).first()?.first()?.as_ref()?;
        std::str::from_utf8(value).ok()
    }

    /// Whether the statement answered any row.
    pub fn any(&self, statement: usize) -> bool {
        !self.rows(statement).is_empty()
    }
}

fn parse<T: DeserializeOwned>(value: &Bytes) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| {
        tracing::error!(error = %error, "a row of the auth schema cannot be read");
        Error::internal("Unexpected failure, please check server logs for more information")
    })
}

impl Db {
    /// Over a pool whose sessions work as the owner of the `auth` tables.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, notes: true }
    }

    /// The same database, with or without a log of what happened in `auth.audit_log_entries`.
    #[must_use]
    pub fn with_log(self, notes: bool) -> Self {
        Self { notes, ..self }
    }

    /// Runs `work`: all of it or nothing.
    ///
    /// # Errors
    ///
    /// Every [`WireError`], for callers who know what their statements may raise.
    pub async fn try_run(&self, work: Work) -> Result<Answers, WireError> {
        let Work { mut statements, notes } = work;
        if self.notes {
            statements.extend(notes);
        }
        if statements.is_empty() {
            return Ok(Answers(Vec::new()));
        }
        let batch = Batch { role: ROLE.into(), statements, lane: Lane::Write, rollback: false };
        self.pool.run(batch).await.map(Answers)
    }

    /// Runs `work`: all of it or nothing.
    ///
    /// # Errors
    ///
    /// The refusal that a failure of the database amounts to.
    pub async fn run(&self, work: Work) -> Result<Answers> {
        Ok(self.try_run(work).await?)
    }

    /// Runs one statement.
    ///
    /// # Errors
    ///
    /// As [`Db::run`].
    pub async fn query(&self, sql: &str, params: &[&dyn Param]) -> Result<Answers> {
        self.run(Work::of(sql, params)).await
    }

    /// Runs one statement that only reads, is short, and calls no function of the project's: it shares a connection with
    /// others of its kind.
    ///
    /// # Errors
    ///
    /// As [`Db::run`].
    pub(crate) async fn read(&self, sql: &Shared, params: &[&dyn Param]) -> Result<Answers> {
        let mut work = Work::new();
        work.add_shared(sql, params);
        let statements = work.statements;
        let batch = Batch { role: ROLE.into(), statements, lane: Lane::Read, rollback: false };
        Ok(self.pool.run(batch).await.map(Answers)?)
    }

    /// As [`Db::query`], of a statement whose text is kept.
    ///
    /// # Errors
    ///
    /// As [`Db::run`].
    pub(crate) async fn query_shared(
        &self,
        sql: &Shared,
        params: &[&dyn Param],
    ) -> Result<Answers> {
        let mut work = Work::new();
        work.add_shared(sql, params);
        self.run(work).await
    }
}

/// Whether a transaction failed because a condition in it did not hold: `select 1 / count(*)` of what should be there.
pub(crate) fn condition_failed(error: &WireError) -> bool {
    matches!(error, WireError::Database(database) if database.code == DIVISION_BY_ZERO)
}

/// The unique constraint or index that a statement violated.
pub(crate) fn taken(error: &WireError) -> Option<&str> {
    match error {
        WireError::Database(database) if database.code == UNIQUE_VIOLATION => {
            Some(database.constraint.as_deref().unwrap_or_default())
        }
        _ => None,
    }
}

/// A value as PostgreSQL reads it from text.
pub trait Param: Sync {
    /// The text, `None` for NULL.
    fn text(&self) -> Option<Bytes>;
}

impl Param for &str {
    fn text(&self) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(self.as_bytes()))
    }
}

impl Param for String {
    fn text(&self) -> Option<Bytes> {
        self.as_str().text()
    }
}

impl Param for Arc<str> {
    fn text(&self) -> Option<Bytes> {
        (&**self).text()
    }
}

/// Types that PostgreSQL reads as Rust prints them.
macro_rules! as_printed {
    ($($kind:ty),*) => {
        $(impl Param for $kind {
            fn text(&self) -> Option<Bytes> {
                Some(Bytes::from(self.to_string()))
            }
        })*
    };
}
as_printed!(bool, i32, i64, u32, u64, Uuid, serde_json::Value, jiff::Timestamp, std::net::IpAddr);

impl<T: Param> Param for Option<T> {
    fn text(&self) -> Option<Bytes> {
        self.as_ref().and_then(Param::text)
    }
}
