//! Keys of what a job does, wherever it comes from.

use super::*;

pub(super) const OPEN_ABOUT: &str = "Where sealed values are in what the action gets, by paths such as `account.access_token`: it gets them opened, and nobody else does.";

/// What a job does, wherever it comes from.
pub(in crate::manifest) const fn work_keys(
    places: &'static Places,
    step: &'static Shape,
) -> [Key; 11] {
    [
        key(
            "with",
            Settings,
            Optional,
            "Settings of the action, the same for every job. A text that begins with `env:` is the value of that environment variable.",
        ),
        key(
            "input",
            Statement(places.before),
            Optional,
            "A query that gives one value of type jsonb: what the action gets.",
        ),
        key("open", Texts { most: MAX_NAMES }, Optional, OPEN_ABOUT),
        key("role", Word(ROLES), Default("\"owner\""), "Whose rights the SQL has."),
        key(
            "running",
            Statements(places.before),
            Optional,
            "SQL that is run when an attempt begins.",
        ),
        key(
            "done",
            Statements(places.done),
            Optional,
            "SQL that is run when the action has succeeded, in the transaction that finishes the job.",
        ),
        key(
            "failed",
            Statements(places.failed),
            Optional,
            "SQL that is run when the job has failed for good, in the transaction that puts it with the dead letters.",
        ),
        key(
            "each_step",
            Statements(places.each_step),
            Optional,
            "SQL that is run after each step, in the transaction that journals it; for a sleep, a wait or a call that is over, in the one in which its job takes note of that and goes on.",
        ),
        key(
            "steps",
            Tables { shape: step, most: MAX_STEPS },
            Optional,
            "The steps of the action `flow`, in their order.",
        ),
        key("retry", Table(&RETRY), Optional, "How often and when a failed attempt is repeated."),
        key(
            "timeout",
            Span { least: SECOND, most: DAY },
            Default("\"1m\""),
            "How long an attempt may take; of a flow, one step.",
        ),
    ]
}

/// When attempts are repeated.
pub(in crate::manifest) static RETRY: Shape = Shape {
    id: "retry",
    title: "retry",
    about: "The wait before the second attempt is `first`, and each further one `factor` times longer, up to `max`.",
    groups: &[&[
        key("attempts", Integer { least: 1, most: MAX_ATTEMPTS }, Default("5"), "Attempts in all."),
        key(
            "first",
            Span { least: 10, most: DAY },
            Default("\"5s\""),
            "Wait before the second attempt.",
        ),
        key(
            "factor",
            Number { least: 1.0, most: 10.0 },
            Default("2.0"),
            "How much longer each wait is than the one before.",
        ),
        key("max", Span { least: 10, most: 7 * DAY }, Default("\"1h\""), "The longest wait."),
        key(
            "jitter",
            Number { least: 0.0, most: 1.0 },
            Default("0.1"),
            "The part of a wait that is left to chance, in both directions.",
        ),
    ]],
    choices: &[],
    needs: &[],
};
