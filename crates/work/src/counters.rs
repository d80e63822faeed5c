//! What an engine has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
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
