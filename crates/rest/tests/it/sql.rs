//! Every shape is SQL that PostgreSQL plans, and the same whichever way the catalog came about.

use plinth_rest::Outcome;

use crate::{catalog, harness, shapes};

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
    // Keys and relationships of views are not read from the server so far.
    let unread = ["embeds: a view's embed", "writes: write through a view"];
    for (name, shape) in all().into_iter().filter(|(name, _)| !unread.contains(&name.as_str())) {
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
            "embeds: a view's embed" => 400,
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
