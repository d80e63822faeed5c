//! A message that was taken, as the database hands it over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::item::Settings;

/// All that it takes to deliver a message once.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Work {
    pub(super) id: String,
    /// s step of a run, c call, b what came of a call, f word of a failed run, p all others.
    pub(super) kind: String,
    pub(super) attempt: u32,
    pub(super) retried: u32,
    pub(super) url: String,
    pub(super) topic: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) schedule: Option<String>,
    #[serde(default)]
    pub(super) labels: Vec<String>,
    pub(super) run: Option<String>,
    pub(super) settings: Settings,
    /// Base64.
    pub(super) body: String,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    pub(super) due: i64,
    pub(super) run_created: Option<i64>,
    pub(super) run_url: Option<String>,
    /// What its run began with, base64.
    pub(super) payload: Option<String>,
    /// The steps of its run up to this one.
    pub(super) list: Option<Value>,
    /// Which of the signing keys is the current one.
    pub(super) signing: u32,
}

impl Work {
    pub(super) fn is_step(&self) -> bool {
        self.kind == "s"
    }

    /// Whether it goes to its run's endpoint.
    pub(super) fn is_of_run(&self) -> bool {
        matches!(self.kind.as_str(), "s" | "b")
    }

    /// The message's own body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.body).unwrap_or_default()
    }
}
