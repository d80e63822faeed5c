//! Answers that are passed on while they come from PostgreSQL.

use std::time::Duration;

use plinth_testkit::TestDatabase;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Instance, as_owner, until, with_project};

/// 100 rows of 1 MB.
const SQL: &str = "create table page (id int primary key, body text);
    insert into page select n, repeat('0123456789', 100000) from generate_series(1, 100) n;";

/// The JSON of all rows, as PostgreSQL writes it.
fn expected() -> String {
    let text = "0123456789".repeat(100_000);
    let rows: Vec<String> =
        (1..=100).map(|id| format!("{{\"id\":{id},\"body\":\"{text}\"}}")).collect();
    format!("[{}]", rows.join(", \n "))
}

/// A client that asks for rows and has read the head of the answer and some of its body.
async fn begin(instance: &Instance, database: &TestDatabase, rows: &str) -> (TcpStream, String) {
    let (name, key) = (&database.project().name, database.project().keys.secret_key.expose());
    let mut stream = TcpStream::connect(instance.address).await.unwrap();
    let head = format!(
        "GET /p/{name}/rest/v1/page?{rows}&order=id HTTP/1.1\r\nhost: x\r\napikey: {key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begun = vec![0; 64 * 1024];
    timeout(Duration::from_secs(20), stream.read_exact(&mut begun)).await.unwrap().unwrap();
    (stream, String::from_utf8(begun).unwrap())
}

/// How many sessions wait for somebody to take what they send.
async fn writing(database: &TestDatabase) -> i64 {
    let endpoint = database.cluster().cluster().endpoint();
    let admin = endpoint.connect_as(&endpoint.admin, &database.project().database).await.unwrap();
    let count = "select count(*) from pg_stat_activity \
                 where datname = current_database() and wait_event = 'ClientWrite'";
    let count = admin.query_one(count, &[]).await.unwrap().get(0);
    admin.close().await;
    count
}

#[test]
fn a_large_answer_arrives_whole_with_its_length_and_headers() {
    with_project(
        SQL,
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            let expected = expected();
            let answer = api.get("/page?order=id").await.unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
            assert_eq!(answer.header("transfer-encoding"), None);
            assert_eq!(answer.header("content-range"), Some("0-99/*"));
            assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
            assert!(answer.body == expected.as_bytes());
            let counted = api.with("prefer", "count=exact").get("/page?order=id").await.unwrap();
            assert_eq!(counted.header("content-range"), Some("0-99/100"));
            assert!(counted.body == expected.as_bytes());
            let object = api.with("accept", "application/vnd.pgrst.object+json");
            let several = object.get("/page?order=id&limit=100000").await.unwrap();
            assert_eq!((several.status.as_u16(), several.text().contains("100 rows")), (406, true));
            let csv = api.with("accept", "text/csv").get("/page?id=lte.50").await.unwrap();
            assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
            assert_eq!((csv.text().lines().count(), csv.body.len() > 50_000_000), (51, true));
        },
    );
}

#[test]
fn a_client_that_does_not_read_leaves_the_answer_with_postgresql() {
    with_project(
        SQL,
        |config| config.http.request_timeout = Duration::from_secs(8),
        async |instance, database| {
            let (mut stream, begun) = begin(instance, database, "id=lte.40").await;
            assert!(begun.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &begun[..200]);
            until("PostgreSQL waits", async || (writing(database).await == 1).then_some(())).await;
            // Others are served meanwhile.
            let one = instance.service(database.project()).get("/page?id=eq.1&select=id").await;
            assert_eq!(one.unwrap().text(), "[{\"id\":1}]");
            until("it is cut off", async || (writing(database).await == 0).then_some(())).await;
            let mut rest = Vec::new();
            // An end, or a reset.
            let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.unwrap();
            assert!(rest.len() < 35_000_000, "{} bytes came", rest.len());
        },
    );
}

#[test]
fn an_answer_whose_session_ends_breaks_off() {
    with_project(
        SQL,
        |_| {},
        async |instance, database| {
            let (mut stream, begun) = begin(instance, database, "id=gt.0").await;
            until("PostgreSQL waits", async || (writing(database).await == 1).then_some(())).await;
            let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where wait_event = 'ClientWrite' and datname = current_database()";
            let endpoint = database.cluster().cluster().endpoint();
            let admin =
                endpoint.connect_as(&endpoint.admin, &database.project().database).await.unwrap();
            admin.batch_execute(end).await.unwrap();
            admin.close().await;
            let mut rest = Vec::new();
            let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.unwrap();
            let (head, body) = begun.split_once("\r\n\r\n").unwrap();
            let length = format!("content-length: {}", expected().len());
            assert!(head.contains(&length), "{head}");
            assert!(
                body.len() + rest.len() < expected().len(),
                "the client knows that it is short"
            );
        },
    );
}

#[test]
fn a_client_that_goes_away_frees_the_connection() {
    with_project(
        SQL,
        |config| config.pool.max_connections = 2,
        async |instance, database| {
            for _ in 0..3 {
                let (stream, _) = begin(instance, database, "id=gt.0").await;
                drop(stream);
            }
            let service = instance.service(database.project());
            let answer = service.get("/page?order=id").await.unwrap();
            assert_eq!(answer.body.len(), expected().len());
            until("nobody waits", async || (writing(database).await == 0).then_some(())).await;
            as_owner(database.project(), database.cluster().cluster().endpoint(), "truncate page")
                .await;
            assert_eq!(service.get("/page").await.unwrap().text(), "[]");
        },
    );
}
