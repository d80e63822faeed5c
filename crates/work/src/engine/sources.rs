//! Where to look for queued jobs: how far each queue was read.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::rule::Rule;
use crate::store::{Claimed, Source};

/// At least this long after a look at whole queues comes the next.
const REWIND: Duration = Duration::from_secs(1);

/// A look at whole queues may take this part of the time.
const REWIND_SHARE: u32 = 20;

/// How far the queues were read. A job that becomes visible behind that, because its transaction was long, because it
/// was given back, or because somebody held it, is found by the next look at the whole queue.
#[derive(Debug)]
pub(super) struct Sources {
    places: HashMap<(i32, u8), i64>,
    batch: usize,
    rewound: Instant,
    /// Whether the look that is under way is at whole queues.
    whole: bool,
    pause: Duration,
}

impl Sources {
    pub(super) fn new(batch: usize) -> Self {
        Self { places: HashMap::new(), batch, rewound: Instant::now(), whole: true, pause: REWIND }
    }

    /// Looks at whole queues next time, unless that was done a moment ago.
    pub(super) fn rewind(&mut self) {
        if self.rewound.elapsed() >= self.pause {
            self.places.clear();
            self.rewound = Instant::now();
            self.whole = true;
        }
    }

    /// Where to look for the jobs of these rules, of which so many may be taken.
    pub(super) fn of<'a>(&mut self, rules: impl Iterator<Item = (&'a Rule, usize)>) -> Vec<Source> {
        self.rewind();
        let mut look = Vec::new();
        for (rule, free) in rules.filter(|(_, free)| *free > 0) {
            for priority in &rule.priorities {
                let place = self.places.get(&(rule.id, *priority)).copied().unwrap_or_default();
                let most = free.min(self.batch);
                look.push(Source { binding: rule.id, priority: *priority, place, most });
            }
        }
        look
    }

    /// Remembers how far a look came. Only where it saw the end of what was there, or took all that it saw.
    pub(super) fn passed(&mut self, look: &[Source], taken: &[Claimed]) {
        for source in look {
            let mine = taken
                .iter()
                .filter(|job| job.binding == source.binding && job.priority == source.priority);
            if let Some(last) = mine.map(|job| job.place).max() {
                self.places.insert((source.binding, source.priority), last + 1);
            }
        }
    }

    /// How long the look took: long ones at whole queues come less often.
    pub(super) fn took(&mut self, time: Duration) {
        if std::mem::take(&mut self.whole) {
            self.pause = REWIND.max(time * REWIND_SHARE);
        }
    }
}
