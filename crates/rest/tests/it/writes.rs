//! What writes do and answer.

use crate::harness::{Answer, Session, session};
use crate::shapes;

const FULL: &str = "prefer: return=representation";

async fn keep(session: &Session, method: &str, target: &str, prefer: &str, body: &str) -> Answer {
    let mut shape = shapes::request(method, target);
    for (name, value) in prefer.lines().filter_map(|line| line.split_once(": ")) {
        let name: http::HeaderName = name.parse().unwrap();
        shape.headers.append(name, value.parse().unwrap());
    }
    shape.body = bytes::Bytes::copy_from_slice(body.as_bytes());
    session.keep(&shape).await
}

#[tokio::test]
async fn an_insert_answers_as_it_was_asked() {
    let session = session().await;
    let row = r#"{"id": 9, "name": "New"}"#;
    let plain = session.ask("POST", "/clients", "", row).await;
    assert_eq!((plain.status, plain.body.as_str()), (201, ""));
    assert_eq!(plain.header("content-range"), "*/*");
    assert_eq!((plain.header("location"), plain.header("preference-applied")), ("", ""));
    let minimal = session.ask("POST", "/clients", "prefer: return=minimal", row).await;
    assert_eq!((minimal.status, minimal.header("preference-applied")), (201, "return=minimal"));
    let headers = session.ask("POST", "/clients", "prefer: return=headers-only", row).await;
    assert_eq!((headers.status, headers.header("location")), (201, "/clients?id=eq.9"));
    let full = session
        .ask("POST", "/clients?select=name", "prefer: return=representation, count=exact", row)
        .await;
    assert_eq!((full.status, full.body.as_str()), (201, r#"[{"name":"New"}]"#));
    assert_eq!(full.header("content-range"), "*/1");
    assert_eq!(full.header("preference-applied"), "return=representation, count=exact");
}

#[tokio::test]
async fn a_location_names_the_whole_key() {
    let session = session().await;
    let prefer = "prefer: return=headers-only";
    let two = session.ask("POST", "/users_tasks", prefer, r#"{"user_id": 3, "task_id": 1}"#).await;
    assert_eq!(two.header("location"), "/users_tasks?user_id=eq.3&task_id=eq.1");
    let many = session
        .ask("POST", "/clients", prefer, r#"[{"id":8,"name":"a"},{"id":9,"name":"b"}]"#)
        .await;
    assert_eq!((many.status, many.header("location")), (201, ""));
    let without = session.ask("POST", "/no_key", prefer, r#"{"a": 3}"#).await;
    assert_eq!((without.status, without.header("location")), (201, ""));
}

#[tokio::test]
async fn many_rows_come_as_json_csv_or_a_form() {
    let session = session().await;
    let json = r#"[{"id": 8, "name": "a"}, {"name": null, "id": 9}]"#;
    let broken = session.ask("POST", "/clients", FULL, json).await;
    assert_eq!(broken.status, 400);
    assert!(broken.body.contains("23502"), "{}", broken.body);
    let csv = "id,name\n8,\"a, b\"\n9,x\n";
    let headers = "prefer: return=representation\ncontent-type: text/csv";
    let many = session.ask("POST", "/clients?select=name", headers, csv).await;
    assert_eq!(many.body, "[{\"name\":\"a, b\"}, \n {\"name\":\"x\"}]");
    let headers = "prefer: return=representation\ncontent-type: application/x-www-form-urlencoded";
    let form = session.ask("POST", "/clients?select=name", headers, "id=9&name=a+%26+b").await;
    assert_eq!(form.body, r#"[{"name":"a & b"}]"#);
    let nothing = session.ask("POST", "/clients", FULL, "[]").await;
    assert_eq!((nothing.status, nothing.body.as_str()), (201, "[]"));
    let several = session.ask("POST", "/no_key", FULL, "[{},{}]").await;
    assert_eq!(several.body, "[{\"a\":null,\"b\":null}, \n {\"a\":null,\"b\":null}]");
}

#[tokio::test]
async fn csv_means_what_the_same_json_means() {
    let session = session().await;
    let csv = "content-type: text/csv\nprefer: return=representation";
    let table = "/odd%20%22table?select=c%C3%B6lumn,\"na,me\"";
    let shuffled = "\"na,me\",cölumn,id\nNULL,1,8\n\"say \"\"NULL\"\"\",2,9\n";
    let rows = session.ask("POST", table, csv, shuffled).await;
    let expected =
        "[{\"cölumn\":1,\"na,me\":null}, \n {\"cölumn\":2,\"na,me\":\"say \\\"NULL\\\"\"}]";
    assert_eq!((rows.status, rows.body.as_str()), (201, expected));
    let defaults = "content-type: text/csv\nprefer: return=representation, missing=default";
    let null = session.ask("POST", "/tasks?select=mood", defaults, "name,mood\nx,NULL\n").await;
    assert_eq!((null.status, null.body.as_str()), (201, "[{\"mood\":null}]"));
    let put = session.ask("PUT", "/clients?id=eq.1", csv, "name,id\nPut,1\n").await;
    assert_eq!((put.status, put.body.as_str()), (200, "[{\"id\":1,\"name\":\"Put\"}]"));
    let update = session.ask("PATCH", "/clients?id=eq.1", csv, "name\nChanged\n").await;
    assert_eq!(update.body, "[{\"id\":1,\"name\":\"Changed\"}]");
    let merge = "content-type: text/csv\nprefer: resolution=merge-duplicates";
    let merged = session.ask("POST", "/clients", merge, "id,name\n1,Merged\n").await;
    assert_eq!((merged.status, merged.body.as_str()), (200, ""));
    let none = session.ask("POST", "/clients", csv, "id,name\n").await;
    assert_eq!((none.status, none.body.as_str()), (201, "[]"));
    let long = session.ask("POST", "/clients", csv, "id,name\n8,a,b\n").await;
    assert!(long.status == 400 && long.body.contains("PGRST102"), "{}", long.body);
    let unknown = session.ask("POST", "/clients", csv, "id,nope\n8,a\n").await;
    assert!(unknown.status == 400 && unknown.body.contains("PGRST204"), "{}", unknown.body);
}

#[tokio::test]
async fn a_domain_reads_json_in_its_own_way() {
    let session = session().await;
    let target = "/paints?select=colour";
    let body = r##"[{"id": 3, "colour": "#00000a"}, {"id": 4, "colour": null}]"##;
    let many = session.ask("POST", target, FULL, body).await;
    assert_eq!(many.body, "[{\"colour\":\"#00000a\"}, \n {\"colour\":null}]");
    let csv = "content-type: text/csv\nprefer: return=representation";
    let lines = session.ask("POST", target, csv, "colour,id\n#00000b,3\n").await;
    assert_eq!(lines.body, r##"[{"colour":"#00000b"}]"##);
    let default = "prefer: return=representation, missing=default";
    let body = r##"[{"id": 3}, {"id": 4, "colour": "#00000c"}]"##;
    let columns = "/paints?columns=id,colour&select=colour";
    let filled = session.ask("POST", columns, default, body).await;
    assert_eq!(filled.body, "[{\"colour\":\"#0000ff\"}, \n {\"colour\":\"#00000c\"}]");
    let update = "/paints?id=eq.1&select=colour";
    let updated = session.ask("PATCH", update, FULL, r##"{"colour": "#00000d"}"##).await;
    assert_eq!(updated.body, r##"[{"colour":"#00000d"}]"##);
    let put = "/paints?id=eq.1&select=colour";
    let written = session.ask("PUT", put, FULL, r##"{"id": 1, "colour": "#00000e"}"##).await;
    assert_eq!((written.status, written.body.as_str()), (200, r##"[{"colour":"#00000e"}]"##));
    let wrong = session.ask("POST", "/paints", "", r#"{"id": 3, "colour": "red"}"#).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
}

#[tokio::test]
async fn missing_keys_are_null_or_the_default() {
    let session = session().await;
    let target = "/tasks?columns=name,mood&select=mood";
    let rows = r#"[{"name": "a"}, {"name": "b", "mood": "high", "extra": 1}]"#;
    let null = session.ask("POST", target, FULL, rows).await;
    assert_eq!(null.body, "[{\"mood\":null}, \n {\"mood\":\"high\"}]");
    let default = "prefer: return=representation, missing=default";
    let filled = session.ask("POST", target, default, rows).await;
    assert_eq!(filled.body, "[{\"mood\":\"low\"}, \n {\"mood\":\"high\"}]");
    assert_eq!(filled.header("preference-applied"), "missing=default, return=representation");
    let identity = session
        .ask("POST", "/tasks?columns=id,name&select=id", default, r#"[{"name":"a"},{"name":"b"}]"#)
        .await;
    assert_eq!(identity.status, 201, "{}", identity.body);
    assert!(identity.body.matches("id").count() == 2, "{}", identity.body);
}

#[tokio::test]
async fn an_insert_may_embed() {
    let session = session().await;
    let row = r#"{"id": 9, "name": "New", "client_id": 2}"#;
    let target = "/projects?select=name,clients(name),...computed_client(again:name)";
    let answer = session.ask("POST", target, FULL, row).await;
    let expected = r#"[{"name":"New","clients":{"name": "Apple"},"again":"Apple"}]"#;
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn duplicates_are_merged_or_ignored() {
    let session = session().await;
    let rows = r#"[{"id": 1, "name": "Changed"}, {"id": 9, "name": "New"}]"#;
    let merge = "prefer: resolution=merge-duplicates, return=representation";
    let merged = session.ask("POST", "/clients", merge, rows).await;
    assert_eq!(merged.status, 201);
    assert_eq!(merged.body, "[{\"id\":1,\"name\":\"Changed\"}, \n {\"id\":9,\"name\":\"New\"}]");
    let applied = "resolution=merge-duplicates, return=representation";
    assert_eq!(merged.header("preference-applied"), applied);
    let known = session.ask("POST", "/clients", merge, r#"{"id": 1, "name": "Changed"}"#).await;
    assert_eq!(known.status, 200, "{}", known.body);
    let ignore = "prefer: resolution=ignore-duplicates, return=representation";
    let ignored = session.ask("POST", "/clients", ignore, rows).await;
    assert_eq!((ignored.status, ignored.body.as_str()), (201, r#"[{"id":9,"name":"New"}]"#));
    let conflict = session.ask("POST", "/clients", "", rows).await;
    assert_eq!(conflict.status, 409);
    assert!(conflict.body.contains("23505"), "{}", conflict.body);
    let named = session
        .ask(
            "POST",
            "/users_tasks?on_conflict=user_id,task_id",
            ignore,
            r#"{"user_id":1,"task_id":1}"#,
        )
        .await;
    assert_eq!((named.status, named.body.as_str()), (201, "[]"));
}

#[tokio::test]
async fn put_writes_the_row_that_the_url_names() {
    let session = session().await;
    let put = async |target: &str, row: &str| session.ask("PUT", target, FULL, row).await;
    let new = put("/clients?id=eq.9", r#"{"id": 9, "name": "New"}"#).await;
    assert_eq!((new.status, new.body.as_str()), (201, r#"[{"id":9,"name":"New"}]"#));
    let known = put("/clients?id=eq.1", r#"{"id": 1, "name": "Put"}"#).await;
    assert_eq!((known.status, known.body.as_str()), (200, r#"[{"id":1,"name":"Put"}]"#));
    let quiet = session.ask("PUT", "/clients?id=eq.1", "", r#"{"id": 1, "name": "Put"}"#).await;
    assert_eq!((quiet.status, quiet.body.as_str()), (204, ""));
    let other = put("/clients?id=eq.1", r#"{"id": 2, "name": "Put"}"#).await;
    assert_eq!((other.status, other.body.contains("PGRST115")), (400, true), "{}", other.body);
    for target in [
        "/clients",
        "/clients?id=gt.1",
        "/clients?id=eq.1&name=eq.x",
        "/no_key?a=eq.1",
        "/clients?id=not.eq.1",
        "/clients?id=eq.1&or=(id.eq.1)",
    ] {
        let refused = put(target, r#"{"id": 1, "name": "x"}"#).await;
        assert_eq!(
            (refused.status, refused.body.contains("PGRST105")),
            (405, true),
            "{target}: {}",
            refused.body
        );
    }
    let window = put("/clients?id=eq.1&limit=1", "{}").await;
    assert!(window.status == 400 && window.body.contains("PGRST114"), "{}", window.body);
}

#[tokio::test]
async fn an_update_changes_what_its_filters_find() {
    let session = session().await;
    let plain = session.ask("PATCH", "/tasks?id=in.(1,2)", "", r#"{"done": true}"#).await;
    assert_eq!((plain.status, plain.header("content-range")), (204, "0-1/*"));
    let full = session
        .ask(
            "PATCH",
            "/tasks?id=eq.2&select=id,done,projects(name)",
            "prefer: return=representation, count=exact",
            r#"{"done": true}"#,
        )
        .await;
    assert_eq!(
        (full.status, full.body.as_str()),
        (200, r#"[{"id":2,"done":true,"projects":{"name": "Windows 7"}}]"#)
    );
    assert_eq!(full.header("content-range"), "0-0/1");
    let none = session.ask("PATCH", "/tasks?id=eq.99", FULL, r#"{"done": true}"#).await;
    assert_eq!((none.status, none.body.as_str(), none.header("content-range")), (200, "[]", "*/*"));
    let empty = session.ask("PATCH", "/tasks?id=eq.1", "", "{}").await;
    assert_eq!((empty.status, empty.header("content-range")), (204, "*/*"));
    let default = session
        .ask(
            "PATCH",
            "/tasks?id=eq.2&columns=mood&select=mood",
            "prefer: return=representation, missing=default",
            "{}",
        )
        .await;
    assert_eq!(default.body, r#"[{"mood":"low"}]"#, "{}", default.status);
    let logic = session
        .ask("PATCH", "/tasks?or=(id.eq.1,name.like.Loose*)&select=id", FULL, r#"{"done": true}"#)
        .await;
    assert_eq!(logic.body.matches("id").count(), 2, "{}", logic.body);
}

#[tokio::test]
async fn what_is_given_back_may_be_ordered_by_what_is_not() {
    let session = session().await;
    let target = "/clients?select=name&order=id.desc&id=lt.3";
    let changed = session.ask("PATCH", target, FULL, r#"{"name": "x"}"#).await;
    assert_eq!(
        (changed.status, changed.body.matches("name").count()),
        (200, 2),
        "{}",
        changed.body
    );
    let rows = r#"[{"id": 8, "name": "b"}, {"id": 9, "name": "a"}]"#;
    let new = session.ask("POST", "/clients?select=name&order=id.desc", FULL, rows).await;
    assert_eq!(new.body, "[{\"name\":\"a\"}, \n {\"name\":\"b\"}]");
    let called = session.get("/rpc/list_projects?select=name&order=id.desc&limit=1").await;
    assert_eq!(called.body, r#"[{"name":"Orphan"}]"#, "{}", called.status);
}

#[tokio::test]
async fn a_delete_removes_what_its_filters_find() {
    let session = session().await;
    let plain = session.ask("DELETE", "/users_tasks?user_id=eq.1", "prefer: count=exact", "").await;
    assert_eq!((plain.status, plain.header("content-range")), (204, "*/2"));
    let full = session.ask("DELETE", "/tasks?id=eq.1&select=id,users(name)", FULL, "").await;
    assert_eq!(
        (full.status, full.body.as_str()),
        (200, r#"[{"id":1,"users":[{"name": "Angela"}]}]"#)
    );
    let referenced = session.ask("DELETE", "/clients?id=eq.1", "", "").await;
    assert_eq!((referenced.status, referenced.body.contains("23503")), (409, true));
}

#[tokio::test]
async fn a_write_that_must_not_stand_is_undone() {
    let session = session().await;
    let object = "prefer: return=representation\naccept: application/vnd.pgrst.object+json";
    let strict = "prefer: handling=strict, max-affected=1";
    let name = r#"{"name": "all the same"}"#;
    let refusals = [
        ("PATCH", "/clients", object, name, 406, "PGRST116"),
        ("PATCH", "/clients?id=eq.99", object, name, 406, "PGRST116"),
        ("PATCH", "/clients", strict, name, 400, "PGRST124"),
        ("DELETE", "/users_tasks", object, "", 406, "PGRST116"),
        ("DELETE", "/users_tasks", strict, "", 400, "PGRST124"),
        (
            "POST",
            "/clients",
            object,
            r#"[{"id":8,"name":"a"},{"id":9,"name":"b"}]"#,
            406,
            "PGRST116",
        ),
        ("POST", "/rpc/rename_all", object, r#"{"prefix":"x"}"#, 406, "PGRST116"),
        ("POST", "/rpc/rename_all", strict, r#"{"prefix":"x"}"#, 400, "PGRST124"),
        ("PUT", "/clients?id=eq.1", FULL, r#"{"id":2,"name":"x"}"#, 400, "PGRST115"),
    ];
    for (method, target, headers, body, status, code) in refusals {
        let answer = keep(&session, method, target, headers, body).await;
        assert_eq!(
            (answer.status, answer.body.contains(code)),
            (status, true),
            "{method} {target}: {}",
            answer.body
        );
    }
    let clients = session.get("/clients?select=name&order=id").await;
    assert_eq!(
        clients.body,
        "[{\"name\":\"Microsoft\"}, \n {\"name\":\"Apple\"}, \n {\"name\":\"Nobody\"}]"
    );
    assert_eq!(session.get("/users_tasks?select=user_id").await.body.matches("user_id").count(), 4);
    let counted = session.ask("PATCH", "/clients", strict, name).await;
    assert!(counted.body.contains("\"details\":\"The query affects 3 rows\""), "{}", counted.body);
    let one = keep(&session, "PATCH", "/clients?id=eq.1", object, name).await;
    assert_eq!((one.status, one.body.as_str()), (200, r#"{"id":1,"name":"all the same"}"#));
}

#[tokio::test]
async fn lenient_handling_ignores_the_bound() {
    let session = session().await;
    let answer =
        session.ask("PATCH", "/clients", "prefer: max-affected=1", r#"{"name": "x"}"#).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (204, ""));
}

#[tokio::test]
async fn broken_bodies_and_columns_are_told() {
    let session = session().await;
    let table = [
        ("POST", "/clients", "{", 400, "PGRST102", "Empty or invalid json"),
        ("POST", "/clients", "", 400, "PGRST102", "Empty or invalid json"),
        (
            "POST",
            "/clients",
            r#"[{"id":1},{"name":"x"}]"#,
            400,
            "PGRST102",
            "All object keys must match",
        ),
        (
            "POST",
            "/clients",
            r#"{"nope": 1}"#,
            400,
            "PGRST204",
            "Could not find the 'nope' column of 'clients' in the schema cache",
        ),
        ("PATCH", "/clients?columns=nope", "{}", 400, "PGRST204", "'nope' column"),
        ("POST", "/tasks", r#"{"name": "x", "name_length": 1}"#, 400, "428C9", "name_length"),
        ("POST", "/clients", r#"{"id": "x", "name": "x"}"#, 400, "22P02", "integer"),
        (
            "POST",
            "/tasks",
            r#"{"name": "this name is far too long for it"}"#,
            400,
            "22001",
            "too long",
        ),
        (
            "PATCH",
            "/clients?nope=eq.1",
            r#"{"name": "x"}"#,
            400,
            "42703",
            "column clients.nope does not exist",
        ),
    ];
    for (method, target, body, status, code, message) in table {
        let answer = session.ask(method, target, "", body).await;
        assert_eq!(answer.status, status, "{target} {body}: {}", answer.body);
        assert!(answer.body.contains(code) && answer.body.contains(message), "{}", answer.body);
    }
}

#[tokio::test]
async fn views_are_written_through() {
    let session = session().await;
    let answer =
        session.ask("POST", "/open_tasks?select=name", FULL, r#"{"name": "through"}"#).await;
    assert_eq!((answer.status, answer.body.as_str()), (201, r#"[{"name":"through"}]"#));
}

#[tokio::test]
async fn a_transaction_may_be_rolled_back_by_the_client() {
    let mut session = session().await;
    let mut shape = shapes::request("POST", "/clients");
    shape.body = bytes::Bytes::from_static(br#"{"id": 9, "name": "New"}"#);
    shape.headers.insert("prefer", http::HeaderValue::from_static("tx=rollback"));
    let rolls_back = |session: &Session| match shape.prepare_with(session.catalog, &session.config)
    {
        Ok(plinth_rest::Outcome::Query(prepared)) => (prepared.rollback, prepared.statements.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(rolls_back(&session), (false, 1));
    session.config.tx_end = plinth_rest::TxEnd::CommitAllowOverride;
    // The second statement checks what a commit would have.
    assert_eq!(rolls_back(&session), (true, 2));
    let answer = session.send(&shape).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (201, "tx=rollback"));
    session.config.tx_end = plinth_rest::TxEnd::Rollback;
    assert_eq!(rolls_back(&session), (true, 2));
}
