//! What a manifest says, in normal form: what the database keeps of it, and all that an engine needs.
//!
//! Defaults are filled in, lengths of time are milliseconds, a single statement is a list of one. Two specs that are
//! equal do the same. A field that is added later is optional or has a default in serde, so that a spec which an older
//! version stored still reads; a field never changes its name or meaning.

use std::fmt;
use std::time::Duration;

use plinth_postgres::quote::ident;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sql::Sql;
use super::work::FLOW;

/// The schema that is meant where none is named.
const PUBLIC: &str = "public";

/// A table, by its names in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    /// Its schema.
    pub schema: String,
    /// Its name in it.
    pub name: String,
}

impl Relation {
    /// Its name in SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }
}

impl fmt::Display for Relation {
    /// As a manifest calls it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_str() {
            PUBLIC => f.write_str(&self.name),
            schema => write!(f, "{schema}.{}", self.name),
        }
    }
}

/// A binding: rows that enter a state make jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BindingSpec {
    /// Its name, unique among bindings, hooks and schedules.
    pub name: String,
    /// The table.
    pub on: Relation,
    /// The state: a condition on the row's columns.
    pub when: Sql,
    /// The column that `$row` is; `None`: the primary key, which is one column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What a job does.
    #[serde(flatten)]
    pub work: Work,
    /// The state in which a job is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_when: Option<Sql>,
    /// How many jobs may begin in a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// How many jobs may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The expression from whose values jobs are taken in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fair: Option<Sql>,
    /// Which jobs come first.
    pub priority: Priority,
    /// Whether rows that were there before the binding get jobs.
    pub backfill: bool,
    /// How many jobs are taken at once.
    pub batch: u32,
}

/// What a job does, whatever made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The action; `noop` where SQL is all there is.
    pub action: String,
    /// Settings of the action. Texts that begin with `env:` are still unresolved: no secret is in a spec.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// The query for what the action gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Sql>,
    /// Paths of sealed values in what the action gets, which it gets opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
    /// Whose rights the SQL has.
    pub role: Role,
    /// SQL at the beginning of an attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<Sql>,
    /// SQL after success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Sql>,
    /// SQL after the last failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Sql>,
    /// SQL after each step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each_step: Vec<Sql>,
    /// Steps of the action `flow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The manifest's meters that are for calls of this work; they are put here when it is installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterSpec>,
    /// When attempts are repeated.
    pub retry: Retry,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
}

/// Whose rights SQL has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The project's owner role.
    #[default]
    Owner,
    /// `service_role`.
    ServiceRole,
    /// `authenticated`.
    Authenticated,
    /// `anon`.
    Anon,
}

/// When a failed attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// Wait before the second attempt, in milliseconds.
    pub first_ms: u64,
    /// How much longer each wait is than the one before, at least 1.
    pub factor: f64,
    /// The longest wait, in milliseconds.
    pub max_ms: u64,
    /// The part of a wait that is left to chance, from 0 to 1.
    pub jitter: f64,
}

/// So many jobs in a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted by itself; `None`: all jobs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Sql>,
    /// The period, in milliseconds.
    pub per_ms: u64,
    /// Jobs in it.
    pub max: u32,
}

/// So many jobs at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// What is counted by itself; `None`: all jobs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Sql>,
    /// Jobs at the same time.
    pub max: u32,
}

/// Which jobs come first: from 0 to 9, higher first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Priority {
    /// The same for all.
    Fixed(u8),
    /// An expression on the row's columns, brought into the bounds.
    Of(Sql),
}

/// One step of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, unique in the flow, also among steps that run beside each other.
    pub name: String,
    /// A condition without which it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Sql>,
    /// What it does.
    #[serde(rename = "do")]
    pub deed: Deed,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// An action.
    Act {
        /// Its name.
        action: String,
        /// Its settings.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        with: Map<String, Value>,
        /// The query for what it gets; `None`: what the step before gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Sql>,
        /// Paths of sealed values in what it gets, which it gets opened.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        open: Vec<String>,
    },
    /// Waiting, in milliseconds.
    Sleep {
        /// How long.
        ms: u64,
    },
    /// Waiting for an event.
    Wait {
        /// Its name.
        event: String,
        /// The query for its key; `None`: the row's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Sql>,
        /// How long, in milliseconds.
        timeout_ms: u64,
    },
    /// The work of a binding.
    Call(Call),
    /// Steps at the same time.
    Parallel(Vec<Step>),
}

/// The work of a binding for one row, as part of something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Which binding.
    pub binding: String,
    /// The query for the row's key; `None`: the job's own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Sql>,
}

/// An inbound webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookSpec {
    /// Its name, unique among bindings, hooks and schedules.
    pub name: String,
    /// How deliveries are verified.
    pub verify: Verify,
    /// Where the provider's id of a delivery is; `None`: the SHA-256 of the body counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// A binding whose work is done; its result is `$out` of `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// What a job does.
    #[serde(flatten)]
    pub work: Work,
}

/// How a delivery is verified. What the scheme knows by itself is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// The kind of proof.
    pub scheme: Scheme,
    /// Names of the environment variables with the secrets, any of which may have made the proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The header with the proof, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// What stands before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How a signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How old a proof with a time in it may be, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_ms: Option<u64>,
}

/// Kinds of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// HMAC-SHA-256 of the body.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC-SHA-1 of the body.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// Stripe's `t=…,v1=…`.
    #[serde(rename = "stripe")]
    Stripe,
    /// GitHub's `sha256=…`.
    #[serde(rename = "github")]
    GitHub,
    /// The Standard Webhooks specification.
    #[serde(rename = "standard-webhooks")]
    StandardWebhooks,
    /// A JWT with HS256.
    #[serde(rename = "jwt-hs256")]
    JwtHs256,
    /// The secret is the last part of the path.
    #[serde(rename = "path-token")]
    PathToken,
    /// The secret is a header.
    #[serde(rename = "shared-header")]
    SharedHeader,
    /// None: everybody is let in.
    #[serde(rename = "none")]
    None,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in any case.
    #[default]
    Hex,
    /// Base64 with the usual alphabet.
    Base64,
}

/// Where the id of a delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventId {
    /// In a header, by its name in lower case.
    Header(String),
    /// In the body, by a JSON path (RFC 9535).
    Body(String),
}

/// Work at given times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Its name, unique among bindings, hooks and schedules.
    pub name: String,
    /// The pattern: five fields, or six with seconds before them.
    pub cron: String,
    /// The time zone's name.
    pub timezone: String,
    /// The most that a run is late by chance, in milliseconds.
    pub jitter_ms: u64,
    /// What happens to ticks that were missed.
    pub catch_up: CatchUp,
    /// What a job does. `run` is `done` of the action `noop`.
    #[serde(flatten)]
    pub work: Work,
}

/// What happens to ticks that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing.
    Skip,
    /// One run, for the latest.
    One,
    /// A run for each, but no more than so many: the latest.
    All(u32),
}

/// Columns that hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSpec {
    /// The table.
    pub on: Relation,
    /// Its columns, sorted.
    pub columns: Vec<String>,
}

/// Records of what actions use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterSpec {
    /// Its name, unique among meters.
    pub name: String,
    /// Actions, `connector.*`, or `*`; sorted.
    pub actions: Vec<String>,
    /// The SQL.
    pub record: Vec<Sql>,
    /// Whose rights it has.
    pub role: Role,
}

impl Role {
    /// The role's name in PostgreSQL; `None`: the owner role, whose name is the project's.
    pub fn database_role(self) -> Option<&'static str> {
        match self {
            Self::Owner => None,
            Self::ServiceRole => Some("service_role"),
            Self::Authenticated => Some("authenticated"),
            Self::Anon => Some("anon"),
        }
    }
}

impl Work {
    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The environment variables that its actions read.
    pub fn variables(&self) -> Vec<&str> {
        let steps = self.steps.iter().flat_map(Step::variables);
        self.with.values().flat_map(variables).chain(steps).collect()
    }

    /// The actions that it calls: of a flow, those of its steps.
    pub fn actions(&self) -> Vec<&str> {
        match self.action.as_str() {
            FLOW => self.steps.iter().flat_map(Step::actions).collect(),
            action => vec![action],
        }
    }

    /// The same work with those of `meters` that are for calls of it.
    #[must_use]
    pub fn metered<'a>(mut self, meters: impl IntoIterator<Item = &'a MeterSpec>) -> Self {
        let is_for = |meter: &&MeterSpec| self.actions().iter().any(|action| meter.covers(action));
        self.meters = meters.into_iter().filter(is_for).cloned().collect();
        self
    }
}

impl Step {
    /// The actions that it calls.
    fn actions(&self) -> Vec<&str> {
        match &self.deed {
            Deed::Act { action, .. } => vec![action],
            Deed::Parallel(steps) => steps.iter().flat_map(Self::actions).collect(),
            Deed::Sleep { .. } | Deed::Wait { .. } | Deed::Call(_) => Vec::new(),
        }
    }

    /// The environment variables that its actions read.
    pub fn variables(&self) -> Vec<&str> {
        match &self.deed {
            Deed::Act { with, .. } => with.values().flat_map(variables).collect(),
            Deed::Parallel(steps) => steps.iter().flat_map(Self::variables).collect(),
            Deed::Sleep { .. } | Deed::Wait { .. } | Deed::Call(_) => Vec::new(),
        }
    }
}

impl MeterSpec {
    /// Whether calls of the action are recorded.
    pub fn covers(&self, action: &str) -> bool {
        self.actions.iter().any(|pattern| Self::matches(pattern, action))
    }

    /// Whether one of its patterns is for calls of this action.
    pub(crate) fn matches(pattern: &str, action: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(connector) => action.starts_with(connector),
            None => pattern == action,
        }
    }
}

/// The environment variables that a value's texts name with `env:`.
pub fn variables(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.strip_prefix(ENV).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(variables).collect(),
        Value::Object(fields) => fields.values().flat_map(variables).collect(),
        _ => Vec::new(),
    }
}

/// What the name of an environment variable follows in a setting.
pub const ENV: &str = "env:";
