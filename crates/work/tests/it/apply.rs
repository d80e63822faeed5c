//! Manifests that are put into a project, and changed, and taken out.

use std::time::Duration;

use plinth_testkit::{Template, TestDatabase, with_database};
use plinth_work::action::{Actions, Noop};
use plinth_work::engine::{Engine, Options};
use plinth_work::install::{ApplyError, Change, What, apply, diff};
use plinth_work::manifest::Manifest;

use crate::support::{Bench, with_bench};

const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'pending', tenant text, error text)";

const MOVE: &str = "[[binding]]
name = 'move'
on = 'task'
when = \"status = 'pending'\"
action = 'noop'
done = \"update task set status = 'done' where id = $row\"
";

const QUEUED: &str =
    "select coalesce(string_agg(key, ',' order by place), '') from plinth.job where state = 'q'";

fn read(text: &str) -> Manifest {
    Manifest::parse(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

impl Bench<'_> {
    async fn apply(&mut self, text: &str) -> Vec<Change> {
        apply(self.owner.client_mut(), &read(text)).await.unwrap()
    }

    async fn refused(&mut self, text: &str) -> String {
        match apply(self.owner.client_mut(), &read(text)).await {
            Err(ApplyError::Problems(problems)) => problems
                .iter()
                .map(|one| format!("{}:{}: {}", one.line, one.column, one.message))
                .collect::<Vec<_>>()
                .join("\n"),
            other => panic!("{other:?}"),
        }
    }

    async fn engine(&self) -> Engine {
        let store = self.store();
        let rules = store.rules().await.unwrap().rules;
        let (poll, lease) = (Duration::from_millis(20), Duration::from_secs(2));
        let options = Options { poll, lease, ..Options::default() };
        Engine::start("test", store, Actions::default().with(Noop), rules, options)
    }
}

fn whats(changes: &[Change]) -> Vec<(&str, &What)> {
    changes.iter().map(|change| (change.name.as_str(), &change.what)).collect()
}

#[test]
fn a_manifest_makes_a_table_move_and_says_nothing_the_second_time() {
    with_bench(TASKS, async |bench| {
        let planned = diff(&bench.owner, &read(MOVE)).await.unwrap();
        assert_eq!(whats(&planned), [("move", &What::Added)]);
        assert_eq!(bench.text("select count(*) from plinth.binding").await, "0");
        assert_eq!(bench.apply(MOVE).await, planned);
        assert_eq!(whats(&bench.apply(MOVE).await), [("move", &What::Unchanged)]);
        let engine = bench.engine().await;
        bench.run("insert into task (id) values (1), (2)").await;
        bench.until("select count(*) from task where status = 'done'", "2").await;
        engine.stop().await;
    });
}

#[test]
fn a_changed_manifest_loses_no_job_and_moves_them_to_where_they_are_looked_for() {
    with_bench(TASKS, async |bench| {
        bench.apply(&format!("{MOVE}fair = 'tenant'\npriority = 3")).await;
        bench.run("insert into task (id, tenant) values (1, 'a'), (2, 'b')").await;
        let changes = bench.apply(&format!("{MOVE}priority = 'id::integer'")).await;
        let keys = vec!["fair".to_owned(), "priority".to_owned()];
        assert_eq!(whats(&changes), [("move", &What::Changed { keys })]);
        assert_eq!(changes[0].unfinished, 2);
        let places = "select string_agg(concat_ws('/', key, priority, fair), ',' order by key) from plinth.job";
        assert_eq!(bench.text(places).await, "1/1/,2/2/");
        let engine = bench.engine().await;
        bench.until("select count(*) from task where status = 'done'", "2").await;
        engine.stop().await;
    });
}

#[test]
fn jobs_about_no_row_move_as_well_when_the_priority_of_all_changes() {
    with_bench(TASKS, async |bench| {
        bench
            .apply(&format!("{MOVE}priority = 3\nconcurrency = {{ key = 'tenant', max = 1 }}"))
            .await;
        bench.run("select plinth.enqueue('move')").await;
        bench.apply(&format!("{MOVE}priority = 5")).await;
        assert_eq!(bench.text("select priority from plinth.job").await, "5");
        let engine = bench.engine().await;
        bench.until("select count(*) from plinth.job_done", "1").await;
        engine.stop().await;
    });
}

#[test]
fn a_job_that_is_held_while_a_manifest_changes_is_found_when_it_is_free() {
    with_bench(TASKS, async |bench| {
        bench.apply(&format!("{MOVE}fair = 'tenant'\npriority = 3")).await;
        bench.run("insert into task (id, tenant) values (1, 'a'), (2, 'b')").await;
        let held = bench.session().await;
        held.batch_execute("begin; select from plinth.job where key = '2' for update")
            .await
            .unwrap();
        bench.apply(&format!("{MOVE}priority = 5")).await;
        let engine = bench.engine().await;
        bench.until("select count(*) from task where status = 'done'", "1").await;
        held.batch_execute("rollback").await.unwrap();
        held.close().await;
        bench.until("select count(*) from task where status = 'done'", "2").await;
        engine.stop().await;
    });
}

#[test]
fn what_only_happens_after_the_action_changes_without_touching_the_table() {
    with_bench(TASKS, async |bench| {
        bench.apply(MOVE).await;
        let trigger = "select string_agg(oid::text, ',' order by oid) from pg_trigger where tgrelid = 'task'::regclass";
        let before = bench.text(trigger).await;
        let changes = bench.apply(&MOVE.replace("'done' where", "'moved' where")).await;
        assert_eq!(whats(&changes), [("move", &What::Changed { keys: vec!["done".to_owned()] })]);
        assert_eq!(bench.text(trigger).await, before);
    });
}

#[test]
fn jobs_of_a_removed_binding_stay_and_run_when_it_is_back_under_its_number() {
    with_bench(TASKS, async |bench| {
        bench.apply(MOVE).await;
        let number = "select id from plinth.binding where name = 'move'";
        let before = bench.text(number).await;
        bench.run("insert into task (id) values (1)").await;
        let changes = bench.apply("").await;
        assert_eq!((whats(&changes), changes[0].unfinished), (vec![("move", &What::Removed)], 1));
        bench.run("insert into task (id) values (2)").await;
        let triggers = "select count(*) from pg_trigger where tgrelid = 'task'::regclass";
        assert_eq!(
            (bench.text(QUEUED).await.as_str(), bench.text(triggers).await.as_str()),
            ("1", "0")
        );
        assert!(bench.store().rules().await.unwrap().rules.is_empty());
        assert!(bench.apply("").await.is_empty());
        let changes = bench.apply(&format!("{MOVE}backfill = true")).await;
        assert_eq!((whats(&changes), changes[0].backfilled), (vec![("move", &What::Restored)], 1));
        assert_eq!(
            (bench.text(QUEUED).await, bench.text(number).await),
            ("1,2".to_owned(), before)
        );
        let engine = bench.engine().await;
        bench.until("select count(*) from task where status = 'done'", "2").await;
        engine.stop().await;
    });
}

#[test]
fn triggers_that_went_with_their_table_are_made_again() {
    with_bench(TASKS, async |bench| {
        bench.apply(MOVE).await;
        bench.run(&format!("drop table task; {TASKS}")).await;
        assert_eq!(whats(&bench.apply(MOVE).await), [("move", &What::Mended)]);
        bench.run("insert into task (id) values (1)").await;
        assert_eq!(bench.text(QUEUED).await, "1");
    });
}

#[test]
fn what_cannot_be_applied_changes_nothing_and_says_where_it_stands() {
    with_bench(TASKS, async |bench| {
        bench.run("create table other (id bigint primary key, status text)").await;
        let two = format!(
            "{MOVE}\n[[binding]]\nname = 'bad'\non = 'task'\nwhen = 'statu'\naction = 'noop'\n"
        );
        let said = bench.refused(&two).await;
        assert!(
            said.starts_with("11:") && said.contains("column \"statu\" does not exist"),
            "{said}"
        );
        assert_eq!(bench.text("select count(*) from plinth.binding").await, "0");
        bench.apply(MOVE).await;
        bench.run("insert into task (id) values (1)").await;
        let said = bench.refused(&MOVE.replace("on = 'task'", "on = 'other'")).await;
        assert!(said.starts_with("3:") && said.contains("1 unfinished jobs of `move`"), "{said}");
        bench.run("insert into plinth.binding (name, kind, spec, source) values ('mine', 'schedule', '{}', 'sql')").await;
        let said = bench.refused(&MOVE.replace("name = 'move'", "name = 'mine'")).await;
        assert!(said.starts_with("2:") && said.contains("no manifest made it"), "{said}");
        assert_eq!(bench.text(QUEUED).await, "1");
    });
}

#[test]
fn of_two_who_apply_at_once_the_second_finds_nothing_to_do() {
    with_database(&Template::Platform, async |database: &TestDatabase| {
        let endpoint = database.cluster().cluster().endpoint();
        let login = &database.project().owner_login;
        let mut one = endpoint.connect_as(login, database.name()).await.unwrap();
        let mut two = endpoint.connect_as(login, database.name()).await.unwrap();
        one.batch_execute(TASKS).await.unwrap();
        let manifest = read(MOVE);
        let (first, second) =
            tokio::join!(apply(one.client_mut(), &manifest), apply(two.client_mut(), &manifest));
        let mut both = [first.unwrap()[0].what.clone(), second.unwrap()[0].what.clone()];
        both.sort_by_key(|what| *what == What::Unchanged);
        assert_eq!(both, [What::Added, What::Unchanged]);
        one.close().await;
        two.close().await;
    });
}

#[test]
fn a_glance_tells_whether_there_is_work() {
    with_bench(TASKS, async |bench| {
        bench.apply(MOVE).await;
        let store = bench.store();
        let loaded = store.rules().await.unwrap();
        let ids: Vec<i32> = loaded.rules.iter().map(|rule| rule.id).collect();
        let glance = store.glance(&ids).await.unwrap();
        assert_eq!((glance.ready, glance.due_in, glance.revision), (false, None, loaded.revision));
        bench.run("insert into task (id) values (1)").await;
        assert!(store.glance(&ids).await.unwrap().ready);
        assert!(!store.glance(&[]).await.unwrap().ready);
        bench.run("update plinth.job set state = 'w', place = null, due_at = now() + interval '1 hour'").await;
        let due_in = store.glance(&ids).await.unwrap().due_in.unwrap();
        assert!((3500..=3600).contains(&due_in.as_secs()), "{due_in:?}");
        bench.run("update plinth.binding set state = 'paused'").await;
        let paused = store.rules().await.unwrap();
        assert!(paused.rules.is_empty() && paused.revision > loaded.revision);
    });
}
