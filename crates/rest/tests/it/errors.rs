//! What is refused, and in which words.

use crate::harness::session;

#[tokio::test]
async fn unknown_relations_are_told_with_a_hint() {
    let session = session().await;
    let answer = session.get("/client").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        r#"{"code":"PGRST205","details":null,"hint":"Perhaps you meant the table 'api.clients'","message":"Could not find the table 'api.client' in the schema cache"}"#
    );
    assert_eq!(answer.header("proxy-status"), "PostgREST; error=PGRST205");
    assert!(session.get("/zzzzzz").await.body.contains("\"hint\":null"));
}

#[tokio::test]
async fn unknown_columns_get_postgresqls_own_words() {
    let session = session().await;
    for (target, column) in [
        ("/clients?select=nope", "clients.nope"),
        ("/clients?nope=eq.1", "clients.nope"),
        ("/clients?order=nope", "clients.nope"),
        ("/clients?select=id,projects(nope)", "projects_1.nope"),
    ] {
        let answer = session.get(target).await;
        let message = format!("column {column} does not exist");
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("42703") && answer.body.contains(&message), "{}", answer.body);
    }
}

#[tokio::test]
async fn schemas_are_chosen_by_profile() {
    let mut session = session().await;
    let other = session.ask("GET", "/clients", "accept-profile: other", "").await;
    assert_eq!(other.status, 406);
    assert_eq!(
        other.body,
        r#"{"code":"PGRST106","details":null,"hint":"Only the following schemas are exposed: api","message":"Invalid schema: other"}"#
    );
    session.config.schemas.push("other".to_owned());
    let plain = session.get("/clients?id=eq.1").await;
    assert_eq!(plain.header("content-profile"), "api");
    let wrong_header = session
        .ask(
            "POST",
            "/clients",
            "accept-profile: nope\ncontent-profile: api",
            r#"{"id":9,"name":"x"}"#,
        )
        .await;
    assert_eq!(wrong_header.status, 201, "{}", wrong_header.body);
}

#[tokio::test]
async fn preferences_may_be_handled_strictly() {
    let session = session().await;
    let strict = session
        .ask("GET", "/clients", "prefer: handling=strict, anything, params=single-object", "")
        .await;
    assert_eq!(strict.status, 400);
    assert!(
        strict.body.contains("\"details\":\"Invalid preferences: anything, params=single-object\""),
        "{}",
        strict.body
    );
    let lenient = session.ask("GET", "/clients", "prefer: handling=lenient, anything", "").await;
    assert_eq!((lenient.status, lenient.header("preference-applied")), (200, "handling=lenient"));
}

#[tokio::test]
async fn paths_and_methods_are_checked() {
    let session = session().await;
    for (method, target, status, code) in [
        ("GET", "/a/b", 404, "PGRST125"),
        ("TRACE", "/clients", 405, "PGRST117"),
        ("POST", "/", 405, "PGRST117"),
        ("GET", "/clients?id=noop.1", 400, "PGRST100"),
        ("GET", "/clients?select=id,,name", 400, "PGRST100"),
        ("GET", "/clients?order=id.upwards", 400, "PGRST100"),
        ("GET", "/clients?or=id.eq.1", 400, "PGRST100"),
        ("GET", "/clients?id=eq.x", 400, "22P02"),
        ("GET", "/clients?name=gt.x&name=cs.{x}", 404, "42883"),
        ("GET", "/clients?select=id::nonsense", 400, "42704"),
    ] {
        let answer = session.ask(method, target, "", "").await;
        assert_eq!(
            (answer.status, answer.body.contains(code)),
            (status, true),
            "{target}: {}",
            answer.body
        );
    }
}
