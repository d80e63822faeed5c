//! `/rest/v1`: one request of the data API, from its bytes to its answer.
//!
//! Everything is pure but one call: `pool.run`, which is one round trip.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use plinth_postgres::{RequestContext, enter, sqlstate};
use plinth_rest::{DatabaseFacts, Error, Outcome, Prepared, RawRequest, Response};
use plinth_wire::{Batch, Format, Lane, Pieces, Rows, Statement, WireError};

use super::caller::Caller;
use super::context::{cookies_json, headers_json};
use super::rows;
use super::rules::Rules;
use super::timing::Stopwatch;
use crate::runtime::{Live, LiveError, Project, RoleContext, Snapshot};

/// SQLSTATE of an answer that is beyond a bound of ours (PostgreSQL "Error Codes", class 54).
const PROGRAM_LIMIT_EXCEEDED: &str = "54000";

/// What a client may do about a database that is away for a moment.
const RETRY_HINT: &str =
    "PostgreSQL is not reachable right now. Plinth keeps trying; repeat the request in a moment.";

/// A request of the data API, borrowed from the one that came over the wire.
pub(super) struct DataRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path below the API's root.
    pub path: &'a str,
    /// The query string, the API key removed.
    pub query: &'a str,
    /// The headers as they came.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The public prefix of the API.
    pub base_path: &'a str,
}

/// An answer, and its body when that is still on its way.
pub(super) type Reply = (Response, Option<Pieces>);

/// Answers a request as `caller`.
///
/// # Errors
///
/// [`Error`] is the client's answer.
pub(super) async fn answer(
    project: &Project,
    rules: &Rules,
    caller: &Caller,
    mut request: DataRequest<'_>,
    watch: &mut Stopwatch,
) -> Result<Reply, Error> {
    let live = project.live().await.map_err(|error| unavailable(&error))?;
    let snapshot = live.snapshot();
    let mut raw = RawRequest {
        method: request.method,
        path: request.path,
        query: request.query,
        headers: request.headers,
        body: std::mem::take(&mut request.body),
        base_path: request.base_path,
    };
    let (catalog, config) = (&snapshot.catalog, &snapshot.config);
    let mut step = "parse";
    let outcome = snapshot.prepare(&raw, || {
        watch.lap(std::mem::replace(&mut step, "plan"));
    });
    watch.lap(step);
    // What becomes of it is a parameter now: CSV would stay beside the JSON that was made of it.
    raw.body = Bytes::new();
    let asked = Asked { live: &live, snapshot: &snapshot, caller, request: &request, rules };
    let response = match outcome? {
        Outcome::Answer(response) => Ok((response, None)),
        Outcome::Query(prepared) if prepared.binary => match asked.rows(prepared, watch).await? {
            Some(response) => Ok((response, None)),
            None => match plinth_rest::prepare(&raw, catalog, config)? {
                Outcome::Answer(response) => Ok((response, None)),
                Outcome::Query(prepared) => asked.json(prepared, watch).await,
            },
        },
        Outcome::Query(prepared) => asked.json(prepared, watch).await,
    };
    if response.is_ok() {
        watch.lap("response");
    }
    response
}

/// A request with everything that running it needs.
struct Asked<'a> {
    live: &'a Live,
    snapshot: &'a Snapshot,
    caller: &'a Caller,
    request: &'a DataRequest<'a>,
    rules: &'a Rules,
}

impl Asked<'_> {
    /// The answer whose body PostgreSQL makes.
    async fn json(&self, mut prepared: Prepared, watch: &mut Stopwatch) -> Result<Reply, Error> {
        let (results, ahead) = self.run(&mut prepared, watch).await?;
        let mut body = None;
        let text = |rows| match rows {
            Rows::Large(row, pieces) => {
                body = Some(pieces);
                vec![row]
            }
            rows => rows.into_text(),
        };
        let rows = results.into_iter().skip(ahead).map(text).collect();
        let response = prepared.respond(rows)?;
        // An answer with a body of its own (the page is beyond the end) does without this one.
        let body = body.filter(|_| response.body.is_empty());
        Ok((response, body))
    }

    /// The answer whose rows come in binary; `None` when they have to be asked for again, as JSON.
    async fn rows(
        &self,
        mut prepared: Prepared,
        watch: &mut Stopwatch,
    ) -> Result<Option<Response>, Error> {
        let (results, ahead) = self.run(&mut prepared, watch).await?;
        // Nothing comes between *enter* and the rows: requests with `pre_request` have none.
        let answer = rows::answer(prepared, results.into_iter().skip(ahead.saturating_sub(1)));
        if answer.is_none() {
            tracing::debug!("asking for rows again, as JSON");
        }
        answer.transpose()
    }

    /// Runs the statements: the rows of each, and how many statements went ahead of the request's own.
    async fn run(
        &self,
        prepared: &mut Prepared,
        watch: &mut Stopwatch,
    ) -> Result<(Vec<Rows>, usize), Error> {
        if self.rules.log_query {
            log_statements(prepared);
        }
        let (batch, ahead) = batch(self.snapshot, self.caller, self.request, prepared);
        let results = self.live.pool().run(batch).await;
        watch.lap("transaction");
        if let Err(WireError::PoolTimeout(_) | WireError::Overloaded(_)) = results {
            self.live.health().pool_timeouts.fetch_add(1, Ordering::Relaxed);
        }
        Ok((results.map_err(|error| failure(error, self.caller.anonymous))?, ahead))
    }
}

/// The statements of a request, and how many of them go ahead of its own.
fn batch(
    snapshot: &Snapshot,
    caller: &Caller,
    request: &DataRequest<'_>,
    prepared: &mut Prepared,
) -> (Batch, usize) {
    let role = snapshot.role_context(&caller.identity.role);
    let context = request_context(snapshot, caller, request, prepared, role);
    let identity = plinth_postgres::Caller {
        role: caller.identity.role.clone(),
        claims_json: caller.identity.claims.clone(),
    };
    let (sql, params) = enter(&identity, &context);
    let mut statements = Vec::with_capacity(prepared.statements.len() + 3);
    let text = |sql, params| Statement { sql, params, format: Format::Text };
    // PostgreSQL takes it before the first query only. A function's level wins over its caller's.
    let own_level =
        prepared.isolation.map(|level| format!("set transaction isolation level {level}").into());
    let isolation: Option<Arc<str>> = own_level.or_else(|| role.isolation.clone());
    let alone = isolation.is_some();
    if let Some(sql) = isolation {
        statements.push(text(sql, Vec::new()));
    }
    statements.push(text(sql, params));
    if let Some(sql) = &snapshot.pre_request {
        statements.push(text(sql.clone(), Vec::new()));
    }
    let ahead = statements.len();
    let own = std::mem::take(&mut prepared.statements);
    statements.extend(own.into_iter().map(|own| text(own.sql, own.params)));
    if prepared.binary {
        statements[ahead].format = Format::Binary;
    }
    let calls = prepared.calls || snapshot.pre_request.is_some();
    let lane = lane(prepared.read_only, calls, alone);
    if prepared.verbatim && lane == Lane::Read {
        statements[ahead].format = Format::Pieces;
    }
    (Batch { role: identity.role, statements, lane, rollback: prepared.rollback }, ahead)
}

/// Says what will be asked of the database; values are parameters and stay unsaid.
fn log_statements(prepared: &Prepared) {
    for statement in &prepared.statements {
        tracing::info!(sql = %statement.sql, "asking the database");
    }
}

/// Only reads of relations share connections. What a function of the user's costs, and what else it
/// does, nobody knows; whatever changes something must not be run twice; and a read that others may
/// make fail has to fail alone.
fn lane(read_only: bool, calls: bool, alone: bool) -> Lane {
    match read_only {
        false => Lane::Write,
        true if calls || alone => Lane::ReadAlone,
        true => Lane::Read,
    }
}

fn request_context(
    snapshot: &Snapshot,
    caller: &Caller,
    request: &DataRequest<'_>,
    prepared: &Prepared,
    role: &RoleContext,
) -> RequestContext {
    RequestContext {
        method: Bytes::copy_from_slice(request.method.as_str().as_bytes()),
        path: Bytes::copy_from_slice(request.path.as_bytes()),
        headers_json: headers_json(request.headers, caller.authorization.as_ref()),
        cookies_json: cookies_json(request.headers),
        statement_timeout: None,
        search_path: snapshot.search_path(&prepared.schema),
        read_only: prepared.read_only,
        time_zone: prepared
            .time_zone
            .clone()
            .filter(|_| snapshot.heeds_time_zones)
            .map(Bytes::from),
        settings: settings(role.settings.clone(), &prepared.settings),
        reports_printing: prepared.binary,
    }
}

/// The role's settings and then the function's, which win.
fn settings(role: Arc<[(Bytes, Bytes)]>, function: &[(Bytes, Bytes)]) -> Arc<[(Bytes, Bytes)]> {
    if function.is_empty() {
        return role;
    }
    role.iter().chain(function).cloned().collect()
}

/// What it means for the client that a project cannot be served right now.
fn unavailable(error: &LiveError) -> Error {
    let mut answer = match error {
        LiveError::Connect(_) | LiveError::Recently | LiveError::Dropped => {
            Error::connection("no connection to the project's database")
        }
        LiveError::Load(_) | LiveError::Timeout => Error::no_catalog(),
    };
    answer.hint = Some(RETRY_HINT.to_owned());
    answer
}

/// What a failed batch means for the client. What PostgreSQL said about the connection itself (the
/// login, its password, the server's settings) is none of the client's business and goes to the log.
fn failure(error: WireError, anonymous: bool) -> Error {
    match error {
        WireError::Database(database) => {
            let facts = DatabaseFacts {
                code: &database.code,
                message: &database.message,
                detail: database.detail.as_deref(),
                hint: database.hint.as_deref(),
            };
            Error::from_database(&facts, anonymous)
        }
        WireError::Terminated(_) | WireError::Lost(_) => {
            lost("the connection was lost; it is not known whether the request was executed")
        }
        WireError::Connect(_) | WireError::Closed => {
            unreachable("no connection to the project's database")
        }
        WireError::Refused(refusal) => {
            tracing::warn!(sqlstate = %refusal.code, error = %refusal.message, "PostgreSQL refused a connection");
            unreachable("PostgreSQL accepts no connection right now")
        }
        WireError::PoolTimeout(_) | WireError::Overloaded(_) => {
            let mut answer = Error::pool_timeout();
            answer.hint = Some("All connections are busy. Repeat the request in a moment, or raise pool.max_connections.".to_owned());
            answer
        }
        WireError::AnswerTimeout(_) => {
            let mut answer = Error::pool_timeout();
            sqlstate::QUERY_CANCELED.clone_into(&mut answer.code);
            "canceling statement due to statement timeout".clone_into(&mut answer.message);
            answer
        }
        WireError::TooLarge(limit) => {
            let mut answer = Error::connection_lost("the answer is too large");
            answer.status = StatusCode::INTERNAL_SERVER_ERROR;
            PROGRAM_LIMIT_EXCEEDED.clone_into(&mut answer.code);
            answer.message = format!("the answer is larger than {limit} bytes");
            answer.hint = Some("Ask for fewer rows or columns, page by page.".to_owned());
            answer
        }
        WireError::Protocol(_) => {
            tracing::error!(error = %error, "unexpected answer from PostgreSQL");
            let mut answer = lost("unexpected answer from PostgreSQL");
            answer.status = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

fn lost(details: &str) -> Error {
    let mut answer = Error::connection_lost(details);
    answer.hint = Some(RETRY_HINT.to_owned());
    answer
}

/// Nothing was sent, so the request may be repeated.
fn unreachable(details: &str) -> Error {
    let mut answer = Error::connection(details);
    answer.hint = Some(RETRY_HINT.to_owned());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn database(code: &str) -> WireError {
        WireError::Database(Box::new(plinth_wire::DatabaseError {
            code: code.to_owned(),
            message: "message".to_owned(),
            ..Default::default()
        }))
    }

    #[test]
    fn only_reads_of_relations_share_connections() {
        assert_eq!(lane(true, false, false), Lane::Read);
        assert_eq!(lane(false, false, false), Lane::Write, "a write");
        assert_eq!(lane(false, true, false), Lane::Write, "a function that may write");
        assert_eq!(lane(true, true, false), Lane::ReadAlone, "a function that may not");
        assert_eq!(
            lane(true, false, true),
            Lane::ReadAlone,
            "one whose isolation may make it fail"
        );
    }

    #[test]
    fn a_database_that_is_away_is_a_503_with_a_hint() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let fatal = || match database("57P01") {
            WireError::Database(error) => WireError::Terminated(error),
            other => other,
        };
        for (error, code) in [
            (fatal(), "PGRST001"),
            (WireError::Lost(io()), "PGRST001"),
            (WireError::Connect(io()), "PGRST000"),
            (WireError::Closed, "PGRST000"),
        ] {
            let answer = failure(error, false);
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.code, code);
            assert!(answer.hint.is_some());
        }
    }

    #[test]
    fn sql_may_raise_what_connections_die_of() {
        for code in ["08006", "57P01", "57P03", "57P04"] {
            let answer = failure(database(code), false);
            assert_eq!((answer.code.as_str(), answer.message.as_str()), (code, "message"));
        }
    }

    #[test]
    fn a_refused_login_is_not_told_to_the_client() {
        let refusal = plinth_wire::DatabaseError {
            code: "28P01".to_owned(),
            message: "password authentication failed for user \"authenticator.x\"".to_owned(),
            ..Default::default()
        };
        let answer = failure(WireError::Refused(Box::new(refusal)), false);
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!format!("{answer:?}").contains("authenticator"));
    }

    #[test]
    fn an_exhausted_pool_is_a_504() {
        for error in [WireError::PoolTimeout(Duration::from_secs(1)), WireError::Overloaded(9)] {
            let answer = failure(error, true);
            assert_eq!((answer.status.as_u16(), answer.code.as_str()), (504, "PGRST003"));
        }
        let answer = failure(WireError::AnswerTimeout(Duration::from_secs(1)), true);
        assert_eq!((answer.status.as_u16(), answer.code.as_str()), (504, "57014"));
    }

    #[test]
    fn an_error_of_the_clients_own_sql_keeps_its_code() {
        assert_eq!(failure(database("23505"), false).code, "23505");
    }
}
