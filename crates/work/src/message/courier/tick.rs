//! Messages at given times.

use std::time::Duration;

use jiff::Timestamp;
use plinth_wire::WireError;
use tokio::time::sleep;

use super::{Shared, statements};
use crate::message::endpoint::next_tick;
use crate::patience::soon;
use crate::value::text;

/// How often schedules are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Publishes what schedules say, for ever.
pub(super) async fn tick(shared: &Shared) {
    loop {
        sleep(TICK).await;
        match tick_once(shared).await {
            Ok(0) => {}
            Ok(_) => shared.wake.notify_one(),
            Err(error) => {
                tracing::debug!(project.name = %shared.project, error = %error, "schedules cannot be looked at");
            }
        }
    }
}

async fn tick_once(shared: &Shared) -> Result<usize, WireError> {
    let due = shared.store.json_list(&statements::SCHEDULES_DUE, Vec::new());
    let due = soon(shared.patience(), due).await?;
    for schedule in &due {
        let id = schedule["id"].as_str().unwrap_or_default();
        let Some(next) = next_tick(schedule["cron"].as_str().unwrap_or_default(), Timestamp::now())
        else {
            tracing::warn!(schedule.id = id, "the schedule has no next tick");
            continue;
        };
        let params = vec![text(id), text(schedule["due"].as_str().unwrap_or_default()), text(next)];
        if let Err(error) = shared.json(&statements::TICK, params).await {
            tracing::warn!(schedule.id = id, error = %error, "the schedule's message cannot be published");
        }
    }
    Ok(due.len())
}
