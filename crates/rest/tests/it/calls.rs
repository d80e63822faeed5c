//! What calls answer.

use plinth_rest::Outcome;

use crate::harness::{Session, session};
use crate::shapes;

#[tokio::test]
async fn results_have_the_shape_of_their_type() {
    let session = session().await;
    let table = [
        ("/rpc/greet", "\"hello\""),
        ("/rpc/add?a=1", "3"),
        ("/rpc/add?a=1&b=5", "6"),
        ("/rpc/numbers?n=3", "[1, 2, 3]"),
        ("/rpc/one_project?wanted=3", r#"{"id":3,"name":"IOS","client_id":2,"meta":null}"#),
        ("/rpc/one_project?wanted=99", r#"{"id":null,"name":null,"client_id":null,"meta":null}"#),
        ("/rpc/list_projects?select=id&id=gt.2&order=id.desc", "[{\"id\":4}, \n {\"id\":3}]"),
        (
            "/rpc/list_projects?select=id,clients(name)&id=eq.3",
            r#"[{"id":3,"clients":{"name": "Apple"}}]"#,
        ),
        ("/rpc/list_projects?select=label&limit=1&offset=2", r#"[{"label":"3:IOS"}]"#),
        ("/rpc/stats?client_id=eq.1", r#"[{"client_id":1,"projects":2}]"#),
        ("/rpc/split?value=7", r#"{"half":3,"rest":1}"#),
        ("/rpc/total?nums=1&nums=2&nums=40", "43"),
        ("/rpc/covered?boxes=(0,0),(1,1)&boxes=(0,0),(2,3)", "7"),
        ("/rpc/how_many?things=a&things=b,c", "2"),
        ("/rpc/pick?a=1", "\"int 1\""),
        ("/rpc/pick?b=x", "\"text x\""),
    ];
    for (target, expected) in table {
        let answer = session.get(target).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{target}");
    }
}

#[tokio::test]
async fn arguments_come_in_the_body() {
    let session = session().await;
    let json = session.ask("POST", "/rpc/add", "", r#"{"a": 2, "b": 2}"#).await;
    assert_eq!(json.body, "4");
    let form = "content-type: application/x-www-form-urlencoded";
    assert_eq!(session.ask("POST", "/rpc/add", form, "a=4").await.body, "6");
    let variadic = session.ask("POST", "/rpc/total", "", r#"{"nums": [1, 2]}"#).await;
    assert_eq!(variadic.body, "3");
    let echo = session.ask("POST", "/rpc/echo", "", r#"{"any":  ["thing"]}"#).await;
    assert_eq!(echo.body, r#"{"any":  ["thing"]}"#);
    let text = session.ask("POST", "/rpc/shout", "content-type: text/plain", "loud").await;
    assert_eq!(text.body, "\"LOUD\"");
    let bytes = "content-type: application/octet-stream";
    assert_eq!(session.ask("POST", "/rpc/size_of", bytes, "by\\tes").await.body, "6");
    assert_eq!(session.ask("POST", "/rpc/greet", "", "").await.body, "\"hello\"");
    let rows = session.ask("POST", "/rpc/list_projects?select=id&id=eq.1", "", "{}").await;
    assert_eq!(rows.body, r#"[{"id":1}]"#);
}

#[tokio::test]
async fn a_get_may_only_read() {
    let session = session().await;
    let get = session.get("/rpc/touch?wanted=1").await;
    assert_eq!((get.status, get.body.contains("25006")), (405, true), "{}", get.body);
    let post = session.ask("POST", "/rpc/touch", "", r#"{"wanted": 1}"#).await;
    assert_eq!((post.status, post.body.as_str(), post.header("content-type")), (204, "", ""));
    for method in ["PUT", "PATCH", "DELETE"] {
        let other = session.ask(method, "/rpc/touch", "", "{}").await;
        assert_eq!((other.status, other.body.contains("PGRST101")), (405, true), "{}", other.body);
    }
}

#[tokio::test]
async fn windows_counts_and_heads_apply_to_rows() {
    let session = session().await;
    let page = session.ask("GET", "/rpc/list_projects?limit=2", "prefer: count=exact", "").await;
    assert_eq!((page.status, page.header("content-range")), (206, "0-1/4"));
    let guessed =
        session.ask("GET", "/rpc/list_projects?limit=2", "prefer: count=planned", "").await;
    assert_eq!((guessed.status, guessed.header("content-range")), (200, "0-1/*"));
    assert_eq!(guessed.header("preference-applied"), "count=planned");
    let counted =
        session.ask("GET", "/rpc/list_projects?limit=2", "prefer: count=estimated", "").await;
    assert_eq!((counted.status, counted.header("content-range")), (206, "0-1/4"));
    let all = session.ask("POST", "/rpc/list_projects", "prefer: count=exact", "{}").await;
    assert_eq!((all.status, all.header("content-range")), (200, "0-3/4"));
    let head = session.ask("HEAD", "/rpc/list_projects", "", "").await;
    assert_eq!((head.status, head.body.as_str(), head.header("content-range")), (200, "", "0-3/*"));
    let csv = session
        .ask("GET", "/rpc/list_projects?select=name,id&id=lt.3", "accept: text/csv", "")
        .await;
    assert_eq!(csv.body, "name,id\n\"Windows 7\",1\n\"Windows 10\",2");
}

#[tokio::test]
async fn unknown_functions_are_told_with_a_hint() {
    let session = session().await;
    let get = session.get("/rpc/ad?a=1").await;
    assert_eq!(get.status, 404);
    assert_eq!(
        get.body,
        r#"{"code":"PGRST202","details":"Searched for the function api.ad with parameter a, but no matches were found in the schema cache.","hint":null,"message":"Could not find the function api.ad(a) in the schema cache"}"#
    );
    let near = session.get("/rpc/list_project").await;
    assert!(
        near.body.contains("\"hint\":\"Perhaps you meant to call the function api.list_projects\""),
        "{}",
        near.body
    );
    let wrong = session.ask("POST", "/rpc/add", "", r#"{"a": 1, "c": 2}"#).await;
    assert!(wrong.body.contains("Searched for the function api.add with parameters a, c or with a single unnamed json/jsonb parameter, but"), "{}", wrong.body);
    assert!(
        wrong.body.contains("Perhaps you meant to call the function api.add(a, b)"),
        "{}",
        wrong.body
    );
    let none = session.get("/rpc/one_project").await;
    assert!(
        none.body.contains("Could not find the function api.one_project without parameters"),
        "{}",
        none.body
    );
    let vague = session.get("/rpc/vague?a=1").await;
    assert_eq!(vague.status, 300);
    let narrow = session.get("/rpc/narrow?a=1").await;
    let both = "api.narrow(a => character), api.narrow(a => bit[])";
    assert!(narrow.status == 300 && narrow.body.contains(both), "{}", narrow.body);
    assert!(vague.body.contains("Could not choose the best candidate function between: api.vague(a => integer), api.vague(a => text)"), "{}", vague.body);
}

#[tokio::test]
async fn functions_set_status_and_headers() {
    let session = session().await;
    let answer = session.ask("POST", "/rpc/with_headers", "", "").await;
    assert_eq!((answer.status, answer.header("x-custom")), (418, "yes"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let custom = session.ask("POST", "/rpc/custom_answer", "", "").await;
    assert_eq!((custom.status, custom.header("x-powered-by")), (402, "Nerd Rage"));
    assert_eq!(
        custom.body,
        r#"{"code":"123","details":null,"hint":null,"message":"Payment Required"}"#
    );
}

#[tokio::test]
async fn raised_errors_keep_their_words() {
    let session = session().await;
    let fail = async |code: &str| {
        session.ask("POST", "/rpc/fail", "", &format!("{{\"code\": \"{code}\"}}")).await
    };
    let raised = fail("P0001").await;
    assert_eq!(raised.status, 400);
    assert_eq!(
        raised.body,
        r#"{"code":"P0001","details":"very much","hint":"try later","message":"it failed"}"#
    );
    assert_eq!(fail("PT418").await.status, 418);
    assert_eq!(fail("42501").await.status, 403);
    assert_eq!(fail("53400").await.status, 500);
    assert_eq!(fail("28000").await.status, 403);
}

#[tokio::test]
async fn a_bound_needs_rows_to_count() {
    let session = session().await;
    let strict = "prefer: handling=strict, max-affected=1";
    let single = session.ask("POST", "/rpc/touch", strict, r#"{"wanted": 1}"#).await;
    assert!(single.status == 400 && single.body.contains("PGRST128"), "{}", single.body);
}

/// What a call asks of its transaction.
fn prepared(session: &Session, target: &str) -> plinth_rest::Prepared {
    let shape = shapes::request("GET", target);
    match shape.prepare_with(session.catalog, &session.config) {
        Ok(Outcome::Query(prepared)) => prepared,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn some_settings_of_a_function_hold_for_the_whole_transaction() {
    let mut session = session().await;
    let bounded = prepared(&session, "/rpc/bounded");
    assert_eq!(bounded.isolation, Some("serializable"));
    let names: Vec<&[u8]> = bounded.settings.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(names, [&b"statement_timeout"[..], b"default_transaction_isolation"]);
    assert_eq!(bounded.settings[0].1, "5s");
    assert!(bounded.calls && bounded.read_only);
    let plain = prepared(&session, "/rpc/greet");
    assert!(plain.settings.is_empty() && plain.isolation.is_none() && plain.calls);
    assert!(!prepared(&session, "/clients").calls);

    // Who asks, and what, is never the function's to say.
    session.config.hoisted_settings =
        ["work_mem", "request.path", "role", "session_authorization"].map(str::to_owned).to_vec();
    let chosen = prepared(&session, "/rpc/bounded");
    assert_eq!((chosen.settings.len(), chosen.isolation), (1, None));
    assert_eq!(chosen.settings[0].0, "work_mem");
}

#[tokio::test]
async fn a_function_may_stand_for_the_root() {
    let mut session = session().await;
    session.config.root_spec = Some("api.page".to_owned());
    session.config.openapi_mode = plinth_rest::OpenApiMode::Disabled;
    let json = session.get("/").await;
    assert_eq!((json.status, json.body.as_str()), (200, "\"<p>hello</p>\""));
    let page = session.ask("GET", "/", "accept: text/html", "").await;
    assert_eq!((page.body.as_str(), page.header("content-type")), ("<p>hello</p>", "text/html"));
    assert!(prepared(&session, "/").calls);
    session.config.root_spec = Some("add".to_owned());
    assert_eq!(session.get("/?a=1&b=1").await.body, "2");
}
