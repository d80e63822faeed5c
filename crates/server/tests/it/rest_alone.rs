//! `plinth rest`: the data API alone over a database that knows nothing of Plinth.

use std::time::Duration;

use http::StatusCode;
use plinth_testkit::api::Api;
use plinth_testkit::token::{seconds, sign};
use plinth_testkit::{Template, TestDatabase, with_database};
use serde_json::{Value, json};

use crate::cli::Child;
use crate::support::{gist, until};

const SECRET: &str = "reallyreallyreallyreallyverysafe";

/// Everything in the database that could have been installed.
async fn inventory(database: &TestDatabase) -> Vec<String> {
    let connection = database.connect().await.unwrap();
    let sql = "select 'schema ' || nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp'
               union all select 'relation ' || oid::regclass::text from pg_class where relnamespace::regnamespace::text !~ '^pg_(toast_)?temp'
               union all select 'function ' || oid::regprocedure::text from pg_proc
               union all select 'trigger ' || evtname from pg_event_trigger order by 1";
    let rows = connection.query(sql, &[]).await.unwrap();
    connection.close().await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn the_data_api_alone_is_a_drop_in_that_installs_nothing() {
    with_database(&Template::Empty, async |database| {
        let admin = database.connect().await.unwrap();
        let role = format!("web_{}", database.name().replace('-', "_"));
        admin
            .batch_execute(&format!(
                "create schema api; create table api.todo (id int primary key, task text); insert into api.todo values (1, 'x');
                 create function api.checked() returns text language sql as $$ select current_setting('my.check', true) $$;
                 create function api.check_request() returns void language sql as $$ select set_config('my.check', 'done', true), set_config('response.headers', '[{{\"x-checked\": \"yes\"}}]', true) $$;
                 create role {role}_anon nologin; create role {role}_author nologin;
                 create role {role} login noinherit password 'pw'; grant {role}_anon, {role}_author to {role};
                 grant connect on database \"{0}\" to {role};
                 grant usage on schema api to {role}_anon, {role}_author; grant select on api.todo to {role}_anon;
                 grant all on api.todo to {role}_author;",
                database.name()
            ))
            .await
            .unwrap();
        let before = inventory(database).await;
        let port = database.cluster().cluster().endpoint().port;
        let url = format!("postgres://{role}:pw@127.0.0.1:{port}/{}", database.name());
        let child = Child::start(
            &["rest", "--server-port", "0"],
            &[
                ("PGRST_DB_URI", &url),
                ("PGRST_DB_ANON_ROLE", &format!("{role}_anon")),
                ("PGRST_DB_SCHEMAS", "api"),
                ("PGRST_JWT_SECRET", SECRET),
                ("PGRST_DB_PRE_REQUEST", "api.check_request"),
            ],
        );
        let address = child.wait_for_address();
        let api = Api::new(address);

        assert_eq!(api.get("/todo").await.unwrap().json(), json!([{"id": 1, "task": "x"}]));
        assert_eq!(api.get("/rpc/checked").await.unwrap().json(), json!("done"));
        assert_eq!(api.get("/todo").await.unwrap().header("x-checked"), Some("yes"));
        let refused = api.post("/todo", &json!({"id": 2})).await.unwrap();
        assert_eq!(
            gist(&refused),
            (401, "42501".to_owned()),
            "an anonymous caller may log in first"
        );

        let token = |claims: Value| sign(SECRET, &claims);
        let author = api.bearer(&token(json!({"role": format!("{role}_author")})));
        assert_eq!(
            author.post("/todo", &json!({"id": 2})).await.unwrap().status,
            StatusCode::CREATED
        );
        // Without a role the anonymous one is taken, as PostgREST does.
        let nobody = api.bearer(&token(json!({"sub": "x"})));
        assert_eq!(
            nobody.get("/todo?select=id").await.unwrap().json(),
            json!([{"id": 1}, {"id": 2}])
        );
        let expired =
            json!({"role": format!("{role}_author"), "exp": seconds(Duration::ZERO) - 60});
        let expired = api.bearer(&token(expired)).get("/todo").await.unwrap();
        assert_eq!(gist(&expired), (401, "PGRST303".to_owned()));
        // Names and zones reach PostgreSQL as values, which knows none like these.
        for text in ["x\"; drop table api.todo; --", "x'; drop table api.todo; --"] {
            let stranger = api.bearer(&token(json!({"role": text}))).get("/todo").await.unwrap();
            assert_eq!(gist(&stranger), (401, "22023".to_owned()), "{text}");
            let nowhere =
                api.with("prefer", &format!("timezone={text}")).get("/todo").await.unwrap();
            assert_eq!(gist(&nowhere), (400, "22023".to_owned()), "{text}");
        }
        let shifted = api.with("prefer", "timezone=-4").get("/todo").await.unwrap();
        assert_eq!(shifted.header("preference-applied"), Some("timezone=-4"));
        let keyed = api.with("apikey", "anything").get("/todo").await.unwrap();
        assert_eq!(keyed.status, StatusCode::OK, "an API key means nothing here");

        // There are no event triggers, so people say when something changed.
        admin
            .batch_execute(&format!("create table api.more (id int); grant select on api.more to {role}_anon; notify pgrst, 'reload schema'"))
            .await
            .unwrap();
        until("the reload", async || {
            (api.get("/more").await.unwrap().status == StatusCode::OK).then_some(())
        })
        .await;
        admin.batch_execute("drop table api.more").await.unwrap();
        assert_eq!(inventory(database).await, before);
        assert!(child.stop().success());
        // Nothing else of the cluster names these roles after this.
        admin.batch_execute(&format!("drop owned by {role}, {role}_anon, {role}_author; drop role {role}, {role}_anon, {role}_author")).await.unwrap();
        admin.close().await;
    });
}
