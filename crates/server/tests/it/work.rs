//! Tables that move, through the binary.

use std::process::Command;
use std::time::Duration;

use http::StatusCode;
use plinth_testkit::api::Api;
use serde_json::{Value, json};

use crate::cli::{Child, DataDir, address};
use crate::support::until;

/// Twenty lines that make a table move.
const MANIFEST: &str = r#"name = "shop"
title = "A shop"

[[binding]]
name = "ship"
on = "orders"
when = "status = 'paid'"
action = "noop"
input = "select to_jsonb(o) from orders o where id = $row"
running = "update orders set status = 'shipping' where id = $row and status = 'paid'"
done = "update orders set status = 'shipped', note = $out->>'item' where id = $row"
failed = "update orders set status = 'failed', note = $error where id = $row"
retry = { attempts = 3, first = "1s" }
timeout = "10s"
priority = 2
batch = 20
"#;

const TABLES: &str = "create table orders (
    id bigint generated always as identity primary key, item text, status text not null default 'new', note text);
    create table stuck (id bigint primary key, status text);";

/// A folder with a blueprint, and a data folder, of one test.
pub(crate) struct Shop {
    pub(crate) data: DataDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self { data: DataDir::new() };
        std::fs::create_dir_all(shop.folder().join("migrations")).unwrap();
        let first = shop.folder().join("migrations/20260101000000_orders.sql");
        std::fs::write(first, TABLES).unwrap();
        shop.write(MANIFEST);
        shop
    }

    fn folder(&self) -> std::path::PathBuf {
        self.data.0.join("shop")
    }

    pub(crate) fn path(&self) -> String {
        self.folder().to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, manifest: &str) {
        std::fs::write(self.folder().join("blueprint.toml"), manifest).unwrap();
    }

    pub(crate) fn up(&self) -> (Child, Api) {
        let up = self.data.up(&["--blueprint", &self.path()]);
        let api = Api::new(address(&up.ready()));
        (up, api)
    }

    /// Where a second instance finds the cluster of the first.
    fn admin_url(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.data.0.join(name)).unwrap();
        let note: Value = serde_json::from_str(&read("running.json")).unwrap();
        let (role, port) = (note["role"].as_str().unwrap(), &note["postgres_port"]);
        format!("postgres://{role}:{}@127.0.0.1:{port}/postgres", read("postgres.password").trim())
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.data.stdout(&["psql", "shop", "--", "-Atc", sql]).trim().to_owned()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let all = [arguments, &["-o", "json"]].concat();
        serde_json::from_str(&self.data.stdout(&all)).unwrap()
    }

    pub(crate) async fn until(&self, sql: &str, wanted: &str) {
        until(&format!("{sql} is {wanted}"), async || (self.sql(sql) == wanted).then_some(()))
            .await;
    }

    /// As `until`, for what takes its time.
    async fn in_time(&self, sql: &str, wanted: &str) {
        while self.sql(sql) != wanted {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn apply(&self) -> Value {
        self.json(&["blueprint", "apply", &self.path(), "--project", "shop"])
    }
}

const STATES: &str = "select string_agg(item || ':' || status, ',' order by id) from orders";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_lines_make_a_table_move_and_what_changes_later_is_heard() {
    let shop = Shop::new();
    let (up, api) = shop.up();
    shop.sql("insert into orders (item, status) values ('tea', 'paid'), ('cup', 'new')");
    shop.until(STATES, "tea:shipped,cup:new").await;
    assert_eq!(shop.sql("select note from orders where item = 'tea'"), "tea");

    // Once more says nothing, and a change is heard by the instance that runs.
    let again = shop.apply();
    assert_eq!(again["changes"][0]["what"], "unchanged");
    shop.write(&MANIFEST.replace("'shipped'", "'sent'"));
    let path = shop.path();
    let planned = shop.json(&["blueprint", "diff", &path, "--project", "shop"]);
    assert_eq!(planned["changes"][0]["keys"], json!(["done"]));
    assert_eq!(planned["applied"], false);
    shop.apply();
    shop.sql("update orders set status = 'paid' where item = 'cup'");
    shop.until(STATES, "tea:shipped,cup:sent").await;

    // What is wrong is shown where it stands, and nothing changes.
    shop.write(&MANIFEST.replace("to_jsonb(o) from orders o", "to_jsonb(o) from ordrs o"));
    let refusal = shop.data.refusal(&["blueprint", "check", &path, "--project", "shop"]);
    assert!(refusal.contains("blueprint.toml:9:") && refusal.contains("ordrs"), "{refusal}");
    for verb in ["apply", "diff"] {
        let refusal = shop.data.refusal(&["blueprint", verb, &path, "--project", "shop"]);
        assert!(refusal.contains("blueprint.toml:9:"), "{refusal}");
        assert!(refusal.contains("in project shop"), "{refusal}");
    }
    shop.write(&MANIFEST.replace("name = \"shop\"", "name = \"stall\""));
    let run = shop.data.run(&["blueprint", "diff", &path, "--project", "shop"]);
    let warned = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success() && warned.contains("the manifest of `stall`"), "{warned}");

    // Paused, jobs wait; removed, they stay; back, they run.
    let work = |verb: &'static str| ["work", verb, "ship", "--project", "shop"];
    assert!(shop.data.stdout(&work("pause")).contains("ship is paused"));
    shop.sql("insert into orders (item, status) values ('jam', 'paid')");
    shop.write("name = 'shop'\n");
    let removed = shop.data.stdout(&["blueprint", "apply", &path, "--project", "shop"]);
    assert!(removed.contains("1 unfinished jobs stay and do not run"), "{removed}");
    assert!(removed.contains("plinth work cancel --binding ship"), "{removed}");
    shop.write(MANIFEST);
    assert_eq!(shop.apply()["changes"][0]["what"], "restored");
    shop.until(STATES, "tea:shipped,cup:sent,jam:shipped").await;

    // What an operator sees.
    let listed = shop.json(&["work", "list", "--state", "done", "--project", "shop"]);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 3);
    assert_eq!(listed["bindings"][0]["state"], "active");
    let job = listed["jobs"][0]["id"].to_string();
    let shown = shop.json(&["work", "show", &job, "--project", "shop"]);
    assert_eq!((&shown["state"], &shown["out"]["item"]), (&json!("done"), &json!("jam")));
    let scraped = api.get("/metrics").await.unwrap();
    assert_eq!(scraped.status, StatusCode::OK);
    let text = scraped.text();
    for line in [
        "plinth_work_done_total{project=\"shop\"} 3",
        "plinth_work_bindings{project=\"shop\"} 1",
        "plinth_work_binding_dead_total{project=\"shop\",binding=\"ship\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    let through_proxy = api.clone().with("x-forwarded-for", "192.0.2.1");
    assert_eq!(through_proxy.get("/metrics").await.unwrap().status, StatusCode::NOT_FOUND);
    assert!(up.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_survive_a_killed_instance() {
    let shop = Shop::new();
    let (up, _) = shop.up();
    shop.sql("insert into orders (item, status) select 'one', 'paid' from generate_series(1, 300)");
    up.signal("KILL");
    drop(up);
    let (first, _) = shop.up();
    shop.sql("insert into orders (item, status) select 'two', 'paid' from generate_series(1, 300)");
    shop.until("select count(*) from orders where status <> 'shipped'", "0").await;
    // Each job once in the history, whoever did it.
    assert_eq!(
        shop.sql("select count(*) || '/' || count(distinct id) from plinth.job_done"),
        "600/600"
    );
    assert_eq!(shop.sql("select count(*) from plinth.job"), "0");
    assert!(first.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_share_the_jobs_and_none_runs_twice() {
    let shop = Shop::new();
    shop.write(&MANIFEST.replace(
        "update orders set status = 'shipping' where id = $row and status = 'paid'",
        "select pg_sleep(0.05)",
    ));
    let (first, one) = shop.up();
    shop.sql(
        "insert into orders (item, status) select 'tea', 'paid' from generate_series(1, 1200)",
    );
    let url = shop.admin_url();
    let arguments = [
        "serve",
        "--database-url",
        &url,
        "--data-dir",
        shop.data.text(),
        "--listen",
        "127.0.0.1:0",
        "--json",
    ];
    let second = Child::start(&arguments, &[]);
    let two = Api::new(address(&second.ready()));
    let claims = async |api: &Api| {
        let text = api.get("/metrics").await.unwrap().text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("plinth_work_claims_total{project=\"shop\"} "));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
    };
    until("the second takes jobs as well", async || (claims(&two).await > 0).then_some(())).await;
    let done = async || (shop.sql("select count(*) from plinth.job") == "0").then_some(());
    until("all are done", done).await;
    assert_eq!(claims(&one).await + claims(&two).await, 1200);
    let once =
        "select count(*) || '/' || count(distinct id) || '/' || max(attempts) from plinth.job_done";
    assert_eq!(shop.sql(once), "1200/1200/1");
    assert!(second.stop().success() && first.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_jobs_are_seen_retried_and_discarded() {
    let shop = Shop::new();
    let broken = r#"
[[binding]]
name = "stick"
on = "stuck"
when = "status = 'go'"
action = "noop"
done = "update stuck set status = (1 / (id - id))::text where id = $row"
retry = { attempts = 1 }
"#;
    shop.write(&format!("{MANIFEST}{broken}"));
    let (up, api) = shop.up();
    shop.sql("insert into stuck values (1, 'go'), (2, 'go'), (3, 'go')");
    shop.until("select count(*) from plinth.job where state = 'd'", "3").await;
    let labels = "{project=\"shop\",binding=\"stick\",state=\"dead\"}";
    until("they are counted", async || {
        let scraped = api.get("/metrics").await.unwrap().text();
        let sample = |name: &str| {
            let begin = format!("{name}{labels} ");
            let value = scraped.lines().find_map(|line| line.strip_prefix(&begin))?;
            value.parse::<f64>().ok()
        };
        let oldest = sample("plinth_work_oldest_seconds")?;
        (sample("plinth_work_jobs")? == 3.0 && oldest > 0.0).then_some(())
    })
    .await;
    let dead = shop.json(&["work", "dead", "--binding", "stick", "--project", "shop"]);
    let error = dead["jobs"][0]["error"].as_str().unwrap();
    assert!(error.contains("division by zero"), "{error}");
    let number = dead["jobs"][2]["id"].to_string();

    let refusal = shop.data.refusal(&["work", "retry", "--project", "shop"]);
    assert!(refusal.contains("--all"), "{refusal}");
    let refused = |arguments: &[&str], wanted: &str| {
        let refusal = shop.data.refusal(&[&["work"], arguments, &["--project", "shop"]].concat());
        assert!(refusal.contains(wanted), "{arguments:?}: {refusal}");
    };
    refused(&["retry", "4711"], "job 4711: there is no such job");
    refused(
        &["cancel", &number],
        &format!("job {number} is dead, not queued or waiting or running"),
    );
    refused(&["cancel", "--state", "dead", "--all"], "jobs that are dead cannot be cancelled");
    for verb in ["list", "dead", "retry", "discard", "cancel", "events"] {
        refused(&[verb, "--binding", "stik"], "there are: ship, stick");
    }
    let listed = shop.json(&["work", "list", "--binding", "stick", "--project", "shop"]);
    assert_eq!(listed["bindings"].as_array().unwrap().len(), 1);
    let retried = shop.json(&["work", "retry", &number, "--project", "shop"]);
    assert_eq!(retried, json!({"retried": 1}));
    shop.until("select max(attempt) || '/' || count(*) from plinth.job where state = 'd'", "2/3")
        .await;
    let discarded =
        shop.json(&["work", "discard", "--binding", "stick", "--since", "1h", "--project", "shop"]);
    assert_eq!(discarded, json!({"discarded": 3}));
    assert_eq!(
        shop.sql("select string_agg(outcome, ',') from plinth.job_done"),
        "discarded,discarded,discarded"
    );

    shop.data.stdout(&["work", "pause", "ship", "--project", "shop"]);
    shop.sql("insert into orders (item, status) values ('tea', 'paid')");
    let cancelled = shop.json(&["work", "cancel", "--binding", "ship", "--project", "shop"]);
    assert_eq!(cancelled, json!({"cancelled": 1, "told": 0}));
    let refusal = shop.data.refusal(&["work", "pause", "shop", "--project", "shop"]);
    assert!(refusal.contains("there are: ship, stick"), "{refusal}");
    assert!(up.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_worked_off_listed_and_replayed() {
    let shop = Shop::new();
    let hook = r#"
[[hook]]
name = "paid"
verify = { scheme = "none" }
done = "insert into orders (item, status) values ($body->>'item', 'heard')"
"#;
    shop.write(&format!("{MANIFEST}{hook}"));
    let (up, api) = shop.up();
    let sent = api.post("/p/shop/hooks/v1/paid", &json!({"item": "tea"})).await.unwrap();
    assert!(sent.status.is_success(), "{}", sent.text());
    shop.until(STATES, "tea:heard").await;
    let events = shop.json(&["work", "events", "--binding", "paid", "--project", "shop"]);
    let number = events["events"][0]["id"].to_string();
    shop.data.stdout(&["work", "replay", &number, "--project", "shop"]);
    shop.until(STATES, "tea:heard,tea:heard").await;
    assert!(up.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_of_sql_is_heard_in_a_project_without_a_manifest() {
    let shop = Shop::new();
    std::fs::remove_file(shop.folder().join("blueprint.toml")).unwrap();
    let up = shop.data.up(&["--empty", "--default-project", "shop"]);
    up.ready();
    shop.sql("create table tick (at timestamptz)");
    shop.sql("select plinth.schedule('tick', '* * * * * *', 'insert into tick values ($tick)')");
    shop.in_time("select count(*) > 0 from tick", "t").await;
    assert!(up.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_in_which_nothing_happens_any_more_holds_no_connection() {
    let shop = Shop::new();
    let (up, _) = shop.up();
    assert!(up.stop().success());
    let arguments =
        ["serve", "--data-dir", shop.data.text(), "--listen", "127.0.0.1:0", "--pg-port", "0"];
    let serve = Child::start(&[&arguments[..], &["--json"]].concat(), &[]);
    let api = Api::new(address(&serve.ready()));
    shop.sql("insert into orders (item, status) select 'tea', 'paid' from generate_series(1, 300)");
    shop.until("select count(*) from orders where status <> 'shipped'", "0").await;
    let open = "select count(*) from pg_stat_activity where datname = 'shop' and application_name like 'plinth %'";
    assert_ne!(shop.sql(open), "0", "its engine looks for more");
    shop.in_time(open, "0").await;
    // It is looked at all the same.
    shop.sql("insert into orders (item, status) values ('cup', 'paid')");
    shop.in_time("select count(*) from orders where status <> 'shipped'", "0").await;
    assert_eq!(api.get("/ready").await.unwrap().status, StatusCode::OK);
    assert!(serve.stop().success());
}

#[test]
fn every_command_about_work_has_examples() {
    for command in
        [["blueprint", "apply"], ["blueprint", "diff"], ["work", "list"], ["work", "retry"]]
    {
        let mut plinth = Command::new(env!("CARGO_BIN_EXE_plinth"));
        let said = plinth.args(command).arg("--help").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("Example"), "{said}");
    }
}
