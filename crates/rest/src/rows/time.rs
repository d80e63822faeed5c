//! Dates and times as `to_json` prints them, whatever `DateStyle` says: ISO 8601 with a `T`.

use super::number::{digits2, padded4, small};
use super::text::quoted;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Days from 0000-03-01, where the calendar's cycles begin, to 2000-01-01, where PostgreSQL's do.
const EPOCH_FROM_MARCH_0000: i64 = 730_425;

/// Appends a `date`: days since 2000-01-01.
pub(super) fn date(json: &mut Vec<u8>, days: i32) {
    quoted(json, |json| match days {
        i32::MIN => json.extend_from_slice(b"-infinity"),
        i32::MAX => json.extend_from_slice(b"infinity"),
        days => {
            let year = day(json, days.into());
            era(json, year);
        }
    });
}

/// Appends a `timestamp`: microseconds since 2000-01-01; `zone` follows the time.
pub(super) fn timestamp(json: &mut Vec<u8>, micros: i64, zone: &[u8]) {
    quoted(json, |json| match micros {
        i64::MIN => json.extend_from_slice(b"-infinity"),
        i64::MAX => json.extend_from_slice(b"infinity"),
        micros => {
            let year = day(json, micros.div_euclid(DAY));
            json.push(b'T');
            time_of_day(json, micros.rem_euclid(DAY));
            json.extend_from_slice(zone);
            era(json, year);
        }
    });
}

/// Appends a `timetz`: microseconds since midnight, seconds west of Greenwich.
pub(super) fn time_tz(json: &mut Vec<u8>, micros: i64, west: i32) {
    quoted(json, |json| {
        time_of_day(json, micros);
        json.push(if west <= 0 { b'+' } else { b'-' });
        let seconds = west.unsigned_abs();
        digits2(json, seconds / 3600);
        if !seconds.is_multiple_of(3600) {
            json.push(b':');
            digits2(json, seconds / 60 % 60);
        }
        if !seconds.is_multiple_of(60) {
            json.push(b':');
            digits2(json, seconds % 60);
        }
    });
}

/// `10:20:30`, `10:20:30.5`
pub(super) fn time_of_day(json: &mut Vec<u8>, micros: i64) {
    let seconds = small(micros / SECOND);
    digits2(json, seconds / 3600);
    json.push(b':');
    digits2(json, seconds / 60 % 60);
    json.push(b':');
    digits2(json, seconds % 60);
    let mut fraction = small(micros % SECOND);
    if fraction == 0 {
        return;
    }
    json.push(b'.');
    let mut unit = 100_000;
    while fraction > 0 {
        json.push(b'0' + (fraction / unit) as u8);
        fraction %= unit;
        unit /= 10;
    }
}

/// `2026-11-21`, without the era. Returns the year, where 0 is 1 BC.
fn day(json: &mut Vec<u8>, days_since_2000: i64) -> i64 {
    let (year, month, day) = civil(days_since_2000);
    padded4(json, if year > 0 { year } else { 1 - year });
    json.push(b'-');
    digits2(json, month);
    json.push(b'-');
    digits2(json, day);
    year
}

fn era(json: &mut Vec<u8>, year: i64) {
    if year <= 0 {
        json.extend_from_slice(b" BC");
    }
}

/// Year, month and day of the proleptic Gregorian calendar, by cycles of 400 years of 146,097 days;
/// years begin in March, so that a leap day is the last of its year.
fn civil(days_since_2000: i64) -> (i64, u32, u32) {
    let days = days_since_2000 + EPOCH_FROM_MARCH_0000;
    let cycle = days.div_euclid(146_097);
    let day_of_cycle = days.rem_euclid(146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Months of 31, 30, 31, 30, 31 days, twice, and then the rest.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year_of_cycle + later, small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date_text(days: i32) -> String {
        let mut json = Vec::new();
        date(&mut json, days);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn dates_of_all_eras() {
        assert_eq!(date_text(0), "\"2000-01-01\"");
        assert_eq!(date_text(59), "\"2000-02-29\"");
        assert_eq!(date_text(-730_119), "\"0001-01-01\"");
        assert_eq!(date_text(-730_120), "\"0001-12-31 BC\"");
        assert_eq!(date_text(i32::MAX), "\"infinity\"");
    }
}
