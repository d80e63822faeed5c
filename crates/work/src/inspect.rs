//! Looking inside: which jobs there are, what became of them, and putting right what went wrong. For people; one
//! statement each, on a session of the project's owner.

use serde_json::Value;
use tokio_postgres::{Client, Error};

/// What a job can be.
pub const STATES: [&str; 7] =
    ["queued", "waiting", "running", "dead", "done", "cancelled", "discarded"];

/// Those of jobs that are not finished.
pub const UNFINISHED: [&str; 4] = ["queued", "waiting", "running", "dead"];

/// Which jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Only these; all when empty.
    pub ids: Vec<i64>,
    /// Only of this binding.
    pub binding: Option<String>,
    /// Only in one of these states, of [`STATES`].
    pub states: Vec<String>,
    /// Only about this row.
    pub key: Option<String>,
    /// Only those made in the last so many seconds.
    pub since_seconds: Option<f64>,
    /// At most so many. The latest of those that are listed, the oldest of those that are changed.
    pub limit: i64,
}

/// How many jobs were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled {
    /// Those that waited: they are history.
    pub ended: i64,
    /// Those that run: whoever runs them is told, and stops within seconds.
    pub told: i64,
}

/// Bindings, hooks and schedules with the numbers of their jobs, each an object.
///
/// # Errors
///
/// The database's.
pub async fn binding_list(client: &Client) -> Result<Vec<Value>, Error> {
    values(client.query(include_str!("inspect/bindings.sql"), &[]).await?)
}

/// The names of all bindings, hooks and schedules, those that were removed as well: there may be jobs of them.
///
/// # Errors
///
/// The database's.
pub async fn binding_names(client: &Client) -> Result<Vec<String>, Error> {
    let names = "select name from plinth.binding order by name";
    Ok(client.query(names, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Whether there are bindings, hooks or schedules: whether anything may have jobs.
///
/// # Errors
///
/// The database's.
pub async fn binding_any(client: &Client) -> Result<bool, Error> {
    let any = "select exists (select from plinth.binding where state <> 'removed')";
    Ok(client.query_one(any, &[]).await?.get(0))
}

/// Jobs, the latest first, each an object.
///
/// # Errors
///
/// The database's.
pub async fn job_list(client: &Client, filter: &Filter) -> Result<Vec<Value>, Error> {
    let sql = include_str!("inspect/jobs.sql");
    let Filter { ids, binding, states, key, since_seconds, limit } = filter;
    values(client.query(sql, &[ids, binding, key, since_seconds, limit, states]).await?)
}

/// All that is known of a job.
///
/// # Errors
///
/// The database's.
pub async fn job_show(client: &Client, job: i64) -> Result<Option<Value>, Error> {
    let row = client.query_opt(include_str!("inspect/job.sql"), &[&job]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Queues dead jobs again, and such as wait when they are named; says how many. Their failures are forgotten.
///
/// # Errors
///
/// The database's.
pub async fn job_retry(client: &Client, filter: &Filter) -> Result<i64, Error> {
    one(client, include_str!("inspect/retry.sql"), filter).await
}

/// Discards dead jobs; says how many.
///
/// # Errors
///
/// The database's.
pub async fn job_discard(client: &Client, filter: &Filter) -> Result<i64, Error> {
    one(client, include_str!("inspect/discard.sql"), filter).await
}

/// Cancels jobs that are queued, waiting or running, those in other states of the filter left out.
///
/// # Errors
///
/// The database's.
pub async fn job_cancel(client: &Client, filter: &Filter) -> Result<Cancelled, Error> {
    let sql = include_str!("inspect/cancel.sql");
    let Filter { ids, binding, states, key, since_seconds, limit } = filter;
    let row = client.query_one(sql, &[ids, binding, key, since_seconds, limit, states]).await?;
    Ok(Cancelled { ended: row.get(0), told: row.get(1) })
}

/// Pauses a binding, or lets it go on; gives whether there is such a one. Its jobs wait meanwhile; those that run end.
///
/// # Errors
///
/// The database's.
pub async fn binding_pause(client: &Client, name: &str, paused: bool) -> Result<bool, Error> {
    let sql = "update plinth.binding set state = $2, changed_at = now() where name = $1 and state <> 'removed'";
    let state = if paused { "paused" } else { "active" };
    Ok(client.execute(sql, &[&name, &state]).await? == 1)
}

async fn one(client: &Client, sql: &str, filter: &Filter) -> Result<i64, Error> {
    let Filter { ids, binding, key, since_seconds, limit, .. } = filter;
    Ok(client.query_one(sql, &[ids, binding, key, since_seconds, limit]).await?.get(0))
}

fn values(rows: Vec<tokio_postgres::Row>) -> Result<Vec<Value>, Error> {
    rows.iter().map(|row| row.try_get(0)).collect()
}
