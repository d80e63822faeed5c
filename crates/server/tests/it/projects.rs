//! Projects that appear, disappear, sleep and wake while the server runs.

use std::time::Duration;

use http::StatusCode;
use plinth_postgres::{Cluster, CreateProject, ManagedOptions, Registry};
use plinth_testkit::test_cluster;

use crate::support::{Instance, as_owner, config, until, with_project};

/// Sessions of the data plane in a database.
async fn sessions(cluster: &Cluster, database: &str) -> i64 {
    let connection = cluster.connect("postgres").await.unwrap();
    let sql = "select count(*) from pg_stat_activity where datname = $1 and usename like 'authenticator.%'";
    let count = connection.query_one(sql, &[&database]).await.unwrap().get(0);
    connection.close().await;
    count
}

#[test]
fn an_idle_project_gives_back_its_connections_and_wakes_on_the_next_request() {
    let sql = "create table a (id int)";
    let change = |config: &mut plinth_server::config::Config| {
        config.pool.idle_timeout = Duration::from_secs(2);
    };
    with_project(sql, change, async |instance, database| {
        let cluster = database.cluster().cluster();
        let project = database.project();
        assert_eq!(
            sessions(cluster, &project.database).await,
            0,
            "nothing is open before the first request"
        );
        let api = instance.service(project);
        for _ in 0..2 {
            assert_eq!(api.get("/a").await.unwrap().status, StatusCode::OK);
            assert!(sessions(cluster, &project.database).await >= 2, "a listener and a connection");
            until("the project sleeps", async || {
                (sessions(cluster, &project.database).await == 0).then_some(())
            })
            .await;
            assert!(instance.projects.get(&project.name).unwrap().current().is_none());
        }
    });
}

#[test]
fn a_project_with_a_slow_request_is_not_put_to_sleep() {
    let sql = "create function nap(seconds float8) returns text language sql volatile as
        $$ select 'rested' from pg_sleep(seconds) $$;";
    let change = |config: &mut plinth_server::config::Config| {
        config.pool.idle_timeout = Duration::from_millis(200);
    };
    with_project(sql, change, async |instance, database| {
        let answer =
            instance.service(database.project()).get("/rpc/nap?seconds=1.5").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projects_appear_and_disappear_while_the_server_runs() {
    let kit = test_cluster().await.unwrap();
    let registry = kit.registry();
    let instance = Instance::start(kit.cluster().endpoint(), &[], config(|_| {})).await;
    let following = tokio::spawn(instance.projects.clone().follow(registry.clone()));
    assert_eq!(
        instance.api().get("/p/come-and-go/rest/v1/").await.unwrap().status,
        StatusCode::NOT_FOUND
    );

    let project = registry.create(CreateProject::named("come-and-go")).await.unwrap();
    let api = instance.service(&project);
    until("the project is served", async || {
        (api.get("/").await.unwrap().status == StatusCode::OK).then_some(())
    })
    .await;

    // Its connections are open now, and do not keep it from being dropped.
    registry.drop_project("come-and-go").await.unwrap();
    until("the project is gone", async || {
        (api.get("/").await.unwrap().status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;

    // A project of the same name is another one: the keys of the first are of no use.
    let again = registry.create(CreateProject::named("come-and-go")).await.unwrap();
    let new = instance.service(&again);
    until("the new project is served", async || {
        (new.get("/").await.unwrap().status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(api.get("/").await.unwrap().status, StatusCode::UNAUTHORIZED);

    // A reset gives it another database under the same keys.
    registry.reset("come-and-go", None, false).await.unwrap();
    until("the project answers after its reset", async || {
        (new.get("/").await.unwrap().status == StatusCode::OK).then_some(())
    })
    .await;
    registry.drop_project("come-and-go").await.unwrap();
    following.abort();
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_of_one_project_leave_connections_to_the_others() {
    let kit = test_cluster().await.unwrap();
    let (registry, endpoint) = (kit.registry(), kit.cluster().endpoint());
    let [greedy, modest] = ["greedy", "modest"].map(CreateProject::named);
    let greedy = registry.create(greedy).await.unwrap();
    let modest = registry.create(modest).await.unwrap();
    let nap = "create function nap() returns void language sql as 'select pg_sleep(3600)'";
    as_owner(&greedy, endpoint, nap).await;
    as_owner(&modest, endpoint, "create table note (id int)").await;
    let change = |config: &mut plinth_server::config::Config| config.pool.max_connections = 4;
    let projects = [greedy.clone(), modest.clone()];
    let instance = Instance::start(endpoint, &projects, config(change)).await;
    let mut naps = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let api = instance.service(&greedy);
        naps.spawn(async move { api.get("/rpc/nap").await.map(drop) });
    }
    let admin = kit.cluster().connect(&greedy.database).await.unwrap();
    let asleep = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    let sleepers = async || admin.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0);
    until("it has all that it may have", async || (sleepers().await == 3).then_some(())).await;
    assert_eq!(instance.service(&modest).get("/note").await.unwrap().status, StatusCode::OK);
    // Whoever hangs up wants no answer any more.
    naps.shutdown().await;
    until("nobody sleeps for nobody", async || (sleepers().await == 0).then_some(())).await;
    admin.close().await;
    registry.drop_project("greedy").await.unwrap();
    registry.drop_project("modest").await.unwrap();
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_idle_projects_cost_no_connections() {
    let explicit = std::env::var_os("PLINTH_PG_BIN").map(std::path::PathBuf::from);
    let binaries = plinth_postgres::Binaries::find(explicit.as_deref()).unwrap();
    let cluster = Cluster::managed(ManagedOptions::throwaway(binaries).unwrap()).await.unwrap();
    let registry = Registry::open(&cluster, &plinth_testkit::master_key()).await.unwrap();
    registry.create(CreateProject::named("template")).await.unwrap();
    let mut projects = Vec::new();
    for number in 0..12 {
        let name = format!("idle-{number}");
        let request = CreateProject { template: Some("template"), ..CreateProject::named(&name) };
        projects.push(registry.create(request).await.unwrap());
    }
    let small = config(|config| {
        config.pool.max_connections = 3;
        config.pool.max_projects = 4;
    });
    let instance = Instance::start(cluster.endpoint(), &projects, small).await;
    // More projects than connections and places: each gets its turn, since the idle make room.
    for project in &projects {
        let answer = instance.service(project).get("/").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}: {}", project.name, answer.text());
        let answer = instance.service(project).get("/rpc/no_such_function").await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let connection = cluster.connect("postgres").await.unwrap();
    let sql = "select count(*) from pg_stat_activity
               where usename like 'authenticator.%' and backend_type = 'client backend'";
    until("no more than 3 connections and 4 listeners are left", async || {
        (connection.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) <= 7).then_some(())
    })
    .await;
    connection.close().await;
    let open =
        projects.iter().filter_map(|one| instance.projects.get(&one.name)?.current()).count();
    assert_eq!(open, 4);
    instance.stop().await;
    cluster.stop().await.unwrap();
}
