//! One key's allowance, as one number.

use std::time::Duration;

/// How often something may happen: `burst` times at once, then `count` times each `period`.
///
/// Within any stretch of time `d` at most `burst + d × count / period` events pass. A count or burst
/// of zero lets nothing pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Events that are earned back each `period`.
    pub count: u32,
    /// The time in which `count` events are earned back.
    pub period: Duration,
    /// Events that may come at once after a quiet time.
    pub burst: u32,
}

impl Rate {
    /// `count` events each `period`, `burst` of them at once.
    pub const fn new(count: u32, period: Duration, burst: u32) -> Self {
        Self { count, period, burst }
    }

    /// Nanoseconds in which one event is earned back, rounded up: a remainder never adds an event.
    fn interval(&self) -> u64 {
        nanoseconds(self.period).div_ceil(u64::from(self.count).max(1)).max(1)
    }

    fn span(&self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst))
    }
}

/// What a key has used up, as the generic cell rate algorithm keeps it (ITU-T I.371, Annex A): the
/// moment at which nothing of it will be left.
///
/// A counter and a timestamp would say the same in twice the space and need two steps to update.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    /// Nanoseconds since the limits began.
    until: u64,
    span: u64,
}

impl Bucket {
    /// Takes one event at `now` (nanoseconds since the limits began).
    ///
    /// # Errors
    ///
    /// The nanoseconds after which one will be allowed. Nothing is taken then.
    pub(super) fn take(&mut self, rate: &Rate, now: u64) -> Result<(), u64> {
        if rate.count == 0 || rate.burst == 0 {
            return Err(nanoseconds(rate.period));
        }
        self.span = rate.span();
        let until = self.until.max(now).saturating_add(rate.interval());
        let ahead = until - now;
        if ahead > self.span {
            return Err(ahead - self.span);
        }
        self.until = until;
        Ok(())
    }

    /// Gives one event back.
    pub(super) fn give_back(&mut self, rate: &Rate) {
        self.until = self.until.saturating_sub(rate.interval());
    }

    /// How much is used up at `now`, in thousandths of the burst. At 0 the bucket is like a new one.
    pub(super) fn used(&self, now: u64) -> u32 {
        let ahead = u128::from(self.until.saturating_sub(now));
        let thousandths = (ahead * 1000).div_ceil(u128::from(self.span).max(1));
        u32::try_from(thousandths).unwrap_or(u32::MAX)
    }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate() -> Rate {
        Rate::new(60, Duration::from_secs(60), 3)
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, now| bucket.take(&rate(), now).is_ok();
        assert!((0..3).all(|_| taken(&mut bucket, 0)));
        assert_eq!(bucket.take(&rate(), 0), Err(SECOND));
        assert!(!taken(&mut bucket, SECOND - 1));
        assert!(taken(&mut bucket, SECOND));
        assert!(!taken(&mut bucket, SECOND));
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let mut bucket = Bucket::default();
        (0..3).for_each(|_| bucket.take(&rate(), 0).unwrap());
        (0..1000).for_each(|_| assert!(bucket.take(&rate(), SECOND / 2).is_err()));
        assert_eq!(bucket.take(&rate(), SECOND), Ok(()));
    }

    #[test]
    fn a_quiet_time_earns_no_more_than_the_burst() {
        let mut bucket = Bucket::default();
        let now = 3600 * SECOND;
        let passed = (0..10).filter(|_| bucket.take(&rate(), now).is_ok()).count();
        assert_eq!(passed, 3);
    }

    #[test]
    fn a_count_of_zero_lets_nothing_pass() {
        let none = Rate::new(0, Duration::from_secs(60), 3);
        assert_eq!(Bucket::default().take(&none, 0), Err(60 * SECOND));
    }

    #[test]
    fn what_is_used_fades() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.used(0), 0);
        (0..3).for_each(|_| bucket.take(&rate(), 0).unwrap());
        assert_eq!(bucket.used(0), 1000);
        assert_eq!(bucket.used(2 * SECOND), 334);
        assert_eq!(bucket.used(3 * SECOND), 0);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_burst_plus_rate(
            count in 1_u32..200,
            period_ms in 1_u64..600_000,
            burst in 1_u32..50,
            steps in prop::collection::vec(0_u64..5_000_000_000, 1..400),
        ) {
            let rate = Rate::new(count, Duration::from_millis(period_ms), burst);
            let mut bucket = Bucket::default();
            let (mut now, mut passed) = (0_u64, Vec::new());
            for step in steps {
                now += step;
                if bucket.take(&rate, now).is_ok() {
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let seen = (last - first + 1) as f64;
                    let earned = (to - from) as f64 * f64::from(count) / (period_ms as f64 * 1e6);
                    prop_assert!(seen <= f64::from(burst) + earned + 1e-6);
                }
            }
        }

        #[test]
        fn waiting_as_told_is_enough_and_not_too_much(
            count in 1_u32..200,
            period_ms in 1_u64..600_000,
            burst in 1_u32..50,
            extra in 1_u32..10,
        ) {
            let rate = Rate::new(count, Duration::from_millis(period_ms), burst);
            let mut bucket = Bucket::default();
            let mut now = 0;
            for _ in 0..burst + extra {
                if let Err(wait) = bucket.take(&rate, now) {
                    prop_assert!(bucket.take(&rate, now + wait - 1).is_err());
                    now += wait;
                    prop_assert!(bucket.take(&rate, now).is_ok());
                }
            }
        }
    }
}
