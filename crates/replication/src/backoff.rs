//! How long to wait before trying again.

use std::time::Duration;

/// Wait after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// A stream that lived this long has succeeded: what comes after it is a first failure again.
pub(crate) const PROVED: Duration = Duration::from_secs(10);

/// Doubles the wait with each failure, up to half a minute.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Forgets what failed.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure. `dice` in 0..1 takes up to half of it away, so that all projects of a cluster
    /// do not come back in the same moment. A failure that lasts until somebody mends it waits longest.
    pub(crate) fn wait(&mut self, lasting: bool, dice: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let full = if lasting { LONGEST } else { doubled.min(LONGEST) };
        full.mul_f64(1.0 - dice.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..4).map(|_| backoff.wait(false, 0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800]);
        for _ in 0..100 {
            assert!(backoff.wait(false, 0.0) <= LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.wait(false, 0.0), FIRST);
    }

    #[test]
    fn dice_take_up_to_half_away() {
        assert_eq!(Backoff::default().wait(false, 1.0), FIRST / 2);
        assert_eq!(Backoff::default().wait(false, f64::INFINITY), FIRST / 2);
    }

    #[test]
    fn what_somebody_has_to_mend_waits_longest_at_once() {
        assert_eq!(Backoff::default().wait(true, 0.0), LONGEST);
    }
}
