//! Keys of work at given times.

use super::step::SCHEDULE_STEP;
use super::*;

/// What happens to runs that were missed.
const CATCH_UPS: &[&str] = &["skip", "one", "all"];

/// Work at given times.
pub(in crate::manifest) static SCHEDULE: Shape = Shape {
    id: "schedule",
    title: "[[schedule]]",
    about: "One job per tick of a cron pattern, whatever the number of instances.",
    groups: &[
        &[
            key(
                "name",
                Form::Name,
                Required,
                "Its name. Unique among bindings, hooks and schedules.",
            ),
            key(
                "cron",
                Text,
                Required,
                "Minute, hour, day of the month, month, day of the week; with seconds before them if there are six fields.",
            ),
            key(
                "timezone",
                Text,
                Default("\"UTC\""),
                "The time zone of the pattern, such as `Europe/Berlin`.",
            ),
            key(
                "jitter",
                Span { least: 0, most: HOUR },
                Default("\"0\""),
                "Up to so much later, by chance.",
            ),
            key(
                "catch_up",
                Word(CATCH_UPS),
                Default("\"one\""),
                "What happens to ticks that were missed: `skip` them, do `one` for all of them, or `all`. Those that are up to a minute late were not missed: each of them is done, whatever is said here.",
            ),
            key(
                "catch_up_max",
                Integer { least: 1, most: MAX_CATCH_UP },
                Default("24"),
                "How many missed ticks `all` does, beside those that are on time; the latest are kept.",
            ),
            key("run", Statements(OF_SCHEDULE.before), Optional, "SQL that is run at each tick."),
            key("action", Form::Action, Optional, "What is done at each tick, in place of `run`."),
        ],
        &work_keys(&OF_SCHEDULE, &SCHEDULE_STEP),
    ],
    choices: &[Choice { keys: &["run", "action"], required: true }],
    needs: &[
        ("with", "action"),
        ("input", "action"),
        ("running", "action"),
        ("done", "action"),
        ("each_step", "action"),
        ("steps", "action"),
    ],
};
