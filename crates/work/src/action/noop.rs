//! Nothing at all: for bindings whose SQL is everything, and for measuring.

use serde_json::Value;

use super::{Action, Call, Outcome, Work};

/// `noop`: its output is its input.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

impl Action for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        match with.as_object().is_none_or(serde_json::Map::is_empty) {
            true => Ok(()),
            false => Err("`noop` has no settings".to_owned()),
        }
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(async { Outcome::Done(call.input.clone()) })
    }
}
