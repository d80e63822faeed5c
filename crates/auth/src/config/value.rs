//! Values as people write them: Go's lengths of time, rates, lists.

use std::time::Duration;

/// So many events per time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; 0 lets nothing through.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// Units of a length of time with their length in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a length of time in Go's syntax (`1h30m`, `1.5s`, `500ms`) or a bare number of seconds. What
/// does not fit Go's type (about 292 years) is none.
pub(super) fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return part(&seconds.to_string(), 1_000_000_000).and_then(bounded);
    }
    let mut rest = text;
    let mut nanos = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        let name = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(name);
        let (_, length) = UNITS.iter().find(|(known, _)| *known == unit)?;
        nanos = nanos.checked_add(part(number, *length)?)?;
        rest = after;
    }
    if text.is_empty() { None } else { bounded(nanos) }
}

/// So many nanoseconds are `number` units of `length`; digits after the point that are less than one
/// count nothing.
fn part(number: &str, length: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(length)?;
    let mut place = length;
    for digit in fraction.chars() {
        place /= 10;
        nanos = nanos.checked_add(place.checked_mul(digit.to_digit(10)?.into())?)?;
    }
    Some(nanos)
}

fn bounded(nanos: u64) -> Option<Duration> {
    i64::try_from(nanos).ok().map(|_| Duration::from_nanos(nanos))
}

/// Writes a length of time so that [`span`] reads it back: the largest unit that divides it.
pub(super) fn span_text(span: Duration) -> String {
    let nanos = span.as_nanos();
    let whole = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)];
    let small = [("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let (unit, length) = whole
        .into_iter()
        .chain(small)
        .find(|(_, length)| nanos.is_multiple_of(*length))
        .unwrap_or(("ns", 1));
    match nanos {
        0 => "0s".to_owned(),
        _ => format!("{}{unit}", nanos / length),
    }
}

/// Reads `30` (per `usual`) or `30/1h`.
pub(super) fn rate(text: &str, usual: Duration) -> Option<Rate> {
    let (count, per) = match text.trim().split_once('/') {
        None => (text.trim(), usual),
        Some((count, per)) => (count.trim(), span(per).filter(|per| !per.is_zero())?),
    };
    // The environment's rates are decimal numbers elsewhere; half an event means nothing here.
    let count = count.strip_suffix(".0").unwrap_or(count).parse().ok()?;
    Some(Rate { count, per })
}

/// Reads `true`, `1`, `yes`, `on` and their opposites.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "on" => Some(true),
        "false" | "f" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Texts between separators, without those that are empty.
pub(super) fn list(text: &str, separator: char) -> Vec<String> {
    let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Sets of characters between colons; `\:` is a colon.
pub(super) fn sets(text: &str) -> Vec<String> {
    let mut sets = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, sets.last_mut()) {
            ('\\', Some(set)) if characters.peek() == Some(&':') => {
                characters.next();
                set.push(':');
            }
            (':', _) => sets.push(String::new()),
            (other, Some(set)) => set.push(other),
            (_, None) => {}
        }
    }
    sets.retain(|set| !set.is_empty());
    sets
}

/// `name:value` pairs between commas; `None` when one has no colon.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    list(text, ',')
        .into_iter()
        .map(|pair| {
            let (name, value) = pair.split_once(':').or_else(|| pair.split_once('='))?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_time_are_read_as_go_does() {
        for (text, millis) in [
            ("1h30m", 5_400_000),
            ("5s", 5_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("1h0m0.5s", 3_600_500),
            ("0s", 0),
            ("3600", 3_600_000),
            (" 24h ", 86_400_000),
        ] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(span("2us"), Some(Duration::from_micros(2)));
        for text in ["", "1d", "h", "-1s", "1h-1m", "1.2.3s", "5 s", "s1"] {
            assert_eq!(span(text), None, "{text}");
        }
        for text in ["9999999999999h", "99999999999999999999", "1e9s"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in 0_u64..1_000_000_000_000) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(span(&span_text(length)), Some(length));
        }

        #[test]
        fn no_text_breaks_the_readers(text in "\\PC{0,40}") {
            let _ = (span(&text), rate(&text, Duration::from_secs(1)), sets(&text), pairs(&text));
        }
    }

    #[test]
    fn a_rate_has_its_time_or_the_usual_one() {
        let hour = Duration::from_secs(3600);
        assert_eq!(rate("30", hour), Some(Rate { count: 30, per: hour }));
        assert_eq!(rate("30.0", hour), Some(Rate { count: 30, per: hour }));
        let minutes = Duration::from_secs(300);
        assert_eq!(rate("100/5m", hour), Some(Rate { count: 100, per: minutes }));
        for text in ["", "-1", "1/", "1/0s", "x", "0.5"] {
            assert_eq!(rate(text, hour), None, "{text}");
        }
    }

    #[test]
    fn a_colon_in_a_set_is_escaped() {
        assert_eq!(sets("abc:012"), ["abc", "012"]);
        assert_eq!(sets(r"abc:!\:;:"), ["abc", "!:;"]);
        assert_eq!(sets(r"a\b"), [r"a\b"]);
        assert!(sets("").is_empty());
    }

    #[test]
    fn pairs_need_a_value_each() {
        let both = [("1555".to_owned(), "123456".to_owned()), ("1666".to_owned(), "0".to_owned())];
        assert_eq!(pairs("1555:123456, 1666=0").unwrap(), both);
        assert_eq!(pairs("1555"), None);
    }
}
