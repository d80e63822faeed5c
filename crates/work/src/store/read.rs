//! What the columns of our rows say.

use std::time::Duration;

use plinth_wire::Row;
use serde_json::Value;

use super::{Claimed, Depth, Turn};
use crate::rule::Rule;

pub(super) fn text_at(row: &Row, column: usize) -> Option<String> {
    let value = row.get(column)?.as_ref()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

pub(super) fn number<N: std::str::FromStr>(row: &Row, column: usize) -> Option<N> {
    text_at(row, column)?.parse().ok()
}

pub(super) fn number_list(row: &Row, column: usize) -> Vec<i64> {
    let text = text_at(row, column).unwrap_or_default();
    text.trim_matches(['{', '}']).split(',').filter_map(|number| number.parse().ok()).collect()
}

pub(super) fn json_at(row: &Row, column: usize) -> Value {
    let value = row.get(column).and_then(Option::as_ref);
    value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
}

pub(super) fn claimed(row: &Row) -> Option<Claimed> {
    Some(Claimed {
        id: number(row, 0)?,
        binding: number(row, 1)?,
        priority: number(row, 2)?,
        place: number(row, 3)?,
        key: text_at(row, 4),
        input: row.get(5)?.clone(),
        attempt: number(row, 6)?,
        failures: number(row, 7)?,
        waited: Duration::from_secs_f64(number::<f64>(row, 8)?.clamp(0.0, 1e9)),
        has_steps: text_at(row, 9).as_deref() == Some("t"),
        alone: text_at(row, 10).as_deref() == Some("t"),
    })
}

/// From the columns of binding, key, priority and place. `None` where the job has no place any more.
pub(super) fn turn(row: &Row, [binding, fair, priority, place]: [usize; 4]) -> Option<Turn> {
    Some(Turn {
        binding: number(row, binding)?,
        fair: text_at(row, fair)?,
        priority: number(row, priority)?,
        place: number(row, place)?,
    })
}

pub(super) fn depth(row: &Row) -> Option<Depth> {
    let state = text_at(row, 1)?;
    Some(Depth {
        binding: text_at(row, 0)?,
        state: crate::inspect::UNFINISHED.into_iter().find(|known| *known == state)?,
        jobs: number(row, 2)?,
        oldest_seconds: number::<f64>(row, 3)?.max(0.0),
    })
}

/// The rule of a row of `bindings.sql`; `None` where the row is only about the revision.
pub(super) fn rule(row: &Row) -> Option<Rule> {
    let (id, kind) = (number(row, 1)?, text_at(row, 3)?);
    let spec = json_at(row, 4);
    let found = match kind.as_str() {
        "row" => match text_at(row, 5) {
            Some(key_type) => {
                serde_json::from_value(spec).map(|spec| Rule::of_binding(id, &spec, &key_type))
            }
            None => {
                tracing::warn!(
                    binding.name = text_at(row, 2),
                    "the table of a binding, or its key, is gone"
                );
                return None;
            }
        },
        "hook" => serde_json::from_value(spec).map(|spec| Rule::of_hook(id, &spec)),
        "schedule" => serde_json::from_value(spec).map(|spec| Rule::of_schedule(id, &spec)),
        _ => return None,
    };
    found
        .inspect_err(|error| {
            tracing::warn!(binding.name = text_at(row, 2), error = %error, "a binding cannot be understood");
        })
        .ok()
}
