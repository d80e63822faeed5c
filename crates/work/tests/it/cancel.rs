//! Jobs that are cancelled, with all that they called, whatever somebody does with them at the moment.

use std::sync::Arc;
use std::time::Duration;

use plinth_work::action::{Action, Actions, Call, Noop, SqlStatement, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::inspect::{Cancelled, Filter, job_cancel};
use plinth_work::install::apply;
use plinth_work::manifest::Manifest;
use serde_json::Value;

use crate::support::{Bench, with_bench};

const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'idle', error text);
    create table effect (what text);
    insert into task (id) values (2)";

/// A job that calls another one, which calls one that never ends.
const FAMILY: &str = "[[binding]]
name = 'outer'
on = 'task'
when = \"status = 'go'\"
action = 'flow'
failed = 'update task set error = $error where id = $row'
retry = { attempts = 1 }
[[binding.steps]]
name = 'both'
parallel = [{ name = 'in', call = 'inner' }, { name = 'nap', sleep = '1h' }]

[[binding]]
name = 'inner'
on = 'task'
when = 'false'
action = 'flow'
[[binding.steps]]
name = 'last'
call = 'leaf'
row = 'select 2'

[[binding]]
name = 'leaf'
on = 'task'
when = 'false'
action = 'hang'
";

/// Never ends.
struct Hang;

impl Action for Hang {
    fn name(&self) -> &'static str {
        "hang"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, _call: &'a Call) -> Work<'a> {
        Box::pin(std::future::pending())
    }
}

async fn install(bench: &mut Bench<'_>, manifest: &str) {
    let manifest = Manifest::parse(manifest).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    apply(bench.owner.client_mut(), &manifest).await.unwrap();
}

async fn engine(bench: &Bench<'_>) -> Engine {
    let store = bench.store();
    let rules = store.rules().await.unwrap().rules;
    let options = Options {
        poll: Duration::from_millis(20),
        lease: Duration::from_secs(2),
        ..Options::default()
    };
    let actions = Actions::default().with(Noop).with(SqlStatement).with(Hang).with_flow();
    Engine::start("test", Arc::clone(&store), actions, rules, options)
}

const STATES: &str =
    "select string_agg(binding.name || ':' || job.state::text, ',' order by job.id)
    from plinth.job join plinth.binding on binding.id = job.binding";

const ENDS: &str = "select string_agg(binding.name || ':' || outcome, ',' order by job.id)
    from plinth.job_done as job join plinth.binding on binding.id = job.binding";

const LEFT: &str =
    "select (select count(*) from plinth.job) || '/' || (select count(*) from plinth.step)
    || '/' || (select count(*) from plinth.leaving)";

#[test]
fn what_a_job_called_is_cancelled_with_it_however_deep() {
    for how in ["update task set status = 'idle' where id = 1", "delete from task where id = 1", ""]
    {
        with_bench(TASKS, async |bench| {
            install(bench, FAMILY).await;
            let engine = engine(bench).await;
            bench.run("insert into task (id, status) values (1, 'go')").await;
            bench.until(STATES, "outer:w,inner:w,leaf:r").await;
            if how.is_empty() {
                let id = bench.text("select min(id) from plinth.job").await.parse().unwrap();
                let states = ["queued", "waiting", "running"].map(str::to_owned).into();
                let filter = Filter { ids: vec![id], states, limit: 10, ..Filter::default() };
                let cancelled = job_cancel(&bench.owner, &filter).await.unwrap();
                assert_eq!(cancelled, Cancelled { ended: 2, told: 1 });
            } else {
                bench.run(how).await;
            }
            bench.until(ENDS, "outer:cancelled,inner:cancelled,leaf:cancelled").await;
            assert_eq!(bench.text(LEFT).await, "0/0/0");
            engine.stop().await;
        });
    }
}

#[test]
fn a_running_job_that_is_cancelled_takes_along_what_it_called() {
    with_bench(TASKS, async |bench| {
        let beside = FAMILY.replace("sleep = '1h'", "action = 'hang'");
        install(bench, &beside).await;
        let engine = engine(bench).await;
        bench.run("insert into task (id, status) values (1, 'go')").await;
        bench.until(STATES, "outer:r,inner:w,leaf:r").await;
        bench.run("delete from task where id = 1").await;
        bench.until(ENDS, "outer:cancelled,inner:cancelled,leaf:cancelled").await;
        assert_eq!(bench.text(LEFT).await, "0/0/0");
        engine.stop().await;
    });
}

#[test]
fn a_caller_hears_that_the_row_of_what_it_called_is_gone() {
    with_bench(TASKS, async |bench| {
        let alone = FAMILY.replace("call = 'inner' }, {", "call = 'inner', row = 'select 2' }, {");
        install(bench, &alone).await;
        let engine = engine(bench).await;
        bench.run("insert into task (id, status) values (1, 'go')").await;
        bench.until(STATES, "outer:w,inner:w,leaf:r").await;
        bench.run("delete from task where id = 2").await;
        bench.until("select error from task where id = 1", "step `in`: cancelled").await;
        bench.until(STATES, "outer:d").await;
        bench.until(ENDS, "inner:cancelled,leaf:cancelled").await;
        engine.stop().await;
    });
}

/// One job, which leaves an effect when it ends.
const SINGLE: &str = "[[binding]]
name = 'single'
on = 'task'
when = \"status = 'go'\"
action = 'noop'
done = \"insert into effect values ('done')\"
";

#[test]
fn a_job_that_somebody_holds_is_cancelled_all_the_same_and_nobody_waits() {
    for running in ["", "running = 'select 1'\n"] {
        with_bench(TASKS, async |bench| {
            install(bench, &format!("{SINGLE}{running}")).await;
            bench.run("insert into task (id, status) values (1, 'go')").await;
            let mut other = bench.session().await;
            let holding = other.client_mut().transaction().await.unwrap();
            holding.execute("select from plinth.job for update", &[]).await.unwrap();
            // Who holds it wants the row, as the outcome of a job does, while it is being deleted.
            let deleting = bench.owner.client_mut().transaction().await.unwrap();
            deleting.execute("delete from task where id = 1", &[]).await.unwrap();
            let write = holding.execute("update task set error = 'x' where id = 1", &[]);
            let (written, ()) = tokio::join!(write, async { deleting.commit().await.unwrap() });
            assert_eq!(written.unwrap(), 0);
            holding.commit().await.unwrap();
            other.close().await;

            assert_eq!(bench.text(LEFT).await, "1/0/1");
            let engine = engine(bench).await;
            bench.until(ENDS, "single:cancelled").await;
            bench.until(LEFT, "0/0/0").await;
            assert_eq!(bench.text("select count(*) from effect").await, "0");
            engine.stop().await;
        });
    }
}

#[test]
fn a_job_whose_row_leaves_while_it_is_held_writes_no_outcome() {
    for value in ["count(*)", "1 / (count(*) - 1)"] {
        with_bench(TASKS, async |bench| {
            let run = format!(
                "action = 'sql'\nwith = {{ run = 'select to_jsonb({value}) from (select pg_advisory_xact_lock(77)) as s' }}"
            );
            let failed =
                "failed = \"insert into effect values ('failed')\"\nretry = { attempts = 1 }\n";
            install(bench, &format!("{}{failed}", SINGLE.replace("action = 'noop'", &run))).await;
            bench.run("insert into task (id, status) values (1, 'go')").await;
            let mut other = bench.session().await;
            let gate = other.client_mut().transaction().await.unwrap();
            gate.execute("select pg_advisory_xact_lock(77)", &[]).await.unwrap();
            let engine = engine(bench).await;
            // The statement of its action waits, and holds the job.
            let waiting =
                "select count(*) from pg_locks where locktype = 'advisory' and objid = 77";
            bench.until(waiting, "2").await;
            bench.run("delete from task where id = 1").await;
            assert_eq!(bench.text("select count(*) from plinth.leaving").await, "1");
            gate.commit().await.unwrap();
            other.close().await;
            bench.until(ENDS, "single:cancelled").await;
            assert_eq!(bench.text("select count(*) from effect").await, "0");
            engine.stop().await;
        });
    }
}

#[test]
fn a_job_whose_own_sql_deletes_its_row_ends() {
    with_bench(TASKS, async |bench| {
        let running = "running = ['delete from task where id = $row', \"insert into effect values ('deleted')\"]";
        install(bench, &format!("{SINGLE}{running}")).await;
        let engine = engine(bench).await;
        bench.run("insert into task (id, status) values (1, 'go')").await;
        bench.until(ENDS, "single:cancelled").await;
        assert_eq!(bench.text("select string_agg(what, ',') from effect").await, "deleted");
        engine.stop().await;
    });
}
