//! Sealed columns: nobody's value is stored as it is, and actions get it opened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plinth_postgres::{SEALED, SealingKey};
use plinth_work::action::{Action, Actions, Call, Noop, Outcome, SqlStatement, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::install::{ApplyError, Change, What, apply, diff, set_sealing_key};
use plinth_work::manifest::Manifest;
use plinth_work::{Opener, Opening, Unopened};
use serde_json::{Value, json};

use crate::support::{Bench, with_bench};

const ACCOUNT: &str = "
    create table account (
      id bigint primary key, name text unique, token text, other text, at timestamptz not null default now(),
      status text not null default 'new', error text, out jsonb);
    create table unsealed (id bigint primary key, token text);";

const TOKEN: &str = "[sealed]\naccount = ['token']\n";

/// One key pair for all tests: it takes a while to make one.
fn key() -> Arc<SealingKey> {
    static KEY: Mutex<Option<Arc<SealingKey>>> = Mutex::new(None);
    let mut key = KEY.lock().unwrap();
    let made = || Arc::new(SealingKey::read(&SealingKey::generate().unwrap()).unwrap());
    Arc::clone(key.get_or_insert_with(made))
}

impl Bench<'_> {
    async fn try_seal(&mut self, manifest: &str) -> Result<Vec<Change>, String> {
        let manifest = Manifest::parse(manifest).unwrap_or_else(|problems| panic!("{problems:?}"));
        set_sealing_key(&self.owner, key().public()).await.unwrap();
        let planned = diff(&self.owner, &manifest).await.unwrap();
        let changes = match apply(self.owner.client_mut(), &manifest).await {
            Ok(changes) => changes,
            Err(ApplyError::Problems(problems)) => {
                let one = &problems[0];
                return Err(format!("{}:{}: {}", one.line, one.column, one.message));
            }
            Err(error) => panic!("{error:?}"),
        };
        let whats = |all: &[Change]| all.iter().map(|one| one.what.clone()).collect::<Vec<_>>();
        assert_eq!(whats(&changes), whats(&planned));
        Ok(changes)
    }

    async fn seal(&mut self, manifest: &str) -> Vec<Change> {
        self.try_seal(manifest).await.unwrap()
    }

    /// What the column holds, opened.
    async fn token(&self, id: i64) -> String {
        let sealed = self.text(&format!("select token from account where id = {id}")).await;
        assert!(sealed.starts_with(SEALED), "{sealed}");
        key().open(&sealed).unwrap().expose().to_owned()
    }
}

fn what(changes: &[Change]) -> (&str, &str, &What, u64) {
    let [one] = changes else { panic!("{changes:?}") };
    (&one.kind, &one.name, &one.what, one.backfilled)
}

#[test]
fn whoever_writes_a_value_it_is_sealed_before_it_is_stored() {
    with_bench(ACCOUNT, async |bench| {
        assert_eq!(what(&bench.seal(TOKEN).await), ("sealed", "account", &What::Added, 0));
        bench.run("insert into account (id, name, token, other) values (1, 'a', 'one', 'plain'), (2, 'b', 'two', null)").await;
        assert_eq!(
            (bench.token(1).await, bench.token(2).await),
            ("one".to_owned(), "two".to_owned())
        );
        bench.run("insert into account (id, token) values (3, null), (4, '')").await;
        let rest = "select string_agg(coalesce(token, 'null'), ',' order by id) || (select other from account where id = 1) from account where id > 2";
        assert_eq!(bench.text(rest).await, "null,plain");
        // Every way to write.
        bench.run("update account set token = 'new' where id = 1").await;
        assert_eq!(bench.token(1).await, "new");
        bench.run("insert into account (id, name, token) values (9, 'a', 'merged') on conflict (name) do update set token = excluded.token").await;
        assert_eq!(bench.token(1).await, "merged");
        bench.run("merge into account using (select 2 as id) as s on account.id = s.id when matched then update set token = 'again'").await;
        assert_eq!(bench.token(2).await, "again");
        bench.run("set role service_role; insert into account (id, token) values (5, 'role'); reset role").await;
        assert_eq!(bench.token(5).await, "role");
    });
}

#[test]
fn a_value_that_stays_is_not_touched_and_one_that_only_looks_sealed_is_sealed() {
    with_bench(ACCOUNT, async |bench| {
        bench.seal(TOKEN).await;
        bench.run("insert into account (id, token) values (1, 'mine'), (2, 'theirs')").await;
        let before = bench.text("select token from account where id = 1").await;
        bench.run("update account set name = 'x', token = token where id = 1").await;
        assert_eq!(bench.text("select token from account where id = 1").await, before);
        // Somebody else's sealed text is of no use in one's own row.
        bench
            .run("update account set token = (select token from account where id = 2) where id = 1")
            .await;
        let theirs = bench.text("select token from account where id = 2").await;
        assert_eq!(bench.token(1).await, theirs);
        bench
            .run("insert into account (id, token) select 3, token from account where id = 2")
            .await;
        assert_eq!(bench.token(3).await, theirs);
    });
}

#[test]
fn other_triggers_come_first_and_what_they_leave_is_sealed() {
    with_bench(ACCOUNT, async |bench| {
        bench.run("create function zz() returns trigger language plpgsql as $$ begin new.token := new.token || '!'; return new; end $$;
                   create trigger zz_last before insert or update on account for each row execute function zz()").await;
        bench.seal(TOKEN).await;
        bench.run("insert into account (id, token) values (1, 'a')").await;
        assert_eq!(bench.token(1).await, "a!");
    });
}

#[test]
fn rows_that_were_there_are_sealed_and_columns_that_go_stay_sealed() {
    with_bench(ACCOUNT, async |bench| {
        bench.run("insert into account (id, token, other) values (1, 'old', 'o'), (2, null, 'p'), (3, '', '')").await;
        let changes = bench.seal(TOKEN).await;
        assert_eq!(what(&changes), ("sealed", "account", &What::Added, 1));
        assert_eq!(bench.token(1).await, "old");
        assert_eq!(what(&bench.seal(TOKEN).await), ("sealed", "account", &What::Unchanged, 0));
        let sealed = bench.text("select token from account where id = 1").await;
        let changes = bench.seal("[sealed]\naccount = ['token', 'other']").await;
        let other = What::Changed { keys: vec!["other".to_owned()] };
        assert_eq!(what(&changes), ("sealed", "account", &other, 2));
        let changes = bench.seal(TOKEN).await;
        assert_eq!(what(&changes), ("sealed", "account", &other, 0));
        bench.run("update account set other = 'plain again' where id = 1").await;
        let kept = "select count(*) filter (where plinth.is_sealed(other)) || max(other) filter (where id = 1) from account";
        assert_eq!(bench.text(kept).await, "1plain again");
        assert_eq!(what(&bench.seal("").await), ("sealed", "account", &What::Removed, 0));
        let left = "select (select count(*) from pg_trigger where tgname like '%plinth%') + (select count(*) from pg_proc where proname like 'seal_%' and pronamespace = 'plinth_bindings'::regnamespace)";
        assert_eq!(bench.text(left).await, "0");
        assert!(bench.seal("").await.is_empty());
        assert_eq!(what(&bench.seal(TOKEN).await), ("sealed", "account", &What::Added, 0));
        assert_eq!(bench.text("select token from account where id = 1").await, sealed);
    });
}

#[test]
fn what_stops_sealing_is_mended_and_what_cannot_be_sealed_changes_nothing() {
    with_bench(ACCOUNT, async |bench| {
        bench.seal(TOKEN).await;
        bench.run("alter table account disable trigger user; insert into account (id, token) values (1, 'slipped')").await;
        assert_eq!(what(&bench.seal(TOKEN).await), ("sealed", "account", &What::Mended, 1));
        assert_eq!(bench.token(1).await, "slipped");
        bench
            .run(&format!(
                "drop table account; {}",
                ACCOUNT.split("create table unsealed").next().unwrap()
            ))
            .await;
        assert_eq!(what(&bench.seal(TOKEN).await), ("sealed", "account", &What::Added, 0));
        bench.run("insert into account (id, token) values (1, 'after'); alter table unsealed add check (length(token) < 9);
                   insert into unsealed values (1, 'short')").await;
        assert_eq!(bench.token(1).await, "after");
        let said = bench.try_seal(&format!("{TOKEN}unsealed = ['token']")).await.unwrap_err();
        assert!(
            said.starts_with("3:1: `unsealed` cannot be sealed: new row for relation"),
            "{said}"
        );
        assert_eq!(bench.text("select token from unsealed").await, "short");
        // Rows that a policy hides would stay as they are.
        bench.run("alter table unsealed drop constraint unsealed_token_check, enable row level security, force row level security").await;
        let said = bench.try_seal(&format!("{TOKEN}unsealed = ['token']")).await;
        let is_hidden = "select rolbypassrls from pg_roles where rolname = current_user";
        let bypasses = bench.text(is_hidden).await == "true";
        assert_eq!(said.is_ok(), bypasses, "{said:?}");
    });
}

/// Opens with the key of the tests.
struct Keys;

impl Opener for Keys {
    fn open<'a>(&'a self, sealed: &'a str) -> Opening<'a> {
        let opened = key().open(sealed).map_err(|error| Unopened::Never(error.to_string()));
        Box::pin(async { opened })
    }
}

/// Sees its input, and says all of it again, wherever something is stored.
struct Echo(Arc<Mutex<Vec<Value>>>);

impl Action for Echo {
    fn name(&self) -> &'static str {
        "x.echo"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn opens(&self, with: &Value) -> Vec<String> {
        with["also"].as_str().map(str::to_owned).into_iter().collect()
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(async move {
            self.0.lock().unwrap().push(call.input.clone());
            call.used(call.input.clone());
            call.journal.record("inner", call.input.clone()).await.unwrap();
            match call.attempt {
                1 => Outcome::Failed(format!("{call:?} {}", call.input)),
                _ => Outcome::Done(json!([call.input])),
            }
        })
    }
}

async fn work(bench: &Bench<'_>, seen: &Arc<Mutex<Vec<Value>>>) -> Engine {
    let actions = Actions::default().with(Noop).with(SqlStatement).with(Echo(Arc::clone(seen)));
    let store = bench.store();
    let rules = store.rules().await.unwrap().rules;
    let options = Options { poll: Duration::from_millis(20), ..Options::default() };
    Engine::start("test", store, actions.with_opener(Keys).with_flow(), rules, options)
}

/// Everything that the database holds.
const ALL: &str = "select string_agg(t, ' ') from (
    select a::text from account a union all select j::text from plinth.job j union all select d::text from plinth.job_done d
    union all select s::text from plinth.step s union all select b::text from bill b) as held (t)";

const BILL: &str = "
    create table bill (usage jsonb);
    insert into account (id, token, other, status) values (1, 'hunter2-hunter2', 'correct horse', 'ready');";

const METER: &str =
    "\n[[meter]]\nname = 'bill'\nactions = 'x.*'\nrecord = 'insert into bill values ($usage)'\n";

const BINDING: &str = r#"
    [sealed]
    account = ["token", "other"]

    [[binding]]
    name = "echo"
    on = "account"
    when = "status = 'ready'"
    input = "select jsonb_build_object('account', to_jsonb(a)) from account a where id = $row"
    done = "update account set status = 'done', out = $out where id = $row"
    failed = "update account set status = 'failed', error = $error where id = $row"
    retry = { attempts = 2, first = "10ms" }
    backfill = true
"#;

#[test]
fn an_action_gets_values_opened_and_nothing_of_them_is_stored() {
    let alone = "action = 'x.echo'\nopen = ['account.token', 'account.name', 'account.no.such']\nwith = { also = 'account.other' }";
    let step = "action = 'flow'\nsteps = [{ name = 'same', action = 'noop' },
        { name = 'echo', action = 'x.echo', open = ['account.token'], with = { also = 'account.other' } }]";
    for what in [alone, step] {
        with_bench(&format!("{ACCOUNT}{BILL}"), async |bench| {
            bench.seal(&format!("{BINDING}{what}{METER}")).await;
            let seen = Arc::default();
            let engine = work(bench, &seen).await;
            bench.until("select status from account", "done").await;
            let inputs = seen.lock().unwrap().clone();
            assert_eq!(inputs.len(), 2);
            for input in inputs {
                assert_eq!(input["account"]["token"], "hunter2-hunter2");
                assert_eq!(input["account"]["other"], "correct horse");
            }
            let all = bench.text(ALL).await;
            assert!(!all.contains("hunter2") && !all.contains("correct horse"), "{all}");
            assert_eq!(
                bench.text("select out->0->'account'->>'token' from account").await,
                "[sealed]"
            );
            assert_eq!(bench.text("select count(*) from bill").await, "2");
            assert_eq!(bench.text("select failures from plinth.job_done").await, "1");
            engine.stop().await;
        });
    }
}

#[test]
fn what_cannot_be_opened_ends_the_job_and_is_not_repeated() {
    let manifest = BINDING.replace("\"token\", \"other\"", "\"token\"");
    let other = format!("{manifest}action = 'x.echo'\nopen = 'account.other'");
    with_bench(&format!("{ACCOUNT}{BILL}"), async |bench| {
        bench.seal(&other).await;
        let seen = Arc::default();
        let engine = work(bench, &seen).await;
        bench.until("select status from account", "failed").await;
        assert_eq!(
            bench.text("select error from account").await,
            "`open`: `account.other`: it is not sealed"
        );
        assert_eq!(bench.text("select failures from plinth.job").await, "1");
        assert!(seen.lock().unwrap().is_empty());
        engine.stop().await;
    });
}
