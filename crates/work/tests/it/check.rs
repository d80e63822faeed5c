//! Manifests against a database: what PostgreSQL would refuse is shown where it stands in the file.

use plinth_postgres::quote::ident;
use plinth_testkit::{Template, TestDatabase, with_database};
use plinth_work::install::Checker;
use plinth_work::manifest::Manifest;

const TABLES: &str = "
    create table tweets (id uuid primary key, content text, status text not null, retries integer);
    create table parent (name text primary key);
    create table pairs (a integer, b integer, note text, primary key (a, b));
    create table heap (note text, twice text generated always as (note || note) stored);
    create table parted (a text) partition by list (a);
    create table account (id bigint primary key, handle text unique, token text, spare text, hashed text, owner text references parent (name));
    create unique index hashed_once on account (md5(hashed));
    create view shown as select * from tweets;
    create schema app;
    create domain app.name as text;
    create table app.\"Tasks\" (\"Name\" app.name primary key, state text);
    revoke all on tweets from service_role, anon, authenticated;";

const ACTIONS: &[&str] = &["noop", "sql", "http.request", "flow", "x.post"];

/// What is wrong with manifests, as `line:column: message`.
struct Case<'a> {
    database: &'a TestDatabase,
}

impl Case<'_> {
    /// The tables, made by the owner of the project.
    async fn prepare(&self) {
        let connection = self.database.connect().await.unwrap();
        let owner = ident(&self.database.project().owner_role);
        let foreign = format!(
            "create table public.foreign_one (id integer primary key);
             revoke trigger on public.foreign_one from anon, authenticated, service_role, {owner};
             set role {owner}"
        );
        connection.batch_execute(&foreign).await.unwrap();
        connection.batch_execute(TABLES).await.unwrap();
        connection.close().await;
    }

    async fn problems(&self, text: &str) -> Vec<String> {
        let manifest = Manifest::parse(text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let connection = self.database.connect().await.unwrap();
        let owner_role = &self.database.project().owner_role;
        let checker = Checker { client: &connection, owner_role, actions: ACTIONS };
        let problems = checker.check(&manifest).await.unwrap();
        let role: String = connection
            .query_one("select current_user::text = session_user::text, current_user::text", &[])
            .await
            .unwrap()
            .get(1);
        assert_ne!(&role, owner_role);
        connection.close().await;
        problems.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
    }

    async fn binding(&self, more: &str) -> Vec<String> {
        let head = "[[binding]]\nname = 'a'\non = 'tweets'\nwhen = \"status = 'pending'\"\n";
        let action = if more.contains("action") { "" } else { "action = 'noop'" };
        self.problems(&format!("{head}{more}\n{action}")).await
    }
}

#[track_caller]
fn with_tables(test: impl AsyncFnOnce(&Case<'_>)) {
    with_database(&Template::Platform, async |database| {
        let case = Case { database };
        case.prepare().await;
        test(&case).await;
    });
}

#[test]
fn a_sound_manifest_has_no_problems() {
    with_tables(async |case| {
        let text = r#"
[[binding]]
name = "post"
on = "tweets"
when = "status = 'pending' -- why"
action = "x.post"
input = "select to_jsonb(t) from tweets t where t.id = $row"
running = "update tweets set status = 'posting' where id = $row"
done = "update tweets set status = 'posted', content = $out->>'text' where id = $row"
failed = "update tweets set status = 'failed', content = $error, retries = $attempt where id = $row"
cancel_when = "status = 'cancelled'"
priority = "coalesce(retries, 0)"
fair = "content"
limit = { key = "content", per = "1m", max = 3 }

[[binding]]
name = "work"
on = "app.Tasks"
when = "state = 'queued'"
action = "flow"
steps = [
  { name = "one", action = "sql", with = { run = "insert into tweets (id, status) values (gen_random_uuid(), $row)" } },
  { name = "two", when = "$steps->'one' is null", wait = { event = "e", key = "select $row || $attempt" } },
  { name = "three", call = "post", row = "select ($steps->>'id')::uuid" },
  { name = "four", call = "work", row = "select 'x'::text" },
]

[[hook]]
name = "in"
verify = { scheme = "none" }
binding = "post"
row = "select ($body->>'tweet')::uuid where $headers ? 'x' and $event <> ''"

[[schedule]]
name = "nightly"
cron = "0 3 * * *"
run = "delete from tweets where $tick < now()"

[[meter]]
name = "usage"
actions = "*"
record = "insert into heap (note) values ($action || $binding || $row || ($usage->>'cost') || $job)"

[sealed]
heap = ["note"]
"#;
        assert_eq!(case.problems(text).await, [""; 0]);
    });
}

#[test]
fn tables_and_keys_must_be_there() {
    with_tables(async |case| {
        for (on, wanted) in [
            (
                "on = 'tweeds'",
                "3:6: there is no table `tweeds` in the schema `public`; did you mean `tweets`?",
            ),
            (
                "on = 'app.tasks'",
                "3:6: there is no table `tasks` in the schema `app`; did you mean `Tasks`?",
            ),
            ("on = 'shown'", "3:6: `shown` is no table"),
            ("on = 'foreign_one'", "3:6: no trigger can be made on `foreign_one`"),
            ("on = 'heap'", "3:6: `heap` has no primary key"),
            ("on = 'pairs'", "3:6: `pairs` has a primary key of several columns"),
            ("on = 'tweets'\nkey = 'idd'", "4:7: `tweets` has no column `idd`; did you mean `id`?"),
        ] {
            let text = format!("[[binding]]\nname = 'a'\n{on}\nwhen = 'true'\naction = 'noop'");
            assert_eq!(case.problems(&text).await, [wanted]);
        }
        assert_eq!(
            case.problems("[sealed]\ntweets = ['content', 'secret']").await,
            ["2:22: `tweets` has no column `secret`"]
        );
        let sealed = "[sealed]\ntweet = ['content']\npairs = ['a', 'note']\n'app.Tasks' = ['Name']\nparted = ['a']\nheap = ['twice', 'note']";
        assert_eq!(
            case.problems(sealed).await,
            [
                "2:1: there is no table `tweet` in the schema `public`; did you mean `tweets`?",
                "3:10: `a` is of type integer: only text can be sealed",
                "4:16: `Name` is of type app.name: only text can be sealed",
                "5:1: `parted` shares rows with other tables",
                "6:9: `twice` is generated and cannot be sealed",
            ]
        );
        let keyed = "[[binding]]\nname = 'a'\non = 'pairs'\nkey = 'a'\nwhen = 'a > b'\naction = 'noop'\n\
                     done = 'update pairs set note = null where a = $row'";
        assert_eq!(case.problems(keyed).await, [""; 0]);
    });
}

#[test]
fn sql_that_postgresql_refuses_is_shown_at_its_letter() {
    with_tables(async |case| {
        for (more, wanted) in [
            (
                "done = 'update tweets set stauts = 1 where id = $row'",
                "5:27: `done[0]`: column \"stauts\" of relation \"tweets\" does not exist",
            ),
            (
                "done = ['select 1', '''\nselect $row,\n  oops''']",
                "7:3: `done[1]`: column \"oops\" does not exist",
            ),
            (
                "done = \"select \\\"\u{e9}\\\", $row, nope\"",
                "5:16: `done[0]`: column \"\u{e9}\" does not exist",
            ),
            ("running = 'select 1 +'", "5:22: `running[0]`: syntax error at end of input"),
            (
                "failed = 'update tweets set id = $error where id = $row'",
                "5:34: `failed[0]`: column \"id\" is of type uuid but expression is of type text",
            ),
            ("cancel_when = 'status'", "5:16: `cancel_when`: must give a boolean, and gives text"),
            (
                "cancel_when = 'count(*) > 1'",
                "5:16: `cancel_when`: aggregate functions are not allowed in WHERE",
            ),
            (
                "cancel_when = 'statuss = 1'",
                "5:16: `cancel_when`: column \"statuss\" does not exist",
            ),
            ("priority = 'status'", "5:13: `priority`: must give a whole number, and gives text"),
            ("fair = 'tenant'", "5:9: `fair`: column \"tenant\" does not exist"),
            (
                "concurrency = { key = 'content, id', max = 1 }",
                "5:24: `concurrency.key`: must give one column, and gives record",
            ),
        ] {
            let found = case.binding(more).await;
            assert!(found.len() == 1 && found[0].starts_with(wanted), "{more}: {found:?}");
        }
    });
}

#[test]
fn what_is_compared_cannot_be_sealed() {
    with_tables(async |case| {
        let sealed =
            "[sealed]\naccount = ['handle', 'hashed', 'owner', 'token']\nparent = ['name']";
        assert_eq!(
            case.problems(sealed).await,
            [
                "2:12: `handle` is in the unique index `account_handle_key` and cannot be sealed",
                "2:22: `hashed` is in the unique index `hashed_once` and cannot be sealed",
                "2:32: `owner` is in the foreign key `account_owner_fkey` and cannot be sealed",
                "3:11: `name` is in the primary key and cannot be sealed",
            ]
        );
        let about = |more: &str| {
            format!(
                "[sealed]\naccount = ['token', 'spare']\n[[binding]]\nname = 'a'\non = 'account'\naction = 'noop'\n{more}"
            )
        };
        let when = "when = 'id > 0'\n";
        for (more, wanted) in [
            ("when = \"id > 0 and token = 'x'\"", "7:20: `when`: `token` is sealed"),
            (&format!("{when}fair = 'account.spare'"), "8:9: `fair`: `spare` is sealed"),
            (
                &format!("{when}limit = {{ key = 'lower(token)', per = '1m', max = 1 }}"),
                "8:24: `limit.key`: `token` is sealed",
            ),
            (&format!("{when}key = 'token'"), "8:7: `token` is sealed and cannot be the key"),
        ] {
            assert_eq!(case.problems(&about(more)).await, [wanted]);
        }
        let sound = format!("{when}cancel_when = 'account.handle is null'");
        assert_eq!(case.problems(&about(&sound)).await, [""; 0]);
    });
}

#[test]
fn expressions_on_the_row_have_no_queries() {
    with_tables(async |case| {
        let query = "(select 1 from pairs limit 1)";
        for (more, wanted) in [
            (format!("cancel_when = 'exists {query}'"), "5:16: `cancel_when`"),
            (format!("priority = '1 + {query}'"), "5:17: `priority`"),
            (format!("fair = '{query}'"), "5:9: `fair`"),
            (
                format!("concurrency = {{ key = 'content || {query}', max = 1 }}"),
                "5:35: `concurrency.key`",
            ),
        ] {
            let wanted = format!("{wanted}: is about the row alone: it cannot have a query in it");
            assert_eq!(case.binding(&more).await, [wanted]);
        }
        // Names may have the table before them.
        assert_eq!(case.binding("cancel_when = 'tweets.status is null'").await, [""; 0]);
    });
}

#[test]
fn a_meter_is_for_actions_that_there_are() {
    with_tables(async |case| {
        let meter = |actions: &str| {
            format!("[[meter]]\nname = 'm'\nactions = {actions}\nrecord = 'select 1'")
        };
        for sound in ["'*'", "['x.*', 'flow', 'http.request']"] {
            assert_eq!(case.problems(&meter(sound)).await, [""; 0]);
        }
        assert_eq!(
            case.problems(&meter("['http.reqest', 'openai.*']")).await,
            [
                "3:11: there is no action `http.reqest`; did you mean `http.request`?",
                "3:11: there is no action of `openai`",
            ]
        );
    });
}

#[test]
fn what_a_schedule_runs_is_called_so() {
    with_tables(async |case| {
        let text = "[[schedule]]\nname = 's'\ncron = '0 3 * * *'\nrun = 'select nope'";
        assert_eq!(case.problems(text).await, ["4:15: `run[0]`: column \"nope\" does not exist"]);
    });
}

#[test]
fn queries_must_give_what_their_place_wants() {
    with_tables(async |case| {
        let action = "action = 'x.post'\n";
        for (more, wanted) in [
            (
                "input = 'select content from tweets where id = $row'",
                "6:10: `input`: must give one column of type jsonb, and gives text",
            ),
            (
                "input = 'select to_jsonb(1), 2'",
                "6:10: `input`: must give one column of type jsonb, and gives jsonb, int4",
            ),
            (
                "input = 'delete from tweets where id = $row'",
                "6:10: `input`: must give one column of type jsonb, and gives nothing",
            ),
        ] {
            assert_eq!(case.binding(&format!("{action}{more}")).await, [wanted]);
        }
        let steps = "action = 'flow'\nsteps = [\n\
            { name = 'a', action = 'sql', with = { run = 'select 1' } },\n\
            { name = 'b', call = 'a', row = 'select 7' },\n\
            { name = 'c', sleep = '1s', when = '$attempt' },\n\
            { name = 'd', action = 'x.pots' },\n]";
        assert_eq!(
            case.binding(steps).await,
            [
                "7:47: `steps[0].with.run`: must give one column of type jsonb, and gives int4",
                "8:34: `steps[1].row`: must give one column of the type of the key, and gives int4",
                "9:37: `steps[2].when`: must give a boolean, and gives int4",
                "10:24: there is no action `x.pots`; did you mean `x.post`?",
            ]
        );
    });
}

#[test]
fn sql_must_be_allowed_for_its_role() {
    with_tables(async |case| {
        let update = "done = 'update tweets set status = null where id = $row'";
        assert_eq!(case.binding(update).await, [""; 0]);
        assert_eq!(
            case.binding(&format!("role = 'service_role'\n{update}")).await,
            ["6:9: `done[0]`: permission denied for table tweets"]
        );
    });
}
