//! Deliveries to webhooks, through the socket. What a hook believes is tested with the crate `work`.

use http::{Method, StatusCode};
use plinth_testkit::TestDatabase;
use serde_json::json;

use crate::support::with_project;

/// A variable that every process has is a secret that needs no preparation.
const SECRET: &str = "PATH";

/// A hook `deploy` whose deliveries carry the secret in a header.
pub(crate) fn hook() -> String {
    let spec = json!({
        "name": "deploy",
        "verify": { "scheme": "shared-header", "secrets": [SECRET], "header": "x-proof", "encoding": "hex" },
        "action": "noop",
        "role": "owner",
        "done": ["select $body"],
        "retry": { "attempts": 1, "first_ms": 1000, "factor": 1.0, "max_ms": 1000, "jitter": 0.0 },
        "timeout_ms": 1000,
    });
    format!("insert into plinth.binding (name, kind, spec) values ('deploy', 'hook', '{spec}');")
}

fn secret() -> String {
    std::env::var(SECRET).unwrap()
}

async fn jobs(database: &TestDatabase) -> String {
    let endpoint = database.cluster().cluster().endpoint();
    let owner =
        endpoint.connect_as(&database.project().owner_login, database.name()).await.unwrap();
    let jobs = "select coalesce(string_agg((input->'body')::text, ',' order by id), 'none') from plinth.job";
    let row = owner.query_one(jobs, &[]).await.unwrap();
    owner.close().await;
    row.get(0)
}

#[test]
fn a_delivery_becomes_a_job_and_its_sender_needs_no_key() {
    with_project(
        &hook(),
        |_| {},
        async |instance, database| {
            let api = instance.api().below(&format!("/p/{}", database.name()));
            let sender = api.with("x-proof", &secret());
            let delivered = instance.projects.get(database.name()).unwrap();
            let delivered = delivered.delivered().unwrap().notified();
            for _ in 0..2 {
                let answer =
                    sender.send(Method::POST, "/hooks/v1/deploy", r#"{"n": 1}"#.into()).await;
                let answer = answer.unwrap();
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            }
            delivered.await;
            assert_eq!(jobs(database).await, r#"{"n": 1}"#);
        },
    );
}

#[test]
fn what_is_no_hook_is_answered_like_any_path_that_leads_nowhere() {
    with_project(
        &hook(),
        |_| {},
        async |instance, database| {
            let api = instance.api().below(&format!("/p/{}", database.name()));
            let sender = api.with("x-proof", &secret());
            let nowhere = sender.send(Method::POST, "/nowhere", "{}".into()).await.unwrap();
            assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
            for path in [
                "/hooks/v1",
                "/hooks/v1/",
                "/hooks/v1/other",
                "/hooks/v1/deploy/x",
                "/hooks/v1/a/b/c",
            ] {
                let answer = sender.send(Method::POST, path, "{}".into()).await.unwrap();
                assert_eq!(
                    (answer.status, answer.text()),
                    (nowhere.status, nowhere.text()),
                    "{path}"
                );
            }
            let answer = sender.get("/hooks/v1/deploy").await.unwrap();
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.header("allow"), Some("POST"));
            let long = bytes::Bytes::from(vec![b'x'; (1 << 20) + 1]);
            let answer = sender.send(Method::POST, "/hooks/v1/deploy", long).await.unwrap();
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(jobs(database).await, "none");
        },
    );
}
