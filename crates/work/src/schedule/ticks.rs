//! When a cron pattern ticks in a time zone. Pure.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::manifest::CatchUp;

/// A tick that is later than that was missed, in seconds. Longer than another instance needs to take over.
const ON_TIME: i64 = 60;

/// Why a pattern cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No cron pattern.
    #[error("`{pattern}` is no cron pattern: {reason}")]
    Cron {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No time zone.
    #[error("`{0}` is no time zone")]
    Zone(String),
}

/// A cron pattern in its time zone.
///
/// When clocks go forward, a time of day that does not come is done at the first moment after the gap. When they go back,
/// a time of day that comes twice is done the first time; patterns with a step or a wildcard tick in both.
#[derive(Debug, Clone)]
pub struct Pattern {
    cron: Cron,
    zone: TimeZone,
}

impl Pattern {
    /// Reads five fields, or six with seconds first, and a zone's name in the IANA database.
    ///
    /// # Errors
    ///
    /// [`PatternError`].
    pub fn parse(cron: &str, zone: &str) -> Result<Self, PatternError> {
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let wrong = |error: CronError| PatternError::Cron {
            pattern: cron.to_owned(),
            reason: error.to_string(),
        };
        let zone = TimeZone::get(zone).map_err(|_unknown| PatternError::Zone(zone.to_owned()))?;
        Ok(Self { cron: parser.parse(cron).map_err(wrong)?, zone })
    }

    /// The first tick after `now`; both in seconds since 1970. `None` when none comes.
    pub fn next(&self, now: i64) -> Option<i64> {
        let found = self.cron.find_next_occurrence(&self.at(now)?, false).ok()?;
        // Croner never goes back; if it did, a schedule would tick without end.
        Some(found.timestamp().as_second()).filter(|next| *next > now)
    }

    /// The ticks from `next` to `now` that are to be done, in order: all that are on time, and of those that were missed
    /// as many as the policy says.
    pub fn due(&self, next: i64, now: i64, policy: CatchUp) -> Vec<i64> {
        let mut due = Vec::new();
        let mut missed = 0;
        let mut tick = self.last(now, true);
        while let Some(at) = tick.filter(|at| *at >= next) {
            if now - at > ON_TIME {
                let most = match policy {
                    CatchUp::Skip => 0,
                    CatchUp::One => u32::from(due.is_empty()),
                    CatchUp::All(most) => most,
                };
                if missed >= most {
                    break;
                }
                missed += 1;
            }
            due.push(at);
            tick = self.last(at, false).filter(|before| *before < at);
        }
        due.reverse();
        due
    }

    /// The last tick before `now`, or at it.
    fn last(&self, now: i64, inclusive: bool) -> Option<i64> {
        let found = self.cron.find_previous_occurrence(&self.at(now)?, inclusive).ok()?;
        Some(found.timestamp().as_second())
    }

    fn at(&self, second: i64) -> Option<Zoned> {
        Some(Timestamp::from_second(second).ok()?.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests;
