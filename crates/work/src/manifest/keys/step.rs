//! Keys of a flow's steps.

use super::*;

const STEP_ABOUT: &str = "One step of a flow. What it gives is journaled and not done again, and later steps see it as `$steps`.";
const STEP_CHOICES: &[Choice] =
    &[Choice { keys: &["action", "sleep", "wait", "call", "parallel"], required: true }];
const BRANCH_CHOICES: &[Choice] =
    &[Choice { keys: &["action", "sleep", "wait", "call"], required: true }];
const STEP_NEEDS: &[(&str, &str)] =
    &[("with", "action"), ("input", "action"), ("open", "action"), ("row", "call")];

macro_rules! steps {
    ($step:ident, $branch:ident, $wait:ident, $places:ident) => {
        /// A step of a flow.
        pub(super) static $step: Shape = Shape {
            id: "step",
            title: "steps",
            about: STEP_ABOUT,
            groups: &[
                &step_keys(&$places, &$wait),
                &[key("parallel", Tables { shape: &$branch, most: MAX_PARALLEL }, Optional, "Steps that run at the same time; this one gives what they give, by their names.")],
            ],
            choices: STEP_CHOICES,
            needs: STEP_NEEDS,
        };
        /// A step that runs beside others.
        static $branch: Shape = Shape {
            id: "branch",
            title: "parallel",
            about: "A step that runs beside others: like a step, without `parallel`.",
            groups: &[&step_keys(&$places, &$wait)],
            choices: BRANCH_CHOICES,
            needs: STEP_NEEDS,
        };
        /// A wait for an event.
        static $wait: Shape = Shape {
            id: "wait",
            title: "wait",
            about: "The step waits for an event and gives its data, or null when the time is over.",
            groups: &[&[
                key("event", Text, Required, "Name of the event."),
                key("key", Statement($places.step), Optional, "A query for one text: only an event with this key wakes the job. Without it the row's key, where there is a row."),
                key("timeout", Span { least: SECOND, most: 366 * DAY }, Default("\"7d\""), "How long it waits."),
            ]],
            choices: &[],
            needs: &[],
        };
    };
}
steps!(BINDING_STEP, BINDING_BRANCH, BINDING_WAIT, OF_BINDING);
steps!(HOOK_STEP, HOOK_BRANCH, HOOK_WAIT, OF_HOOK);
steps!(SCHEDULE_STEP, SCHEDULE_BRANCH, SCHEDULE_WAIT, OF_SCHEDULE);

const fn step_keys(places: &'static Places, wait: &'static Shape) -> [Key; 10] {
    [
        key(
            "name",
            Form::Name,
            Required,
            "Its name, unique in the flow. The journal knows a step by it.",
        ),
        key(
            "when",
            Expression(places.step),
            Optional,
            "A condition without which the step is left out; it gives null then.",
        ),
        key("action", Form::Action, Optional, "An action that is done: any but `flow`."),
        key("with", Settings, Optional, "Settings of the action."),
        key(
            "input",
            Statement(places.step),
            Optional,
            "A query that gives one value of type jsonb: what the action gets. Without it, what the step before gave.",
        ),
        key("open", Texts { most: MAX_NAMES }, Optional, super::work::OPEN_ABOUT),
        key(
            "sleep",
            Span { least: SECOND, most: 366 * DAY },
            Optional,
            "The job sleeps so long, without holding a worker.",
        ),
        key("wait", Table(wait), Optional, "The job waits for an event, without holding a worker."),
        key(
            "call",
            Form::Name,
            Optional,
            "A binding whose work is done for a row as part of this job; the step gives what that gives.",
        ),
        key(
            "row",
            Statement(places.step),
            Optional,
            "A query for the key of the row that `call` is for; no row: nothing is done, and the step gives null. Without it, the job's own row.",
        ),
    ]
}
