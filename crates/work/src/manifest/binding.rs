//! Reads a binding.

use super::bounds::MAX_PRIORITY;
use super::fields::Fields;
use super::keys::OF_BINDING;
use super::spec::{BindingSpec, Concurrency, Limit, Priority};
use super::work;

/// The binding of a table; `None` when it lacks what it must have.
pub(super) fn read(fields: &Fields<'_>) -> Option<BindingSpec> {
    let (name, on, when) = (fields.text("name"), fields.relation("on"), fields.expression("when"));
    let key = fields.text("key");
    let work = work::read(fields, &OF_BINDING);
    let cancel_when = fields.expression("cancel_when");
    let limit = fields.table("limit").and_then(|fields| read_limit(&fields));
    let concurrency = read_concurrency(fields);
    let fair = fields.expression("fair");
    let priority = read_priority(fields);
    let (backfill, batch) = (fields.switch("backfill"), fields.integer("batch"));
    if when.is_some() && when == cancel_when {
        fields.problem("cancel_when", "is the same as `when`: every job would be cancelled", None);
    }
    Some(BindingSpec {
        name: name?,
        on: on?,
        when: when?,
        key,
        work,
        cancel_when,
        limit,
        concurrency,
        fair,
        priority: priority?,
        backfill,
        batch: batch?,
    })
}

fn read_limit(fields: &Fields<'_>) -> Option<Limit> {
    let key = fields.expression("key");
    let (per_ms, max) = (fields.span("per"), fields.integer("max"));
    Some(Limit { key, per_ms: per_ms?, max: max? })
}

fn read_concurrency(fields: &Fields<'_>) -> Option<Concurrency> {
    if !fields.has("concurrency") {
        return None;
    }
    if fields.is_integer("concurrency") {
        return Some(Concurrency { key: None, max: fields.integer("concurrency")? });
    }
    let fields = fields.table("concurrency")?;
    let key = fields.expression("key");
    Some(Concurrency { key, max: fields.integer("max")? })
}

fn read_priority(fields: &Fields<'_>) -> Option<Priority> {
    if fields.is_text("priority") {
        return fields.expression("priority").map(Priority::Of);
    }
    let fixed = u8::try_from(fields.integer("priority")?).unwrap_or(MAX_PRIORITY);
    Some(Priority::Fixed(fixed))
}
