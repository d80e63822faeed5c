//! Checks that need the whole manifest: names that are there twice, calls of bindings that are not there.

use std::collections::BTreeMap;

use super::reader::Reader;
use super::spec::{BindingSpec, Call, Deed, Step};
use super::spell::did_you_mean;
use super::{Content, Declared};

/// Remembers what does not fit together.
pub(super) fn check(reader: &Reader<'_>, content: &Content) {
    check_names(reader, content);
    for binding in &content.bindings {
        for (path, call) in calls(&binding.spec.work.steps, "steps") {
            check_call(reader, content, binding, &path, call, Some(&binding.spec));
        }
    }
    for hook in &content.hooks {
        for (path, call) in calls(&hook.spec.work.steps, "steps") {
            check_call(reader, content, hook, &path, call, None);
        }
        if let Some(call) = &hook.spec.call {
            check_call(reader, content, hook, "binding", call, None);
        }
    }
    for schedule in &content.schedules {
        for (path, call) in calls(&schedule.spec.work.steps, "steps") {
            check_call(reader, content, schedule, &path, call, None);
        }
    }
}

fn check_names(reader: &Reader<'_>, content: &Content) {
    let bindings = content.bindings.iter().map(|one| (&one.spec.name, one.name_at()));
    let hooks = content.hooks.iter().map(|one| (&one.spec.name, one.name_at()));
    let schedules = content.schedules.iter().map(|one| (&one.spec.name, one.name_at()));
    unique(reader, bindings.chain(hooks).chain(schedules));
    unique(reader, content.meters.iter().map(|one| (&one.spec.name, one.name_at())));
}

fn unique<'a>(reader: &Reader<'_>, names: impl Iterator<Item = (&'a String, usize)>) {
    let mut seen = BTreeMap::new();
    let mut names: Vec<_> = names.collect();
    names.sort_by_key(|(_, at)| *at);
    for (name, at) in names {
        if seen.insert(name, at).is_some() {
            let hint = "a name is unique among bindings, hooks and schedules, and among meters";
            reader.problem(at, format!("the name `{name}` is there already"), hint.to_owned());
        }
    }
}

fn check_call<T>(
    reader: &Reader<'_>,
    content: &Content,
    declared: &Declared<T>,
    path: &str,
    call: &Call,
    caller: Option<&BindingSpec>,
) {
    let at = declared.place_of(path);
    let found = content.bindings.iter().find(|binding| binding.spec.name == call.binding);
    let Some(called) = found else {
        let names = content.bindings.iter().map(|binding| binding.spec.name.as_str());
        let near = did_you_mean(&call.binding, names);
        let message = format!("`{path}`: there is no binding `{}`{near}", call.binding);
        reader.problem(at, message, None);
        return;
    };
    if call.row.is_some() {
        return;
    }
    match caller {
        Some(caller) if caller.name == called.spec.name => {
            reader.problem(
                at,
                format!("`{path}`: a binding cannot call itself for its own row"),
                None,
            );
        }
        Some(caller) if caller.on == called.spec.on => {}
        _ => {
            let message = format!(
                "`{path}`: `row` must say for which row of `{}` it is",
                called.spec.on.name
            );
            reader.problem(at, message, None);
        }
    }
}

/// All calls of steps, with their paths.
fn calls<'a>(steps: &'a [Step], path: &str) -> Vec<(String, &'a Call)> {
    let mut all = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match &step.deed {
            Deed::Call(call) => all.push((format!("{path}.call"), call)),
            Deed::Parallel(steps) => all.extend(calls(steps, &format!("{path}.parallel"))),
            Deed::Act { .. } | Deed::Sleep { .. } | Deed::Wait { .. } => {}
        }
    }
    all
}

impl<T> Declared<T> {
    fn name_at(&self) -> usize {
        self.keys.get("name").unwrap_or(&self.at).start
    }

    /// What the file calls the value with this path: what a schedule runs is `done` in its normal form.
    pub(crate) fn path_in_file(&self, path: &str) -> String {
        match path.strip_prefix("done[") {
            Some(rest) if self.keys.contains_key("run") => format!("run[{rest}"),
            _ => path.to_owned(),
        }
    }

    /// The place of a value with a path, or of the nearest key around it.
    pub(super) fn place_of(&self, path: &str) -> usize {
        match self.places.get(path) {
            Some(place) => place.raw.start,
            None => {
                let key = path.split(['.', '[']).next().unwrap_or_default();
                self.keys.get(key).unwrap_or(&self.at).start
            }
        }
    }
}
