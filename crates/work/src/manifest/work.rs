//! Reads what a job does: action, settings, SQL, steps.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::fields::Fields;
use super::keys::{self, Places};
use super::spec::{Call, Deed, ENV, Retry, Step, Work};
use super::wording::is_variable;

/// The action that does nothing.
pub(super) const NOOP: &str = "noop";
/// The action that has steps.
pub(crate) const FLOW: &str = "flow";

/// What jobs of this table do. Without an action it is `noop`.
pub(super) fn read(fields: &Fields<'_>, places: &'static Places) -> Work {
    let action = fields.text("action");
    let steps = read_steps(fields, places, action.as_deref());
    let with = read_with(fields, places, action.as_deref());
    let open = read_open(fields, action.as_deref());
    Work {
        action: action.unwrap_or_else(|| NOOP.to_owned()),
        with,
        input: fields.statement("input"),
        open,
        role: fields.role().unwrap_or_default(),
        running: fields.statements("running"),
        done: fields.statements("done"),
        failed: fields.statements("failed"),
        each_step: fields.statements("each_step"),
        steps,
        meters: Vec::new(),
        retry: read_retry(&fields.table_or_empty("retry", &keys::RETRY)),
        timeout_ms: fields.span("timeout").unwrap_or_default(),
    }
}

fn read_retry(fields: &Fields<'_>) -> Retry {
    let (first, max) = (fields.span("first"), fields.span("max"));
    if let (Some(first), Some(max)) = (first, max)
        && first > max
    {
        let name = if fields.has("first") { "first" } else { "max" };
        fields.problem(name, "makes the first wait longer than the longest, which is `max`", None);
    }
    Retry {
        attempts: fields.integer("attempts").unwrap_or(1),
        first_ms: first.unwrap_or_default(),
        factor: fields.number("factor").unwrap_or(1.0),
        max_ms: max.unwrap_or_default(),
        jitter: fields.number("jitter").unwrap_or_default(),
    }
}

/// The settings of the action, checked where the action is one of ours.
fn read_with(
    fields: &Fields<'_>,
    places: &'static Places,
    action: Option<&str>,
) -> serde_json::Map<String, serde_json::Value> {
    if let Some(shape) = action.and_then(|action| keys::settings_of(action, places)) {
        let own = fields.table_or_empty("with", shape);
        match action {
            Some("sql") => {
                own.statement("run");
                own.role();
            }
            Some("http.request") => check_http(&own),
            _ => {}
        }
    }
    fields.settings("with")
}

/// The paths of sealed values. What an action of ours gives is stored, and what it gets is what it gives.
fn read_open(fields: &Fields<'_>, action: Option<&str>) -> Vec<String> {
    if fields.has("open") && matches!(action.unwrap_or(NOOP), NOOP | FLOW | "sql") {
        let hint = match action {
            Some(FLOW) => Some("the step that needs it has `open` of its own".to_owned()),
            _ => None,
        };
        fields.problem("open", "is for actions that leave the database", hint);
    }
    let mut all = BTreeSet::new();
    for path in fields.texts("open") {
        if path.value.split('.').any(|part| part.trim() != part || part.is_empty()) {
            let message = format!(
                "`{}` is no path such as `account.access_token`",
                path.value.escape_debug()
            );
            fields.reader().problem(path.at.start, message, None);
        }
        all.insert(path.value);
    }
    all.into_iter().collect()
}

fn check_http(fields: &Fields<'_>) {
    if let Some(url) = fields.text("url")
        && !is_address(&url)
    {
        fields.problem("url", "must begin with http:// or https://, or be `env:NAME`", None);
    }
    fields.word("method");
    fields.text("secret");
    for (name, value) in fields.text_table("headers") {
        let sound = HeaderName::from_bytes(name.as_bytes()).is_ok()
            && HeaderValue::from_str(&value.value).is_ok();
        if !sound {
            let message = format!("`{}` is no header that can be sent", name.escape_debug());
            fields.reader().problem(value.at.start, message, None);
        }
    }
}

fn is_address(text: &str) -> bool {
    match text.strip_prefix(ENV) {
        Some(name) => is_variable(name),
        None => Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()),
    }
}

fn read_steps(fields: &Fields<'_>, places: &'static Places, action: Option<&str>) -> Vec<Step> {
    let mut names = BTreeSet::new();
    let tables = fields.tables("steps");
    let count = tables.len();
    let steps: Vec<Step> =
        tables.iter().filter_map(|step| read_step(step, places, &mut names)).collect();
    match action {
        Some(FLOW) if count == 0 && !fields.has("steps") => {
            fields.problem("action", "is `flow`, which needs `steps`", None);
        }
        Some(FLOW) if count == 0 => fields.problem("steps", "has no step in it", None),
        Some(FLOW) | None => {}
        Some(_) if fields.has("steps") => {
            fields.problem("steps", "means nothing without the action `flow`", None);
        }
        Some(_) => {}
    }
    steps
}

fn read_step(
    fields: &Fields<'_>,
    places: &'static Places,
    names: &mut BTreeSet<String>,
) -> Option<Step> {
    let name = fields.text("name");
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        fields.problem("name", format!("`{name}` is another step's too"), None);
    }
    let when = fields.expression("when");
    let deed = read_deed(fields, places, names);
    Some(Step { name: name?, when, deed: deed? })
}

fn read_deed(
    fields: &Fields<'_>,
    places: &'static Places,
    names: &mut BTreeSet<String>,
) -> Option<Deed> {
    if fields.has("parallel") {
        let tables = fields.tables("parallel");
        if tables.is_empty() {
            fields.problem("parallel", "has no step in it", None);
        }
        let steps = tables.iter().filter_map(|step| read_step(step, places, names));
        return Some(Deed::Parallel(steps.collect()));
    }
    if fields.has("sleep") {
        return Some(Deed::Sleep { ms: fields.span("sleep")? });
    }
    if fields.has("wait") {
        let wait = fields.table("wait")?;
        let (event, key) = (wait.text("event"), wait.statement("key"));
        return Some(Deed::Wait { event: event?, key, timeout_ms: wait.span("timeout")? });
    }
    if fields.has("call") {
        fields.mark("call");
        let (binding, row) = (fields.text("call"), fields.statement("row"));
        return Some(Deed::Call(Call { binding: binding?, row }));
    }
    fields.mark("action");
    let action = fields.text("action");
    if action.as_deref() == Some(FLOW) {
        fields.problem(
            "action",
            "of a step cannot be `flow`",
            "`call` does a binding with a flow".to_owned(),
        );
    }
    let with = read_with(fields, places, action.as_deref());
    let input = fields.statement("input");
    let open = read_open(fields, action.as_deref());
    Some(Deed::Act { action: action?, with, input, open })
}
