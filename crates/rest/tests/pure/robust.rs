//! Whatever a client sends, the answer is a statement or an error, never a panic.

use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderValue;
use plinth_catalog::Catalog;
use plinth_rest::Outcome;
use proptest::prelude::*;

use crate::words::words;
use crate::{catalog, properties, shapes};

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog::catalog);

fn check(shape: &shapes::Shape) -> Result<(), TestCaseError> {
    properties::hold(shape.prepare(&CATALOG)).map_err(TestCaseError::fail)
}

fn request(method: &str, path: &str, query: &str) -> shapes::Shape {
    let mut shape = shapes::request(method, "/");
    shape.path = path.to_owned();
    shape.query = query.to_owned();
    shape
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_query_string_is_answered(query in words()) {
        check(&request("GET", "/projects", &query))?;
        check(&request("GET", "/rpc/list_projects", &query))?;
    }

    #[test]
    fn any_value_of_any_parameter_is_answered(
        name in prop::sample::select(vec![
            "select", "order", "or", "and", "not.and", "id", "clients.id", "columns", "on_conflict",
            "limit", "clients.limit", "offset", "clients.order", "meta->a", "projects",
        ]),
        value in words(),
    ) {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        check(&request("GET", "/projects", &format!("select=*,clients(*)&{name}={value}")))?;
        check(&request("PATCH", "/projects", &format!("{name}={value}")))?;
    }

    #[test]
    fn any_path_and_header_is_answered(path in words(), header in words()) {
        let mut shape = request("GET", &format!("/{path}"), "");
        for name in ["prefer", "accept", "range", "accept-profile"] {
            if let Ok(value) = HeaderValue::from_str(&header) {
                shape.headers.insert(name, value);
            }
        }
        check(&shape)?;
        shape.path = "/projects".to_owned();
        check(&shape)?;
    }

    #[test]
    fn any_body_is_answered(
        body in words(),
        content in prop::sample::select(vec![
            "application/json", "text/csv", "application/x-www-form-urlencoded", "text/plain",
            "application/octet-stream", "x",
        ]),
    ) {
        for path in ["/tasks", "/rpc/add", "/rpc/echo"] {
            let mut shape = request("POST", path, "");
            shape.body = Bytes::from(body.clone());
            shape.headers.insert("content-type", HeaderValue::from_static(content));
            check(&shape)?;
        }
    }
}

#[test]
fn long_lists_and_values_are_answered() {
    let list: Vec<String> = (0..100_000).map(|it| it.to_string()).collect();
    let shape = request("GET", "/tasks", &format!("id=in.({})", list.join(",")));
    let Ok(Outcome::Query(prepared)) = shape.prepare(&CATALOG) else { panic!() };
    assert_eq!(prepared.statements[0].params.len(), 1);
    let select = vec!["id"; 20_000].join(",");
    assert!(request("GET", "/tasks", &format!("select={select}")).prepare(&CATALOG).is_ok());
    let deep = format!("or=({}id.eq.1{})", "and(".repeat(5000), ")".repeat(5000));
    assert!(request("GET", "/tasks", &deep).prepare(&CATALOG).is_err());
}

/// Equal shapes make equal text, whatever their values: that is what statement caches live on.
#[test]
fn the_text_does_not_depend_on_values() {
    let sql = |query: &str| {
        let Ok(Outcome::Query(prepared)) = request("GET", "/tasks", query).prepare(&CATALOG) else {
            panic!("{query}")
        };
        prepared.statements[0].sql.clone()
    };
    let pairs = [
        ("id=eq.1", "id=eq.99"),
        ("id=in.(1)", "id=in.(1,2,3,4)"),
        ("id=in.()", "id=in.(1,2)"),
        ("limit=1&offset=2", "limit=10&offset=20"),
        ("name=like.a*", "name=like.b"),
        ("or=(id.eq.1,name.eq.a)", "or=(id.eq.2,name.eq.b)"),
        ("tags->>0=eq.a", "tags->>1=eq.b"),
        ("search=fts(english).a", "search=fts(german).b"),
    ];
    for (one, other) in pairs {
        assert_eq!(sql(one), sql(other));
    }
}

/// Each suggestion compares a name with all others, so that schemas of very many tables make none.
#[test]
fn suggestions_end_with_five_hundred_tables() {
    let hint = |tables: usize| {
        let mut catalog = Catalog::default();
        for number in 0..tables {
            let mut relation = CATALOG.relations().next().unwrap().clone();
            relation.name.name = format!("table_{number}");
            catalog.add_relation(relation);
        }
        let error = request("GET", "/table_O", "").prepare(&catalog).unwrap_err();
        assert_eq!(error.code, "PGRST205");
        error.hint.is_some()
    };
    assert!(hint(499));
    assert!(!hint(500));
}
