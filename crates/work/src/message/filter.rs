//! What lists and changes may ask of messages, their events and runs: SQL conditions on the filter that is parameter 1, an
//! object of names with the values of which one must be there. They are told one by one rather than by a function in the
//! database, which costs a hundred times as much for each row that is looked at.

use std::fmt::Write as _;

/// What a name asks of.
#[derive(Clone, Copy)]
enum About {
    /// A text.
    Text(&'static str),
    /// One of several texts.
    List(&'static str),
    /// The beginning of a text.
    Prefix(&'static str),
    /// The host of a URL, with its port or without.
    Host(&'static str),
    /// The path of a URL.
    Path(&'static str),
    /// Not before that moment, in milliseconds.
    From(&'static str),
    /// Not after that moment, in milliseconds.
    To(&'static str),
}

use About::{From, Host, List, Path, Prefix, Text, To};

/// Of a row of `plinth.message`.
const MESSAGE: &[(&str, About)] = &[
    ("messageId", Text("message.id")),
    ("dlqId", Text("message.dead_id")),
    ("url", Text("message.url")),
    ("host", Host("message.url")),
    ("path", Path("message.url")),
    ("topicName", Text("message.topic")),
    ("queueName", Text("message.queue")),
    ("scheduleId", Text("message.schedule")),
    ("flowControlKey", Text("message.flow")),
    ("label", List("message.labels")),
    ("callerIp", Text("message.settings ->> 'callerIP'")),
    ("fromDate", From("coalesce(message.dead_at, message.created_at)")),
    ("toDate", To("coalesce(message.dead_at, message.created_at)")),
    ("responseStatus", Text("message.response ->> 'status'")),
    ("source", Text("case when message.kind in ('s', 'b') then 'workflow' end")),
    ("workflowRunId", Text("message.run")),
    ("workflowUrl", Text("(select url from plinth.run where run.id = message.run)")),
    (
        "workflowCreatedAt",
        Text(
            "(select plinth.message_ms(created_at)::text from plinth.run where run.id = message.run)",
        ),
    ),
    (
        "failureFunctionState",
        Text(
            "(select plinth.run_failure(of_run) ->> 'state' from plinth.run as of_run where id = message.run)",
        ),
    ),
];

/// Of a row of `plinth.message_event`.
const EVENT: &[(&str, About)] = &[
    ("messageId", Text("message_event.message")),
    ("state", Text("message_event.state")),
    ("url", Text("message_event.url")),
    ("host", Host("message_event.url")),
    ("path", Path("message_event.url")),
    ("topicName", Text("message_event.topic")),
    ("queueName", Text("message_event.queue")),
    ("scheduleId", Text("message_event.schedule")),
    ("flowControlKey", Text("message_event.flow")),
    ("label", List("message_event.labels")),
    ("callerIp", Text("message_event.caller_ip")),
    ("workflowRunId", Text("message_event.run")),
    ("fromDate", From("message_event.at")),
    ("toDate", To("message_event.at")),
];

/// Of a row of `plinth.run`.
const RUN: &[(&str, About)] = &[
    ("workflowRunId", Text("run.id")),
    ("workflowUrl", Text("run.url")),
    ("workflowUrlPrefix", Prefix("run.url")),
    ("host", Host("run.url")),
    ("path", Path("run.url")),
    ("workflowCreatedAt", Text("plinth.message_ms(run.created_at)::text")),
    ("messageId", Text("run.message")),
    ("state", Text("run.state")),
    ("label", List("run.labels")),
    ("flowControlKey", Text("run.flow")),
    ("callerIp", Text("run.settings ->> 'callerIP'")),
    ("fromDate", From("run.created_at")),
    ("toDate", To("run.created_at")),
];

/// A statement in which `@message@`, `@event@` and `@run@` stand for what is asked of such a row.
pub(super) fn with_filters(sql: &str) -> String {
    sql.replace("@message@", &asked(MESSAGE))
        .replace("@event@", &asked(EVENT))
        .replace("@run@", &asked(RUN))
}

/// Nothing is meant by a filter with a name that is not among them.
fn asked(fields: &[(&str, About)]) -> String {
    let mut sql =
        "(not exists (select from jsonb_object_keys($1::jsonb) as name where name <> all (array["
            .to_owned();
    for (place, (name, _)) in fields.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}'{name}'");
    }
    sql.push_str("]))");
    for (name, about) in fields {
        let given = format!("$1::jsonb -> '{name}'");
        let _ = write!(sql, "\n and ({given} is null or {})", about.is(&given));
    }
    sql.push(')');
    sql
}

impl About {
    fn is(self, given: &str) -> String {
        match self {
            Text(text) => format!("{given} ? ({text})"),
            List(list) => {
                format!("exists (select from unnest({list}) as one where {given} ? one)")
            }
            Prefix(text) => format!(
                "exists (select from jsonb_array_elements_text({given}) as one where starts_with({text}, one))"
            ),
            Host(url) => format!(
                "{given} ? substring({url}, '://([^/?#]*)') or {given} ? substring({url}, '://([^/?#:]*)')"
            ),
            Path(url) => format!(
                "{given} ? coalesce(nullif(substring({url}, '://[^/?#]*([^?#]*)'), ''), '/')"
            ),
            From(at) => {
                format!("{at} >= to_timestamp(({given})::double precision / 1000)")
            }
            To(at) => format!("{at} <= to_timestamp(({given})::double precision / 1000)"),
        }
    }
}
