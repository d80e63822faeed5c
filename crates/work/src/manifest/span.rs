//! Lengths of time: `250ms`, `30s`, `15m`, `1h30m`, `7d`.

use jiff::{SignedDuration, SpanRelativeTo};

/// What a length of time looks like, for messages.
pub(super) const LIKE: &str = "250ms, 30s, 15m, 1h30m or 7d";
/// The same as a regular expression, for editors.
pub(super) const PATTERN: &str = r"^\s*(0|(\d+\s*(ms|s|m|h|d)\s*)+)$";

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Milliseconds of a length of time; a day has 24 hours. A number without unit is none, except `0`.
pub(crate) fn parse_millis(text: &str) -> Option<u64> {
    if text.trim() == "0" {
        return Some(0);
    }
    // jiff also reads ISO 8601, years, months and signs, which nobody expects here.
    let known = |unit: &str| UNITS.iter().any(|(name, _)| *name == unit);
    let words = text.split(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace());
    if !words.filter(|word| !word.is_empty()).all(known) {
        return None;
    }
    let span: jiff::Span = text.trim().parse().ok()?;
    let duration: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    u64::try_from(duration.as_millis()).ok()
}

/// Milliseconds as they are written, with the fewest units.
pub(super) fn written(mut millis: u64) -> String {
    let mut text = String::new();
    for (unit, length) in UNITS {
        if millis >= length {
            text.push_str(&format!("{}{unit}", millis / length));
            millis %= length;
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written() {
        for (text, millis, again) in [
            ("0", 0, "0"),
            ("250ms", 250, "250ms"),
            ("2s", 2_000, "2s"),
            ("15m", 900_000, "15m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            (" 1d 2h ", 93_600_000, "1d2h"),
            ("7d", 604_800_000, "7d"),
        ] {
            assert_eq!(parse_millis(text), Some(millis), "{text}");
            assert_eq!(written(millis), again);
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "30",
            "-1s",
            "+1s",
            "1.5h",
            "PT2H",
            "1y",
            "2mo",
            "3 fortnights",
            "1h ago",
            "99999999999999999999s",
            "1m1h",
            "½h",
        ] {
            assert_eq!(parse_millis(text), None, "{text}");
        }
    }
}
