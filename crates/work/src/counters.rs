//! What an engine has done, for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Upper limits of a histogram's buckets, in milliseconds.
const LIMITS: [u64; 12] =
    [1, 5, 10, 30, 100, 300, 1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000];

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Jobs that were taken.
    pub claims: AtomicU64,
    /// Jobs that are done.
    pub done: AtomicU64,
    /// Attempts after which a job waits for the next.
    pub retries: AtomicU64,
    /// Jobs that failed for good.
    pub dead: AtomicU64,
    /// Jobs that were cancelled while they ran.
    pub cancelled: AtomicU64,
    /// Leases that this instance lost.
    pub leases_lost: AtomicU64,
    /// Jobs of lost workers that were queued again.
    pub reaped: AtomicU64,
    /// Jobs that were queued again because the answer to their claim, or to their end, was lost.
    pub orphans: AtomicU64,
    /// Transactions that ended jobs.
    pub finish_transactions: AtomicU64,
    /// Times from the making of jobs to their first start.
    pub waits: Histogram,
    /// Times of attempts, from their start to what they came to.
    pub runs: Histogram,
    bindings: RwLock<BTreeMap<String, Arc<BindingCounters>>>,
}

/// The same for one binding, as far as it is counted for each.
#[derive(Debug, Default)]
pub struct BindingCounters {
    /// Jobs that were taken.
    pub claims: AtomicU64,
    /// Jobs that are done.
    pub done: AtomicU64,
    /// Attempts after which a job waits for the next.
    pub retries: AtomicU64,
    /// Jobs that failed for good.
    pub dead: AtomicU64,
    /// Jobs that were cancelled while they ran.
    pub cancelled: AtomicU64,
}

impl Counters {
    /// Counts for the bindings of these names, and for no others: there are no more counters than bindings.
    pub fn keep<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut bindings = self.bindings.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *bindings);
        *bindings =
            names.map(|name| (name.to_owned(), before.remove(name).unwrap_or_default())).collect();
    }

    /// The counters of a binding. Those of one that there is not any more are heard by nobody.
    pub fn of_binding(&self, name: &str) -> Arc<BindingCounters> {
        let bindings = self.bindings.read().unwrap_or_else(PoisonError::into_inner);
        bindings.get(name).cloned().unwrap_or_default()
    }

    /// The counters of all bindings, by their names.
    pub fn bindings(&self) -> BTreeMap<String, Arc<BindingCounters>> {
        self.bindings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How often what took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// For each limit those below it and above the one before; the last is for the rest.
    buckets: [AtomicU64; LIMITS.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Limits in seconds, and how many were at most so long.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long they were together.
    pub sum: Duration,
}

impl Histogram {
    /// Counts one more.
    pub fn observe(&self, time: Duration) {
        let place = LIMITS.iter().position(|limit| time <= Duration::from_millis(*limit));
        self.buckets[place.unwrap_or(LIMITS.len())].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn seen(&self) -> Seen {
        let mut count = 0;
        let mut below = |bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            count
        };
        let limits = LIMITS.iter().map(|limit| Duration::from_millis(*limit).as_secs_f64());
        let buckets = limits.zip(&self.buckets).map(|(limit, bucket)| (limit, below(bucket)));
        let buckets = buckets.collect();
        let count = below(&self.buckets[LIMITS.len()]);
        let sum = Duration::from_micros(self.sum_us.load(Ordering::Relaxed));
        Seen { buckets, count, sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_counters_than_bindings_and_they_count_on() {
        let counters = Counters::default();
        counters.keep(["a", "b"].into_iter());
        counters.of_binding("a").done.store(3, Ordering::Relaxed);
        counters.of_binding("x").done.store(3, Ordering::Relaxed);
        counters.keep(["c", "a"].into_iter());
        let now = counters.bindings();
        let done: Vec<_> =
            now.iter().map(|(name, one)| (&**name, one.done.load(Ordering::Relaxed))).collect();
        assert_eq!(done, [("a", 3), ("c", 0)]);
    }

    #[test]
    fn a_histogram_counts_what_is_at_most_so_long() {
        let histogram = Histogram::default();
        for millis in [1, 4, 5, 6, 4_000_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen = histogram.seen();
        assert_eq!(seen.buckets[..3], [(0.001, 1), (0.005, 3), (0.01, 4)]);
        assert_eq!((seen.buckets[11], seen.count), ((3600.0, 4), 5));
        assert_eq!(seen.sum, Duration::from_millis(4_000_016));
    }
}
