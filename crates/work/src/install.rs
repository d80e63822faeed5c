//! From a manifest to a project's database: what it would refuse, and what makes people's tables move.

mod check;
mod trigger;

pub use check::{CheckError, Checker};
pub use trigger::{RowBinding, TriggerError, drop_triggers, install_triggers};
