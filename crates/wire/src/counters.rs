//! What a pool has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the pool was made. They only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Batches sent over connections that reads share.
    pub batches_shared: AtomicU64,
    /// Groups in which those travelled: one write each.
    pub groups: AtomicU64,
    /// Batches that had a connection to themselves.
    pub batches_alone: AtomicU64,
    /// Shared reads that took so long that those behind them went elsewhere.
    pub slow_reads: AtomicU64,
    /// Shared reads whose answers were so large that those behind them went elsewhere.
    pub large_reads: AtomicU64,
    /// Shared reads that were run a second time, alone.
    pub repeated_reads: AtomicU64,
    /// Connections opened.
    pub connections_opened: AtomicU64,
    /// Attempts to open one that failed.
    pub connections_failed: AtomicU64,
    /// Connections that ended while they were needed, or were given up.
    pub connections_lost: AtomicU64,
    /// Connections whose statement was cancelled, since nobody waited for it any more.
    pub connections_cancelled: AtomicU64,
    /// Callers who waited too long for a connection, or found too many waiting.
    pub callers_refused: AtomicU64,
}

/// Adds to a count that others only read.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}
