//! Statements on schedules.

use std::sync::{Arc, LazyLock};

use plinth_wire::{Row, Rows, WireError};
use serde_json::Value;

use super::{Shared, Store, json_at, number, statement, text_at};
use crate::value::{numbers, text};

// The time is that of the transaction: both statements speak of the same moment.
static CLOCK: Shared = LazyLock::new(|| {
    Arc::from(
        "select extract(epoch from now())::text,
           (select extract(epoch from min(next_at))::text from plinth.schedule join plinth.binding on binding.id = schedule.binding
            where binding.state = 'active' and schedule.next_at > now())",
    )
});
static DUE: Shared = LazyLock::new(|| Arc::from(include_str!("schedule_due.sql")));
static MOVE: Shared = LazyLock::new(|| Arc::from(include_str!("schedule_move.sql")));
// One that comes back begins anew.
static FORGET: Shared = LazyLock::new(|| {
    Arc::from(
        "delete from plinth.schedule using plinth.binding
         where binding.id = schedule.binding and (binding.state = 'removed' or binding.kind <> 'schedule')",
    )
});

/// A schedule that must be looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DueSchedule {
    pub(crate) binding: i32,
    pub(crate) name: String,
    pub(crate) spec: Value,
    /// Hash of the spec.
    pub(crate) hash: String,
    /// Where it stands, if it stands anywhere: the hash then, pattern and next tick.
    pub(crate) stands: Option<Stand>,
}

/// How far a schedule has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) hash: String,
    pub(crate) pattern: String,
    /// Seconds since 1970.
    pub(crate) next: Option<i64>,
}

/// What the database's clock says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// Seconds since 1970.
    pub(crate) now: f64,
    /// When the next tick comes that has not come yet.
    pub(crate) next: Option<f64>,
    pub(crate) due: Vec<DueSchedule>,
}

/// A step of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Move {
    pub(crate) pattern: String,
    /// Seconds since 1970.
    pub(crate) next: Option<i64>,
    pub(crate) error: Option<String>,
    /// Each with how late its job is on purpose, in seconds.
    pub(crate) ticks: Vec<(i64, f64)>,
}

impl Store {
    /// The time, and up to `most` schedules that must be looked at.
    pub(crate) async fn schedule_look(&self, most: usize) -> Result<Look, WireError> {
        let statements = vec![
            statement(&FORGET, Vec::new()),
            statement(&CLOCK, Vec::new()),
            statement(&DUE, vec![text(most)]),
        ];
        let mut rows = self.run(statements).await?;
        let due = rows.pop().map(Rows::into_text).unwrap_or_default();
        let clock = rows.pop().map(Rows::into_text).unwrap_or_default();
        let clock = clock.first().ok_or(WireError::Closed)?;
        Ok(Look {
            now: number(clock, 0).ok_or(WireError::Closed)?,
            next: number(clock, 1),
            due: due.iter().filter_map(due_schedule).collect(),
        })
    }

    /// Moves a schedule on and makes the jobs of its ticks; false when somebody else was faster.
    pub(crate) async fn schedule_move(
        &self,
        schedule: &DueSchedule,
        to: &Move,
    ) -> Result<bool, WireError> {
        let stands = schedule.stands.as_ref();
        let params = vec![
            text(schedule.binding),
            text(&schedule.hash),
            text(&to.pattern),
            to.next.and_then(text),
            to.error.as_ref().and_then(text),
            stands.and_then(|stand| text(&stand.hash)),
            numbers(to.ticks.iter().map(|(tick, _)| tick)),
            numbers(to.ticks.iter().map(|(_, late)| late)),
            stands.and_then(|stand| stand.next).and_then(text),
        ];
        let rows = self.one(&MOVE, params).await?;
        Ok(rows.first().and_then(|row| number(row, 0)) == Some(1_i64))
    }
}

fn due_schedule(row: &Row) -> Option<DueSchedule> {
    let stands = text_at(row, 4).zip(text_at(row, 5));
    Some(DueSchedule {
        binding: number(row, 0)?,
        name: text_at(row, 1)?,
        spec: json_at(row, 2),
        hash: text_at(row, 3)?,
        stands: stands.map(|(hash, pattern)| Stand { hash, pattern, next: number(row, 6) }),
    })
}
