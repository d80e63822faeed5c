//! Hears of new jobs as they are committed, while a project is busy enough for that.

use plinth_replication::{
    ChangeHub, Event, Filter, GapReason, HubOptions, Overflow, Publication, QueueBounds,
    Subscription,
};
use plinth_wire::ConnectConfig;
use tokio::runtime::Handle;

/// The publication of jobs.
const PUBLICATION: &str = "plinth_work";

/// Changes that wait to be heard. One is as good as a thousand, so what does not fit may be dropped.
const BOUNDS: QueueBounds = QueueBounds { events: 64, bytes: 1 << 20 };

/// A stream of jobs, on or off.
pub(super) struct Stream {
    connect: ConnectConfig,
    on: Option<(ChangeHub, Subscription)>,
}

impl Stream {
    /// One that is off.
    pub(super) fn new(connect: ConnectConfig) -> Self {
        Self { connect, on: None }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Turns it on or off.
    pub(super) fn serve(&mut self, wanted: bool) {
        if wanted == self.is_on() {
            return;
        }
        self.on = wanted.then(|| {
            let publication = Publication::of_tables(PUBLICATION, [("plinth", "job")]);
            let options = HubOptions::new(self.connect.clone(), vec![publication]);
            let hub = ChangeHub::new(options, Handle::current());
            let filter = Filter::tables([("plinth", "job")]);
            let subscription = hub.subscribe("work", filter, BOUNDS, Overflow::Gap);
            (hub, subscription)
        });
    }

    /// The next moment to look for jobs: some were made, or the stream began to tell of them (`true`), or it does not any
    /// more (`false`). Never comes while it is off. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<bool> {
        let Some((_, subscription)) = &mut self.on else { return std::future::pending().await };
        loop {
            let Ok(event) = subscription.next().await else {
                self.on = None;
                return Some(false);
            };
            let mut said = says(&event);
            // Whatever else waits is answered by the same look.
            while let Ok(Some(event)) = subscription.try_next() {
                said = says(&event).or(said);
            }
            match said {
                Some(Said::Jobs) => return None,
                Some(Said::Live(live)) => return Some(live),
                None => {}
            }
        }
    }

    /// Gives the slot back.
    pub(super) async fn close(mut self) {
        if let Some((hub, subscription)) = self.on.take() {
            drop(subscription);
            hub.close().await;
        }
    }
}

enum Said {
    Jobs,
    Live(bool),
}

/// What an event means for those who take jobs. Jobs that change or go are none that may be taken.
fn says(event: &Event) -> Option<Said> {
    match event {
        Event::Live { .. } => Some(Said::Live(true)),
        Event::Gap { reason: GapReason::Slow { .. } } => Some(Said::Jobs),
        Event::Gap { .. } => Some(Said::Live(false)),
        Event::Change(change) => change.is_insert().then_some(Said::Jobs),
        Event::Message(_) => None,
    }
}
