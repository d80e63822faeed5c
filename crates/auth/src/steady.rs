//! Answers whose time does not tell what was done.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Answers come at multiples of this. It is long enough for a few statements and a commit, and nobody minds it who waits for a
/// mail.
const STEP: Duration = Duration::from_millis(50);

/// Does `work`, whose result comes when a whole number of [`STEP`]s has passed. Where strangers ask about users, more is done
/// for one who is there: a token is made and stored, and the commit waits for the disk. Within one step that cannot be told
/// from a look that finds nobody. What may take longer than a step, such as carriers of messages and hooks, is not to be waited
/// for at all.
pub(crate) async fn steadily<T>(work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = work.await;
    sleep_until(begun + rounded_up(begun.elapsed())).await;
    done
}

fn rounded_up(spent: Duration) -> Duration {
    let steps = spent.as_nanos() / STEP.as_nanos() + 1;
    STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_less_than_a_step_takes_a_step() {
        for (spent, taken) in [(0, 50), (1, 50), (49, 50), (50, 100), (60, 100), (320, 350)] {
            let spent = Duration::from_millis(spent);
            assert_eq!(rounded_up(spent), Duration::from_millis(taken), "{spent:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_done_before_its_step_is_over() {
        for spent in [0, 10, 30] {
            let begun = Instant::now();
            let done = steadily(async {
                tokio::time::sleep(Duration::from_millis(spent)).await;
                spent
            });
            assert_eq!(done.await, spent);
            assert!(begun.elapsed() >= STEP, "{spent}: {:?}", begun.elapsed());
        }
    }
}
