//! Places in the write-ahead log, and times as PostgreSQL counts them.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Microseconds from 1970 to 2000, where PostgreSQL's clock begins.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A log sequence number: a byte position in the write-ahead log. Printed as PostgreSQL does, `16/B374D848`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes of log from `earlier` to here; 0 when it is later.
    pub fn bytes_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no log sequence number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log sequence number")]
pub struct NoLsn;

impl From<ParseIntError> for NoLsn {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for Lsn {
    type Err = NoLsn;

    fn from_str(text: &str) -> Result<Self, NoLsn> {
        let (high, low) = text.split_once('/').ok_or(NoLsn)?;
        let (high, low) = (u32::from_str_radix(high, 16)?, u32::from_str_radix(low, 16)?);
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

/// Microseconds since 2000-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PgTime(pub i64);

impl PgTime {
    /// The time of this machine's clock.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_sub(EPOCH_MICROS))
    }
}

impl From<PgTime> for SystemTime {
    /// Times that this machine cannot express become its nearest.
    fn from(time: PgTime) -> Self {
        let micros = time.0.saturating_add(EPOCH_MICROS);
        let distance = Duration::from_micros(micros.unsigned_abs());
        let time = match micros >= 0 {
            true => Self::UNIX_EPOCH.checked_add(distance),
            false => Self::UNIX_EPOCH.checked_sub(distance),
        };
        time.unwrap_or(Self::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_printed_and_read_as_postgresql_does() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        assert_eq!("1/2".parse(), Ok(Lsn(0x1_0000_0002)));
        for text in ["", "1", "/", "1/", "g/0", "1/100000000", "-1/0"] {
            assert_eq!(text.parse::<Lsn>(), Err(NoLsn), "{text}");
        }
    }

    #[test]
    fn times_count_from_2000() {
        let seconds =
            |time| SystemTime::from(time).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds(PgTime(0)), 946_684_800);
        assert_eq!(SystemTime::from(PgTime(-EPOCH_MICROS)), SystemTime::UNIX_EPOCH);
        assert!(PgTime::now() > PgTime(0));
        // What no clock can say is no panic either.
        let _ = (SystemTime::from(PgTime(i64::MAX)), SystemTime::from(PgTime(i64::MIN)));
    }
}
