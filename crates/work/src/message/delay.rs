//! How long to wait: durations as headers write them, what a failed delivery's answer asks for, and what people's own
//! expressions say.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

/// Longest wait before a retry.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// Longest expression, in bytes.
const MAX_EXPRESSION: usize = 500;

/// Deepest nesting of an expression.
const MAX_DEPTH: u32 = 32;

/// Headers of an answer that say when to come back, the most telling first.
const LATER: [&str; 4] =
    ["retry-after", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"];

/// The wait before retry number `retry` (from 1) where nobody says otherwise: e^(2.5 n) seconds, a day at most.
pub(super) fn usual(retry: u32) -> Duration {
    let seconds = (2.5 * f64::from(retry)).exp();
    Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
}

/// Seconds of `10s`, `6m5s`, `1d10h30m`, `1.5h`, `500ms`, or of a bare number.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(bare) = text.parse::<f64>() {
        return (bare >= 0.0 && bare.is_finite()).then_some(bare);
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    (!text.is_empty() && total.is_finite()).then_some(total)
}

/// When an answer asks to be tried again, a day from now at most.
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let seconds = LATER.iter().find_map(|name| later(headers.get(*name)?.to_str().ok()?, now))?;
    Some(Duration::from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64())))
}

/// Seconds until a moment that is written as seconds, a duration, or a date of HTTP (RFC 9110 §5.6.7).
fn later(text: &str, now: Timestamp) -> Option<f64> {
    if let Some(found) = seconds(text) {
        return Some(found);
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(date.timestamp().duration_since(now).as_secs_f64())
}

/// The wait that an expression in milliseconds says, with `retried` retries behind it.
///
/// # Errors
///
/// What is wrong with it, for whoever wrote it.
pub(super) fn expressed(expression: &str, retried: u32) -> Result<Duration, String> {
    if expression.len() > MAX_EXPRESSION {
        return Err(format!("an expression has at most {MAX_EXPRESSION} bytes"));
    }
    let mut reader = Reader { rest: expression.trim(), retried: f64::from(retried), depth: 0 };
    let milliseconds = reader.sum()?;
    if !reader.rest.is_empty() {
        return Err(format!("`{}` is not expected", reader.rest));
    }
    if milliseconds.is_nan() {
        return Err("the expression gives no number".to_owned());
    }
    let most = LONGEST.as_secs_f64() * 1000.0;
    Ok(Duration::from_secs_f64(milliseconds.clamp(0.0, most) / 1000.0))
}

/// Reads and computes at once: there is nothing to keep.
struct Reader<'a> {
    rest: &'a str,
    retried: f64,
    depth: u32,
}

impl<'a> Reader<'a> {
    fn take(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Result<f64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        let mut value = self.product()?;
        loop {
            if self.take('+') {
                value += self.product()?;
            } else if self.take('-') {
                value -= self.product()?;
            } else {
                self.depth -= 1;
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.factor()?;
        loop {
            if self.take('*') {
                value *= self.factor()?;
            } else if self.take('/') {
                value /= self.factor()?;
            } else if self.take('%') {
                value %= self.factor()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn factor(&mut self) -> Result<f64, String> {
        let mut negative = false;
        while self.take('-') {
            negative = !negative;
        }
        let value = self.atom()?;
        Ok(if negative { -value } else { value })
    }

    fn atom(&mut self) -> Result<f64, String> {
        if self.take('(') {
            let value = self.sum()?;
            return self.closed(value);
        }
        let number = |c: char| c.is_ascii_digit() || c == '.';
        if self.rest.starts_with(number) {
            let end = self.rest.find(|c| !number(c)).unwrap_or(self.rest.len());
            let text = self.word(end);
            return text.parse().map_err(|_| format!("`{text}` is no number"));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        match self.word(end) {
            "" => Err("a number, `retried` or a function is expected".to_owned()),
            "retried" => Ok(self.retried),
            name if FUNCTIONS.contains(&name) => self.function(name),
            name => Err(format!("`{name}` is not known")),
        }
    }

    fn word(&mut self, end: usize) -> &'a str {
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn closed(&mut self, value: f64) -> Result<f64, String> {
        if self.take(')') { Ok(value) } else { Err("`)` is missing".to_owned()) }
    }

    fn function(&mut self, name: &str) -> Result<f64, String> {
        if !self.take('(') {
            return Err(format!("`(` is missing behind `{name}`"));
        }
        let first = self.sum()?;
        let value = match name {
            "sqrt" => first.sqrt(),
            "abs" => first.abs(),
            "exp" => first.exp(),
            "floor" => first.floor(),
            "ceil" => first.ceil(),
            "round" => first.round(),
            _ => {
                if !self.take(',') {
                    return Err(format!("`{name}` has two arguments"));
                }
                let second = self.sum()?;
                match name {
                    "pow" => first.powf(second),
                    "min" => first.min(second),
                    _ => first.max(second),
                }
            }
        };
        self.closed(value)
    }
}

/// What expressions may call.
const FUNCTIONS: [&str; 9] = ["pow", "sqrt", "abs", "exp", "floor", "ceil", "round", "min", "max"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_waits_are_those_that_publishers_know() {
        let waits: Vec<u64> = (1..=6).map(|retry| usual(retry).as_secs()).collect();
        assert_eq!(waits, [12, 148, 1808, 22026, 86_400, 86_400]);
    }

    #[test]
    fn durations_are_read_as_headers_write_them() {
        for (text, wanted) in [
            ("10s", 10.0),
            ("2h", 7200.0),
            ("1d10h30m", 124_200.0),
            ("6m5s", 365.0),
            ("30", 30.0),
            ("500ms", 0.5),
        ] {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        for text in ["", "s", "10x", "-1", "1h-2m", "ten", "1e999", "NaN"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn answers_say_when_to_come_back() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let asked = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            asked(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(asked("retry-after", "7"), Some(7));
        assert_eq!(asked("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT"), Some(60));
        assert_eq!(asked("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT"), Some(0));
        assert_eq!(asked("x-ratelimit-reset-requests", "6m5s"), Some(365));
        assert_eq!(asked("x-ratelimit-reset-tokens", "100000000"), Some(86_400));
        assert_eq!(asked("retry-after", "soon"), None);
        assert_eq!(asked("x-other", "7"), None);
    }

    #[test]
    fn expressions_are_computed() {
        let of = |text: &str, retried| expressed(text, retried).map(|wait| wait.as_millis());
        for (text, retried, wanted) in [
            ("1000", 0, 1000),
            ("pow(2, retried) * 1000", 3, 8000),
            ("(1 + retried) * 500", 1, 1000),
            ("max(1000, min(retried * 700, 3000))", 9, 3000),
            ("floor(10.7) + ceil(1.2) + round(2.5) + abs(-1) + sqrt(16) % 3", 0, 17),
            ("--5", 0, 5),
            ("exp(retried)", 0, 1),
            ("0 - 5", 0, 0),
            ("pow(10, 400)", 0, 86_400_000),
        ] {
            assert_eq!(of(text, retried), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let deep = "(".repeat(400);
        for text in
            ["", "1 +", "system(1)", "pow(1)", "min(1, 2", "1 2", "retries", "0/0", "1.2.3", &deep]
        {
            assert!(expressed(text, 0).is_err(), "{text}");
        }
    }
}
