//! Where to look for queued jobs: how far each queue was read.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::rule::Rule;
use crate::store::{Claimed, Source};

/// At least this long after a look at whole queues comes the next.
const REWIND: Duration = Duration::from_secs(1);

/// A look at whole queues may take this part of the time.
const REWIND_SHARE: u32 = 20;

/// Jobs get their places when they are inserted and are seen when they are committed, so that those of concurrent
/// transactions come out of order: a look begins where the queue was read to so long ago,
const BEHIND: Duration = Duration::from_millis(250);

/// but does not step over what remains of more jobs than this.
const MOST_BEHIND: usize = 512;

/// How far the queues were read. A job that becomes visible far behind that, because its transaction was long, because it
/// was given back, or because somebody held it, is found by the next look at the whole queue.
#[derive(Debug)]
pub(super) struct Sources {
    places: HashMap<(i32, u8), Marks>,
    batch: usize,
    rewound: Instant,
    /// Whether the look that is under way is at whole queues.
    whole: bool,
    pause: Duration,
}

/// Where looks at a queue came to, the oldest first: the next one begins there.
#[derive(Debug, Default)]
struct Marks {
    marks: VecDeque<Mark>,
    /// Jobs that were taken since the oldest.
    taken: usize,
}

/// A look at a queue: the place behind it, when it was, and how many jobs it took.
#[derive(Debug)]
struct Mark {
    place: i64,
    at: Instant,
    taken: usize,
}

impl Marks {
    /// Where to begin.
    fn begin(&mut self, now: Instant) -> i64 {
        while let Some(next) = self.marks.get(1)
            && (now.duration_since(next.at) >= BEHIND || self.taken > MOST_BEHIND)
        {
            self.taken = self.taken.saturating_sub(next.taken);
            self.marks.pop_front();
        }
        self.marks.front().map_or(0, |mark| mark.place)
    }

    fn passed(&mut self, place: i64, at: Instant, taken: usize) {
        if self.marks.is_empty() {
            // The first look was at the whole queue, and so is the next.
            self.marks.push_back(Mark { place: 0, at, taken: 0 });
        }
        self.marks.push_back(Mark { place, at, taken });
        self.taken += taken;
    }
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
        let now = Instant::now();
        let mut look = Vec::new();
        for (rule, free) in rules.filter(|(_, free)| *free > 0) {
            for priority in &rule.priorities {
                let marks = self.places.get_mut(&(rule.id, *priority));
                let place = marks.map_or(0, |marks| marks.begin(now));
                let most = free.min(self.batch);
                look.push(Source { binding: rule.id, priority: *priority, place, most });
            }
        }
        look
    }

    /// Remembers how far a look came. Only where it saw the end of what was there, or took all that it saw.
    pub(super) fn passed(&mut self, look: &[Source], taken: &[Claimed]) {
        let now = Instant::now();
        for source in look {
            let mine = taken
                .iter()
                .filter(|job| job.binding == source.binding && job.priority == source.priority);
            let (count, last) =
                mine.fold((0, None), |(count, last), job| (count + 1, last.max(Some(job.place))));
            if let Some(last) = last {
                let marks = self.places.entry((source.binding, source.priority)).or_default();
                marks.passed(last + 1, now, count);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_begins_where_the_queue_was_read_to_a_moment_ago() {
        let (start, mut marks) = (Instant::now(), Marks::default());
        marks.passed(11, start, 10);
        marks.passed(15, start + BEHIND / 2, 4);
        // What was committed out of order just now is still ahead.
        assert_eq!(marks.begin(start + BEHIND / 2), 0);
        assert_eq!(marks.begin(start + BEHIND), 11);
        assert_eq!(marks.begin(start + BEHIND * 2), 15);
        assert_eq!(marks.begin(start + BEHIND * 9), 15);
    }

    #[test]
    fn a_look_does_not_step_over_the_remains_of_many_jobs() {
        let (start, mut marks) = (Instant::now(), Marks::default());
        for look in 1..=10 {
            marks.passed(look * 128 + 1, start, 128);
        }
        assert_eq!(marks.begin(start), 6 * 128 + 1);
    }
}
