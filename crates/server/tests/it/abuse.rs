//! Requests that mean harm: paths and hosts that say two things, secrets that could be heard, clients that hold on.

use std::time::Duration;

use plinth_testkit::TestDatabase;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Instance, with_project};

const SQL: &str = "create table note (id int primary key, body text); insert into note values (1, 'a');
    create function facts() returns json language sql stable as $$
      select json_build_object('path', current_setting('request.path'), 'headers', current_setting('request.headers'),
        'cookies', current_setting('request.cookies'), 'claims', current_setting('request.jwt.claims')) $$;
    create function long_answer() returns text language sql as $$ select repeat('x', 24000000) $$;
    create function broken_answer() returns text language plpgsql as $$ begin
      perform set_config('response.headers', '[{\"Content-Length\": \"3\"}, {\"X-Kept\": \"yes\"}]', true);
      return 'a longer text'; end $$;
    create function switching() returns text language plpgsql as $$ begin
      raise sqlstate 'PT101' using message = 'no'; end $$;
    create function teapot(words text) returns text language plpgsql as $$ begin
      raise sqlstate 'PT418' using message = words; end $$;
    create function sleepy() returns void language sql set statement_timeout = '50ms' as 'select pg_sleep(20)';
    create function isolated() returns text language sql set default_transaction_isolation = 'serializable'
      as $$ select current_setting('transaction_isolation') $$;";

fn with_site(test: impl AsyncFnOnce(&Instance, &TestDatabase)) {
    with_project(SQL, |_| {}, test);
}

/// Sends a head as it is, with `connection: close`, and reads the answer.
async fn raw(instance: &Instance, head: &str) -> String {
    let mut stream = TcpStream::connect(instance.address).await.unwrap();
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_path_means_what_it_says_and_nothing_else() {
    with_site(async |instance, database| {
        let project = database.project();
        let (name, key) = (&project.name, project.keys.secret_key.expose());
        for (target, status) in [
            (format!("/p/{name}/rest/v1/note"), 200),
            // Nothing is resolved, decoded or folded before the project and its part are known.
            (format!("/p/other/../{name}/rest/v1/note"), 404),
            (format!("/p/{name}/../{name}/rest/v1/note"), 404),
            (format!("/p/{name}/x/../rest/v1/note"), 404),
            (format!("/p/{name}//rest/v1/note"), 404),
            (format!("/p/{name}%2Frest/v1/note"), 404),
            (format!("/p/{name}/rest%2Fv1/note"), 404),
            (format!("/p/{name}/REST/v1/note"), 404),
            (format!("/p/{}/rest/v1/note", name.to_uppercase()), 404),
            (format!("//p/{name}/rest/v1/note"), 404),
            // Below the API, names are names.
            (format!("/p/{name}/rest/v1/rpc%2Ffacts"), 404),
            (format!("/p/{name}/rest/v1/../v1/note"), 404),
            (format!("/p/{name}/rest/v1/note/../note"), 404),
            (format!("/p/{name}/rest/v1/note%00"), 404),
            (format!("/p/{name}/rest/v1/auth.users"), 404),
            (format!("/p/{name}/rest/v1/note;x"), 404),
            (format!("http://elsewhere/p/{name}/rest/v1/note"), 200),
            // What people type, though a URL may not have it.
            (format!("/p/{name}/rest/v1/note?body=in.(\"a\",\"<b>\")"), 200),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nhost: x\r\napikey: {key}\r\n");
            let answer = raw(instance, &head).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
        }
        for target in ["*", "/p/"] {
            let head = format!("OPTIONS {target} HTTP/1.1\r\nhost: x\r\n");
            assert!(raw(instance, &head).await.starts_with("HTTP/1.1 404"), "{target}");
        }
    });
}

#[test]
fn the_host_names_a_project_and_opens_nothing() {
    with_site(async |instance, database| {
        let project = database.project();
        let (name, key) = (&project.name, project.keys.publishable_key.expose());
        for (host, apikey, status) in [
            (format!("{name}.localhost"), key, 200),
            (format!("{name}.LOCALHOST.:5400"), key, 200),
            (format!("{name}.localhost"), "sb_publishable_other", 401),
            ("nobody.localhost".to_owned(), key, 404),
            // Names of elsewhere are not looked into: the default project's own key decides.
            (format!("{name}.localhost.evil.example"), "sb_publishable_other", 401),
        ] {
            let head =
                format!("GET /rest/v1/note HTTP/1.1\r\nhost: {host}\r\napikey: {apikey}\r\n");
            let answer = raw(instance, &head).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
        }
    });
}

#[test]
fn a_key_in_the_query_is_seen_by_nobody_behind_the_gateway() {
    with_site(async |instance, database| {
        let project = database.project();
        let key = project.keys.secret_key.expose();
        let api = instance.rest(project);
        let answer = api.get(&format!("/rpc/facts?apikey={key}")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let heard = format!("{} {:?}", answer.text(), answer.headers);
        assert!(!heard.contains(key), "{heard}");
        // Nor in the text of an error.
        let answer = api.get(&format!("/nothing?apikey={key}&x=y")).await.unwrap();
        assert!(!answer.text().contains(key), "{}", answer.text());
    });
}

#[test]
fn headers_stay_text_in_the_settings_that_sql_reads() {
    with_site(async |instance, database| {
        let api = instance.service(database.project());
        let odd = r#"x', true), set_config('role', 'postgres', true) -- ", "authorization": "y"#;
        let answer = api.with("x-odd", odd).with("cookie", odd).get("/rpc/facts").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let facts = answer.json();
        let headers: serde_json::Value =
            serde_json::from_str(facts["headers"].as_str().unwrap()).unwrap();
        assert_eq!(headers["x-odd"], odd);
        assert!(headers["authorization"].as_str().unwrap().starts_with("Bearer ey"), "{headers}");
        assert!(facts["claims"].as_str().unwrap().contains("service_role"));
        // No header can stand in for a claim.
        let claims = api.with("request.jwt.claims", r#"{"role":"postgres"}"#);
        let facts = claims.get("/rpc/facts").await.unwrap().json();
        assert!(!facts["claims"].as_str().unwrap().contains("postgres"));
    });
}

#[test]
fn sql_cannot_say_where_an_answer_ends() {
    with_site(async |instance, database| {
        let api = instance.service(database.project());
        let answer = api.get("/rpc/broken_answer").await.unwrap();
        assert_eq!(answer.text(), "\"a longer text\"");
        assert_eq!(answer.header("x-kept"), Some("yes"));
        assert_eq!(api.get("/rpc/switching").await.unwrap().status, 500);
    });
}

#[test]
fn sql_may_name_a_status_but_not_leave_its_line() {
    with_site(async |instance, database| {
        let project = database.project();
        let (name, key) = (&project.name, project.keys.secret_key.expose());
        let status_line = async |words: &str| {
            let head = format!(
                "GET /p/{name}/rest/v1/rpc/teapot?words={words} HTTP/1.1\r\nhost: x\r\napikey: {key}\r\n"
            );
            raw(instance, &head).await.lines().next().unwrap().to_owned()
        };
        assert_eq!(status_line("Short%20and%20stout").await, "HTTP/1.1 418 Short and stout");
        assert_eq!(status_line("x%0D%0Ax-injected:%201").await, "HTTP/1.1 418 I'm a teapot");
    });
}

#[test]
fn a_functions_own_bounds_hold_for_the_call() {
    with_site(async |instance, database| {
        let api = instance.service(database.project());
        let late = api.get("/rpc/sleepy").await.unwrap();
        assert_eq!((late.status.as_u16(), late.json()["code"].as_str()), (500, Some("57014")));
        for _ in 0..2 {
            let level = api.post("/rpc/isolated", &serde_json::json!({})).await.unwrap();
            assert_eq!(level.text(), "\"serializable\"");
        }
    });
}

#[test]
fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let change = |config: &mut plinth_server::config::Config| {
        config.http.request_timeout = Duration::from_secs(3);
    };
    with_project(SQL, change, async |instance, database| {
        let project = database.project();
        let (name, key) = (&project.name, project.keys.secret_key.expose());
        let mut stream = TcpStream::connect(instance.address).await.unwrap();
        let head = format!(
            "GET /p/{name}/rest/v1/rpc/long_answer HTTP/1.1\r\nhost: x\r\napikey: {key}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        tokio::time::sleep(Duration::from_secs(6)).await;
        // What the system had buffered is there, and then the end.
        let mut rest = Vec::new();
        let reading = stream.read_to_end(&mut rest);
        let _ = timeout(Duration::from_secs(10), reading).await.expect("the connection has ended");
        assert!(rest.len() < 24_000_000, "{} bytes", rest.len());
    });
}
