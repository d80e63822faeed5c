//! Keys of a binding.

use super::step::BINDING_STEP;
use super::*;

/// A binding.
pub(in crate::manifest) static BINDING: Shape = Shape {
    id: "binding",
    title: "[[binding]]",
    about: "When a row of a table enters a state, a job is queued in the same transaction, does an action, and writes the outcome.",
    groups: &[
        &[
            key(
                "name",
                Form::Name,
                Required,
                "Its name: the job's in lists and metrics. Unique among bindings, hooks and schedules.",
            ),
            key(
                "on",
                Form::Relation,
                Required,
                "The table, as it is called in the catalog; `public` without a schema.",
            ),
            key(
                "when",
                Expression(&[]),
                Required,
                "The state: a condition on the row's columns. A row enters it by an insert, or by an update that makes it true.",
            ),
            key(
                "key",
                Column,
                Optional,
                "The column that `$row` is; without it the primary key, which must then be one column.",
            ),
        ],
        &[key("action", Form::Action, Required, ACTION_ABOUT)],
        &work_keys(&OF_BINDING, &BINDING_STEP),
        &[
            key(
                "cancel_when",
                Expression(&[]),
                Optional,
                "A condition on the row's columns: the job of a row that enters it is cancelled, even while it runs.",
            ),
            key("limit", Table(&LIMIT), Optional, "How many jobs may begin in a period."),
            key(
                "concurrency",
                Form::Either(&Integer { least: 1, most: MAX_CONCURRENCY }, &Table(&CONCURRENCY)),
                Optional,
                "How many jobs may run at the same time, on all instances together.",
            ),
            key(
                "fair",
                Expression(&[]),
                Optional,
                "An expression on the row's columns, such as `tenant_id`: jobs are taken from its values in turn.",
            ),
            key(
                "priority",
                Form::Either(&Integer { least: 0, most: MAX_PRIORITY as u32 }, &Expression(&[])),
                Default("0"),
                "From 0 to 9, or an expression on the row's columns that is brought into these bounds. Higher first; waiting jobs rise with time.",
            ),
            key(
                "backfill",
                Switch,
                Default("false"),
                "Whether rows that are in the state when the binding is installed get a job too.",
            ),
            key(
                "batch",
                Integer { least: 1, most: MAX_BATCH },
                Default("10"),
                "How many jobs are taken at once.",
            ),
        ],
    ],
    choices: &[],
    needs: &[],
};

const ACTION_ABOUT: &str =
    "What is done: `noop`, `sql`, `http.request`, `flow`, or a connector's action.";

/// So many jobs in a period.
pub(in crate::manifest) static LIMIT: Shape = Shape {
    id: "limit",
    title: "limit",
    about: "At most `max` jobs begin in any window of `per`, on all instances together; the others wait.",
    groups: &[&[
        key(
            "key",
            Expression(&[]),
            Optional,
            "An expression on the row's columns: each of its values is counted by itself. Rows where it is null, and jobs that are about no row, are counted together.",
        ),
        key("per", Span { least: SECOND, most: 30 * DAY }, Required, "The period."),
        key("max", Integer { least: 1, most: MAX_RATE }, Required, "Jobs in it."),
    ]],
    choices: &[],
    needs: &[],
};

/// So many jobs at the same time.
pub(in crate::manifest) static CONCURRENCY: Shape = Shape {
    id: "concurrency",
    title: "concurrency",
    about: "At most `max` jobs run at the same time, on all instances together.",
    groups: &[&[
        key(
            "key",
            Expression(&[]),
            Optional,
            "An expression on the row's columns: each of its values is counted by itself. Rows where it is null, and jobs that are about no row, are counted together.",
        ),
        key("max", Integer { least: 1, most: MAX_CONCURRENCY }, Required, "Jobs at the same time."),
    ]],
    choices: &[],
    needs: &[],
};
