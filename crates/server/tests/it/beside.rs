//! `plinth serve` and an app on the same machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use http::Method;
use plinth_testkit::api::Api;
use serde_json::{Value, json};

use crate::cli::{Child, address};
use crate::support::until;
use crate::work::Shop;

const BINDING: &str = r#"name = "shop"

[[binding]]
name = "tell"
on = "orders"
when = "status = 'paid'"
action = "http.request"
with = { url = "env:APP_URL" }
done = "update orders set status = 'told' where id = $row"
"#;

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// An app that answers every request with 200, one after the other, and keeps the paths. That of `/held` it answers when
/// it is told.
struct App {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
    go_on: mpsc::Sender<()>,
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (go_on, told) = mpsc::channel();
        let app = Self { address: listener.local_addr().unwrap(), paths: Arc::default(), go_on };
        let paths = app.paths.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let path = read(&mut stream);
                let is_held = path == "/held";
                paths.lock().unwrap().push(path);
                if is_held {
                    told.recv().unwrap();
                }
                stream.write_all(FINE).unwrap();
            }
        });
        app
    }

    fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }
}

/// The path of a request, which is read to its end.
fn read(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

impl Shop {
    /// Serves in production what `plinth up` made.
    fn serve(&self, environment: &[(&str, &str)]) -> (Child, Api) {
        let folder = self.data.text();
        let arguments =
            ["serve", "--data-dir", folder, "--listen", "127.0.0.1:0", "--pg-port", "0", "--json"];
        let serve = Child::start(&arguments, environment);
        let api = Api::new(address(&serve.ready()));
        let status = self.json(&["status", "--project", "shop"]);
        (serve, api.below("/p/shop/work/v2").bearer(status["QSTASH_TOKEN"].as_str().unwrap()))
    }
}

/// The dead letters.
async fn dead(api: &Api) -> Vec<Value> {
    let answer = api.get("/dlq").await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_beside_it_is_called_when_it_is_named_and_else_its_key_is() {
    let (shop, app) = (Shop::new(), App::start());
    shop.write(BINDING);
    let (up, _) = shop.up();
    up.wait_for("variable=\"APP_URL\"");
    let applied = shop.data.run(&["blueprint", "apply", &shop.path(), "--project", "shop"]);
    let warned = String::from_utf8(applied.stderr).unwrap();
    assert!(warned.contains("the variable APP_URL, which is not set here"), "{warned}");
    assert!(up.stop().success());
    let url = format!("http://{}/x", app.address);
    let publish = format!("/publish/{url}");

    // Not named: what is refused now is refused later as well.
    let (serve, api) = shop.serve(&[("APP_URL", &url)]);
    shop.sql("insert into orders (item, status) values ('tea', 'paid')");
    shop.until("select attempt from plinth.job where state = 'd'", "1").await;
    let error = shop.sql("select error from plinth.job where state = 'd'");
    assert!(error.contains("are not allowed") && error.contains("`work.plain_hosts`"), "{error}");
    api.json(Method::POST, &publish, &json!({})).await.unwrap();
    let letters = until("the message is dead", async || {
        Some(dead(&api).await).filter(|letters| !letters.is_empty())
    });
    let letter = &letters.await[0];
    assert!(letter["responseBody"].as_str().unwrap().contains("`work.plain_hosts`"), "{letter}");
    assert!(serve.stop().success());
    assert_eq!(app.paths(), Vec::<String>::new());

    // Named: both arrive.
    let host = app.address.to_string();
    let (serve, api) = shop.serve(&[("APP_URL", &url), ("PLINTH_WORK_PLAIN_HOSTS", &host)]);
    shop.data.stdout(&["work", "retry", "--all", "--project", "shop"]);
    shop.until("select string_agg(status, ',') from orders", "told").await;
    api.json(Method::POST, &publish, &json!({})).await.unwrap();
    until("both arrive", async || (app.paths() == ["/x", "/x"]).then_some(())).await;
    assert!(serve.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_ends_while_requests_are_still_answered() {
    let (shop, app) = (Shop::new(), App::start());
    let (up, _) = shop.up();
    assert!(up.stop().success());
    let host = app.address.to_string();
    let environment = [("PLINTH_WORK_PLAIN_HOSTS", host.as_str())];
    let publish = |path: &str| format!("/publish/http://{host}{path}");

    let (mut serve, api) = shop.serve(&environment);
    api.json(Method::POST, &publish("/held"), &json!({})).await.unwrap();
    until("it is under way", async || (app.paths() == ["/held"]).then_some(())).await;
    serve.signal("TERM");
    serve.wait_for("no more jobs and messages are taken");
    // As a step does that says what it came to.
    let answer = api.json(Method::POST, &publish("/next"), &json!({})).await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.text());
    app.go_on.send(()).unwrap();
    assert!(serve.wait().success());
    assert_eq!(app.paths(), ["/held"], "nothing more is taken");

    let (serve, _) = shop.serve(&environment);
    until("the next is delivered", async || (app.paths().len() > 1).then_some(())).await;
    assert!(serve.stop().success());
    assert_eq!(app.paths(), ["/held", "/next"], "what had ended did not begin again");
}
