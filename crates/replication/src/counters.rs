//! What a hub has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the hub was made. They only grow, but for `lag_bytes` and `position`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Changes that at least one subscription wanted; decoded once each.
    pub changes: AtomicU64,
    /// Changes that nobody wanted; not decoded.
    pub changes_unwanted: AtomicU64,
    /// Messages of `pg_logical_emit_message` that somebody wanted.
    pub messages: AtomicU64,
    /// Committed transactions that came.
    pub transactions: AtomicU64,
    /// Bytes that came from PostgreSQL.
    pub bytes: AtomicU64,
    /// Streams that began.
    pub starts: AtomicU64,
    /// Streams that ended by themselves and were begun again, and attempts that failed.
    pub restarts: AtomicU64,
    /// Gaps that subscriptions were told of.
    pub gaps: AtomicU64,
    /// Subscriptions that were cut off because they were too slow.
    pub cut_off: AtomicU64,
    /// Place in the log up to which everything was given out.
    pub position: AtomicU64,
    /// Bytes of log that PostgreSQL had written beyond that when [`crate::ChangeHub::measure_lag`] last asked.
    pub lag_bytes: AtomicU64,
}

/// Adds to a count that others only read.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}
