//! Time limits for things that hardly ever need one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// One timer for a sequence of waits. A timer per wait would be set and taken back thousands of times
/// a second for each time that it goes off; this one is left alone, goes off now and then, and is
/// set to what is then due.
pub(super) struct Clock {
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(sleep(Duration::ZERO)) }
    }

    /// What `future` comes to, or `None` when it takes longer than `limit`.
    pub(super) async fn within<F: Future>(
        &mut self,
        limit: Duration,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let mut due = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let due = *due.get_or_insert_with(|| Instant::now() + limit);
            if self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            loop {
                ready!(self.timer.as_mut().poll(context));
                if Instant::now() >= due {
                    return Poll::Ready(None);
                }
                self.timer.as_mut().reset(due);
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::pin::pin;

    #[tokio::test]
    async fn a_wait_ends_when_it_is_due_whatever_the_timer_was_set_to_before() {
        let mut clock = Clock::new();
        for limit in [30, 10, 20] {
            let limit = Duration::from_millis(limit);
            let begun = Instant::now();
            assert!(clock.within(limit, pin!(pending::<()>())).await.is_none());
            let took = begun.elapsed();
            assert!(took >= limit, "{took:?} of {limit:?}");
            assert!(took < limit + Duration::from_secs(5), "{took:?} of {limit:?}");
        }
        let at_once = clock.within(Duration::ZERO, pin!(ready(7))).await;
        assert_eq!(at_once, Some(7));
    }
}
