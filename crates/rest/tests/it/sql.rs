//! Every shape is SQL that PostgreSQL plans, and the same whichever way the catalog came about.

use plinth_rest::Outcome;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::{catalog, harness, sentences, shapes, words};

fn all() -> Vec<(String, shapes::Shape)> {
    let of = |(file, text): &(&str, &str)| {
        let named = |shape: shapes::Shape| (format!("{file}: {}", shape.name), shape);
        shapes::parse(text).into_iter().map(named).collect::<Vec<_>>()
    };
    shapes::FILES.iter().flat_map(of).collect()
}

#[tokio::test]
async fn every_shape_can_be_planned() {
    let session = harness::session().await;
    let catalog = catalog::catalog();
    for (name, shape) in all() {
        let prepared = match shape.prepare(&catalog) {
            Ok(Outcome::Query(prepared)) => prepared,
            other => panic!("{name}: {other:?}"),
        };
        for statement in &prepared.statements {
            let explained = match statement.sql.strip_prefix("explain") {
                // `explain (format json) …`: the option goes beside those that are there.
                Some(rest) => rest.replacen('(', "explain (generic_plan, ", 1),
                None => format!("explain (generic_plan) {}", statement.sql),
            };
            let explained = explained.trim_start().replace(", analyze", "");
            if let Err(error) = session.client.simple_query(&explained).await {
                panic!("{name}: {}\n{}", error.as_db_error().unwrap(), statement.sql);
            }
        }
    }
}

#[tokio::test]
async fn the_catalog_by_hand_is_the_fixtures() {
    let session = harness::session().await;
    let by_hand = catalog::catalog();
    for (name, shape) in all() {
        assert_eq!(shape.sql(session.catalog), shape.sql(&by_hand), "{name}");
    }
}

#[tokio::test]
async fn every_shape_can_be_answered() {
    let session = harness::session().await;
    for (name, shape) in all() {
        let answer = session.send(&shape).await;
        // A few shapes ask for what the fixture does not have; they fail as they should.
        let expected = match name.as_str() {
            "writes: update so many at most" | "calls: so many at most" => 400,
            "calls: one object" => 406,
            _ => 200,
        };
        if expected == 200 {
            assert!(
                (200..300).contains(&answer.status),
                "{name}: {} {}",
                answer.status,
                answer.body
            );
        } else {
            assert_eq!(answer.status, expected, "{name}: {}", answer.body);
        }
    }
}

/// Whatever is understood makes SQL that PostgreSQL can read; it may not know the names in it.
#[tokio::test]
async fn what_is_understood_is_sql() {
    const PARAMETERS: [&str; 8] =
        ["select", "order", "or", "id", "clients.id", "clients.order", "meta->a", "on_conflict"];
    let session = harness::session().await;
    let mut runner = TestRunner::deterministic();
    let mut prepared_statements = 0;
    for case in 0..4000 {
        let value = words::words().new_tree(&mut runner).unwrap().current();
        let value = sentences::encoded(&value);
        let name = PARAMETERS[case % PARAMETERS.len()];
        let select = if name == "select" { "" } else { "select=*,clients(*)&" };
        let mut shape = shapes::request("GET", &format!("/projects?{select}{name}={value}"));
        if case % 3 == 0 {
            shape.method = http::Method::PATCH;
            shape.body = "{\"name\": \"x\"}".into();
            shape.headers.insert("prefer", http::HeaderValue::from_static("return=representation"));
        }
        prepared_statements += usize::from(can_be_read(&session, &shape).await);
    }
    assert!(prepared_statements > 200, "only {prepared_statements} were understood");
}

/// As above, for requests that are well formed, whatever they name.
#[tokio::test]
async fn what_is_well_formed_is_sql() {
    const REQUESTS: [(&str, &str, &str); 6] = [
        ("GET", "/projects", ""),
        ("GET", "/tasks", ""),
        ("PATCH", "/tasks", "{\"name\": \"x\"}"),
        ("DELETE", "/clients", ""),
        ("POST", "/projects", "[{\"id\": 1}]"),
        ("GET", "/rpc/list_projects", ""),
    ];
    let session = harness::session().await;
    let mut runner = TestRunner::deterministic();
    let mut prepared_statements = 0;
    for case in 0..1200 {
        let (method, path, body) = REQUESTS[case % REQUESTS.len()];
        let mut shape = shapes::request(method, path);
        shape.query = sentences::query().new_tree(&mut runner).unwrap().current();
        shape.body = body.into();
        let wishes =
            "return=representation, resolution=merge-duplicates, missing=default, count=exact";
        shape.headers.insert("prefer", http::HeaderValue::from_static(wishes));
        prepared_statements += usize::from(can_be_read(&session, &shape).await);
    }
    assert!(prepared_statements > 150, "only {prepared_statements} were understood");
}

/// Whether a request was understood; then PostgreSQL must be able to read all of its SQL. It may not
/// know the names or the types in it, but it always finds out what its parameters are.
async fn can_be_read(session: &harness::Session, shape: &shapes::Shape) -> bool {
    // Syntax, parameters that are not there or of no type, and a server at its wits' end.
    const OURS: [&str; 5] = ["42601", "42P02", "42P18", "XX000", "54001"];
    let Ok(Outcome::Query(prepared)) = shape.prepare(session.catalog) else { return false };
    for statement in &prepared.statements {
        session.client.batch_execute("savepoint parse").await.unwrap();
        if let Err(error) = session.client.prepare(&statement.sql).await {
            let facts = error.as_db_error().unwrap();
            assert!(!OURS.contains(&facts.code().code()), "{facts}: {}", statement.sql);
        }
        session.client.batch_execute("rollback to savepoint parse").await.unwrap();
    }
    true
}
