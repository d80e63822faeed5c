//! Making people's tables move: what a manifest asks for, put into the project's database.

mod trigger;

pub use trigger::{RowBinding, TriggerError, drop_triggers, install_triggers};
