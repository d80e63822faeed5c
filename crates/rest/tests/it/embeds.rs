//! What embeds answer.

use crate::harness::{Session, session};

async fn body(session: &Session, target: &str) -> String {
    let answer = session.get(target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    answer.body.replace(", \n ", ",")
}

#[tokio::test]
async fn an_embed_is_an_object_or_an_array() {
    let session = session().await;
    assert_eq!(
        body(&session, "/projects?select=id,client:clients(id,name)&id=in.(1,4)&order=id").await,
        r#"[{"id":1,"client":{"id": 1, "name": "Microsoft"}},{"id":4,"client":null}]"#
    );
    assert_eq!(
        body(&session, "/clients?select=id,projects(id)&order=id").await,
        r#"[{"id":1,"projects":[{"id": 1}, {"id": 2}]},{"id":2,"projects":[{"id": 3}]},{"id":3,"projects":[]}]"#
    );
    assert_eq!(
        body(&session, "/users?select=id,tasks(id)&order=id&tasks.order=id.desc").await,
        r#"[{"id":1,"tasks":[{"id": 2}, {"id": 1}]},{"id":2,"tasks":[{"id": 2}]},{"id":3,"tasks":[{"id": 3}]}]"#
    );
    assert_eq!(
        body(&session, "/users?select=id,profiles(bio)&id=lt.3&order=id").await,
        r#"[{"id":1,"profiles":{"bio": "boss"}},{"id":2,"profiles":null}]"#
    );
}

#[tokio::test]
async fn a_relation_embeds_itself_both_ways() {
    let session = session().await;
    assert_eq!(
        body(&session, "/users?select=name,reports:users(name)&id=eq.1").await,
        r#"[{"name":"Angela","reports":[{"name": "Michael"}, {"name": "Dwight"}]}]"#
    );
    assert_eq!(
        body(&session, "/users?select=name,boss:manager_id(name)&id=eq.2").await,
        r#"[{"name":"Michael","boss":{"name": "Angela"}}]"#
    );
    assert_eq!(
        body(&session, "/users?select=name,users!manager_id(name)&id=eq.2").await,
        r#"[{"name":"Michael","users":[]}]"#
    );
}

#[tokio::test]
async fn hints_choose_among_relationships() {
    let session = session().await;
    let hinted =
        "/orders?select=id,billing:addresses!billing_id(street),addresses!orders_shipping(street)";
    assert_eq!(
        body(&session, hinted).await,
        r#"[{"id":1,"billing":{"street": "Main"},"addresses":{"street": "Side"}}]"#
    );
    let ambiguous = session.get("/orders?select=addresses(*)").await;
    assert_eq!(ambiguous.status, 300);
    let json: serde_json::Value = serde_json::from_str(&ambiguous.body).unwrap();
    assert_eq!(json["code"], "PGRST201");
    assert_eq!(
        json["details"][0],
        serde_json::json!({
            "cardinality": "many-to-one",
            "embedding": "orders with addresses",
            "relationship": "orders_billing using orders(billing_id) and addresses(id)",
        })
    );
    assert_eq!(
        json["hint"],
        "Try changing 'addresses' to one of the following: 'addresses!orders_billing', \
         'addresses!orders_shipping'. Find the desired relationship in the 'details' key."
    );
}

#[tokio::test]
async fn embeds_have_filters_orders_and_windows() {
    let session = session().await;
    let query = "/clients?select=id,projects(id,tasks(id))&id=eq.1&projects.order=id.desc\
                 &projects.limit=1&projects.offset=1&projects.tasks.done=is.false";
    assert_eq!(
        body(&session, query).await,
        r#"[{"id":1,"projects":[{"id": 1, "tasks": [{"id": 2}]}]}]"#
    );
    let by_alias = "/clients?select=id,works:projects(id)&id=eq.1&works.id=eq.2";
    assert_eq!(body(&session, by_alias).await, r#"[{"id":1,"works":[{"id": 2}]}]"#);
    let logic = "/clients?select=id,projects(id)&id=eq.1&projects.or=(id.eq.2,name.like.*7)&projects.order=id";
    assert_eq!(body(&session, logic).await, r#"[{"id":1,"projects":[{"id": 1}, {"id": 2}]}]"#);
}

#[tokio::test]
async fn an_aliased_embed_may_still_be_called_by_its_relation() {
    let mut session = session().await;
    let by_relation =
        "/clients?select=id,works:projects(id)&id=eq.1&projects.order=id.desc&projects.limit=1";
    let answer = session.get(by_relation).await;
    assert_eq!(answer.body, r#"[{"id":1,"works":[{"id": 2}]}]"#);
    assert_eq!(
        answer.header("warning"),
        "299 PostgRESTv16 \"Embedded resource was referenced by relation name even though it has an alias. \
         This is deprecated and will stop working in a future release. Update `projects` to `works` in query \
         string filters, orders or limits.\""
    );
    let by_alias =
        "/clients?select=id,works:projects(id)&id=eq.1&works.order=id.desc&works.limit=1";
    let answer = session.get(by_alias).await;
    assert_eq!(answer.body, r#"[{"id":1,"works":[{"id": 2}]}]"#);
    assert!(!answer.headers.contains_key("warning"));

    session.config.legacy_target_names = false;
    assert_eq!(session.get(by_alias).await.status, 200);
    let refused = session.get(by_relation).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.body,
        r#"{"code":"PGRST108","details":"Target names are not allowed in filters if they have an alias","hint":"Change 'projects' to 'works' in filters, orders or limits.","message":"'projects' is not an embedded resource in this request"}"#
    );
}

#[tokio::test]
async fn a_page_is_cut_before_it_is_embedded_in() {
    let session = session().await;
    let page =
        "/clients?select=name,projects(id)&order=name&limit=1&offset=1&projects.order=id.desc";
    assert_eq!(
        body(&session, page).await,
        r#"[{"name":"Microsoft","projects":[{"id": 2}, {"id": 1}]}]"#
    );
    // What decides whether a row is there counts before the window does.
    let inner = "/clients?select=id,projects!inner(id)&projects.id=gte.2&order=name.desc&limit=1";
    assert_eq!(body(&session, inner).await, r#"[{"id":1,"projects":[{"id": 2}]}]"#);
    let without = "/clients?select=*,projects(id)&projects=is.null&order=id.desc&limit=1";
    assert_eq!(body(&session, without).await, r#"[{"id":3,"name":"Nobody","projects":[]}]"#);
    let to_one = "/projects?select=id,clients!inner(name)&order=name.desc&limit=2&offset=1";
    assert_eq!(
        body(&session, to_one).await,
        r#"[{"id":2,"clients":{"name": "Microsoft"}},{"id":3,"clients":{"name": "Apple"}}]"#
    );
    let nested =
        "/clients?select=id,projects(id,tasks(id))&id=eq.1&projects.order=name&projects.limit=1";
    assert_eq!(body(&session, nested).await, r#"[{"id":1,"projects":[{"id": 2, "tasks": []}]}]"#);
}

#[tokio::test]
async fn an_aggregate_is_there_even_where_nothing_is() {
    let session = session().await;
    let counted = "/clients?select=id,projects!inner(count())&order=id.desc&limit=1";
    assert_eq!(body(&session, counted).await, r#"[{"id":3,"projects":[{"count": 0}]}]"#);
    let none = "/clients?select=id,projects!inner(id)&projects.limit=0";
    assert_eq!(body(&session, none).await, "[]");
}

#[tokio::test]
async fn inner_embeds_filter_their_parent() {
    let session = session().await;
    let inner = "/clients?select=name,projects!inner(name)&projects.name=eq.IOS";
    assert_eq!(body(&session, inner).await, r#"[{"name":"Apple","projects":[{"name": "IOS"}]}]"#);
    let to_one = "/projects?select=id,clients!inner()&clients.name=eq.Apple";
    assert_eq!(body(&session, to_one).await, r#"[{"id":3}]"#);
    let counted = session.ask("GET", &format!("{inner}&limit=1"), "prefer: count=exact", "").await;
    assert_eq!((counted.status, counted.header("content-range")), (200, "0-0/1"));
}

#[tokio::test]
async fn embeds_may_be_asked_to_be_there_or_not() {
    let session = session().await;
    let without = "/clients?select=name,projects(id)&projects=is.null";
    assert_eq!(body(&session, without).await, r#"[{"name":"Nobody","projects":[]}]"#);
    let with = "/clients?select=name,projects()&projects=not.is.null&order=name";
    assert_eq!(body(&session, with).await, r#"[{"name":"Apple"},{"name":"Microsoft"}]"#);
    let either =
        "/projects?select=id,clients(),tasks()&or=(clients.is.null,tasks.is.null)&order=id";
    assert_eq!(body(&session, either).await, r#"[{"id":2},{"id":4}]"#);
    let counted = session.ask("GET", &format!("{with}&limit=1"), "prefer: count=exact", "").await;
    assert_eq!(counted.header("content-range"), "0-0/2");
}

#[tokio::test]
async fn rows_may_be_ordered_by_a_to_one_embed() {
    let session = session().await;
    let order = "/projects?select=id,clients(name)&order=clients(name).asc.nullsfirst,id.desc";
    let expected = r#"[{"id":4,"clients":null},{"id":3,"clients":{"name": "Apple"}},{"id":2,"clients":{"name": "Microsoft"}},{"id":1,"clients":{"name": "Microsoft"}}]"#;
    assert_eq!(body(&session, order).await, expected);
    let to_many = session.get("/clients?select=*,projects(*)&order=projects(id)").await;
    assert!(to_many.body.contains("PGRST118"), "{}", to_many.body);
    let absent = session.get("/clients?order=projects(id)").await;
    assert!(absent.body.contains("PGRST108"), "{}", absent.body);
}

#[tokio::test]
async fn spreads_give_their_columns_to_the_parent() {
    let session = session().await;
    assert_eq!(
        body(
            &session,
            "/tasks?select=id,...projects(project:name,...clients(client:name))&id=eq.1"
        )
        .await,
        r#"[{"id":1,"project":"Windows 7","client":"Microsoft"}]"#
    );
    assert_eq!(
        body(&session, "/projects?select=pid:id,...clients(*)&id=eq.3").await,
        r#"[{"pid":3,"id":2,"name":"Apple"}]"#
    );
    assert_eq!(
        body(
            &session,
            "/clients?select=id,...projects(ids:id,names:name)&projects.order=name.desc&order=id"
        )
        .await,
        r#"[{"id":1,"ids":[1, 2],"names":["Windows 7", "Windows 10"]},{"id":2,"ids":[3],"names":["IOS"]},{"id":3,"ids":[],"names":[]}]"#
    );
    assert_eq!(
        body(&session, "/users?select=id,...tasks!inner(task:id)&tasks.id=eq.1").await,
        r#"[{"id":1,"task":[1]}]"#
    );
}

#[tokio::test]
async fn aggregates_work_within_embeds_and_spreads() {
    let session = session().await;
    assert_eq!(
        body(&session, "/clients?select=id,projects(count(),id.max())&order=id").await,
        r#"[{"id":1,"projects":[{"max": 2, "count": 2}]},{"id":2,"projects":[{"max": 3, "count": 1}]},{"id":3,"projects":[{"max": null, "count": 0}]}]"#
    );
    assert_eq!(
        body(&session, "/tasks?select=...projects(client_id),count()&order=count").await,
        r#"[{"count":1,"client_id":null},{"count":1,"client_id":2},{"count":2,"client_id":1}]"#
    );
    assert_eq!(
        body(&session, "/tasks?select=done,...projects(id.max())&order=done").await,
        r#"[{"done":false,"max":3},{"done":true,"max":1}]"#
    );
    let refused = session.get("/clients?select=...projects(count())").await;
    assert!(refused.body.contains("PGRST127"), "{}", refused.body);
}

#[tokio::test]
async fn functions_are_relationships_too() {
    let session = session().await;
    let query = "/projects?select=id,computed_client(name),computed_tasks(id)&id=eq.1&computed_tasks.order=id";
    assert_eq!(
        body(&session, query).await,
        r#"[{"id":1,"computed_tasks":[{"id": 1}, {"id": 2}],"computed_client":{"name": "Microsoft"}}]"#
    );
}

#[tokio::test]
async fn unknown_embeds_are_told_with_a_hint() {
    let session = session().await;
    let answer = session.get("/clients?select=*,project(*)").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.body,
        r#"{"code":"PGRST200","details":"Searched for a foreign key relationship between 'clients' and 'project' in the schema 'api', but no matches were found.","hint":"Perhaps you meant 'projects' instead of 'project'.","message":"Could not find a relationship between 'clients' and 'project' in the schema cache"}"#
    );
    let hinted = session.get("/clients?select=*,projects!nope(*)").await;
    assert!(
        hinted.body.contains("'clients' and 'projects' using the hint 'nope' in the schema 'api'"),
        "{}",
        hinted.body
    );
    let filtered = session.get("/clients?projects.id=eq.1").await;
    assert!(filtered.body.contains("PGRST108"), "{}", filtered.body);
}

#[tokio::test]
async fn a_relation_with_hidden_junctions_is_known() {
    let session = session().await;
    let answer = session.get("/paints?select=watched(*)").await;
    assert_eq!(
        answer.body,
        r#"{"code":"PGRST200","details":"Searched for a foreign key relationship between 'paints' and 'watched' in the schema 'api', but no matches were found.","hint":null,"message":"Could not find a relationship between 'paints' and 'watched' in the schema cache"}"#
    );
}

#[tokio::test]
async fn errors_about_columns_name_the_relation() {
    let session = session().await;
    for (query, message) in [
        ("/clients?select=id,projects(id)&projects=eq.1", "column clients.projects does not exist"),
        (
            "/clients?select=nope,projects(id)&order=name&limit=1",
            "column clients.nope does not exist",
        ),
        ("/users?select=id,tasks(nope)", "column tasks.nope does not exist"),
        ("/clients?select=id,projects(nope)", "column projects_1.nope does not exist"),
    ] {
        let answer = session.get(query).await;
        assert!(answer.status == 400 && answer.body.contains(message), "{query}: {}", answer.body);
    }
}
