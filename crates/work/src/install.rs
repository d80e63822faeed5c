//! From a manifest to a project's database: what it would refuse, and what makes people's tables move.

mod apply;
mod check;
mod diff;
mod sealed;
mod settings;
mod trigger;

pub use apply::{ApplyError, apply, diff};
pub use check::{CheckError, Checker};
pub use diff::{Change, Kind, What};
pub use sealed::{SEALED, set_sealing_key};
pub use settings::check_settings;
pub use trigger::{Installed, RowBinding, TriggerError, drop_triggers, install_triggers};
