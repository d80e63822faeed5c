//! CORS, limits, and whatever a client may get wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use plinth_testkit::token::user_token;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Instance, gist, with_project};

const TABLE: &str =
    "create table note (id int primary key, body text); insert into note values (1, 'a');
    create function nap(seconds float8) returns text language sql volatile as
        $$ select 'rested' from pg_sleep(seconds) $$;";

/// Sends bytes as they are and reads until the server hangs up or is silent.
async fn raw(instance: &Instance, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(instance.address).await.unwrap();
    // The server may hang up in the middle, which is an answer too.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(2), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_preflight_needs_no_key_and_allows_what_it_asks_for() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let api = instance
                .rest(database.project())
                .with("origin", "http://localhost:3000")
                .with("access-control-request-method", "PATCH")
                .with("access-control-request-headers", "apikey,x-client-info,prefer");
            let answer = api.send(Method::OPTIONS, "/note", Bytes::new()).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(
                answer.header("access-control-allow-headers"),
                Some("apikey,x-client-info,prefer")
            );
            let methods = answer.header("access-control-allow-methods").unwrap();
            assert_eq!(methods, "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT");
        },
    );
}

#[test]
fn every_answer_may_be_read_by_scripts_of_every_origin() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let origin = |api: plinth_testkit::api::Api| api.with("origin", "https://example.org");
            let project = database.project();
            for answer in [
                origin(instance.anon(project)).get("/note").await.unwrap(),
                origin(instance.rest(project)).get("/note").await.unwrap(),
                origin(instance.api()).get("/p/nope/rest/v1/x").await.unwrap(),
                origin(instance.api()).get("/health").await.unwrap(),
            ] {
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    Some("*"),
                    "{}",
                    answer.text()
                );
                let exposed = answer.header("access-control-expose-headers").unwrap();
                assert!(
                    exposed.contains("Content-Range") && exposed.contains("Location"),
                    "{exposed}"
                );
            }
        },
    );
}

#[test]
fn an_options_request_that_is_no_preflight_is_the_data_apis_own() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let api = instance.anon(database.project());
            let answer = api.send(Method::OPTIONS, "/note", Bytes::new()).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.header("allow").unwrap().contains("POST"), "{:?}", answer.headers);
        },
    );
}

#[test]
fn a_body_above_the_limit_is_a_413_however_it_is_sent() {
    with_project(
        TABLE,
        |config| config.http.body_bytes = 1000,
        async |instance, database| {
            let project = database.project();
            let body = json!({"id": 2, "body": "x".repeat(2000)});
            let answer = instance.service(project).post("/note", &body).await.unwrap();
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
            assert!(answer.json()["hint"].as_str().unwrap().contains("http.body_size"));

            let head = format!(
                "POST /p/{}/rest/v1/note HTTP/1.1\r\nhost: x\r\napikey: {}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
                project.name,
                project.keys.secret_key.expose()
            );
            let chunked = format!("{head}{:x}\r\n{}\r\n0\r\n\r\n", 2000, "x".repeat(2000));
            assert!(raw(instance, chunked.as_bytes()).await.starts_with("HTTP/1.1 413"));

            let small = json!({"id": 3, "body": "x".repeat(500)});
            assert_eq!(
                instance.service(project).post("/note", &small).await.unwrap().status,
                StatusCode::CREATED
            );
        },
    );
}

#[test]
fn a_head_above_the_limit_is_a_431() {
    let change = |config: &mut plinth_server::config::Config| {
        config.http.header_bytes = 8192;
        config.http.header_count = 20;
    };
    with_project(TABLE, change, async |instance, _| {
        let long =
            format!("GET /health HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(20_000));
        // What is left unread may make the system drop the answer together with the connection.
        let answer = raw(instance, long.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        let many: String = (0..30).map(|number| format!("x-{number}: 1\r\n")).collect();
        let many = format!("GET /health HTTP/1.1\r\nhost: x\r\n{many}\r\n");
        let answer = raw(instance, many.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert_eq!(instance.api().get("/health").await.unwrap().status, StatusCode::OK);
    });
}

#[test]
fn a_client_that_does_not_finish_its_head_is_hung_up_on() {
    let change = |config: &mut plinth_server::config::Config| {
        config.http.header_timeout = Duration::from_millis(200);
    };
    with_project(TABLE, change, async |instance, _| {
        let mut stream = TcpStream::connect(instance.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost:").await.unwrap();
        let mut rest = Vec::new();
        let closed =
            tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the server waits for ever");
    });
}

#[test]
fn bytes_that_are_no_http_do_no_harm() {
    with_project(
        TABLE,
        |_| {},
        async |instance, _| {
            for bytes in [
            &b"\r\n\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            b"POST /health HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let answer = raw(instance, bytes).await;
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
            assert!(refused, "{:?} gives {answer:?}", String::from_utf8_lossy(bytes));
        }
            assert_eq!(instance.api().get("/health").await.unwrap().status, StatusCode::OK);
        },
    );
}

#[test]
fn requests_that_make_no_sense_are_the_clients_mistake() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            for (method, path, body) in [
                (Method::GET, "/note?id=eq", ""),
                (Method::GET, "/note?id=nonsense.1", ""),
                (Method::GET, "/note?id=eq.abc", ""),
                (Method::GET, "/note?select=no_such_column", ""),
                (Method::GET, "/note?select=id,", ""),
                (Method::GET, "/note?select=((((", ""),
                (Method::GET, "/note?order=id.sideways", ""),
                (Method::GET, "/note?limit=-1", ""),
                (Method::GET, "/note?and=(id.eq.1", ""),
                (Method::GET, "/no_such_table", ""),
                (Method::GET, "/note/1", ""),
                (Method::GET, "//", ""),
                (Method::GET, "/%00", ""),
                (Method::GET, "/%ff%fe", ""),
                (Method::GET, "/note?id=eq.%00", ""),
                (Method::GET, "/rpc/no_such_function", ""),
                (Method::POST, "/note", "{"),
                (Method::POST, "/note", "[{\"id\": 5}, {\"body\": \"x\"}]"),
                (Method::POST, "/note", "{\"id\": \"abc\"}"),
                (Method::POST, "/note", "{\"no_such_column\": 1}"),
                (Method::POST, "/note", "{\"id\": 9, \"body\": \"\\u0000\"}"),
                (Method::PATCH, "/note?id=eq.1", "[1,2"),
                (Method::POST, "/rpc/nap", "{\"wrong\": 1}"),
                (Method::from_bytes(b"BREW").unwrap(), "/note", ""),
                (Method::TRACE, "/note", ""),
            ] {
                let answer = api
                    .with("content-type", "application/json")
                    .send(method.clone(), path, Bytes::from_static(body.as_bytes()))
                    .await
                    .unwrap();
                let what =
                    format!("{method} {path} {body} gives {} {}", answer.status, answer.text());
                assert!(answer.status.is_client_error(), "{what}");
                assert!(answer.json()["code"].is_string(), "{what}");
            }
            assert_eq!(api.get("/note").await.unwrap().json(), json!([{"id": 1, "body": "a"}]));
        },
    );
}

#[test]
fn unknown_paths_and_projects_are_404s_in_json() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let api = instance.api().with("apikey", database.project().keys.secret_key.expose());
            for path in [
                "/nope",
                "/p",
                "/p/",
                "/p/nope",
                "/p/nope/rest/v1/note",
                "/rest",
                "/p/../rest/v1x",
                "/p/%2e/rest/v1/note",
            ] {
                let answer = api.get(path).await.unwrap();
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
                assert!(answer.json()["message"].is_string(), "{path}");
            }
        },
    );
}

#[test]
fn a_project_answers_at_its_path_at_its_host_and_the_default_one_at_the_root() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let api = instance.api().with("apikey", project.keys.secret_key.expose());
            for (host, path) in [
                ("localhost", format!("/p/{}/rest/v1/note", project.name)),
                ("localhost", "/rest/v1/note".to_owned()),
                (&*format!("{}.localhost:5400", project.name), "/rest/v1/note".to_owned()),
            ] {
                let answer = api.with("host", host).get(&path).await.unwrap();
                assert_eq!(answer.status, StatusCode::OK, "{host} {path}: {}", answer.text());
            }
            let answer = api.with("host", "nope.localhost").get("/rest/v1/note").await.unwrap();
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
        },
    );
}

#[test]
fn a_request_keeps_its_id() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let api = instance.anon(database.project());
            let answer = api.with("x-request-id", "mine-1").get("/note").await.unwrap();
            assert_eq!(answer.header("x-request-id"), Some("mine-1"));
            let generated = api.get("/note").await.unwrap();
            assert!(generated.header("x-request-id").is_some_and(|id| id != "mine-1"));
        },
    );
}

#[test]
fn a_request_that_takes_too_long_is_a_504() {
    let change = |config: &mut plinth_server::config::Config| {
        config.http.request_timeout = Duration::from_millis(300);
    };
    with_project(TABLE, change, async |instance, database| {
        let begun = std::time::Instant::now();
        let answer = instance.service(database.project()).get("/rpc/nap?seconds=2").await.unwrap();
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
        assert!(begun.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn above_the_bound_of_requests_under_way_the_answer_is_a_503() {
    with_project(
        TABLE,
        |config| config.http.max_requests = 1,
        async |instance, database| {
            let api = instance.service(database.project());
            let slow = tokio::spawn({
                let api = api.clone();
                // One of the requests below may be under way already; then this one is refused.
                async move {
                    loop {
                        let answer = api.get("/rpc/nap?seconds=1").await.unwrap();
                        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                            return answer;
                        }
                    }
                }
            });
            let refused = crate::support::until("a request is refused", async || {
                let answer = api.get("/note").await.unwrap();
                (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
            })
            .await;
            assert_eq!(refused.header("retry-after"), Some("1"));
            assert_eq!(slow.await.unwrap().status, StatusCode::OK);
            assert_eq!(api.get("/note").await.unwrap().status, StatusCode::OK);
        },
    );
}

#[test]
fn connections_are_kept_alive_and_requests_may_be_pipelined() {
    with_project(
        TABLE,
        |_| {},
        async |instance, _| {
            let two = "GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            let answer = raw(instance, two.as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
        },
    );
}

#[test]
fn statement_timeouts_of_a_role_are_applied() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let connection = database.connect().await.unwrap();
            let sql = format!(
                "alter role authenticated in database \"{}\" set statement_timeout = '150ms'; notify pgrst, 'reload config'",
                project.database
            );
            connection.batch_execute(&sql).await.unwrap();
            connection.close().await;
            let token = user_token(
                project.keys.jwt_secret.expose(),
                "a0000000-0000-4000-8000-000000000001",
                "x",
            );
            let user = instance.anon(project).bearer(&token);
            crate::support::until("the timeout is applied", async || {
                let answer = user.get("/rpc/nap?seconds=1").await.unwrap();
                (gist(&answer) == (500, "57014".to_owned())).then_some(())
            })
            .await;
            let answer = instance.service(project).get("/rpc/nap?seconds=0.3").await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        },
    );
}
