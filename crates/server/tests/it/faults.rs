//! PostgreSQL goes away, connections break, everything is busy: requests fail in bounded time, say
//! why, and work again without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use plinth_postgres::{Binaries, Cluster, CreateProject, ManagedOptions, Project, Registry};
use plinth_server::config::Config;
use plinth_testkit::api::Api;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{Instance, as_owner, config, gist, until, with_project};

const NAP: &str = "create table note (id int); insert into note values (1);
    create function nap(seconds float8) returns text language sql volatile as
        $$ select 'rested' from pg_sleep(seconds) $$;";

/// A cluster of the test's own, since it will be hurt.
async fn own_cluster() -> (Cluster, Project) {
    let explicit = std::env::var_os("PLINTH_PG_BIN").map(std::path::PathBuf::from);
    let binaries = Binaries::find(explicit.as_deref()).expect("PostgreSQL is there");
    let cluster = Cluster::managed(ManagedOptions::throwaway(binaries).unwrap()).await.unwrap();
    let registry = Registry::open(&cluster, &plinth_testkit::master_key()).await.unwrap();
    let project = registry.create(CreateProject::named("fragile")).await.unwrap();
    as_owner(&project, cluster.endpoint(), NAP).await;
    (cluster, project)
}

/// Status, code and whether there was a hint, of every answer that one client got.
type Seen = Vec<(u16, String, bool)>;

/// Asks without pause until told to stop.
fn load(api: &Api, clients: usize) -> (Arc<AtomicBool>, Vec<JoinHandle<Seen>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = (0..clients).map(|_| {
        let (api, stop) = (api.clone(), stop.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = api.get("/note").await.expect("the server always answers");
                let (status, code) = gist(&answer);
                let hinted = answer.text().contains("\"hint\":\"");
                seen.push((status, code, hinted));
            }
            seen
        })
    });
    let tasks = tasks.collect();
    (stop, tasks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_postgresql_under_load_is_a_503_with_a_hint_and_then_over() {
    let (cluster, project) = own_cluster().await;
    let instance =
        Instance::start(cluster.endpoint(), std::slice::from_ref(&project), config(|_| {})).await;
    let api = instance.service(&project);
    assert_eq!(api.get("/note").await.unwrap().json(), json!([{"id": 1}]));
    let (stop, tasks) = load(&api, 8);
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.as_managed().unwrap().restart().await.unwrap();
    until("requests work again", async || {
        (api.get("/note").await.unwrap().status == StatusCode::OK).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut failures = 0;
    for task in tasks {
        for (status, code, hinted) in task.await.unwrap() {
            if status == 200 {
                continue;
            }
            failures += 1;
            assert!(["PGRST000", "PGRST001"].contains(&code.as_str()), "{code}");
            assert_eq!((status, hinted), (503, true));
        }
    }
    assert!(failures > 0, "the restart was not noticed at all");

    // The listener is back too.
    as_owner(&project, cluster.endpoint(), "create table afterwards (id int)").await;
    until("DDL is noticed after the restart", async || {
        (api.get("/afterwards").await.unwrap().status == StatusCode::OK).then_some(())
    })
    .await;
    instance.stop().await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_down_requests_fail_at_once_even_on_a_project_that_was_never_opened() {
    let (cluster, project) = own_cluster().await;
    let instance =
        Instance::start(cluster.endpoint(), std::slice::from_ref(&project), config(|_| {})).await;
    cluster.stop().await.unwrap();
    let api = instance.service(&project);
    let begun = Instant::now();
    for _ in 0..5 {
        let answer = api.get("/note").await.unwrap();
        assert_eq!(gist(&answer), (503, "PGRST000".to_owned()), "{}", answer.text());
        assert!(answer.json()["hint"].is_string());
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
    let ready = instance.api().get("/ready").await.unwrap();
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(instance.api().get("/health").await.unwrap().status, StatusCode::OK);

    assert!(cluster.as_managed().unwrap().ensure_running().await.unwrap());
    until("requests work", async || {
        (api.get("/note").await.unwrap().status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(instance.api().get("/ready").await.unwrap().status, StatusCode::OK);
    instance.stop().await;
    cluster.stop().await.unwrap();
}

#[test]
fn killed_backends_cost_their_requests_and_nothing_more() {
    with_project(
        NAP,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let api = instance.service(project);
            assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
            let admin = database.connect().await.unwrap();
            let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid() and usename like 'authenticator.%'";

            // One that is killed at work.
            let slow = tokio::spawn({
                let api = api.clone();
                async move { api.get("/rpc/nap?seconds=10").await.unwrap() }
            });
            until("the slow request runs", async || {
            let sql = "select 1 from pg_stat_activity where datname = current_database() and state = 'active'
                       and wait_event = 'PgSleep'";
            admin.query_opt(sql, &[]).await.unwrap().map(drop)
        })
        .await;
            assert!(admin.query_one(kill, &[]).await.unwrap().get::<_, i64>(0) >= 2);
            let killed = slow.await.unwrap();
            assert_eq!(gist(&killed), (503, "PGRST001".to_owned()), "{}", killed.text());

            // Those that are killed at rest are noticed before they are used again.
            until("requests work", async || {
                (api.get("/note").await.unwrap().status == StatusCode::OK).then_some(())
            })
            .await;
            as_owner(
                project,
                database.cluster().cluster().endpoint(),
                "create table later (id int)",
            )
            .await;
            until("the listener is back", async || {
                (api.get("/later").await.unwrap().status == StatusCode::OK).then_some(())
            })
            .await;
            admin.close().await;
        },
    );
}

#[test]
fn an_exhausted_pool_is_a_504_in_bounded_time() {
    let change = |config: &mut Config| {
        config.pool.max_connections = 2;
        config.pool.acquire_timeout = Duration::from_millis(300);
    };
    with_project(NAP, change, async |instance, database| {
        let api = instance.service(database.project());
        assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
        let slow: Vec<_> = (0..2)
            .map(|_| {
                let api = api.clone();
                tokio::spawn(async move { api.get("/rpc/nap?seconds=4").await.unwrap().status })
            })
            .collect();
        let refused = until("the pool is exhausted", async || {
            let begun = Instant::now();
            let answer = api.get("/note").await.unwrap();
            (answer.status == StatusCode::GATEWAY_TIMEOUT).then(|| (answer, begun.elapsed()))
        })
        .await;
        let (answer, waited) = refused;
        assert_eq!(gist(&answer), (504, "PGRST003".to_owned()));
        assert!(answer.json()["hint"].is_string());
        assert!(
            (Duration::from_millis(250)..Duration::from_millis(3500)).contains(&waited),
            "{waited:?}"
        );
        for task in slow {
            assert_eq!(task.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
    });
}

#[test]
fn a_client_that_goes_away_gives_its_connection_back() {
    let change = |config: &mut Config| {
        config.pool.max_connections = 1;
        config.pool.acquire_timeout = Duration::from_secs(5);
    };
    with_project(NAP, change, async |instance, database| {
        let api = instance.service(database.project());
        let abandoned = tokio::spawn({
            let api = api.clone();
            async move { api.get("/rpc/nap?seconds=600").await.map(drop) }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        abandoned.abort();
        assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_lets_requests_under_way_end() {
    let (cluster, project) = own_cluster().await;
    let instance =
        Instance::start(cluster.endpoint(), std::slice::from_ref(&project), config(|_| {})).await;
    let (api, open) = (instance.service(&project), instance.api());
    assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
    let slow = tokio::spawn(async move { api.get("/rpc/nap?seconds=1").await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopping = tokio::spawn(instance.begin_stop());
    assert_eq!(slow.await.unwrap().status, StatusCode::OK);
    stopping.await.unwrap();
    assert!(open.get("/health").await.is_err(), "nobody listens any more");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_ever() {
    let (cluster, project) = own_cluster().await;
    let short = config(|config| config.http.drain_timeout = Duration::from_millis(200));
    let instance = Instance::start(cluster.endpoint(), std::slice::from_ref(&project), short).await;
    let api = instance.service(&project);
    assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
    let slow = tokio::spawn(async move { api.get("/rpc/nap?seconds=30").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    instance.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(slow.await.unwrap().is_err(), "the request was cut off");
    cluster.stop().await.unwrap();
}
