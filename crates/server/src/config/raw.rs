//! The configuration as it is typed, with its defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ByteSize, RawAuth, RawProject, Span, Surroundings};

/// Everything that `plinth.toml` may say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Where HTTP is served, `address:port`.
    pub listen: String,
    /// Folder of the managed cluster.
    pub data_dir: PathBuf,
    /// The project that answers at the root; without it, the one that was created first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_project: Option<String>,
    /// Administrator's URL of an external cluster; without it, Plinth manages one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// The managed cluster.
    pub postgres: RawPostgres,
    /// The gateway's limits.
    pub http: RawHttp,
    /// How callers are recognised.
    pub keys: RawKeys,
    /// The data API.
    pub rest: RawRest,
    /// Connections.
    pub pool: RawPool,
    /// Where jobs and messages may go.
    pub work: RawWork,
    /// What is logged.
    pub log: RawLog,
    /// Sign-in, for every project.
    #[serde(skip_serializing_if = "RawAuth::is_empty")]
    pub auth: RawAuth,
    /// What some projects have of their own, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub project: BTreeMap<String, RawProject>,
    /// Where settings of sign-in look for what they name.
    #[serde(skip)]
    pub surroundings: Surroundings,
}

/// `[postgres]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPostgres {
    /// First loopback port to try; the next free one is taken when it is in use, and kept from then on.
    pub port: u16,
    /// `postgresql.conf` settings that override Plinth's own, all written as text.
    pub settings: BTreeMap<String, String>,
}

/// `[http]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHttp {
    /// Where clients reach this instance, such as `https://example.org`: links in mails begin with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Largest request body.
    pub body_size: ByteSize,
    /// Largest request head.
    pub header_size: ByteSize,
    /// Most header fields.
    pub header_count: usize,
    /// Time for a request's head to arrive, and for an idle connection to stay.
    pub header_timeout: Span,
    /// Time for a whole request.
    pub request_timeout: Span,
    /// Most open connections.
    pub max_connections: usize,
    /// Most requests under way.
    pub max_requests: usize,
    /// Time for requests under way to end after the signal to stop.
    pub drain_timeout: Span,
    /// Proxies, as addresses or networks, whose `X-Forwarded-For` says whom a request is from; for sign-in, the header that
    /// `auth.rate_limit.header` names instead.
    pub trusted_proxies: Vec<String>,
}

/// `[keys]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawKeys {
    /// Refuse requests without an API key instead of taking them as `anon`.
    pub require_apikey: bool,
    /// Audience that tokens must name, if they name any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_audience: Option<String>,
}

/// `[rest]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRest {
    /// Exposed schemas; the first is the default.
    pub schemas: Vec<String>,
    /// Schemas that are searched besides the request's own.
    pub extra_search_path: Vec<String>,
    /// Most rows of one read; 0 means no limit.
    pub max_rows: u64,
    /// Allow `count()`, `sum()` and the like in `select`.
    pub aggregates: bool,
    /// Answer `Accept: application/vnd.pgrst.plan`.
    pub plan: bool,
    /// What happens at the end of a transaction.
    pub tx_end: String,
    /// What the OpenAPI document shows.
    pub openapi_mode: String,
}

/// `[pool]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPool {
    /// Connections of all projects together.
    pub max_connections: usize,
    /// Projects that are open at the same time.
    pub max_projects: usize,
    /// Time that a request waits for a connection.
    pub acquire_timeout: Span,
    /// Time without requests after which a project's connections are closed.
    pub idle_timeout: Span,
}

/// `[work]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWork {
    /// Hosts that jobs and messages may call by TLS though their addresses are private, each with or without a port.
    pub private_hosts: Vec<String>,
    /// Hosts that they may call by plain HTTP as well, such as an app on this machine.
    pub plain_hosts: Vec<String>,
}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// What to log, such as `info` or `plinth_server=debug,warn`; `auto` is `warn` for `plinth up`,
    /// which prints a banner of its own, and `info` otherwise.
    pub filter: String,
    /// One JSON object per line.
    pub json: bool,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5400".to_owned(),
            data_dir: PathBuf::from(".plinth"),
            default_project: None,
            database_url: None,
            postgres: RawPostgres::default(),
            http: RawHttp::default(),
            keys: RawKeys::default(),
            rest: RawRest::default(),
            pool: RawPool::default(),
            work: RawWork::default(),
            log: RawLog::default(),
            auth: RawAuth::default(),
            project: BTreeMap::new(),
            surroundings: Surroundings::default(),
        }
    }
}

impl Default for RawPostgres {
    fn default() -> Self {
        Self { port: 54322, settings: BTreeMap::new() }
    }
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            public_url: None,
            body_size: ByteSize::mebibytes(32),
            header_size: ByteSize(64 << 10),
            header_count: 100,
            header_timeout: Span::seconds(75),
            request_timeout: Span::seconds(60),
            max_connections: 8192,
            max_requests: 2048,
            drain_timeout: Span::seconds(10),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for RawKeys {
    fn default() -> Self {
        Self { require_apikey: true, jwt_audience: None }
    }
}

impl Default for RawRest {
    fn default() -> Self {
        Self {
            schemas: vec!["public".to_owned(), "graphql_public".to_owned()],
            extra_search_path: vec!["public".to_owned(), "extensions".to_owned()],
            max_rows: 1000,
            aggregates: false,
            plan: false,
            tx_end: "commit".to_owned(),
            openapi_mode: "follow-privileges".to_owned(),
        }
    }
}

impl Default for RawPool {
    fn default() -> Self {
        Self {
            max_connections: 16,
            max_projects: 40,
            acquire_timeout: Span::seconds(10),
            idle_timeout: Span::seconds(300),
        }
    }
}

impl Default for RawLog {
    fn default() -> Self {
        Self { filter: "auto".to_owned(), json: false }
    }
}

/// How a key's value is written in an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`, also `1` and `0`.
    Switch,
    /// Names separated by commas.
    List,
    /// `name=value` pairs separated by commas.
    Pairs,
}

/// A key of the configuration with its environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Path in `plinth.toml`.
    pub path: &'static str,
    /// How the environment writes it.
    pub kind: Kind,
    /// What it means, for `plinth config`.
    pub about: &'static str,
}

impl Key {
    /// The environment variable: `http.body_size` is `PLINTH_HTTP_BODY_SIZE`.
    pub fn variable(&self) -> String {
        format!("PLINTH_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }
}

const fn key(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { path, kind, about }
}

/// Every key there is, in the order of the file.
pub const KEYS: &[Key] = &[
    key("listen", Kind::Text, "where HTTP is served"),
    key("data_dir", Kind::Text, "folder of the managed cluster"),
    key("default_project", Kind::Text, "project at the root; without it, the first one created"),
    key("database_url", Kind::Text, "administrator's URL of an external cluster"),
    key("postgres.port", Kind::Number, "first loopback port that the managed cluster tries"),
    key("postgres.settings", Kind::Pairs, "postgresql.conf settings of the managed cluster"),
    key("http.public_url", Kind::Text, "where clients reach this instance; links begin with it"),
    key("http.body_size", Kind::Text, "largest request body; above it 413"),
    key("http.header_size", Kind::Text, "largest request head; above it 431"),
    key("http.header_count", Kind::Number, "most header fields; above it 431"),
    key("http.header_timeout", Kind::Text, "time for a head to arrive and for an idle connection"),
    key("http.request_timeout", Kind::Text, "time for a whole request; above it 504"),
    key("http.max_connections", Kind::Number, "most open connections; further ones wait"),
    key("http.max_requests", Kind::Number, "most requests under way; above it 503"),
    key("http.drain_timeout", Kind::Text, "time for requests to end when stopping"),
    key("http.trusted_proxies", Kind::List, "proxies whose X-Forwarded-For is believed"),
    key("keys.require_apikey", Kind::Switch, "refuse requests without an API key (else: anon)"),
    key("keys.jwt_audience", Kind::Text, "audience that tokens must name, if they name any"),
    key("rest.schemas", Kind::List, "exposed schemas; the first is the default"),
    key("rest.extra_search_path", Kind::List, "schemas searched besides the request's own"),
    key("rest.max_rows", Kind::Number, "most rows of one read; 0 means no limit"),
    key("rest.aggregates", Kind::Switch, "allow count(), sum()… in select"),
    key("rest.plan", Kind::Switch, "answer Accept: application/vnd.pgrst.plan"),
    key("rest.tx_end", Kind::Text, "commit, rollback, or either with -allow-override"),
    key("rest.openapi_mode", Kind::Text, "follow-privileges, ignore-privileges or disabled"),
    key(
        "pool.max_connections",
        Kind::Number,
        "connections of all projects together; requests of one have three quarters at most",
    ),
    key("pool.max_projects", Kind::Number, "projects open at once, one more connection each"),
    key("pool.acquire_timeout", Kind::Text, "time a request waits for a connection; above it 504"),
    key("pool.idle_timeout", Kind::Text, "time after which an unused project's connections close"),
    key("work.private_hosts", Kind::List, "private hosts that jobs and messages may call by TLS"),
    key("work.plain_hosts", Kind::List, "hosts that they may call by plain HTTP: apps beside it"),
    key(
        "log.filter",
        Kind::Text,
        "what to log, such as info or plinth_server=debug,warn; auto: warn for up, else info",
    ),
    key("log.json", Kind::Switch, "log one JSON object per line"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_file_is_in_the_table_and_the_other_way_round() {
        let full = RawConfig {
            default_project: Some("a".to_owned()),
            database_url: Some("b".to_owned()),
            keys: RawKeys { require_apikey: true, jwt_audience: Some("c".to_owned()) },
            http: RawHttp { public_url: Some("d".to_owned()), ..RawHttp::default() },
            ..RawConfig::default()
        };
        let table = toml::Table::try_from(&full).unwrap();
        let mut paths = Vec::new();
        for (name, value) in &table {
            match value.as_table() {
                Some(section) => paths.extend(section.keys().map(|key| format!("{name}.{key}"))),
                None => paths.push(name.clone()),
            }
        }
        paths.sort();
        let mut known: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        known.sort();
        assert_eq!(paths, known);
    }
}
