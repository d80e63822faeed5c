//! The connections of sign-in, and what its links begin with.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use plinth_server::config::{Config, RawConfig};
use plinth_testkit::TestDatabase;
use plinth_wire::{Batch, Format, Lane, Rows, Statement, WireError};
use serde_json::json;

use crate::support::{Instance, until, with_project};

/// Sessions of sign-in in the test's database.
async fn sessions(database: &TestDatabase) -> i64 {
    let connection = database.cluster().cluster().connect("postgres").await.unwrap();
    let sql = "select count(*) from pg_stat_activity where datname = $1 and usename like 'auth.%'";
    let count = connection.query_one(sql, &[&database.name()]).await.unwrap().get(0);
    connection.close().await;
    count
}

fn served(instance: &Instance, database: &TestDatabase) -> Arc<plinth_server::runtime::Project> {
    instance.projects.get(&database.project().name).unwrap()
}

/// The only value of the only row.
async fn ask(pool: &plinth_wire::Pool, sql: &str) -> Result<String, WireError> {
    let statement = Statement { sql: sql.into(), params: Vec::new(), format: Format::Text };
    let role = "supabase_auth_admin".into();
    let batch = Batch { role, statements: vec![statement], lane: Lane::Write, rollback: false };
    let rows = pool.run(batch).await?.into_iter().next().map(Rows::into_text).unwrap();
    Ok(String::from_utf8(rows[0][0].as_ref().unwrap().to_vec()).unwrap())
}

#[test]
fn its_connections_are_of_its_own_login_and_go_when_they_are_idle() {
    let change = |config: &mut Config| config.pool.idle_timeout = Duration::from_millis(500);
    with_project("", change, async |instance, database| {
        let project = served(instance, database);
        let pool = project.auth_pool().unwrap();
        assert_eq!(sessions(database).await, 0, "nobody has signed in");
        for _ in 0..2 {
            let who = ask(&pool, "select session_user || ' as ' || current_user").await.unwrap();
            assert_eq!(who, format!("auth.{} as supabase_auth_admin", database.project().name));
            assert_eq!(sessions(database).await, 1);
            assert!(project.current().is_none(), "it needs no catalog and no listener");
            until("they are closed", async || (sessions(database).await == 0).then_some(())).await;
        }
    });
}

#[test]
fn it_takes_at_most_half_of_the_connections() {
    let change = |config: &mut Config| config.pool.max_connections = 4;
    with_project("", change, async |instance, database| {
        let pool = served(instance, database).auth_pool().unwrap();
        let nap = "select 'rested' from pg_sleep(0.5)";
        let (one, two, three) = tokio::join!(ask(&pool, nap), ask(&pool, nap), async {
            until("all of its connections are in use", async || {
                (pool.status().busy == 2).then_some(())
            })
            .await;
            let more = tokio::time::timeout(Duration::from_millis(100), ask(&pool, "select 'x'"));
            assert!(more.await.is_err(), "a third one");
            // The data API has the rest.
            instance.service(database.project()).get("/").await.unwrap().status.as_u16()
        });
        assert_eq!(
            (one.unwrap().as_str(), two.unwrap().as_str(), three),
            ("rested", "rested", 200)
        );
        assert_eq!(sessions(database).await, 2);
    });
}

#[test]
fn a_project_that_is_dropped_has_none_any_more() {
    with_project(
        "",
        |_| {},
        async |instance, database| {
            let project = served(instance, database);
            let pool = project.auth_pool().unwrap();
            ask(&pool, "select 'x'").await.unwrap();
            instance.projects.close();
            assert!(project.auth_pool().is_none());
            assert!(matches!(ask(&pool, "select 'x'").await, Err(WireError::Closed)));
            until("they are closed", async || (sessions(database).await == 0).then_some(())).await;
        },
    );
}

#[test]
fn its_links_begin_with_what_the_configuration_says() {
    with_project(
        "",
        |_| {},
        async |instance, database| {
            let name = &database.project().name;
            let here = format!("http://{}/p/{name}/auth/v1", instance.address);
            assert_eq!(served(instance, database).external_url(), Some(here.as_str()));
        },
    );
    let change = |config: &mut Config| config.public_url = Some("https://example.org".to_owned());
    with_project("", change, async |instance, database| {
        let there = format!("https://example.org/p/{}/auth/v1", database.project().name);
        assert_eq!(served(instance, database).external_url(), Some(there.as_str()));
    });
}

#[test]
fn sessions_know_the_client_by_the_header_that_the_settings_name() {
    let change = |config: &mut Config| {
        let raw = toml::from_str::<RawConfig>("[auth.rate_limit]\nheader = 'X-Real-IP'").unwrap();
        config.auth = Config::try_from(raw).unwrap().auth;
    };
    with_project("", change, async |instance, database| {
        let project = database.project();
        let api = instance.api().below(&format!("/p/{}/auth/v1", project.name));
        let api = api.with("apikey", project.keys.publishable_key.expose());
        let body = json!({"email": "ada@example.com", "password": "correct horse"});
        let forged = api.with("x-real-ip", "9.9.9.9, 192.0.2.7").post("/signup", &body).await;
        assert_eq!(forged.unwrap().status, StatusCode::OK);
        let connection = database.connect().await.unwrap();
        let row = connection.query_one("select host(ip) from auth.sessions", &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), "192.0.2.7");
        connection.close().await;
    });
}
