//! The three kinds of request that are measured, and the tables they work on.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use plinth_catalog::{Catalog, LoadOptions};
use plinth_postgres::{Caller, RequestContext, enter};
use plinth_rest::{Outcome, RawRequest};

use crate::instance::{Target, USER, connect};

/// Stands in a request for the number that changes from one to the next.
const SAMPLE: u64 = 770_077;

/// A kind of request, and the same work as SQL.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    method: Method,
    path: &'static str,
    /// Query with `{n}` for the changing number.
    query: &'static str,
    body: &'static str,
    /// The changing number: `step × (first ..= last)`, all of them rows of [`USER`].
    pub(crate) step: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The statements that Plinth sends for it, in order.
    pub(crate) statements: Vec<Replayed>,
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
}

const KINDS: [Workload; 3] = [
    Workload {
        name: "one row by key under RLS",
        method: Method::GET,
        path: "/item",
        query: "select=id,title,done,created_at&id=eq.{n}",
        body: "",
        step: 100,
        first: 1,
        last: 1000,
        statements: Vec::new(),
    },
    Workload {
        name: "100 rows with one embed",
        method: Method::GET,
        path: "/item",
        query: "select=id,title,done,created_at,list(id,name)&list_id=eq.{n}&limit=100",
        body: "",
        step: 100,
        first: 1,
        last: 10,
        statements: Vec::new(),
    },
    Workload {
        name: "insert of one row",
        method: Method::POST,
        path: "/item",
        query: "",
        body: r#"{"owner_id":"00000000-0000-4000-8000-000000000000","list_id":100,"title":"measured"}"#,
        step: 1,
        first: 1,
        last: 1,
        statements: Vec::new(),
    },
];

/// The kinds of request with their statements filled in.
pub(crate) async fn all(target: &Target) -> Result<Vec<Workload>> {
    let mut client = connect(&target.database_url).await?;
    let load = LoadOptions { schemas: vec!["public".to_owned()], ..LoadOptions::default() };
    let catalog = Catalog::load(&mut client, &load).await?;
    KINDS
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
    /// The bytes of one HTTP request.
    pub(crate) fn request(&self, target: &Target, number: u64) -> Vec<u8> {
        let query = self.query.replace("{n}", &format!("{number}"));
        let separator = if query.is_empty() { "" } else { "?" };
        let mut text = format!(
            "{} /rest/v1{}{separator}{query} HTTP/1.1\r\nhost: {}\r\n",
            self.method, self.path, target.address
        );
        for (name, value) in self.headers(target) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(self.body);
        text.into_bytes()
    }

    /// The headers that supabase-js sends.
    fn headers(&self, target: &Target) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("apikey", target.api_key.clone()),
            ("authorization", format!("Bearer {}", target.token)),
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
            body: Bytes::from_static(self.body.as_bytes()),
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
