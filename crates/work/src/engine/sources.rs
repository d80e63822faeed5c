//! Where to look for queued jobs: how far each queue was read, and what stayed behind.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::rule::Rule;
use crate::store::{Claimed, Source, Survey};

/// Jobs get their places when they are inserted and are seen when they are committed, so that those of concurrent
/// transactions come out of order: a look begins where the queue was read to so long ago,
const BEHIND: Duration = Duration::from_millis(250);

/// but does not step over what remains of more jobs than this.
const MOST_BEHIND: usize = 512;

/// Jobs of a queue that stayed further behind and are taken one by one. When there are more, looks begin with them again.
pub(super) const MOST_LEFT: usize = 32;

/// How far the queues were read.
///
/// Looks for jobs step over nothing that was read before: what remains of ended jobs can be much, beside an old transaction.
/// A job that becomes visible far behind that, because its transaction was long or because somebody held it, is found by the
/// survey of whole queues, which is in no look's way. It also says where to begin.
#[derive(Debug)]
pub(super) struct Sources {
    queues: HashMap<(i32, u8), Queue>,
    batch: usize,
}

#[derive(Debug)]
struct Queue {
    read: Reading,
    /// Places of jobs that stayed behind.
    left: Vec<i64>,
}

/// Where looks came to, the oldest first: the next one begins there.
#[derive(Debug)]
pub(super) struct Reading {
    marks: VecDeque<Mark>,
    /// Jobs since the oldest mark.
    jobs: usize,
}

/// A look: the place behind it, when it was, and how many jobs there were.
#[derive(Debug)]
struct Mark {
    place: i64,
    at: Instant,
    jobs: usize,
}

impl Reading {
    /// From a place on; what was not committed yet may have got one before that.
    pub(super) fn at(place: i64) -> Self {
        let place = place - MOST_BEHIND as i64;
        let mark = Mark { place, at: Instant::now(), jobs: 0 };
        Self { marks: [mark].into(), jobs: 0 }
    }

    /// Where to begin.
    pub(super) fn begin(&mut self, now: Instant) -> i64 {
        while let Some(next) = self.marks.get(1)
            && (now.duration_since(next.at) >= BEHIND || self.jobs > MOST_BEHIND)
        {
            self.jobs = self.jobs.saturating_sub(next.jobs);
            self.marks.pop_front();
        }
        self.marks.front().map_or(0, |mark| mark.place)
    }

    fn passed(&mut self, place: i64, at: Instant, jobs: usize) {
        self.marks.push_back(Mark { place, at, jobs });
        self.jobs += jobs;
    }

    /// All up to a place was looked at, whose jobs were not counted.
    pub(super) fn read_to(&mut self, place: i64) {
        let new = place - self.marks.back().map_or(0, |mark| mark.place);
        if let (1.., Ok(jobs)) = (new, usize::try_from(new)) {
            self.passed(place, Instant::now(), jobs);
        }
    }
}

impl Sources {
    pub(super) fn new(batch: usize) -> Self {
        Self { queues: HashMap::new(), batch }
    }

    /// Where to look for the jobs of these rules, of which so many may be taken. Not in queues that no survey has seen.
    pub(super) fn of<'a>(&mut self, rules: impl Iterator<Item = (&'a Rule, usize)>) -> Vec<Source> {
        let now = Instant::now();
        let mut look = Vec::new();
        for (rule, free) in rules {
            for priority in &rule.priorities {
                let Some(queue) = self.queues.get_mut(&(rule.id, *priority)) else { continue };
                let source = |place, until, most| Source {
                    binding: rule.id,
                    priority: *priority,
                    place,
                    until,
                    most,
                };
                let left = queue.left.drain(..queue.left.len().min(free));
                let before = look.len();
                look.extend(left.map(|place| source(place, place + 1, 1)));
                let most = (free + before - look.len()).min(self.batch);
                if most > 0 {
                    look.push(source(queue.read.begin(now), i64::MAX, most));
                }
            }
        }
        look
    }

    /// Remembers how far a look came.
    pub(super) fn passed(&mut self, look: &[Source], taken: &[Claimed]) {
        let now = Instant::now();
        for source in look.iter().filter(|source| source.until == i64::MAX) {
            let Some(queue) = self.queues.get_mut(&(source.binding, source.priority)) else {
                continue;
            };
            let places = taken
                .iter()
                .filter(|job| job.binding == source.binding && job.priority == source.priority)
                .map(|job| job.place)
                .filter(|place| *place >= source.place);
            if let Some(last) = places.clone().max() {
                queue.read.passed(last + 1, now, places.count());
            }
        }
    }

    /// What a survey looks at for these rules: the queues, as far as looks step over them.
    pub(super) fn surveyed<'a>(&self, rules: impl Iterator<Item = &'a Rule>) -> Vec<Source> {
        let source = |binding, priority| {
            let queue = self.queues.get(&(binding, priority));
            let first = queue.and_then(|queue| queue.read.marks.front());
            let until = first.map_or(i64::MAX, |mark| mark.place);
            Source { binding, priority, place: 0, until, most: MOST_LEFT }
        };
        rules
            .flat_map(|rule| rule.priorities.iter().map(|priority| source(rule.id, *priority)))
            .collect()
    }

    /// Learns what a survey of these has found. Says whether there may be jobs to take.
    pub(super) fn learn(&mut self, looked_at: &[Source], survey: &Survey) -> bool {
        self.queues
            .retain(|(binding, _), _| looked_at.iter().any(|source| source.binding == *binding));
        let mut some = false;
        for source in looked_at {
            let found = survey
                .found
                .iter()
                .filter(|found| (found.0, found.1) == (source.binding, source.priority));
            let left: Vec<i64> = found.map(|found| found.2).collect();
            let first = left.iter().min().copied();
            some |= first.is_some();
            let key = (source.binding, source.priority);
            match self.queues.get_mut(&key) {
                Some(queue) if left.len() < MOST_LEFT => queue.left = left,
                _ => {
                    let read = Reading::at(first.unwrap_or(survey.end));
                    self.queues.insert(key, Queue { read, left: Vec::new() });
                    // What came meanwhile woke a look that did not know where to begin.
                    some = true;
                }
            }
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_begins_where_the_queue_was_read_to_a_moment_ago() {
        let (start, mut queue) = (Instant::now(), Reading::at(1 + MOST_BEHIND as i64));
        queue.passed(11, start, 10);
        queue.passed(15, start + BEHIND / 2, 4);
        // What was committed out of order just now is still ahead.
        assert_eq!(queue.begin(start + BEHIND / 2), 1);
        assert_eq!(queue.begin(start + BEHIND), 11);
        assert_eq!(queue.begin(start + BEHIND * 2), 15);
        assert_eq!(queue.begin(start + BEHIND * 9), 15);
    }

    #[test]
    fn a_look_does_not_step_over_the_remains_of_many_jobs() {
        let (start, mut queue) = (Instant::now(), Reading::at(1 + MOST_BEHIND as i64));
        for look in 1..=10 {
            queue.passed(look * 128 + 1, start, 128);
        }
        assert_eq!(queue.begin(start), 6 * 128 + 1);
    }
}
