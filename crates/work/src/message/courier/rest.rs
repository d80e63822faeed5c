//! While there is nothing to deliver: a look now and then, with no connection in between.

use std::time::Duration;

use plinth_wire::WireError;
use tokio::time::sleep;

use super::{Shared, statements};
use crate::patience::soon;

/// The first wait after a look that found nothing.
const FIRST: Duration = Duration::from_secs(1);

/// How much longer each wait is than the one before.
const GROWTH: f64 = 1.5;

/// Waits from this length on are not worth a connection that is kept.
const WORTH_CLOSING: Duration = Duration::from_secs(5);

/// What is due within this time is not worth a rest.
const SHORT: Duration = Duration::from_secs(2);

/// Waits until there is something to deliver.
pub(super) async fn rest(shared: &Shared) {
    let longest = shared.options.longest_rest;
    let mut wait = FIRST.min(longest);
    loop {
        let due = match due_in(shared).await {
            Ok(Some(due)) if due <= SHORT => return,
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(project.name = %shared.project, error = %error, "messages cannot be looked for");
                wait = FIRST.min(longest);
                None
            }
        };
        if wait >= WORTH_CLOSING {
            shared.store.close_idle();
        }
        // The time of what is due is looked at again: it may be cancelled until then.
        let next = due.map_or(wait, |due| wait.min(due));
        tokio::select! {
            () = shared.wake.notified() => wait = FIRST.min(longest),
            () = sleep(next) => wait = wait.mul_f64(GROWTH).min(longest),
        }
    }
}

/// Whether nothing will be due for a while.
pub(super) async fn may_rest(shared: &Shared) -> bool {
    due_in(shared).await.is_ok_and(|due| due.is_none_or(|due| due > SHORT))
}

/// When the next message or tick is due; at once, when a lost instance left messages. `None` when there is nothing.
async fn due_in(shared: &Shared) -> Result<Option<Duration>, WireError> {
    let next = shared.store.json(&statements::NEXT, Vec::new());
    let seconds = soon(shared.patience(), next).await?;
    Ok(seconds.as_f64().map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 1e9))))
}
