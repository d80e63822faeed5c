//! Settings of the actions that are always there.

use super::*;

/// Settings of the actions that are always there.
pub(in crate::manifest) fn settings_of(action: &str, places: &Places) -> Option<&'static Shape> {
    match action {
        "noop" => Some(&NOOP),
        "flow" => Some(&FLOW),
        "http.request" => Some(&HTTP_REQUEST),
        "sql" => Some(places.sql),
        _ => None,
    }
}

/// The settings that the schema and the documentation show.
pub(in crate::manifest) static BUILT_IN: [(&str, &Shape); 4] =
    [("noop", &NOOP), ("flow", &FLOW), ("sql", &BINDING_SQL), ("http.request", &HTTP_REQUEST)];

static NOOP: Shape = Shape {
    id: "with_noop",
    title: "action `noop`",
    about: "Does nothing: what it got is what it gives.",
    groups: &[],
    choices: &[],
    needs: &[],
};

static FLOW: Shape = Shape {
    id: "with_flow",
    title: "action `flow`",
    about: "Does the `steps` one after the other; what the last one gives is what it gives.",
    groups: &[],
    choices: &[],
    needs: &[],
};

pub(super) static BINDING_SQL: Shape = sql_settings(&[&sql_keys(&OF_BINDING)]);
pub(super) static HOOK_SQL: Shape = sql_settings(&[&sql_keys(&OF_HOOK)]);
pub(super) static SCHEDULE_SQL: Shape = sql_settings(&[&sql_keys(&OF_SCHEDULE)]);

const fn sql_settings(groups: &'static [&'static [Key]]) -> Shape {
    Shape {
        id: "with_sql",
        title: "action `sql`",
        about: "Runs a statement in a transaction of its own; its one value of type jsonb, if it gives one, is what it gives.",
        groups,
        choices: &[],
        needs: &[],
    }
}

const fn sql_keys(places: &'static Places) -> [Key; 2] {
    [
        key("run", Statement(places.step), Required, "The statement."),
        key("role", Word(ROLES), Optional, "Whose rights it has; the binding's `role` without it."),
    ]
}

static HTTP_REQUEST: Shape = Shape {
    id: "with_http_request",
    title: "action `http.request`",
    about: "Sends what it got as JSON, with job, attempt and idempotency key, signed; what is answered is what it gives.",
    groups: &[&[
        key("url", Text, Required, "Where to, `https://…` or `env:NAME`."),
        key(
            "method",
            Word(&["POST", "PUT", "PATCH", "DELETE", "GET"]),
            Default("\"POST\""),
            "The method.",
        ),
        key("headers", TextTable, Optional, "Further headers. Values may be `env:NAME`."),
        key(
            "secret",
            Form::Secret,
            Optional,
            "What the request is signed with; the project's own signing key without it.",
        ),
    ]],
    choices: &[],
    needs: &[],
};
