//! The first statement of every batch, as the server understands it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plinth_postgres::{Caller, Connection, RequestContext, enter};
use tokio_postgres::types::{ToSql, Type};

use crate::support::{code, open, project, registry, value};

/// Runs the statement as the data plane does: values as text, types left to the server.
async fn enter_on(connection: &Connection, caller: &Caller, context: &RequestContext) {
    let (sql, values) = enter(caller, context);
    let types = vec![Type::TEXT; values.len()];
    let statement = connection.prepare_typed(&sql, &types).await.unwrap();
    let texts: Vec<Option<String>> = values
        .iter()
        .map(|value| value.as_ref().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
        .collect();
    let values: Vec<&(dyn ToSql + Sync)> =
        texts.iter().map(|text| text as &(dyn ToSql + Sync)).collect();
    connection.query(&statement, &values).await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_the_callers_until_it_ends() {
    let registry = registry().await;
    let project = project(&registry).await;
    let connection =
        open(&registry, &project.authenticator_login, &project.database).await.unwrap();
    let before = value(&connection, "show statement_timeout").await;
    let id = "a0000000-0000-4000-8000-000000000001";
    let caller = Caller {
        role: "authenticated".into(),
        claims_json: format!("{{\"sub\":\"{id}\",\"role\":\"authenticated\"}}").into(),
    };
    let context = RequestContext {
        method: "GET".into(),
        path: "/todos".into(),
        headers_json: "{\"x-a\":\"it's\"}".into(),
        cookies_json: "{}".into(),
        statement_timeout: Some(Duration::from_secs(5)),
        search_path: Some("\"$user\", extensions".into()),
        read_only: true,
        time_zone: Some("Europe/Paris".into()),
        settings: Arc::new([(Bytes::from("app.tenant"), Bytes::from("blue"))]),
        reports_printing: true,
    };
    connection.batch_execute("begin").await.unwrap();
    enter_on(&connection, &caller, &context).await;
    for (sql, expected) in [
        ("select current_user", "authenticated"),
        ("select auth.uid()", id),
        ("select current_setting('request.method')", "GET"),
        ("select current_setting('request.headers')::json->>'x-a'", "it's"),
        ("show statement_timeout", "5s"),
        ("show search_path", "\"$user\", extensions"),
        ("show timezone", "Europe/Paris"),
        ("select current_setting('app.tenant')", "blue"),
    ] {
        assert_eq!(value(&connection, sql).await, expected, "{sql}");
    }
    assert_eq!(code(&connection, "create temporary table t ()").await, "25006");
    connection.batch_execute("rollback").await.unwrap();
    assert_eq!(value(&connection, "select current_user").await, project.authenticator_login.role);
    assert_eq!(value(&connection, "show statement_timeout").await, before);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn every_shape_is_accepted_by_the_server() {
    let registry = registry().await;
    let project = project(&registry).await;
    let connection =
        open(&registry, &project.authenticator_login, &project.database).await.unwrap();
    let caller = Caller { role: "anon".into(), claims_json: "{}".into() };
    for shape in 0..32_u32 {
        let on = |bit: u32| shape & (1 << bit) != 0;
        let context = RequestContext {
            statement_timeout: on(0).then(|| Duration::from_millis(1500)),
            search_path: on(1).then(|| "public".into()),
            read_only: on(2),
            time_zone: on(3).then(|| "UTC".into()),
            settings: if on(4) {
                Arc::new([("work_mem".into(), "8MB".into())])
            } else {
                Arc::default()
            },
            ..RequestContext::default()
        };
        connection.batch_execute("begin").await.unwrap();
        enter_on(&connection, &caller, &context).await;
        assert_eq!(value(&connection, "select current_user").await, "anon");
        connection.batch_execute("commit").await.unwrap();
    }
    registry.drop_project(&project.name).await.unwrap();
}
