//! The catalog follows the database without a restart.

use http::StatusCode;
use plinth_testkit::TestDatabase;
use plinth_testkit::api::Api;
use serde_json::json;

use crate::support::{as_owner, until, with_project};

async fn owner(database: &TestDatabase, sql: &str) {
    as_owner(database.project(), database.cluster().cluster().endpoint(), sql).await;
}

async fn superuser(database: &TestDatabase, sql: &str) {
    let connection = database.connect().await.unwrap();
    connection.batch_execute(sql).await.unwrap();
    connection.close().await;
}

async fn until_status(api: &Api, path: &str, status: StatusCode) {
    let what = format!("{path} answers {status}");
    until(&what, async || (api.get(path).await.unwrap().status == status).then_some(())).await;
}

#[test]
fn ddl_is_seen_by_the_next_requests() {
    with_project(
        "create table a (id int)",
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            assert_eq!(api.get("/a").await.unwrap().status, StatusCode::OK);
            assert_eq!(api.get("/b").await.unwrap().status, StatusCode::NOT_FOUND);

            owner(database, "create table b (id int primary key); insert into b values (7)").await;
            until_status(&api, "/b", StatusCode::OK).await;

            // The same request, prepared before, with another shape of its result.
            assert_eq!(api.get("/b?select=*").await.unwrap().json(), json!([{"id": 7}]));
            owner(database, "alter table b add column name text default 'x'").await;
            until("the new column is there", async || {
                let answer = api.get("/b?select=*").await.unwrap();
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                (answer.json() == json!([{"id": 7, "name": "x"}])).then_some(())
            })
            .await;
            owner(database, "alter table b alter column id type text; create function f() returns int language sql as 'select 1'").await;
            until("the new type is there", async || {
                (api.get("/b?select=id").await.unwrap().json() == json!([{"id": "7"}]))
                    .then_some(())
            })
            .await;
            until_status(&api, "/rpc/f", StatusCode::OK).await;

            owner(database, "drop table b").await;
            until_status(&api, "/b", StatusCode::NOT_FOUND).await;
        },
    );
}

/// What was planned often enough to be remembered is planned anew.
#[test]
fn a_remembered_plan_ends_with_its_catalog() {
    let sql =
        "create table a (id int); insert into a values (1), (2), (3); create table c (id int)";
    with_project(
        sql,
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            let ask = async |id: i32| api.get(&format!("/a?select=id,b&id=eq.{id}")).await.unwrap();
            for id in 1..5 {
                assert_eq!(ask(id).await.status, StatusCode::BAD_REQUEST, "there is no b yet");
            }
            owner(database, "alter table a add column b int default 7").await;
            for _ in 0..3 {
                for id in 1..=3 {
                    until("the new column is there", async || {
                        (ask(id).await.json() == json!([{"id": id, "b": 7}])).then_some(())
                    })
                    .await;
                }
            }
            assert_eq!(ask(4).await.json(), json!([]));
            owner(database, "drop table a").await;
            // PostgreSQL would say 42P01.
            until("the relation is gone from the catalog", async || {
                (ask(1).await.json()["code"] == json!("PGRST205")).then_some(())
            })
            .await;
        },
    );
}

#[test]
fn a_new_foreign_key_can_be_embedded() {
    let sql = "create table team (id int primary key); create table member (id int, team_id int)";
    with_project(
        sql,
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            let path = "/member?select=id,team(id)";
            assert_eq!(api.get(path).await.unwrap().status, StatusCode::BAD_REQUEST);
            owner(database, "alter table member add foreign key (team_id) references team").await;
            until_status(&api, path, StatusCode::OK).await;
        },
    );
}

#[test]
fn a_notification_reloads_where_no_trigger_tells() {
    with_project(
        "create table a (id int)",
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            assert_eq!(api.get("/b").await.unwrap().status, StatusCode::NOT_FOUND);
            let connection = database.connect().await.unwrap();
            let triggers =
                connection.query("select quote_ident(evtname) from pg_event_trigger", &[]);
            for row in triggers.await.unwrap() {
                let name: &str = row.get(0);
                let disable = format!("alter event trigger {name} disable");
                connection.batch_execute(&disable).await.unwrap();
            }
            let silent = "create table b (id int); grant all on b to service_role";
            connection.batch_execute(silent).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            assert_eq!(
                api.get("/b").await.unwrap().status,
                StatusCode::NOT_FOUND,
                "nobody has told"
            );
            connection.batch_execute("notify pgrst, 'something else'").await.unwrap();
            connection.batch_execute("notify pgrst, 'reload schema'").await.unwrap();
            connection.close().await;
            until_status(&api, "/b", StatusCode::OK).await;
        },
    );
}

#[test]
fn settings_in_the_database_are_honoured_and_reloaded() {
    let sql = "create table a (id int); insert into a select generate_series(1, 10);
               create schema api; create table api.only_here (id int); grant usage on schema api to service_role;
               grant all on api.only_here to service_role";
    with_project(
        sql,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let api = instance.service(project);
            assert_eq!(api.get("/a").await.unwrap().json().as_array().unwrap().len(), 10);
            assert_eq!(api.get("/only_here").await.unwrap().status, StatusCode::NOT_FOUND);
            let weaker = format!(
                "alter database \"{}\" set pgrst.db_max_rows = '5'; notify pgrst, 'reload config'",
                project.database
            );
            superuser(database, &weaker).await;
            let rows = async || {
                api.get("/a").await.unwrap().json().as_array().map_or(0, |rows| rows.len())
            };
            until("five rows", async || (rows().await == 5).then_some(())).await;
            superuser(
                database,
                &format!(
                "alter role authenticator in database \"{0}\" set pgrst.db_schemas = 'public, api';
                 alter role authenticator in database \"{0}\" set pgrst.db_max_rows = '3';
                 notify pgrst, 'reload config'",
                project.database
            ),
            )
            .await;
            until_status(&api.with("accept-profile", "api"), "/only_here", StatusCode::OK).await;
            assert_eq!(api.get("/a").await.unwrap().json().as_array().unwrap().len(), 3);
        },
    );
}

#[test]
fn a_storm_of_ddl_ends_in_the_right_catalog() {
    with_project(
        "create table a (id int)",
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            assert_eq!(api.get("/a").await.unwrap().status, StatusCode::OK);
            let endpoint = database.cluster().cluster().endpoint();
            let project = database.project();
            let connection =
                endpoint.connect_as(&project.owner_login, &project.database).await.unwrap();
            for number in 0..100 {
                connection
                    .batch_execute(&format!("create table t{number} (id int)"))
                    .await
                    .unwrap();
            }
            connection.close().await;
            until_status(&api, "/t99", StatusCode::OK).await;
            until_status(&api, "/t0", StatusCode::OK).await;
        },
    );
}
