//! A request that is made of a template is the one that preparing it gives.

use std::cell::Cell;
use std::sync::LazyLock;

use http::{HeaderName, HeaderValue};
use plinth_catalog::Catalog;
use plinth_rest::{Outcome, Prepared, Shape, Template, prepare_rows};
use proptest::prelude::*;

use crate::{catalog, shapes};

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog::catalog);

fn prepared(request: &shapes::Shape) -> Option<Prepared> {
    let config = shapes::bounded(&shapes::config(request.max_rows));
    match prepare_rows(&request.raw(), &CATALOG, &config, || {}) {
        Ok(Outcome::Query(prepared)) => Some(prepared),
        _ => None,
    }
}

fn template(request: &shapes::Shape) -> Option<Template> {
    let config = shapes::bounded(&shapes::config(request.max_rows));
    let raw = request.raw();
    Template::of(&Shape::of(&raw)?, &raw, &prepared(request)?, &CATALOG, &config)
}

fn key(request: &shapes::Shape) -> Option<Vec<u8>> {
    Shape::of(&request.raw()).map(|shape| shape.key().to_vec())
}

/// Prepares `request` by the template of `first`; `None` unless they are of one shape that has a template.
fn by_template(first: &shapes::Shape, request: &shapes::Shape) -> Option<Prepared> {
    let (raw, template) = (request.raw(), template(first)?);
    let shape = Shape::of(&raw)?;
    (Some(shape.key()) == key(first).as_deref()).then(|| template.fill(&shape))
}

fn get(query: &str) -> shapes::Shape {
    let mut request = shapes::request("GET", "/tasks");
    request.query = query.to_owned();
    request
}

fn value() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "",
        "1",
        "12345",
        "05",
        "a+b",
        "%20",
        "%2B",
        "%zz",
        "%",
        "%00",
        "%FF",
        "%C3%A9",
        "é",
        "null",
        "*",
        "eq.1",
        "(1,2)",
        "{1}",
        "\"x\"",
        "'",
        "\\",
        "a.b",
        "x=y",
        "%26a%3Deq.1",
        "%EF%BF%BD",
        "not.eq.1",
        "any",
        "-1",
        "1e5",
        "\u{1}",
        "%01",
        "2026-01-01T00:00:00+00:00",
        "0000000007",
        "1000000007",
    ]);
    prop_oneof![4 => odd.prop_map(str::to_owned), 1 => "[a-zA-Z0-9%+.,*()é -]{0,12}", 1 => "[0-9]{1,6}"]
}

/// A query whose parts with `{}` take a value each.
fn pattern() -> impl Strategy<Value = Vec<&'static str>> {
    let part = prop::sample::select(vec![
        "id=eq.{}",
        "name=eq.{}",
        "id=gt.{}",
        "id=lt.{}",
        "id=gte.{}",
        "name=neq.{}",
        "name=lte.{}",
        "id=not.eq.{}",
        "id=in.({})",
        "name=like.{}",
        "name=is.{}",
        "id=eq(any).{}",
        "order=name.desc",
        "order=id",
        "limit=5",
        "limit={}",
        "offset=2",
        "select=id,name",
        "select=*",
        "select=id,projects(name)",
        "projects.name=eq.{}",
        "projects.limit=2",
        "or=(id.eq.{},name.eq.a)",
        "and=(id.gt.{})",
        "nonexistent=eq.{}",
        "select=name::text,total:id.count()",
        "",
        "a",
        "id=eq.",
        "na%6De=eq.{}",
        "tags->>0=eq.{}",
        "projects=is.null",
        "id={}",
        "order=eq.{}",
        "select=eq.{}",
        "meta->a=eq.{}",
        "projects!inner(id)=eq.{}",
        "columns=eq.{}",
    ]);
    prop::collection::vec(part, 0..5)
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let header = prop::sample::select(vec![
        ("accept", "*/*"),
        ("accept", "application/json"),
        ("accept", "application/vnd.pgrst.object+json"),
        ("accept", "application/vnd.pgrst.plan"),
        ("accept", "text/csv"),
        ("accept", "application/geo+json"),
        ("prefer", "count=exact"),
        ("prefer", "count=planned"),
        ("prefer", "count=estimated, timezone=UTC"),
        ("prefer", "timezone=Europe/Berlin"),
        ("prefer", "handling=strict, nonsense"),
        ("prefer", "tx=rollback"),
        ("range", "0-1"),
        ("range", "2-"),
        ("accept-profile", "api"),
        ("accept-profile", "other"),
        ("content-type", "text/csv"),
        ("x-request-id", "7"),
        ("host", "example.org"),
    ]);
    prop::collection::vec(header, 0..4)
}

fn fill(pattern: &[&str], values: &[String]) -> String {
    let mut values = values.iter();
    let parts: Vec<String> = pattern
        .iter()
        .map(|part| {
            if part.contains("{}") {
                part.replace("{}", values.next().unwrap())
            } else {
                (*part).to_owned()
            }
        })
        .collect();
    parts.join("&")
}

fn with_headers(
    mut request: shapes::Shape,
    headers: &[(&'static str, &'static str)],
) -> shapes::Shape {
    for (name, value) in headers {
        request.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}

/// The property over many requests; and it must not hold for lack of templates.
#[test]
fn a_filled_template_is_what_preparing_gives() {
    let (hits, cases) = (Cell::new(0), 1500);
    let values = || prop::collection::vec(value(), 5);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(cases));
    let generated = (pattern(), values(), values(), headers());
    let property = |(pattern, one, two, headers): (Vec<&str>, Vec<String>, Vec<String>, Vec<_>)| {
        let first = with_headers(get(&fill(&pattern, &one)), &headers);
        let request = with_headers(get(&fill(&pattern, &two)), &headers);
        for request in [&first, &request] {
            if let Some(filled) = by_template(&first, request) {
                hits.set(hits.get() + 1);
                prop_assert_eq!(Some(filled), prepared(request));
            }
        }
        Ok(())
    };
    runner.run(&generated, property).unwrap();
    assert!(hits.get() > cases / 3, "only {} of {cases} had a template", hits.get());
}

#[test]
fn plain_filters_differ_in_their_values_only() {
    let one = get("select=id,name&id=eq.1&name=neq.a&id=lt.9");
    let other = get("select=id,name&id=eq.a%20b+c%26&name=neq.&id=lt.%C3%A9");
    let filled = by_template(&one, &other).unwrap();
    assert_eq!(Some(&filled), prepared(&other).as_ref());
    let values: Vec<_> =
        filled.statements[0].params[..3].iter().map(|it| it.as_deref().unwrap()).collect();
    assert_eq!(values, [&b"a b c&"[..], b"", "é".as_bytes()]);
    // Estimates ask twice, with the same values.
    let estimated = [("prefer", "count=estimated")];
    let (one, other) = (with_headers(one, &estimated), with_headers(other, &estimated));
    let filled = by_template(&one, &other).unwrap();
    assert_eq!(filled.statements.len(), 2);
    assert_eq!(Some(filled), prepared(&other));
}

#[test]
fn what_else_differs_is_another_shape() {
    let base = get("id=eq.1");
    let mut others: Vec<shapes::Shape> =
        ["id=gt.1", "name=eq.1", "id=eq.1&", "id=eq.1&limit=1", "id=not.eq.1", "id=in.(1)"]
            .into_iter()
            .map(get)
            .collect();
    for header in [
        ("accept", "text/csv"),
        ("prefer", "count=exact"),
        ("range", "0-1"),
        ("accept-profile", "api"),
        ("content-type", "text/csv"),
    ] {
        others.push(with_headers(get("id=eq.1"), &[header]));
    }
    let twice = [("prefer", "count=exact"), ("prefer", "timezone=UTC")];
    others.push(with_headers(get("id=eq.1"), &twice));
    others.push(with_headers(get("id=eq.1"), &[("accept", "count=exact")]));
    others.push(shapes::Shape { path: "/projects".to_owned(), ..base.clone() });
    others.push(base.clone());
    let mut keys: Vec<_> = others.iter().map(|other| key(other).unwrap()).collect();
    keys.sort();
    let before = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), before);
    assert_eq!(key(&base), key(&get("id=eq.2")));
    assert_eq!(key(&base), key(&with_headers(get("id=eq.1"), &[("host", "x")])));
}

#[test]
fn what_is_no_read_of_a_relation_has_no_shape() {
    for (method, target) in
        [("HEAD", "/tasks"), ("POST", "/tasks"), ("GET", "/"), ("GET", ""), ("GET", "/rpc/add")]
    {
        assert_eq!(key(&shapes::request(method, target)), None, "{method} {target}");
    }
    let long = "x".repeat(3000);
    for query in [
        "id=eq.%00",
        "id=eq.%FF",
        &format!("id=eq.{long}"),
        &format!("select={long}"),
        &"id=eq.1&".repeat(9),
    ] {
        assert_eq!(key(&get(query)), None, "{query}");
    }
    let long: &'static str = long.leak();
    assert_eq!(key(&with_headers(get(""), &[("prefer", long)])), None);
}

#[test]
fn what_cannot_be_prepared_has_no_template() {
    assert!(template(&get("id=eq.1&select=(")).is_none());
    assert!(template(&shapes::request("GET", "/nothing_like_that?id=eq.1")).is_none());
}
