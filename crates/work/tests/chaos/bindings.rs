//! The bindings of a run, as the test installs them and as instances work by them.

use std::time::Duration;

use plinth_work::install::RowBinding;
use plinth_work::manifest::{Manifest, Name, ScheduleSpec};
use plinth_work::rule::{Rate, Retry, Rule, Script};

/// Kinds of rows, each with a binding; the first has the number 1.
pub(crate) const KINDS: [&str; 5] = ["plain", "seated", "rated", "stepped", "noop"];

/// Most jobs of a tenant at once, of the second.
pub(crate) const SEATS: u32 = 3;

/// Most beginnings of a tenant in [`PER`], of the third.
pub(crate) const RATE: u32 = 8;

/// See [`RATE`].
pub(crate) const PER: Duration = Duration::from_millis(500);

/// Steps of the fourth that call outside; between the second and the third it sleeps, in a step of its own.
pub(crate) const STEPS: [&str; 3] = ["one", "two", "three"];

/// What runs each second: behind the kinds of rows, with the number after theirs. It outlives the loss of many workers.
const SCHEDULE: &str = r#"
name = "chaos"
[[schedule]]
name = "tick"
cron = "* * * * * *"
catch_up = "all"
retry = { attempts = 50 }
run = "insert into effect (what, job, attempt, detail) values ('done', $job, $attempt, to_jsonb($tick))"
"#;

/// The schedule of a run.
pub(crate) fn schedule() -> ScheduleSpec {
    let manifest = Manifest::parse(SCHEDULE).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    manifest.schedules[0].spec.clone()
}

/// What instances work by.
pub(crate) fn rules() -> Vec<Rule> {
    let kinds = i32::try_from(KINDS.len()).unwrap();
    (1..=kinds).map(rule).chain([Rule::of_schedule(kinds + 1, &schedule())]).collect()
}

/// What makes jobs of rows of the kind with this number.
pub(crate) fn row_binding(id: i32) -> RowBinding {
    let kind = kind(id);
    RowBinding {
        id,
        schema: "public".to_owned(),
        table: "task".to_owned(),
        when: format!("status = 'pending' and kind = '{kind}'"),
        cancel_when: Some(format!("status = 'cancelled' and kind = '{kind}'")),
        priority: (kind == "plain").then(|| "id % 3".to_owned()),
        rate_key: (kind == "rated").then(|| "tenant".to_owned()),
        seat_key: (kind == "seated").then(|| "tenant".to_owned()),
        ..RowBinding::default()
    }
}

/// What to do with them.
fn rule(id: i32) -> Rule {
    let kind = kind(id);
    let calls = kind != "noop";
    let (from, action) = match kind {
        "noop" => ("pending", "noop"),
        "stepped" => ("running", "stepped"),
        _ => ("running", "outside"),
    };
    let input =
        "select jsonb_build_object('id', id, 'tenant', tenant) from task where id = $1::bigint";
    let running = "update task set status = 'running' where id = $1::bigint and status = 'pending'";
    Rule {
        id,
        name: kind.to_owned(),
        action: action.to_owned(),
        with: serde_json::Value::Null,
        role: None,
        input: calls.then(|| Script::new(input, [Name::Row])),
        running: calls.then(|| Script::new(running, [Name::Row])).into_iter().collect(),
        done: vec![effect("done", Name::Out), moved(from, "done")],
        failed: vec![effect("failed", Name::Input), moved(from, "failed")],
        each_step: vec![effect("step", Name::Step)],
        meters: [].into(),
        open: Vec::new(),
        retry: Retry {
            attempts: 12,
            first: Duration::from_millis(50),
            factor: 2.0,
            max: Duration::from_secs(1),
            jitter: 0.5,
        },
        timeout: Duration::from_secs(10),
        rate: (kind == "rated").then_some(Rate { max: RATE, per: PER }),
        seats: (kind == "seated").then_some(SEATS),
        fair: false,
        priorities: if kind == "plain" { vec![2, 1, 0] } else { vec![0] },
        most: 32,
        key_type: "bigint".into(),
        steps: Vec::new(),
    }
}

fn kind(id: i32) -> &'static str {
    KINDS[usize::try_from(id - 1).unwrap()]
}

fn effect(what: &str, detail: Name) -> Script {
    let insert = format!(
        "insert into effect (what, job, row, attempt, detail)
         values ('{what}', $1::bigint, $2::bigint, $3::integer, $4::jsonb)"
    );
    Script::new(insert, [Name::Job, Name::Row, Name::Attempt, detail])
}

/// Rows that somebody moved elsewhere stay there.
fn moved(from: &str, to: &str) -> Script {
    let update =
        format!("update task set status = '{to}' where id = $1::bigint and status = '{from}'");
    Script::new(update, [Name::Row])
}
