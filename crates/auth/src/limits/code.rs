//! How often a typed code may be tried.

use std::time::{Duration, Instant};

use super::bucket::{Bucket, nanoseconds};
use super::table::{Entry, Table};
use super::{LimitSettings, seconds};

/// Whether a typed code may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeDecision {
    /// It may, and so often again if it is wrong.
    Open {
        /// Tries that remain after this one.
        remaining: u32,
    },
    /// It was wrong too often: even the right code is refused, until another one is sent. Clients get
    /// the same answer as for a wrong code.
    Dead,
    /// This account has seen too many wrong codes; sending another one does not help.
    Locked {
        /// Seconds after which one try is allowed.
        retry_after: u64,
    },
}

/// Counts tries at codes that are short enough to guess (six digits), per identity.
///
/// A try is counted *before* the comparison, so that many requests at once get no more tries than one
/// after the other. Links are not counted: their tokens cannot be guessed. The counts live in this
/// process; a restart forgets them, and the expiry of the codes bounds what that gives away.
#[derive(Debug)]
pub struct CodeGuard {
    tries: Table<Tries>,
    attempts: u32,
    per_day: super::Rate,
    start: Instant,
}

/// What one identity has tried.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Tries at the present code.
    count: u32,
    /// When the present code expires and its tries no longer matter. Nanoseconds since the start.
    expires: u64,
    /// Tries at all codes of the last day.
    day: Bucket,
}

impl Entry for Tries {
    fn weight(&self, now: u64) -> u32 {
        let code = if self.expires > now { self.count } else { 0 };
        code.saturating_mul(100).saturating_add(self.day.used(now))
    }
}

impl CodeGuard {
    /// A guard without any tries, whose time begins at `start`.
    pub fn new(settings: &LimitSettings, start: Instant) -> Self {
        Self {
            tries: Table::new(settings.capacity),
            attempts: settings.code_attempts,
            per_day: settings.wrong_codes(),
            start,
        }
    }

    /// Counts a try at the code that `subject` was sent, and says whether to compare.
    ///
    /// `subject` names purpose and identity (`"recovery:a@b.example"`, a factor's id); `lifetime` is
    /// how long its code can still be valid.
    pub fn begin(&self, subject: &str, lifetime: Duration, now: Instant) -> CodeDecision {
        let now = self.since_start(now);
        self.tries.update(self.tries.key(subject), now, |tries| {
            if tries.expires <= now {
                tries.count = 0;
            }
            if tries.count >= self.attempts {
                return CodeDecision::Dead;
            }
            if let Err(wait) = tries.day.take(&self.per_day, now) {
                return CodeDecision::Locked { retry_after: seconds(wait) };
            }
            tries.count += 1;
            tries.expires = tries.expires.max(now.saturating_add(nanoseconds(lifetime)));
            CodeDecision::Open { remaining: self.attempts - tries.count }
        })
    }

    /// Says that the try that was counted last was right. The wrong ones of the day stay: whoever
    /// guesses gains nothing by the owner's signing in.
    pub fn correct(&self, subject: &str) {
        self.tries.update_known(self.tries.key(subject), |tries| {
            tries.count = 0;
            tries.day.give_back(&self.per_day);
        });
    }

    /// Says that `subject` was sent another code, which starts without tries. Those of the day stay.
    pub fn renewed(&self, subject: &str) {
        self.tries.update_known(self.tries.key(subject), |tries| tries.count = 0);
    }

    fn since_start(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(3600);

    fn guard(attempts: u32, per_day: u32) -> (CodeGuard, Instant) {
        let start = Instant::now();
        let settings = LimitSettings {
            code_attempts: attempts,
            wrong_codes_per_day: per_day,
            capacity: 1024,
            ..LimitSettings::default()
        };
        (CodeGuard::new(&settings, start), start)
    }

    fn open(guard: &CodeGuard, now: Instant) -> bool {
        matches!(guard.begin("sms:15551234567", LIFETIME, now), CodeDecision::Open { .. })
    }

    #[test]
    fn a_code_is_dead_after_the_last_try() {
        let (guard, now) = guard(3, 100);
        let tries = [(); 5].map(|()| guard.begin("a", LIFETIME, now));
        assert_eq!(
            tries,
            [
                CodeDecision::Open { remaining: 2 },
                CodeDecision::Open { remaining: 1 },
                CodeDecision::Open { remaining: 0 },
                CodeDecision::Dead,
                CodeDecision::Dead,
            ]
        );
        assert_eq!(guard.begin("b", LIFETIME, now), CodeDecision::Open { remaining: 2 });
    }

    #[test]
    fn another_code_may_be_tried_again() {
        let (guard, now) = guard(2, 100);
        assert!(open(&guard, now) && open(&guard, now) && !open(&guard, now));
        guard.renewed("sms:15551234567");
        assert!(open(&guard, now) && open(&guard, now) && !open(&guard, now));
    }

    #[test]
    fn an_expired_code_no_longer_counts() {
        let (guard, now) = guard(2, 100);
        assert!(open(&guard, now) && open(&guard, now) && !open(&guard, now));
        assert!(!open(&guard, now + LIFETIME - Duration::from_secs(1)));
        assert!(open(&guard, now + LIFETIME));
    }

    #[test]
    fn new_codes_do_not_help_beyond_a_day_s_tries() {
        let (guard, now) = guard(2, 6);
        for _ in 0..3 {
            assert!(open(&guard, now) && open(&guard, now) && !open(&guard, now));
            guard.renewed("sms:15551234567");
        }
        let locked = guard.begin("sms:15551234567", LIFETIME, now);
        assert_eq!(locked, CodeDecision::Locked { retry_after: 4 * 3600 });
        assert!(open(&guard, now + Duration::from_secs(4 * 3600)));
    }

    #[test]
    fn the_right_code_clears_the_count_but_not_the_wrong_ones_of_the_day() {
        let (guard, now) = guard(2, 3);
        assert!(open(&guard, now) && open(&guard, now) && !open(&guard, now));
        guard.renewed("sms:15551234567");
        for _ in 0..10 {
            assert!(open(&guard, now));
            guard.correct("sms:15551234567");
        }
        assert!(open(&guard, now), "two were wrong and ten were right");
        assert!(!open(&guard, now));
    }

    #[test]
    fn many_requests_at_once_get_no_more_tries() {
        let (guard, now) = guard(10, 1000);
        let opened: usize = std::thread::scope(|scope| {
            let attacker = || (0..100).filter(|_| open(&guard, now)).count();
            let attackers: Vec<_> = (0..8).map(|_| scope.spawn(attacker)).collect();
            attackers.into_iter().map(|attacker| attacker.join().unwrap()).sum()
        });
        assert_eq!(opened, 10);
    }

    #[test]
    fn tries_at_other_codes_do_not_revive_a_dead_one() {
        let (guard, now) = guard(3, 100);
        (0..4).for_each(|_| _ = open(&guard, now));
        (0..20_000).for_each(|other| _ = guard.begin(&other.to_string(), LIFETIME, now));
        assert_eq!(guard.begin("sms:15551234567", LIFETIME, now), CodeDecision::Dead);
    }
}
