//! What a run of checks found.

/// The outcome of some checks: how many held, and one readable line for each that did not.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Checks that held.
    pub passed: usize,
    /// Checks that did not hold, each in one line.
    pub failures: Vec<String>,
    /// Things worth knowing that are no failure.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Counts a check; `failure` makes the line when it does not hold.
    pub(crate) fn check(&mut self, held: bool, failure: impl FnOnce() -> String) {
        if held {
            self.passed += 1;
        } else {
            self.failures.push(failure());
        }
    }

    pub(crate) fn fail(&mut self, failure: impl Into<String>) {
        self.failures.push(failure.into());
    }

    /// For tests: panics with every failure when there is one, or when nothing was checked at all.
    ///
    /// # Panics
    ///
    /// When the report is not clean, or empty.
    #[track_caller]
    pub fn assert_clean(&self, what: &str) {
        assert!(
            self.is_clean(),
            "{what}: {} of {} checks failed\n  {}",
            self.failures.len(),
            self.failures.len() + self.passed,
            self.failures.join("\n  "),
        );
        assert!(self.passed > 0, "{what}: nothing was checked");
    }
}
