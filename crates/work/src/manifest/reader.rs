//! What is remembered while a manifest is read: what is wrong, and where its SQL stands.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::bounds::MAX_PROBLEMS;
use super::problem::Problem;
use super::source::{Source, TextPlace};
use super::sql::SqlError;

/// Problems that are remembered, of which the first in the order of the file are shown.
const MAX_REMEMBERED: usize = 10 * MAX_PROBLEMS;

/// The file, what has been found wrong with it so far, and the places of its SQL.
pub(super) struct Reader<'a> {
    source: &'a Source,
    problems: RefCell<Vec<Problem>>,
    places: RefCell<BTreeMap<String, TextPlace>>,
    /// Keys that have been read, as shape and key: the tests compare them with those that there are.
    #[cfg(test)]
    pub(super) read: RefCell<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self {
            source,
            problems: RefCell::default(),
            places: RefCell::default(),
            #[cfg(test)]
            read: RefCell::default(),
        }
    }

    /// Remembers that something at a byte of the file is wrong.
    pub(super) fn problem(
        &self,
        offset: usize,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        if self.is_full() {
            return;
        }
        let (line, column) = self.source.position(offset);
        let problem = Problem { line, column, message: message.into(), hint: hint.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Whether further problems are forgotten.
    pub(super) fn is_full(&self) -> bool {
        self.problems.borrow().len() >= MAX_REMEMBERED
    }

    /// Remembers what is wrong with SQL.
    pub(super) fn sql_problem(&self, key: &str, place: &TextPlace, error: SqlError) {
        let offset = self.source.in_text(place, error.offset);
        self.problem(offset, format!("`{key}`: {}", error.message), error.hint);
    }

    /// Remembers where the SQL of that path stands.
    pub(super) fn place(&self, path: String, raw: Range<usize>, skipped: usize) -> TextPlace {
        let place = TextPlace { raw, skipped };
        self.places.borrow_mut().insert(path, place.clone());
        place
    }

    /// The places since they were last taken.
    pub(super) fn take_places(&self) -> BTreeMap<String, TextPlace> {
        self.places.take()
    }

    /// Everything that was wrong, in the order of the file, each once.
    pub(super) fn problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }
}
