//! The kinds of request that are measured, and the tables they work on.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use plinth_catalog::{Catalog, LoadOptions};
use plinth_postgres::{Caller, RequestContext, enter};
use plinth_rest::{Outcome, RawRequest};

use crate::flood::Flood;
use crate::instance::{Target, USER, connect};
use crate::load::{REQUESTS, Script, ready_made};
use crate::sign_in::{Refreshes, Refreshing};

/// Stands in a request for the number that changes from one to the next.
const SAMPLE: u64 = 770_077;

/// A kind of request, and the same work as SQL.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Query with `{n}` for the changing number.
    pub(crate) query: &'static str,
    pub(crate) body: Bytes,
    /// The changing number: `step × (first ..= last)`, all of them rows of [`USER`].
    pub(crate) step: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Every so many requests one takes 20 milliseconds; 0 means none.
    pub(crate) slow_every: u64,
    /// HTTP connections to measure with, when not those of the command line.
    pub(crate) connections: Option<usize>,
    pub(crate) yardstick: Yardstick,
    /// The ratio to the yardstick that is to be reached.
    pub(crate) bar: f64,
    /// Requests per second that are to be reached.
    pub(crate) rate: Option<f64>,
    /// Where its requests come from.
    pub(crate) source: Source,
    /// Log-ins that are offered meanwhile. What the processors spend on their passwords is not held against it.
    pub(crate) flood: Option<Flood>,
    /// A statement that is run before each replay.
    pub(crate) reset: Option<&'static str>,
    /// The statements that Plinth sends for it, in order.
    pub(crate) statements: Vec<Replayed>,
}

/// Where requests come from.
pub(crate) enum Source {
    /// They are of the data API, with this token instead of the usual one.
    Rest(Option<String>),
    /// They are ready.
    Ready(Arc<[Vec<u8>]>),
    /// Each connection refreshes a session.
    Refreshes(Arc<Refreshes>),
}

/// What a kind of request is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yardstick {
    /// pgbench replaying the same statements.
    Replay,
    /// Another kind of request, over as many connections.
    Workload(&'static str),
    /// As many threads that do nothing but hash passwords.
    Hashing,
}

/// A statement with what pgbench needs to know of its parameters.
pub(crate) struct Replayed {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Parameter>,
}

pub(crate) enum Parameter {
    /// The changing number.
    Number,
    /// Always the same text.
    Fixed(String),
    /// NULL.
    Null,
    /// The id of the person of the changing number, and of a session of hers.
    Person,
    /// The id of the person of pgbench's client, and of a session of hers.
    Client,
    /// How many transactions pgbench's client had before.
    Turn,
}

pub(crate) const ONE_ROW: &str = "one row by key under RLS";

/// A new row; what is not given has a default.
const NEW_ITEM: &str =
    r#"{"owner_id":"00000000-0000-4000-8000-000000000000","list_id":100,"title":"measured"}"#;

/// A read of one row, which the others are variations of.
pub(crate) fn one_row() -> Workload {
    Workload {
        name: ONE_ROW,
        method: Method::GET,
        path: "/item",
        query: "select=id,title,done,created_at&id=eq.{n}",
        body: Bytes::new(),
        step: 100,
        first: 1,
        last: 1000,
        slow_every: 0,
        connections: None,
        yardstick: Yardstick::Replay,
        bar: 1.0,
        rate: None,
        source: Source::Rest(None),
        flood: None,
        reset: None,
        statements: Vec::new(),
    }
}

/// The kinds of request, yet without statements.
pub(crate) fn kinds() -> Vec<Workload> {
    let insert = |body: Bytes| Workload {
        method: Method::POST,
        query: "",
        body,
        step: 1,
        last: 1,
        connections: Some(32),
        ..one_row()
    };
    vec![
        one_row(),
        Workload {
            name: "one row, 1 % of the queries 20 ms",
            slow_every: 100,
            connections: Some(32),
            yardstick: Yardstick::Workload(ONE_ROW),
            bar: 0.85,
            ..one_row()
        },
        Workload {
            name: "100 plain rows",
            query: "select=id,title,done,created_at&list_id=eq.{n}&limit=100",
            last: 10,
            connections: Some(32),
            ..one_row()
        },
        Workload {
            name: "100 rows with one embed",
            query: "select=id,title,done,created_at,list(id,name)&list_id=eq.{n}&limit=100",
            last: 10,
            connections: Some(32),
            bar: 0.85,
            ..one_row()
        },
        Workload {
            name: "insert of one row",
            bar: 0.75,
            ..insert(Bytes::from_static(NEW_ITEM.as_bytes()))
        },
        Workload {
            name: "insert of 1,000 rows",
            connections: Some(8),
            bar: 0.9,
            ..insert(Bytes::from(format!("[{}]", vec![NEW_ITEM; 1000].join(","))))
        },
    ]
}

/// The kinds of request with their statements filled in.
pub(crate) async fn all(target: &Target) -> Result<Vec<Workload>> {
    let mut client = connect(&target.database_url).await?;
    let load = LoadOptions { schemas: vec!["public".to_owned()], ..LoadOptions::default() };
    let catalog = Catalog::load(&mut client, &load).await?;
    kinds()
        .into_iter()
        .map(|mut workload| {
            workload.statements = workload.plan(target, &catalog)?;
            Ok(workload)
        })
        .collect()
}

/// Makes and fills the tables: 1,000 lists of 100 users, 100,000 items.
pub(crate) async fn fill(target: &Target) -> Result<()> {
    let client = connect(&target.database_url).await?;
    client.batch_execute(include_str!("tables.sql")).await?;
    Ok(())
}

impl Workload {
    /// What each connection asks.
    pub(crate) fn scripts(&self, target: &Target) -> Box<dyn Fn(usize) -> Box<dyn Script> + Sync> {
        match &self.source {
            Source::Rest(_) => Box::new(ready_made(self.requests(target, REQUESTS).into())),
            Source::Ready(requests) => Box::new(ready_made(requests.clone())),
            Source::Refreshes(of) => {
                let of = of.clone();
                Box::new(move |session| {
                    Box::new(Refreshing { of: of.clone(), session, request: Vec::new() })
                })
            }
        }
    }

    /// The bytes of up to `most` different HTTP requests.
    fn requests(&self, target: &Target, most: u64) -> Vec<Vec<u8>> {
        self.numbers(most)
            .map(|number| {
                let slow =
                    self.slow_every > 0 && (number / self.step).is_multiple_of(self.slow_every);
                self.request(target, number, slow)
            })
            .collect()
    }

    /// The changing number of each of them.
    pub(crate) fn numbers(&self, most: u64) -> impl Iterator<Item = u64> {
        let last = self.last.min(self.first + most - 1);
        (self.first..=last).map(|number| number * self.step)
    }

    fn request(&self, target: &Target, number: u64, slow: bool) -> Vec<u8> {
        let query = self.query.replace("{n}", &format!("{number}"));
        let (path, query) = if slow { ("/nap", "select=id") } else { (self.path, query.as_str()) };
        let separator = if query.is_empty() { "" } else { "?" };
        let mut text = format!(
            "{} /rest/v1{path}{separator}{query} HTTP/1.1\r\nhost: {}\r\n",
            self.method, target.address
        );
        for (name, value) in self.headers(target) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }

    /// The headers that supabase-js sends.
    fn headers(&self, target: &Target) -> Vec<(&'static str, String)> {
        let token = match &self.source {
            Source::Rest(Some(token)) => token,
            _ => &target.token,
        };
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("apikey", target.api_key.clone()),
            ("authorization", format!("Bearer {token}")),
            ("x-client-info", "plinth-bench".to_owned()),
        ];
        if !self.body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
            headers.push(("content-length", self.body.len().to_string()));
            headers.push(("prefer", "return=minimal".to_owned()));
        }
        headers
    }

    fn plan(&self, target: &Target, catalog: &Catalog) -> Result<Vec<Replayed>> {
        let query = self.query.replace("{n}", &SAMPLE.to_string());
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers(target) {
            headers.insert(name, HeaderValue::from_str(&value)?);
        }
        let request = RawRequest {
            method: &self.method,
            path: self.path,
            query: &query,
            headers: &headers,
            body: self.body.clone(),
            base_path: "/rest/v1",
        };
        let outcome = plinth_rest::prepare(&request, catalog, &plinth_rest::Config::default())
            .ok()
            .context("the request cannot be planned")?;
        let Outcome::Query(prepared) = outcome else { bail!("the request needs no database") };
        let caller = Caller {
            role: "authenticated".into(),
            claims_json: format!(r#"{{"sub":"{USER}","role":"authenticated"}}"#).into(),
        };
        let context = RequestContext {
            method: Bytes::from(self.method.to_string()),
            path: Bytes::from_static(self.path.as_bytes()),
            headers_json: Bytes::from(header_json(&headers)),
            cookies_json: Bytes::from_static(b"{}"),
            statement_timeout: Some(std::time::Duration::from_secs(8)),
            read_only: prepared.read_only,
            ..RequestContext::default()
        };
        let (sql, params) = enter(&caller, &context);
        let mut statements = vec![Replayed::new(&sql, &params)];
        statements.extend(prepared.statements.iter().map(|s| Replayed::new(&s.sql, &s.params)));
        Ok(statements)
    }
}

impl Replayed {
    /// A statement with its parameters.
    pub(crate) fn of(sql: &str, parameters: Vec<Parameter>) -> Self {
        Self { sql: sql.to_owned(), parameters }
    }

    fn new(sql: &str, params: &[Option<Bytes>]) -> Self {
        let parameters = params
            .iter()
            .map(|value| {
                let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default());
                if text == SAMPLE.to_string() {
                    Parameter::Number
                } else {
                    Parameter::Fixed(text.into_owned())
                }
            })
            .collect();
        Self { sql: sql.to_owned(), parameters }
    }
}

fn header_json(headers: &HeaderMap) -> String {
    let map: serde_json::Map<String, serde_json::Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
        .collect();
    serde_json::Value::Object(map).to_string()
}
