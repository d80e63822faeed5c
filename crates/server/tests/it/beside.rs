//! `plinth serve` and an app on the same machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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

/// An app that answers every request with 200, and keeps the paths.
struct App {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let app = Self { address: listener.local_addr().unwrap(), paths: Arc::default() };
        let paths = app.paths.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let path = answer(&mut stream);
                paths.lock().unwrap().push(path);
            }
        });
        app
    }

    fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }
}

fn answer(stream: &mut TcpStream) -> String {
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
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
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
