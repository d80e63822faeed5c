//! What a manifest would change of what is installed. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::manifest::{BindingSpec, HookSpec, Manifest, ScheduleSpec};

/// Who a binding came from when a manifest declared it.
pub(super) const SOURCE: &str = "manifest";

/// What kinds of rules there are in `plinth.binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Rows that move.
    Row,
    /// An inbound webhook.
    Hook,
    /// Work at given times.
    Schedule,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Hook => "hook",
            Self::Schedule => "schedule",
        }
    }
}

/// What happens to a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// It is new.
    Added,
    /// It was removed once, and is back under its number.
    Restored,
    /// It says something else.
    Changed {
        /// The keys that do.
        keys: Vec<String>,
    },
    /// What makes its jobs was gone from its table, and is made again.
    Mended,
    /// Its jobs stay and do not run.
    Removed,
    /// Nothing.
    Unchanged,
}

/// What happens to one binding, hook or schedule, or to the sealed columns of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// What happens.
    #[serde(flatten)]
    pub what: What,
    /// Its jobs that are not finished, dead ones among them.
    pub unfinished: i64,
    /// Rows that were there and got a job, or were sealed.
    pub backfilled: u64,
}

/// A row of `plinth.binding`.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    pub(super) id: i32,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) spec: Value,
    pub(super) removed: bool,
    pub(super) source: String,
    /// Whether its triggers are on its table.
    pub(super) has_triggers: bool,
    pub(super) unfinished: i64,
}

/// What a manifest wants to be there.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) spec: Value,
    /// Where it stands among the manifest's declarations of its kind.
    pub(super) index: usize,
}

/// One step from what is installed to what is wanted.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) installed: Option<&'a Installed>,
    pub(super) wanted: Option<&'a Wanted>,
    pub(super) what: What,
}

/// Why a manifest cannot be installed over what is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The name belongs to what was installed otherwise.
    Taken,
    /// Unfinished jobs are about rows of the table that it was on.
    Moves(i64),
}

impl Step<'_> {
    pub(super) fn change(&self) -> Change {
        let installed = self.installed;
        Change {
            name: match (self.wanted, installed) {
                (Some(wanted), _) => wanted.name.clone(),
                (None, installed) => {
                    installed.map(|installed| installed.name.clone()).unwrap_or_default()
                }
            },
            kind: match (self.wanted, installed) {
                (Some(wanted), _) => wanted.kind.name().to_owned(),
                (None, installed) => {
                    installed.map(|installed| installed.kind.clone()).unwrap_or_default()
                }
            },
            what: self.what.clone(),
            unfinished: installed.map_or(0, |installed| installed.unfinished),
            backfilled: 0,
        }
    }

    /// Whether another state, key or table makes rows of before worth looking at again.
    pub(super) fn looks_back(&self) -> bool {
        match &self.what {
            What::Added | What::Restored => true,
            What::Changed { keys } => {
                keys.iter().any(|key| matches!(key.as_str(), "on" | "key" | "when" | "backfill"))
            }
            What::Mended | What::Removed | What::Unchanged => false,
        }
    }

    /// Why it cannot be done.
    pub(super) fn conflict(&self) -> Option<Conflict> {
        let (installed, wanted) = (self.installed?, self.wanted?);
        if installed.source != SOURCE && !installed.removed {
            return Some(Conflict::Taken);
        }
        let same = |key: &str| installed.spec.get(key) == wanted.spec.get(key);
        let moves = installed.kind != wanted.kind.name() || !same("on") || !same("key");
        (moves && installed.unfinished > 0).then_some(Conflict::Moves(installed.unfinished))
    }
}

/// Everything that a manifest declares, as it is stored.
pub(super) fn wanted(manifest: &Manifest) -> Result<Vec<Wanted>, serde_json::Error> {
    let mut all = Vec::new();
    let meters = || manifest.meters.iter().map(|one| &one.spec);
    for (index, one) in manifest.bindings.iter().enumerate() {
        let work = one.spec.work.clone().metered(meters());
        let spec = BindingSpec { work, ..one.spec.clone() };
        let (name, spec) = (one.spec.name.clone(), serde_json::to_value(&spec)?);
        all.push(Wanted { name, kind: Kind::Row, spec, index });
    }
    for (index, one) in manifest.hooks.iter().enumerate() {
        let work = one.spec.work.clone().metered(meters());
        let spec = HookSpec { work, ..one.spec.clone() };
        let (name, spec) = (one.spec.name.clone(), serde_json::to_value(&spec)?);
        all.push(Wanted { name, kind: Kind::Hook, spec, index });
    }
    for (index, one) in manifest.schedules.iter().enumerate() {
        let work = one.spec.work.clone().metered(meters());
        let spec = ScheduleSpec { work, ..one.spec.clone() };
        let (name, spec) = (one.spec.name.clone(), serde_json::to_value(&spec)?);
        all.push(Wanted { name, kind: Kind::Schedule, spec, index });
    }
    Ok(all)
}

/// The steps from what is installed to what is wanted: first what the manifest declares, in its order, then what goes.
pub(super) fn steps<'a>(installed: &'a [Installed], wanted: &'a [Wanted]) -> Vec<Step<'a>> {
    let by_name: BTreeMap<&str, &Installed> =
        installed.iter().map(|one| (one.name.as_str(), one)).collect();
    let mut steps: Vec<Step<'a>> = wanted
        .iter()
        .map(|wanted| {
            let installed = by_name.get(wanted.name.as_str()).copied();
            Step { installed, wanted: Some(wanted), what: what(installed, wanted) }
        })
        .collect();
    let goes = |one: &&Installed| {
        one.source == SOURCE && !one.removed && wanted.iter().all(|wanted| wanted.name != one.name)
    };
    steps.extend(installed.iter().filter(goes).map(|one| Step {
        installed: Some(one),
        wanted: None,
        what: What::Removed,
    }));
    steps
}

fn what(installed: Option<&Installed>, wanted: &Wanted) -> What {
    let Some(installed) = installed else { return What::Added };
    if installed.removed {
        return What::Restored;
    }
    let keys = changed_keys(&installed.spec, &wanted.spec);
    if !keys.is_empty() || installed.kind != wanted.kind.name() {
        return What::Changed { keys };
    }
    if wanted.kind == Kind::Row && !installed.has_triggers {
        return What::Mended;
    }
    What::Unchanged
}

/// The keys of two specs that do not say the same.
fn changed_keys(before: &Value, after: &Value) -> Vec<String> {
    let empty = Map::new();
    let fields = |value: &'_ Value| value.as_object().unwrap_or(&empty).clone();
    let (before, after) = (fields(before), fields(after));
    let mut keys: Vec<String> = before
        .keys()
        .chain(after.keys())
        .filter(|key| before.get(*key) != after.get(*key))
        .cloned()
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn installed(name: &str, spec: Value) -> Installed {
        Installed {
            id: 1,
            name: name.to_owned(),
            kind: "row".to_owned(),
            spec,
            removed: false,
            source: SOURCE.to_owned(),
            has_triggers: true,
            unfinished: 3,
        }
    }

    fn wanted(name: &str, spec: Value) -> Wanted {
        Wanted { name: name.to_owned(), kind: Kind::Row, spec, index: 0 }
    }

    fn only(installed: &Installed, wanted: &Wanted) -> What {
        steps(std::slice::from_ref(installed), std::slice::from_ref(wanted))[0].what.clone()
    }

    #[test]
    fn what_says_the_same_is_unchanged_and_what_does_not_says_where() {
        let a = installed("a", json!({"on": "t", "when": "x"}));
        assert_eq!(only(&a, &wanted("a", json!({"when": "x", "on": "t"}))), What::Unchanged);
        let other = wanted("a", json!({"on": "t", "when": "y", "batch": 3}));
        assert_eq!(
            only(&a, &other),
            What::Changed { keys: vec!["batch".to_owned(), "when".to_owned()] }
        );
        assert!(steps(std::slice::from_ref(&a), &[other])[0].looks_back());
        let without = Installed { has_triggers: false, ..a.clone() };
        assert_eq!(only(&without, &wanted("a", a.spec.clone())), What::Mended);
        let removed = Installed { removed: true, ..a.clone() };
        assert_eq!(only(&removed, &wanted("a", a.spec.clone())), What::Restored);
    }

    #[test]
    fn only_what_a_manifest_brought_goes_with_it() {
        let mine = installed("mine", json!({}));
        let other = Installed { source: "sql".to_owned(), ..installed("other", json!({})) };
        let gone = Installed { removed: true, ..installed("gone", json!({})) };
        let all = [mine, other, gone];
        let steps = steps(&all, &[]);
        let names: Vec<_> = steps.iter().map(|step| (step.change().name, &step.what)).collect();
        assert_eq!(names, [("mine".to_owned(), &What::Removed)]);
    }

    #[test]
    fn jobs_are_not_carried_to_another_table_and_no_name_is_taken_over() {
        let a = installed("a", json!({"on": "t"}));
        let moved = wanted("a", json!({"on": "u"}));
        let conflict = |installed: &Installed| {
            steps(std::slice::from_ref(installed), std::slice::from_ref(&moved))[0].conflict()
        };
        assert_eq!(conflict(&a), Some(Conflict::Moves(3)));
        assert_eq!(conflict(&Installed { unfinished: 0, ..a.clone() }), None);
        let other = Installed { source: "sql".to_owned(), ..a.clone() };
        assert_eq!(conflict(&other), Some(Conflict::Taken));
        assert_eq!(conflict(&Installed { removed: true, unfinished: 0, ..other }), None);
    }
}
