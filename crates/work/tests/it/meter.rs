//! What calls use, recorded with what they come to.

use std::time::Duration;

use plinth_work::action::{Action, Actions, Call, Noop, Outcome, SqlStatement, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::install::{Change, What, apply};
use plinth_work::journal::{Step, Until};
use plinth_work::manifest::Manifest;
use serde_json::{Value, json};

use crate::support::{Bench, with_bench};

/// Each row says what its attempts do, one after the other.
const TASKS: &str = "
    create table task (
      id bigint primary key, status text not null default 'pending', error text, plan jsonb not null default '[]');
    create table bill (
      n bigint generated always as identity, action text, binding text, task text, job bigint, attempt integer, usage jsonb,
      who text default current_user);
    grant insert on bill to service_role;";

const SAY: &str = r#"
    [[binding]]
    name = "say"
    on = "task"
    when = "status = 'pending'"
    action = "x.say"
    input = "select plan from task where id = $row"
    done = "update task set status = 'done' where id = $row"
    failed = "update task set status = 'failed', error = $error where id = $row"
    retry = { attempts = 3, first = "10ms" }
"#;

const METER: &str = r#"
    [[meter]]
    name = "bill"
    actions = ["x.*", "sql"]
    record = "insert into bill (action, binding, task, job, attempt, usage) values ($action, $binding, $row, $job, $attempt, $usage)"
"#;

/// Attempt and usage of each call that was recorded.
const BILL: &str =
    "select coalesce(string_agg(concat_ws(':', attempt, usage), ' ' order by n), '') from bill";

const STATUS: &str = "select string_agg(status, ',' order by id) from task";

/// Does what its input says for this attempt: says what it used, then does what `then` says.
struct Say;

impl Action for Say {
    fn name(&self) -> &'static str {
        "x.say"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(say(call))
    }
}

async fn say(call: &Call) -> Outcome {
    let nth = usize::try_from(call.attempt).unwrap() - 1;
    let plan = call.input.get(nth).cloned().unwrap_or_default();
    if matches!(call.journal.get("nap"), Some(Step::Done(_))) {
        return Outcome::Done(Value::Null);
    }
    for usage in plan["usage"].as_array().into_iter().flatten() {
        call.used(usage.clone());
    }
    match plan["then"].as_str() {
        Some("fail") => Outcome::Failed("no".to_owned()),
        Some("later") => Outcome::NotBefore(Duration::from_millis(20), "busy".to_owned()),
        Some("hang") => std::future::pending().await,
        Some("nap") => {
            call.journal.wait("nap", Until::Time(Duration::from_millis(20))).await.unwrap();
            Outcome::Waits(vec!["nap".to_owned()])
        }
        _ => Outcome::Done(json!("said")),
    }
}

impl Bench<'_> {
    async fn put(&mut self, manifest: &str) -> Vec<Change> {
        let manifest = Manifest::parse(manifest).unwrap_or_else(|problems| panic!("{problems:?}"));
        apply(self.owner.client_mut(), &manifest).await.unwrap()
    }

    async fn work(&self) -> Engine {
        let store = self.store();
        let rules = store.rules().await.unwrap().rules;
        let actions = Actions::default().with(Noop).with(SqlStatement).with(Say).with_flow();
        let options = Options { poll: Duration::from_millis(20), ..Options::default() };
        Engine::start("test", store, actions, rules, options)
    }
}

/// What is recorded when a row with this plan has come to its end.
#[track_caller]
fn bill_of(manifest: &str, plan: Value, status: &str, bill: &str) {
    with_bench(TASKS, async |bench| {
        bench.put(manifest).await;
        let engine = bench.work().await;
        bench.run(&format!("insert into task (id, plan) values (1, '{plan}')")).await;
        bench.until(STATUS, status).await;
        assert_eq!(bench.text(BILL).await, bill);
        engine.stop().await;
    });
}

#[test]
fn what_a_call_used_is_recorded_once_with_its_result() {
    with_bench(TASKS, async |bench| {
        bench.put(&format!("{SAY}{METER}role = 'service_role'")).await;
        let engine = bench.work().await;
        bench
            .run(r#"insert into task (id, plan) values (7, '[{"usage": [{"tokens": 3}]}]')"#)
            .await;
        bench.until(STATUS, "done").await;
        let all = "select string_agg(concat_ws('/', action, binding, task, attempt, usage, who), ' ') from bill";
        assert_eq!(bench.text(all).await, r#"x.say/say/7/1/{"tokens": 3}/service_role"#);
        let same = "select bill.job = job_done.id from bill, plinth.job_done";
        assert_eq!(bench.text(same).await, "true");
        engine.stop().await;
    });
}

#[test]
fn every_report_counts_and_a_success_that_reports_nothing_counts_too() {
    let manifest = format!("{SAY}{METER}");
    bill_of(&manifest, json!([{}]), "done", "1");
    bill_of(&manifest, json!([{"usage": [1, 2]}]), "done", "1:1 1:2");
    bill_of(SAY, json!([{"usage": [1]}]), "done", "");
    let other = manifest.replace("\"x.*\", \"sql\"", "\"y.*\"");
    bill_of(&other, json!([{"usage": [1]}]), "done", "");
}

#[test]
fn attempts_that_failed_cost_what_they_reported() {
    let manifest = format!("{SAY}{METER}");
    let fails = json!({"usage": [1], "then": "fail"});
    bill_of(&manifest, json!([fails, {"then": "fail"}, {"usage": [3]}]), "done", "1:1 3:3");
    bill_of(&manifest, json!([fails, fails, fails]), "failed", "1:1 2:1 3:1");
    let hangs = json!({"usage": [1], "then": "hang"});
    bill_of(&format!("{SAY}timeout = '1s'\n{METER}"), json!([hangs, {}]), "done", "1:1 2");
    // The attempt that begins after the wait is the first one still.
    bill_of(&manifest, json!([{"usage": [1], "then": "nap"}]), "done", "1:1 1");
}

#[test]
fn steps_are_calls_and_their_flow_is_none() {
    let flow = r#"
        [[binding]]
        name = "flow"
        on = "task"
        when = "status = 'pending'"
        action = "flow"
        input = "select plan from task where id = $row"
        done = "update task set status = 'done' where id = $row"
        retry = { attempts = 3, first = "10ms" }
        steps = [
          { name = "ask", action = "sql", with = { run = "select 1 as one" } },
          { name = "both", parallel = [
            { name = "left", action = "x.say", input = "select '[{\"usage\": [\"left\"]}]'::jsonb" },
            { name = "right", action = "x.say", input = "select '[{\"usage\": [\"lost\"], \"then\": \"fail\"}, {\"usage\": [\"right\"]}]'::jsonb" },
          ] },
          { name = "last", action = "noop" },
        ]
    "#;
    let everything = METER.replace("\"x.*\", \"sql\"", "\"*\"");
    with_bench(TASKS, async |bench| {
        bench.put(&format!("{flow}{everything}")).await;
        let engine = bench.work().await;
        bench.run("insert into task (id) values (1)").await;
        bench.until(STATUS, "done").await;
        let all = "select string_agg(concat_ws(':', action, attempt, usage), ' ' order by attempt, action, usage) from bill";
        let wanted = r#"sql:1 x.say:1:"left" x.say:1:"lost" noop:2 x.say:2:"right""#;
        assert_eq!(bench.text(all).await, wanted);
        engine.stop().await;
    });
}

#[test]
fn a_record_that_fails_undoes_the_success_and_never_hides_the_failure() {
    let broken =
        METER.replace("values ($action", "values (('x' || 1 / ($attempt - $attempt))::text");
    with_bench(TASKS, async |bench| {
        bench.put(&format!("{SAY}{broken}")).await;
        let engine = bench.work().await;
        bench.run(r#"insert into task (id, plan) values (1, '[{"usage": [1]}]')"#).await;
        bench.until(STATUS, "failed").await;
        let error = bench.text("select error from task").await;
        assert!(
            error.contains("`record`: division by zero") && error.contains("and then"),
            "{error}"
        );
        assert_eq!(bench.text("select state || failures from plinth.job").await, "d3");
        assert_eq!(bench.text(BILL).await, "");
        engine.stop().await;
    });
    // Its last words are broken as well: what it used is recorded all the same.
    let mute = SAY.replace("error = $error", "error = (1 / ($job - $job))::text");
    with_bench(TASKS, async |bench| {
        bench.put(&format!("{mute}{METER}")).await;
        let engine = bench.work().await;
        let fails = json!({"usage": [1], "then": "fail"});
        bench
            .run(&format!(
                "insert into task (id, plan) values (1, '{}')",
                json!([fails, fails, fails])
            ))
            .await;
        bench.until("select state || failures from plinth.job", "d3").await;
        assert_eq!(bench.text(BILL).await, "1:1 2:1 3:1");
        engine.stop().await;
    });
}

#[test]
fn meters_are_part_of_the_bindings_that_they_are_for() {
    with_bench(TASKS, async |bench| {
        let other = SAY.replace("\"say\"", "\"other\"").replace("x.say", "noop");
        bench.put(&format!("{SAY}{other}")).await;
        let before = bench.store().rules().await.unwrap().revision;
        let changes = bench.put(&format!("{SAY}{other}{METER}")).await;
        let keys = vec!["meters".to_owned()];
        let whats: Vec<_> = changes.iter().map(|change| change.what.clone()).collect();
        assert_eq!(whats, [What::Changed { keys: keys.clone() }, What::Unchanged]);
        let after = bench.store().rules().await.unwrap();
        assert!(after.revision > before);
        assert_eq!(after.rules.iter().map(|rule| rule.meters.len()).collect::<Vec<_>>(), [1, 0]);
        let changes = bench.put(&format!("{SAY}{other}")).await;
        assert_eq!(changes[0].what, What::Changed { keys });
        let rules = bench.store().rules().await.unwrap().rules;
        assert!(rules.iter().all(|rule| rule.meters.is_empty()));
    });
}
