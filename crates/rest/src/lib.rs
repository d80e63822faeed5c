#![doc = include_str!("../README.md")]

mod config;
mod error;
mod fuzzy;
mod ident;
mod openapi;
mod plan;
mod prepare;
mod render;
mod request;
mod respond;
mod response;
mod rows;
mod spoken;
mod template;

pub use config::{Config, OpenApiMode, TxEnd};
pub use error::{DatabaseFacts, Error, ErrorParts};
pub use prepare::{prepare, prepare_rows};
pub use response::Response;
pub use rows::{BinaryRows, Column};
pub use spoken::{Reason, may_set as may_set_header};
pub use template::{Shape, Template};

use std::sync::Arc;

use bytes::Bytes;
pub use plinth_catalog::Printing;

/// One HTTP request as it came from the socket, borrowed.
#[derive(Debug, Clone)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a http::Method,
    /// The path below the API's root: starts with `/`, still percent-encoded.
    pub path: &'a str,
    /// The query string without its `?`; empty when there is none.
    pub query: &'a str,
    /// All request headers.
    pub headers: &'a http::HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The public prefix of the API (`/p/echelon/rest/v1`, or empty), for `Location`,
    /// `Content-Location` and OpenAPI.
    pub base_path: &'a str,
}

/// SQL with its parameters, which are text-format values of unspecified type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text; equal for requests of equal shape, whatever their values.
    pub sql: Arc<str>,
    /// Values of `$1`, `$2`, …; `None` is NULL.
    pub params: Vec<Option<Bytes>>,
}

/// One result row in text format.
pub type Row = Vec<Option<Bytes>>;

/// What a request comes to.
#[derive(Debug)]
pub enum Outcome {
    /// Statements to run in one transaction; their rows go to [`Prepared::respond`].
    Query(Prepared),
    /// An answer that needs no database.
    Answer(Response),
}

/// A request that is ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What to run, in order, in one transaction.
    pub statements: Vec<Statement>,
    /// Whether the transaction must be read only.
    pub read_only: bool,
    /// Whether a function is called by name; what that costs nobody knows.
    pub calls: bool,
    /// Settings of the called function that hold for the whole transaction, as (name, value).
    pub settings: Vec<(Bytes, Bytes)>,
    /// The called function's isolation level in SQL's words, when it has one of its own.
    pub isolation: Option<&'static str>,
    /// Whether the transaction must be rolled back although it succeeded (`Prefer: tx=rollback`).
    pub rollback: bool,
    /// The schema that the request speaks to; first in the search path.
    pub schema: Arc<str>,
    /// `Prefer: timezone=…` as the client wrote it; PostgreSQL refuses what is no time zone.
    pub time_zone: Option<String>,
    /// Whether the rows of the first statement are wanted in binary, for [`Prepared::respond_rows`].
    /// Nothing but such statements and what sets the session up may run in their transaction.
    pub binary: bool,
    /// Whether the last column of the only statement's only row is the body, as it goes to the client:
    /// then it may be passed on while it comes.
    pub verbatim: bool,
    /// The value of `Content-Location`, which holds the values of the request.
    location: Option<Bytes>,
    plan: Arc<respond::Plan>,
}

impl Prepared {
    /// Turns the rows of every statement into the answer.
    ///
    /// With [`Prepared::verbatim`] the body may be missing from the row. It then belongs into the answer
    /// whose body is empty, and nowhere when the answer has one of its own.
    ///
    /// # Errors
    ///
    /// [`Error`] when the rows themselves mean one (406 of a read that wants one object, a broken
    /// `response.headers` setting).
    pub fn respond(self, results: Vec<Vec<Row>>) -> Result<Response, Error> {
        self.plan.respond(self.location, &results)
    }

    /// Turns rows in binary into the answer, and the rows of the other statements. `printing` is how
    /// the transaction's session printed values.
    ///
    /// `None` when the rows are not what they were planned to be, because a type has changed or the
    /// session prints in another way, when they are too many bytes, or when a total that would have come
    /// with them is missing for lack of rows: the request has to be prepared by [`prepare()`] and run again.
    ///
    /// # Errors
    ///
    /// As [`Prepared::respond`].
    pub fn respond_rows(
        self,
        rows: &BinaryRows<'_>,
        others: &[Vec<Row>],
        printing: Printing,
    ) -> Option<Result<Response, Error>> {
        let encoded = rows::encode(rows, &self.plan.rows, printing)?;
        Some(self.plan.respond_rows(self.location, encoded, others))
    }
}
