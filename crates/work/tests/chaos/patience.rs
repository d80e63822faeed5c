//! An end to waits for what never comes.

use std::time::{Duration, Instant};

/// Nothing has moved for so long though nothing is wrong any more: then nothing will. Waits of jobs, leases and limits of
/// statements are seconds; the rest is for machines that do much else.
const STANDSTILL: Duration = Duration::from_secs(120);

/// A wait that lasts as long as something moves.
pub(crate) struct Patience {
    seen: String,
    since: Instant,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { seen: String::new(), since: Instant::now() }
    }

    /// Whether it ends: what is `seen` now was all that was seen for too long.
    pub(crate) fn is_over(&mut self, seen: String) -> bool {
        if self.seen != seen {
            *self = Self { seen, since: Instant::now() };
        }
        self.since.elapsed() > STANDSTILL
    }
}
