//! What a listener holds.

use std::sync::Arc;

use crate::hub::queue::{Queue, Reader};
use crate::hub::shared::Shared;
use crate::{Ended, Event, Filter};

/// How much may wait for a subscription, beside what it took the last time, which may be as much. At the bound, [`Overflow`] says
/// what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    /// So many events,
    pub events: usize,
    /// and so many bytes. A single event is taken however large it is.
    pub bytes: usize,
}

impl Default for QueueBounds {
    /// 8,192 events, 16 MiB.
    fn default() -> Self {
        Self { events: 8192, bytes: 16 * 1024 * 1024 }
    }
}

/// What happens to a subscription that is too slow. The stream never waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// What waits is dropped and the subscription ends with [`Ended::TooSlow`].
    CutOff,
    /// What waits is dropped, the subscription is told so ([`crate::GapReason::Slow`]) and goes on. For listeners that look for
    /// themselves after a gap.
    Gap,
}

/// Who listens. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    subscriber: Arc<Subscriber>,
    reader: Reader,
}

/// The side of a subscription that the hub sees.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) name: String,
    pub(super) filter: Filter,
    pub(super) queue: Arc<Queue>,
}

impl Subscription {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: &str,
        filter: Filter,
        bounds: QueueBounds,
        overflow: Overflow,
    ) -> Self {
        let queue = Arc::new(Queue::new(bounds, overflow));
        let reader = Reader::new(queue.clone());
        let subscriber = Arc::new(Subscriber { name: name.to_owned(), filter, queue });
        shared.add(subscriber.clone());
        Self { shared, subscriber, reader }
    }

    /// The next event, as soon as there is one. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`Ended`], then and ever after.
    pub async fn next(&mut self) -> Result<Event, Ended> {
        self.reader.next().await
    }

    /// The next event, if there is one already.
    ///
    /// # Errors
    ///
    /// [`Ended`], then and ever after.
    pub fn try_next(&mut self) -> Result<Option<Event>, Ended> {
        self.reader.pop()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscriber.queue.abandon();
        self.shared.remove(&self.subscriber);
    }
}
