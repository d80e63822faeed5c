//! Which names SQL may use, by the place where it stands.

use super::action::{BINDING_SQL, HOOK_SQL, SCHEDULE_SQL};
use crate::manifest::name::Name;
use crate::manifest::shape::Shape;

/// The names that SQL may use, by the place where it stands.
pub(in crate::manifest) struct Places {
    /// `input` and `running`.
    pub before: &'static [Name],
    /// `done`.
    pub done: &'static [Name],
    /// `failed`.
    pub failed: &'static [Name],
    /// `each_step`.
    pub each_step: &'static [Name],
    /// SQL of a step, and `run` of the action `sql`.
    pub step: &'static [Name],
    /// Settings of the action `sql`.
    pub sql: &'static Shape,
}

macro_rules! places {
    ($sql:ident: $($own:ident),+) => {
        Places {
            before: &[$(Name::$own,)+ Name::Job, Name::Attempt],
            done: &[$(Name::$own,)+ Name::Out, Name::Steps, Name::Job, Name::Attempt],
            failed: &[$(Name::$own,)+ Name::Error, Name::Steps, Name::Job, Name::Attempt],
            each_step: &[$(Name::$own,)+ Name::Step, Name::Steps, Name::Job, Name::Attempt],
            step: &[$(Name::$own,)+ Name::Input, Name::Steps, Name::Job, Name::Attempt],
            sql: &$sql,
        }
    };
}

/// Names in the SQL of a binding.
pub(in crate::manifest) static OF_BINDING: Places = places!(BINDING_SQL: Row);
/// Names in the SQL of a hook.
pub(in crate::manifest) static OF_HOOK: Places = places!(HOOK_SQL: Body, Headers, Event);
/// Names in the SQL of a schedule.
pub(in crate::manifest) static OF_SCHEDULE: Places = places!(SCHEDULE_SQL: Tick);
