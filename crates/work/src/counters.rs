//! What an engine has done, for metrics.

use std::sync::atomic::AtomicU64;

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
}
