//! How long the steps of a request took (`Server-Timing`, W3C).

use std::fmt::Write;
use std::time::{Duration, Instant};

use http::HeaderValue;

/// Measures steps that follow each other. Without the wish for it, it measures nothing.
pub(super) struct Stopwatch {
    since: Option<Instant>,
    steps: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    /// Starts now, if `wanted`.
    pub(super) fn start(wanted: bool) -> Self {
        Self { since: wanted.then(Instant::now), steps: Vec::new() }
    }

    /// Says that the step `name` has just ended.
    pub(super) fn lap(&mut self, name: &'static str) {
        if let Some(since) = &mut self.since {
            let now = Instant::now();
            self.steps.push((name, now - *since));
            *since = now;
        }
    }

    /// The header: milliseconds with one decimal.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.since?;
        let mut text = String::new();
        for (name, took) in &self.steps {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing into a string cannot fail.
            let _ = write!(text, "{comma}{name};dur={:.1}", took.as_secs_f64() * 1e3);
        }
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_their_order_and_only_when_wanted() {
        let mut watch = Stopwatch::start(true);
        watch.lap("jwt");
        std::thread::sleep(Duration::from_millis(3));
        watch.lap("parse");
        let header = watch.header().unwrap();
        let text = header.to_str().unwrap();
        assert!(text.starts_with("jwt;dur=0.") && text.contains(", parse;dur="), "{text}");
        let parse: f64 = text.rsplit('=').next().unwrap().parse().unwrap();
        assert!((3.0..1000.0).contains(&parse), "{text}");
        let mut silent = Stopwatch::start(false);
        silent.lap("jwt");
        assert_eq!(silent.header(), None);
    }
}
