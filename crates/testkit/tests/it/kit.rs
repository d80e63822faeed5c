//! Test databases are apart from each other and leave nothing behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plinth_testkit::{Data, Template, TestDatabase, test_cluster, with_database};

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// Whether there is a database of that name.
async fn exists(name: &str) -> bool {
    let admin = test_cluster().await.unwrap().cluster().connect("postgres").await.unwrap();
    let row =
        admin.query_opt("select from pg_database where datname = $1", &[&name]).await.unwrap();
    admin.close().await;
    row.is_some()
}

#[test]
fn each_test_has_a_database_of_its_own() {
    with_database(&Template::Platform, async |first| {
        let second = TestDatabase::create(&Template::Platform).await.unwrap();
        let client = first.connect().await.unwrap();
        client.batch_execute("create table mine (id int)").await.unwrap();
        client.close().await;
        let client = second.connect().await.unwrap();
        let row = client.query_one("select to_regclass('mine')::text", &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<&str>>(0), None);
        client.close().await;
        assert_eq!(second.finish().await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_clone_has_the_settings_of_a_project() {
    with_database(&Template::Platform, async |database| {
        let client = database.connect().await.unwrap();
        let row = client.query_one("show search_path", &[]).await.unwrap();
        assert!(row.get::<_, &str>(0).contains("extensions"), "{row:?}");
        client.close().await;
        let project = database.project();
        let endpoint = database.cluster().cluster().endpoint();
        let login = endpoint.connect_as(&project.owner_login, &project.database).await.unwrap();
        let row = login.query_one("select current_user::text", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), project.owner_role);
        login.close().await;
    });
}

#[test]
fn an_empty_database_has_nothing() {
    with_database(&Template::Empty, async |database| {
        let (client, connection) =
            tokio_postgres::connect(database.url().expose(), tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        let row = client.query_one("select to_regnamespace('auth')::text", &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<&str>>(0), None);
        drop(client);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn a_seeded_blueprint_has_its_seed() {
    with_database(&Template::blueprint("echelon", Data::Seed), async |database| {
        let client = database.connect().await.unwrap();
        let row = client.query_one("select count(*) from public.agents", &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 0);
        client.close().await;
    });
}

#[test]
fn a_test_that_leaves_a_session_or_a_slot_behind_fails() {
    let mut kept = None;
    let mut name = String::new();
    let panic = catch_unwind(std::panic::AssertUnwindSafe(|| {
        with_database(&Template::Platform, async |database| {
            name = database.name().to_owned();
            let client = database.connect().await.unwrap();
            client
                .batch_execute("select pg_create_logical_replication_slot('left_here', 'pgoutput')")
                .await
                .unwrap();
            kept = Some(client);
        });
    }))
    .unwrap_err();
    let text = message(panic);
    assert!(
        text.contains("session ") && text.contains("pg_create_logical_replication_slot"),
        "{text}"
    );
    assert!(text.contains("replication slot left_here (idle)"), "{text}");
    with_database(&Template::Platform, async |_| {
        assert!(!exists(&name).await, "{name} is still there")
    });
}

#[test]
fn the_database_of_a_test_that_panics_is_dropped() {
    let mut name = String::new();
    let panic = catch_unwind(std::panic::AssertUnwindSafe(|| {
        with_database(&Template::Platform, async |database| {
            name = database.name().to_owned();
            let _client = database.connect().await.unwrap();
            panic!("as tests do");
        });
    }))
    .unwrap_err();
    assert_eq!(message(panic), "as tests do");
    with_database(&Template::Platform, async |_| {
        assert!(!exists(&name).await, "{name} is still there")
    });
}

/// No test: the process that the next one kills.
#[test]
#[ignore = "a part of another test"]
fn waits_to_be_killed() {
    with_database(&Template::Empty, async |database| {
        let report = database.cluster().cluster().report().unwrap();
        let pid = std::fs::read_to_string(report.pgdata.join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        writeln!(std::io::stderr(), "cluster {pid} {}", report.pgdata.display()).unwrap();
        std::future::pending::<()>().await;
    });
}

#[test]
fn the_cluster_ends_with_a_process_that_is_killed() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kit::waits_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line =
        lines.map(Result::unwrap).find(|line| line.starts_with("cluster ")).expect("a cluster");
    let [_, pid, folder] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let runs =
        || Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success();
    assert!(runs() && Path::new(folder).exists(), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs() || Path::new(folder).exists() {
        assert!(Instant::now() < deadline, "{line} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
