//! Domains that clients read and write in their own way.

use crate::harness::session;
use crate::shapes;

#[tokio::test]
async fn values_of_a_domain_are_shown_by_its_cast_to_json() {
    let session = session().await;
    let blue = r##"[{"id":2,"name":"blue","colour":"#0000ff"}]"##;
    assert_eq!(session.get("/paints?id=eq.2").await.body, blue);
    let named = session.get("/paints?select=tone:colour,colour&id=eq.1").await.body;
    assert_eq!(named, r##"[{"tone":"#ff0000","colour":"#ff0000"}]"##);
    let sorted = session.get("/paints?select=colour&order=colour").await.body;
    assert_eq!(sorted.replace(", \n ", ","), r##"[{"colour":"#0000ff"},{"colour":"#ff0000"}]"##);
    let full = "prefer: return=representation";
    let renamed = session.ask("PATCH", "/paints?id=eq.2", full, r#"{"name":"azure"}"#).await;
    assert_eq!(renamed.body, r##"[{"id":2,"name":"azure","colour":"#0000ff"}]"##);
}

#[tokio::test]
async fn stars_are_no_more_columns_than_postgresql_takes() {
    let session = session().await;
    let target = format!("/paints?select={}", vec!["*"; 5_000].join(","));
    let sql = shapes::request("GET", &target).sql(session.catalog);
    assert!(sql.matches("as \"colour\"").count() < 600);
    let refused = session.get(&target).await;
    assert!(refused.body.contains("at most 1664 entries"), "{}", refused.body);
}

#[tokio::test]
async fn filters_of_a_domain_are_read_by_its_cast_from_text() {
    let session = session().await;
    for (filter, found) in [
        ("colour=eq.%230000ff", "[2]"),
        ("colour=neq.%230000ff", "[1]"),
        ("colour=in.(%230000ff,%23ff0000)", "[1, 2]"),
        ("colour=in.()", "[]"),
        ("colour=not.in.(%230000ff)", "[1]"),
        ("colour=isdistinct.%230000ff", "[1]"),
        ("or=(colour.gt.%230000ff,id.eq.9)", "[1]"),
    ] {
        let answer = session.get(&format!("/paints?select=id&order=id&{filter}")).await;
        let rows: Vec<serde_json::Value> = serde_json::from_str(&answer.body).unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row["id"].to_string()).collect();
        assert_eq!(format!("[{}]", ids.join(", ")), found, "{filter}");
    }
    let full = "prefer: return=representation";
    let deleted = session.ask("DELETE", "/paints?select=id&colour=eq.%23ff0000", full, "").await;
    assert_eq!(deleted.body, r#"[{"id":1}]"#);
}
