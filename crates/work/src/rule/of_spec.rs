//! What a manifest says, as the engine works by it.

use std::time::Duration;

use serde_json::Value;

use super::{PRIORITIES, Rate, Retry, Rule, Script};
use crate::manifest::{BindingSpec, Deed, HookSpec, Priority, ScheduleSpec, Sql, Step, Work};
use crate::meter::Meter;

/// The type of `$row` where there is no row.
const NO_ROW: &str = "text";

/// The action that does steps.
const FLOW: &str = "flow";

/// The priority of jobs that no row made.
const OTHER: u8 = 0;

impl Rule {
    /// The rule of a binding. `key_type` is the type of its table's key, as PostgreSQL writes it.
    pub fn of_binding(id: i32, spec: &BindingSpec, key_type: &str) -> Self {
        let priorities = match spec.priority {
            Priority::Fixed(OTHER) => vec![OTHER],
            Priority::Fixed(priority) => vec![priority, OTHER],
            Priority::Of(_) => (0..PRIORITIES).rev().collect(),
        };
        let per = |limit: &crate::manifest::Limit| Duration::from_millis(limit.per_ms);
        Self {
            rate: spec.limit.as_ref().map(|limit| Rate { max: limit.max, per: per(limit) }),
            seats: spec.concurrency.as_ref().map(|concurrency| concurrency.max),
            fair: spec.fair.is_some(),
            priorities,
            most: usize::try_from(spec.batch).unwrap_or(1).max(1),
            ..Self::of_work(id, &spec.name, &spec.work, key_type)
        }
    }

    /// The rule of a hook.
    pub fn of_hook(id: i32, spec: &HookSpec) -> Self {
        let rule = Self::of_work(id, &spec.name, &spec.work, NO_ROW);
        let Some(call) = &spec.call else { return rule };
        // A flow with one step: its job waits for that of the binding, and `done` sees what it gave.
        let deed = Deed::Call(call.clone());
        let steps = vec![Step { name: call.binding.clone(), when: None, deed }];
        Self { action: FLOW.to_owned(), steps, ..rule }
    }

    /// The rule of a schedule.
    pub fn of_schedule(id: i32, spec: &ScheduleSpec) -> Self {
        Self::of_work(id, &spec.name, &spec.work, NO_ROW)
    }

    fn of_work(id: i32, name: &str, work: &Work, key_type: &str) -> Self {
        let script = |sql: &Sql| {
            let rendered = sql.render(key_type);
            Script::new(rendered.text, rendered.names)
        };
        let scripts = |all: &[Sql]| all.iter().map(script).collect();
        Self {
            id,
            name: name.to_owned(),
            action: work.action.clone(),
            with: Value::Object(work.with.clone()),
            key_type: key_type.into(),
            steps: work.steps.clone(),
            role: work.role.database_role().map(str::to_owned),
            input: work.input.as_ref().map(script),
            open: work.open.clone(),
            running: scripts(&work.running),
            done: scripts(&work.done),
            failed: scripts(&work.failed),
            each_step: scripts(&work.each_step),
            meters: work.meters.iter().map(Meter::new).collect(),
            retry: Retry::of(work.retry),
            timeout: work.timeout(),
            rate: None,
            seats: None,
            fair: false,
            priorities: vec![OTHER],
            most: super::MOST,
        }
    }
}

impl Retry {
    fn of(spec: crate::manifest::Retry) -> Self {
        Self {
            attempts: spec.attempts,
            first: Duration::from_millis(spec.first_ms),
            factor: spec.factor,
            max: Duration::from_millis(spec.max_ms),
            jitter: spec.jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Name};

    fn manifest(more: &str) -> Manifest {
        let head = "[[binding]]\nname = 'post'\non = 'tweets'\nwhen = \"status = 'pending'\"\naction = 'noop'\n";
        Manifest::parse(&format!("{head}{more}")).unwrap()
    }

    fn binding(more: &str) -> Rule {
        Rule::of_binding(7, &manifest(more).bindings[0].spec, "uuid")
    }

    #[test]
    fn rows_are_of_the_type_of_their_key() {
        let rule = binding("done = 'update tweets set out = $out, note = $row where id = $row'");
        let wanted = Script::new(
            "update tweets set out = ($1::jsonb), note = ($2::uuid) where id = ($2::uuid)",
            [Name::Out, Name::Row],
        );
        assert_eq!((rule.id, rule.done), (7, vec![wanted]));
    }

    #[test]
    fn jobs_that_no_row_made_are_among_those_that_are_looked_for() {
        assert_eq!(binding("").priorities, [0]);
        assert_eq!(binding("priority = 5").priorities, [5, 0]);
        assert_eq!(binding("priority = 'weight'").priorities, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn limits_and_rights_are_taken_over_and_secrets_are_not_opened() {
        let rule = binding(
            "limit = { key = 'owner', per = '1m', max = 3 }\nconcurrency = 2\nfair = 'owner'\nbatch = 20
             role = 'service_role'\ntimeout = '3s'\nretry = { attempts = 2, first = '1s' }",
        );
        assert_eq!(rule.rate, Some(Rate { max: 3, per: Duration::from_secs(60) }));
        assert_eq!((rule.seats, rule.fair, rule.most), (Some(2), true, 20));
        assert_eq!(rule.role.as_deref(), Some("service_role"));
        assert_eq!((rule.timeout, rule.retry.attempts), (Duration::from_secs(3), 2));
        assert!(rule.is_limited());
    }

    #[test]
    fn hooks_and_schedules_have_rules_as_well() {
        let manifest = manifest(
            "[[hook]]\nname = 'in'\nverify = { scheme = 'none' }\ndone = 'insert into a values ($body)'\n
             [[schedule]]\nname = 'nightly'\ncron = '0 3 * * *'\nrun = 'delete from a where at < $tick'",
        );
        let hook = Rule::of_hook(1, &manifest.hooks[0].spec);
        let schedule = Rule::of_schedule(2, &manifest.schedules[0].spec);
        assert_eq!(hook.done, [Script::new("insert into a values (($1::jsonb))", [Name::Body])]);
        let run = Script::new("delete from a where at < ($1::timestamptz)", [Name::Tick]);
        assert_eq!((schedule.action.as_str(), schedule.done), ("noop", vec![run]));
    }
}
