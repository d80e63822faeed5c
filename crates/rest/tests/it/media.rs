//! Answers of other media types.

use crate::harness::{Answer, Session, session};

async fn get(session: &Session, target: &str, accept: &str) -> Answer {
    session.ask("GET", target, &format!("accept: {accept}"), "").await
}

#[tokio::test]
async fn a_function_answers_in_the_type_it_returns() {
    let session = session().await;
    let page = get(&session, "/rpc/page", "text/html").await;
    assert_eq!((page.status, page.body.as_str()), (200, "<p>hello</p>"));
    assert_eq!(page.header("content-type"), "text/html");
    let json = get(&session, "/rpc/page", "*/*").await;
    assert_eq!(json.body, "\"<p>hello</p>\"");
    let other = get(&session, "/rpc/page", "text/plain; charset=utf-8, image/x").await;
    assert_eq!(other.status, 406);
    assert!(
        other.body.contains("available: text/plain, image/x"),
        "blanks are left out: {}",
        other.body
    );
}

#[tokio::test]
async fn bytes_come_as_they_are() {
    let session = session().await;
    let picture = session.bytes("/rpc/picture?wanted=1", "image/png").await;
    assert_eq!(picture.as_ref(), [0, 255, 0x89]);
    let none = get(&session, "/rpc/picture?wanted=2", "image/png").await;
    assert_eq!((none.status, none.body.as_str()), (200, ""));
    let head = session.ask("HEAD", "/rpc/picture?wanted=1", "accept: image/png", "").await;
    assert_eq!((head.header("content-type"), head.body.as_str()), ("image/png", ""));
}

#[tokio::test]
async fn a_function_of_any_type_answers_whatever_is_asked() {
    let session = session().await;
    for accept in ["*/*", "application/json", "image/x"] {
        let answer = get(&session, "/rpc/whatever", accept).await;
        assert_eq!((answer.body.as_str(), answer.header("content-type")), ("own", "text/x-own"));
    }
}

#[tokio::test]
async fn rows_become_what_their_aggregate_makes_of_them() {
    let session = session().await;
    let names = get(&session, "/clients?order=id", "text/x-names").await;
    assert_eq!(names.body, "Microsoft;Apple;Nobody;");
    assert_eq!((names.status, names.header("content-range")), (200, "0-2/*"));
    let starred = get(&session, "/clients?select=*&id=eq.2", "text/x-names").await;
    assert_eq!(starred.body, "Apple;");
    for select in ["id", "id,name", "*,projects(id)", "label:id"] {
        let part = get(&session, &format!("/clients?select={select}"), "text/x-names").await;
        assert_eq!(part.status, 406, "{select}");
    }
    let fallback =
        get(&session, "/clients?select=id&limit=1", "text/x-names, text/csv;q=0.1").await;
    assert_eq!(fallback.body, "id\n1");
    let written = session
        .ask(
            "PATCH",
            "/clients?id=eq.1",
            "accept: text/x-names\nprefer: return=representation",
            "{\"name\": \"New\"}",
        )
        .await;
    assert_eq!(written.body, "New;");
    let called =
        session.ask("POST", "/rpc/rename_all", "accept: text/x-names", "{\"prefix\": \"x\"}").await;
    assert_eq!(called.body, "xMicrosoft;xApple;xNobody;");
}

#[tokio::test]
async fn rows_of_any_shape_have_their_aggregate_too() {
    let session = session().await;
    let part = get(&session, "/clients?select=name,id&id=lt.3", "TEXT/X-Rows").await;
    assert_eq!(part.body, "(Microsoft,1)(Apple,2)");
    let tasks = get(&session, "/users_tasks?user_id=eq.3", "text/x-rows").await;
    assert_eq!(tasks.body, "(3,3)");
}

/// Reads as somebody whose rows a policy chooses.
async fn watched(session: &Session) -> Answer {
    let become_reader = "create role plinth_rest_reader; grant usage on schema api to plinth_rest_reader; \
                         grant select on api.watched to plinth_rest_reader; set local role plinth_rest_reader";
    session.client.batch_execute("savepoint reader").await.unwrap();
    session.client.batch_execute(become_reader).await.unwrap();
    let answer = session.get("/watched").await;
    session.client.batch_execute("rollback to savepoint reader").await.unwrap();
    answer
}

#[tokio::test]
async fn a_policy_is_heard_where_sql_speaks_of_the_response() {
    let mut session = session().await;
    let unheard = watched(&session).await;
    assert_eq!((unheard.body.as_str(), unheard.header("x-policy")), ("[{\"id\":1}]", ""));
    let mut catalog = session.catalog.clone();
    catalog.set_sets_response(true);
    session.catalog = Box::leak(Box::new(catalog));
    assert_eq!(watched(&session).await.header("x-policy"), "spoke");
}
