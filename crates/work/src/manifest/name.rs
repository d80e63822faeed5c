//! The values that SQL of a manifest may name: `$row`, `$out`, …

use std::fmt;
use std::str::FromStr;

/// A value that stands in SQL as `$` and a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Key of the row.
    Row,
    /// What the action got.
    Input,
    /// What the action gave.
    Out,
    /// Why it failed.
    Error,
    /// Which attempt it is.
    Attempt,
    /// Which job it is.
    Job,
    /// The step that was journaled last.
    Step,
    /// All journaled steps.
    Steps,
    /// Body of a delivery.
    Body,
    /// Headers of a delivery.
    Headers,
    /// Id of a delivery.
    Event,
    /// When a schedule was due.
    Tick,
    /// What a call used.
    Usage,
    /// Which action was called.
    Action,
    /// Which binding called it.
    Binding,
}

/// Name, type (none: that of the row's key) and meaning of each.
const NAMES: [(Name, &str, Option<&str>, &str); 15] = [
    (Name::Row, "row", None, "Key of the row."),
    (Name::Input, "input", Some("jsonb"), "What `input` gave, or null."),
    (Name::Out, "out", Some("jsonb"), "What the action gave: of a flow, its last step."),
    (Name::Error, "error", Some("text"), "Why the job failed for good."),
    (Name::Attempt, "attempt", Some("integer"), "Which attempt of the job it is, from 1."),
    (Name::Job, "job", Some("bigint"), "Number of the job."),
    (
        Name::Step,
        "step",
        Some("jsonb"),
        "The step that was just journaled: `{name, index, out, error}`.",
    ),
    (Name::Steps, "steps", Some("jsonb"), "What the steps so far gave, by their names."),
    (
        Name::Body,
        "body",
        Some("jsonb"),
        "Body of the delivery: JSON, fields of a form, or a text as a JSON string.",
    ),
    (
        Name::Headers,
        "headers",
        Some("jsonb"),
        "Headers of the delivery, names in lower case; none that carry secrets.",
    ),
    (
        Name::Event,
        "event",
        Some("text"),
        "Id of the delivery: the provider's, else the SHA-256 of the body in hexadecimal.",
    ),
    (Name::Tick, "tick", Some("timestamptz"), "When the run was due, without jitter."),
    (
        Name::Usage,
        "usage",
        Some("jsonb"),
        "What the call used, as the action reports it; null where it reports nothing.",
    ),
    (Name::Action, "action", Some("text"), "The action that was called."),
    (Name::Binding, "binding", Some("text"), "The binding, hook or schedule that called it."),
];

impl Name {
    /// Every name, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(name, ..)| *name)
    }

    /// The word after the `$`.
    pub fn word(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Its type in SQL; `None`: that of the row's key.
    pub fn sql_type(self) -> Option<&'static str> {
        NAMES[self as usize].2
    }

    /// What it is, in one sentence.
    pub fn about(self) -> &'static str {
        NAMES[self as usize].3
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.word())
    }
}

impl FromStr for Name {
    type Err = ();

    /// Reads the word after the `$`.
    fn from_str(word: &str) -> Result<Self, ()> {
        Self::all().find(|name| name.word() == word).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_at_its_own_place_in_the_table() {
        for (index, (name, word, ..)) in NAMES.iter().enumerate() {
            assert_eq!(*name as usize, index);
            assert_eq!(word.parse(), Ok(*name));
        }
        assert_eq!("rows".parse::<Name>(), Err(()));
    }
}
