//! What reads answer.

use crate::harness::session;

#[tokio::test]
async fn each_operator_finds_its_rows() {
    let session = session().await;
    let table = [
        ("id=eq.1", "1"),
        ("id=neq.1", "2,3,4"),
        ("id=gt.3", "4"),
        ("id=gte.3", "3,4"),
        ("id=lt.2", "1"),
        ("id=lte.2", "1,2"),
        ("id=not.lte.2", "3,4"),
        ("name=like.Design*", "1,3"),
        ("name=like.Design%25", "1,3"),
        ("name=ilike.*DESIGN*", "1,3"),
        ("name=match.^D.*7$", "1"),
        ("name=imatch.^d", "1,3"),
        ("name=like(any).{D*,L*}", "1,3,4"),
        ("name=like(all).{D*,*7}", "1"),
        ("id=eq(any).{1,4}", "1,4"),
        ("id=gt(all).{1,2}", "3,4"),
        ("id=in.(1,3,9)", "1,3"),
        ("id=in.()", ""),
        ("id=not.in.(1,3)", "2,4"),
        ("name=in.(\"Loose end\",\"a,b\")", "4"),
        ("mood=in.(high)", "2,4"),
        ("weight=is.null", "3"),
        ("weight=not.is.null", "1,2,4"),
        ("weight=is.not_null", "1,2,4"),
        ("done=is.true", "1"),
        ("done=is.not_null", "1,2,3,4"),
        ("weight=isdistinct.1.5", "2,3,4"),
        ("tags=cs.{b}", "1,2"),
        ("tags=cs.{\"x,y\"}", "4"),
        ("tags=cd.{a,b}", "1,3"),
        ("tags=ov.{a,c}", "1,2"),
        ("period=sl.[6,7)", "1"),
        ("period=sr.[0,6)", "4"),
        ("period=adj.[9,20)", "2,4"),
        ("period=nxr.[0,9)", "1,2"),
        ("period=nxl.[5,9)", "2,4"),
        ("period=cs.[2,3]", "1"),
        ("search=fts(english).design", "1,3"),
        ("search=plfts(english).designing windows", "1"),
        ("search=phfts(english).coding windows", "2"),
        ("search=wfts(english).design -phones", "1"),
        ("search=not.fts(english).design", "2"),
        ("name=fts(english).designing", "1,3"),
        ("or=(id.eq.1,and(id.gt.2,done.is.false))", "1,3,4"),
        ("not.or=(id.eq.1,id.eq.2)", "3,4"),
        ("and=(id.gte.2,name.not.like.D*)", "2,4"),
        ("or=(tags.cs.{a,b},name.eq.\"Loose end\")", "1,4"),
        ("tags->>0=eq.a", "1"),
        ("id=gt.1&id=lt.4", "2,3"),
    ];
    for (query, expected) in table {
        let answer = session.get(&format!("/tasks?select=id&order=id&{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let digits: Vec<&str> =
            answer.body.split(|c: char| !c.is_ascii_digit()).filter(|it| !it.is_empty()).collect();
        assert_eq!(digits.join(","), expected, "{query}");
    }
}

#[tokio::test]
async fn a_body_is_what_to_json_prints() {
    let session = session().await;
    let answer = session.get("/clients?order=id&limit=2").await;
    assert_eq!(
        answer.body,
        "[{\"id\":1,\"name\":\"Microsoft\"}, \n {\"id\":2,\"name\":\"Apple\"}]"
    );
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("content-range"), "0-1/*");
    assert_eq!(answer.header("content-location"), "/clients?limit=2&order=id");
    assert_eq!(session.get("/clients?id=eq.99").await.body, "[]");
}

#[tokio::test]
async fn select_renames_casts_and_follows_paths() {
    let session = session().await;
    let select = "key:id,id::text,meta->a->>b,deep:meta->a,meta->tags->>-1";
    let answer = session.get(&format!("/projects?select={select}&id=eq.1")).await;
    assert_eq!(answer.body, r#"[{"key":1,"id":"1","b":"1","deep":{"b": 1},"tags":"y"}]"#);
    let computed = session.get("/projects?select=label&label=eq.3:IOS").await;
    assert_eq!(computed.body, r#"[{"label":"3:IOS"}]"#);
    let element = session.get("/projects?select=meta->1&id=eq.4").await;
    assert_eq!(element.body, r#"[{"meta":20}]"#);
}

#[tokio::test]
async fn orders_place_nulls_where_asked() {
    let session = session().await;
    let ids = async |order: &str| {
        session.get(&format!("/tasks?select=id&order={order}")).await.body.replace(", \n ", "")
    };
    assert_eq!(ids("weight").await, r#"[{"id":1}{"id":2}{"id":4}{"id":3}]"#);
    assert_eq!(ids("weight.desc").await, r#"[{"id":3}{"id":4}{"id":2}{"id":1}]"#);
    assert_eq!(ids("weight.desc.nullslast").await, r#"[{"id":4}{"id":2}{"id":1}{"id":3}]"#);
    assert_eq!(ids("done.desc,id.desc").await, r#"[{"id":1}{"id":4}{"id":3}{"id":2}]"#);
}

#[tokio::test]
async fn windows_and_counts_make_ranges() {
    let mut session = session().await;
    let exact = "prefer: count=exact";
    let table = [
        ("/tasks", "", "", 200, "0-3/*"),
        ("/tasks", exact, "", 200, "0-3/4"),
        ("/tasks?limit=2", exact, "", 206, "0-1/4"),
        ("/tasks?limit=2&offset=3", exact, "", 206, "3-3/4"),
        ("/tasks?offset=4", exact, "", 206, "*/4"),
        ("/tasks?offset=5", exact, "PGRST103", 416, "*/4"),
        ("/tasks?offset=5", "", "", 200, "*/*"),
        ("/tasks?limit=0", exact, "", 206, "*/4"),
        ("/tasks?id=eq.99", exact, "", 200, "*/0"),
        ("/tasks", "range: 1-2", "", 200, "1-2/*"),
        ("/tasks?limit=1", "range: 0-9\nprefer: count=exact", "", 206, "0-0/4"),
        ("/tasks", "range: 2-1", "PGRST103", 416, ""),
        ("/tasks?limit=-1", "", "PGRST103", 416, ""),
    ];
    for (target, headers, code, status, range) in table {
        let answer = session.ask("GET", target, headers, "").await;
        assert_eq!(answer.status, status, "{target} {headers}: {}", answer.body);
        assert_eq!(answer.header("content-range"), range, "{target} {headers}");
        assert!(code.is_empty() || answer.body.contains(code), "{}", answer.body);
    }
    session.config.max_rows = Some(3);
    let capped = session.ask("GET", "/tasks?limit=9", exact, "").await;
    assert_eq!((capped.status, capped.header("content-range")), (206, "0-2/4"));
    assert_eq!(capped.header("preference-applied"), "count=exact");
}

#[tokio::test]
async fn estimated_counts_ask_the_planner_beyond_the_cap() {
    let mut session = session().await;
    session.client.batch_execute("analyze api.tasks; analyze api.clients").await.unwrap();
    let planned = session.ask("GET", "/tasks?limit=1", "prefer: count=planned", "").await;
    assert_eq!((planned.status, planned.header("content-range")), (206, "0-0/4"));
    session.config.max_rows = Some(2);
    let estimated = session.ask("GET", "/tasks", "prefer: count=estimated", "").await;
    assert_eq!((estimated.status, estimated.header("content-range")), (206, "0-1/4"));
    let few = session.ask("GET", "/tasks?id=eq.1", "prefer: count=estimated", "").await;
    assert_eq!((few.status, few.header("content-range")), (200, "0-0/1"));
}

#[tokio::test]
async fn head_answers_headers_alone() {
    let session = session().await;
    let answer = session.ask("HEAD", "/tasks?limit=2", "prefer: count=exact", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (206, ""));
    assert_eq!(answer.header("content-range"), "0-1/4");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
}

#[tokio::test]
async fn media_types_shape_the_body() {
    let session = session().await;
    let accept = async |target: &str, media: &str| {
        session.ask("GET", target, &format!("accept: {media}"), "").await
    };
    let object = accept("/projects?id=eq.3", "application/vnd.pgrst.object+json").await;
    assert_eq!(object.body, r#"{"id":3,"name":"IOS","client_id":2,"meta":null}"#);
    let media = "application/vnd.pgrst.object+json; charset=utf-8";
    assert_eq!(object.header("content-type"), media);
    let stripped =
        accept("/projects?id=eq.3", "application/vnd.pgrst.array+json;nulls=stripped").await;
    assert_eq!(stripped.body, r#"[{"id":3,"name":"IOS","client_id":2}]"#);
    let csv = accept("/tasks?select=name,id,tags&id=in.(1,4)&order=id", "text/csv").await;
    assert_eq!(
        csv.body,
        "name,id,tags\n\"Design w7\",1,\"{a,b}\"\n\"Loose end\",4,\"{\"\"x,y\"\"}\""
    );
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(accept("/tasks?id=eq.99", "text/csv").await.body, "\n");
    let best = accept("/clients?id=eq.1&select=id", "text/html, */*;q=0.5").await;
    assert_eq!(best.body, r#"[{"id":1}]"#);
    let refused = accept("/clients", "application/pdf, image/png").await;
    assert_eq!(refused.status, 406);
    assert!(
        refused
            .body
            .contains("None of these media types are available: application/pdf, image/png")
    );
}

#[tokio::test]
async fn one_object_means_one_row() {
    let session = session().await;
    let media = "accept: application/vnd.pgrst.object+json";
    for (target, rows) in [("/clients", 3), ("/clients?id=eq.99", 0)] {
        let answer = session.ask("GET", target, media, "").await;
        assert_eq!(answer.status, 406);
        let details = format!("\"details\":\"The result contains {rows} rows\"");
        assert!(
            answer.body.contains("PGRST116") && answer.body.contains(&details),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn plans_are_shown_where_they_are_enabled() {
    let mut session = session().await;
    let media = "accept: application/vnd.pgrst.plan+json; options=analyze";
    let json = session.ask("GET", "/clients?id=eq.1", media, "").await;
    assert_eq!(json.status, 200);
    assert!(json.body.starts_with("[") && json.body.contains("Actual Rows"), "{}", json.body);
    let text = session.ask("GET", "/clients", "accept: application/vnd.pgrst.plan", "").await;
    assert!(text.body.starts_with("Aggregate"), "{}", text.body);
    let name = "application/vnd.pgrst.plan+text; for=\"application/json\"; charset=utf-8";
    assert_eq!(text.header("content-type"), name);
    session.config.plan = false;
    assert_eq!(session.ask("GET", "/clients", media, "").await.status, 406);
}

#[tokio::test]
async fn aggregates_group_by_the_rest() {
    let mut session = session().await;
    let answer =
        session.get("/tasks?select=done,count(),total:weight.sum()::text&order=done").await;
    assert_eq!(
        answer.body,
        "[{\"done\":false,\"count\":3,\"total\":\"42.00\"}, \n {\"done\":true,\"count\":1,\"total\":\"1.50\"}]"
    );
    // Groups of what has no equality once it is JSON.
    let by_mood = "/tasks?select=kind:mood,count()&order=mood&limit=1";
    assert_eq!(session.get(by_mood).await.body, "[{\"kind\":\"low\",\"count\":1}]");
    session.config.aggregates = false;
    let refused = session.get("/tasks?select=count()").await;
    assert!(refused.status == 400 && refused.body.contains("PGRST123"));
}

#[tokio::test]
async fn odd_names_are_quoted() {
    let session = session().await;
    let answer = session.get("/odd%20%22table?select=\"na,me\",cölumn&\"na,me\"=eq.x").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "[{\"na,me\":\"x\",\"cölumn\":3}]"));
}

#[tokio::test]
async fn options_name_the_methods() {
    let session = session().await;
    let allow = async |target: &str| {
        let answer = session.ask("OPTIONS", target, "", "").await;
        (answer.status, answer.header("allow").to_owned())
    };
    assert_eq!(allow("/tasks").await, (200, "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE".into()));
    assert_eq!(allow("/no_key").await, (200, "OPTIONS,GET,HEAD,POST,PATCH,DELETE".into()));
    assert_eq!(allow("/rpc/greet").await, (200, "OPTIONS,GET,HEAD,POST".into()));
    assert_eq!(allow("/rpc/with_headers").await, (200, "OPTIONS,POST".into()));
    assert_eq!(allow("/").await, (200, "OPTIONS,GET,HEAD".into()));
    assert_eq!(session.ask("OPTIONS", "/nothing", "", "").await.status, 404);
}

#[tokio::test]
async fn the_root_describes_the_schema() {
    let session = session().await;
    let answer = session.get("/").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/openapi+json; charset=utf-8");
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let task = &json["definitions"]["tasks"]["properties"];
    assert_eq!(task["id"]["format"], "int32");
    assert_eq!(task["mood"]["enum"], serde_json::json!(["low", "high"]));
    assert_eq!(task["name"]["maxLength"], 20);
    let note = "Note:\nThis is a Foreign Key to `projects.id`.<fk table='projects' column='id'/>";
    assert_eq!(task["project_id"]["description"], note);
    assert!(json["paths"]["/rpc/add"]["get"].is_object());
    assert!(json["paths"]["/rpc/touch"]["get"].is_null());
    assert!(json["parameters"]["rowFilter.tasks.name"].is_object());
    session
        .client
        .batch_execute("create role rest_nobody; set local role rest_nobody")
        .await
        .unwrap();
    session.client.batch_execute("savepoint before").await.unwrap();
    let hidden: serde_json::Value = serde_json::from_str(&session.get("/").await.body).unwrap();
    assert!(hidden["definitions"].as_object().unwrap().is_empty());
}

#[tokio::test]
async fn the_root_tells_types_as_its_reader_sees_them() {
    let mut session = session().await;
    let format = |body: &str| {
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let feel = &json["paths"]["/rpc/feel"];
        let property = &feel["post"]["parameters"][0]["schema"]["properties"]["how"];
        assert_eq!(property["format"], feel["get"]["parameters"][0]["format"]);
        assert_eq!(json["definitions"]["tasks"]["properties"]["mood"]["format"], "api.mood");
        property["format"].clone()
    };
    assert_eq!(format(&session.get("/").await.body), "mood");
    session.config.openapi_mode = plinth_rest::OpenApiMode::IgnorePrivileges;
    assert_eq!(format(&session.get("/").await.body), "api.mood");
}

#[tokio::test]
async fn the_root_is_shaped_by_the_configuration() {
    let mut session = session().await;
    let plain: serde_json::Value = serde_json::from_str(&session.get("/").await.body).unwrap();
    assert!(plain["security"].is_null() && plain["securityDefinitions"].is_null());
    session.config.openapi_security = true;
    session.config.openapi_proxy_uri = Some("https://db.example.com/v1".to_owned());
    let body = session.get("/").await.body;
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["security"], serde_json::json!([{ "JWT": [] }]));
    assert_eq!(json["securityDefinitions"]["JWT"]["name"], "Authorization");
    assert_eq!((&json["host"], &json["basePath"]), (&"db.example.com:443".into(), &"/v1".into()));
    session.config.root_spec = Some("api.greet".to_owned());
    session.config.openapi_mode = plinth_rest::OpenApiMode::Disabled;
    let called = session.get("/").await;
    assert_eq!((called.status, called.body.as_str()), (200, "\"hello\""));
    assert_eq!(session.ask("OPTIONS", "/", "", "").await.header("allow"), "OPTIONS,GET,HEAD,POST");
}

#[tokio::test]
async fn a_pre_request_function_may_set_headers_of_any_read() {
    let mut session = session().await;
    let set = "select set_config('response.headers', '[{\"X-Pre\": \"1\"}]', true), \
               set_config('response.status', '203', true)";
    session.client.batch_execute(set).await.unwrap();
    let unasked = session.get("/clients?id=eq.1").await;
    assert_eq!((unasked.status, unasked.header("x-pre")), (200, ""));
    let view = session.get("/open_tasks?limit=1").await;
    assert_eq!((view.status, view.header("x-pre")), (203, "1"));
    session.config.pre_request = true;
    let asked = session.get("/clients?id=eq.1").await;
    assert_eq!((asked.status, asked.header("x-pre")), (203, "1"));
    session.client.batch_execute("select set_config('response.headers', 'x', true)").await.unwrap();
    let broken = session.get("/clients?id=eq.1").await;
    assert_eq!((broken.status, broken.body.contains("PGRST111")), (500, true));
}

#[tokio::test]
async fn windows_of_embeds_are_postgresqls_to_refuse() {
    let session = session().await;
    for (window, code) in [("limit=-1", "2201W"), ("offset=-2", "2201X")] {
        let answer = session.get(&format!("/projects?select=id,tasks(id)&tasks.{window}")).await;
        assert_eq!((answer.status, answer.body.contains(code)), (400, true), "{}", answer.body);
    }
    let answer =
        session.get("/projects?select=id,tasks(id)&id=eq.1&tasks.limit=x&tasks.offset=0").await;
    assert_eq!(answer.body, r#"[{"id":1,"tasks":[]}]"#);
}
