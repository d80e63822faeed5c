//! A project that sends messages, and an endpoint that receives them.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use plinth_wire::Secret;
use plinth_work::message::{
    Courier, Keys, Messages, NoReply, Options, Outside, Reply, Request, Sending, ToSend,
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::support::Bench;

/// Requests without a policy.
pub(crate) struct Direct(reqwest::Client);

impl Outside for Direct {
    fn send(&self, request: ToSend) -> Sending<'_> {
        Box::pin(async move {
            let sent = self
                .0
                .request(request.method, &request.url)
                .headers(request.headers)
                .body(request.body)
                .send();
            let answer = sent.await.map_err(|error| NoReply::passing(error.to_string()))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.map_err(|error| NoReply::passing(error.to_string()))?;
            Ok(Reply { status, headers, body, is_cut: false })
        })
    }
}

/// What an endpoint got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How an endpoint answers: status, headers, body, and how long it takes for that.
pub(crate) type Script = (u16, Vec<(&'static str, &'static str)>, &'static str, Duration);

#[derive(Default)]
struct Shared {
    got: Mutex<Vec<Got>>,
    script: Mutex<VecDeque<Script>>,
    under_way: Mutex<(usize, usize)>,
}

/// An endpoint on this machine. It answers as it is told, and 200 when that is over.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared }
    }

    pub(crate) fn says(
        &self,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) {
        let script = (status, headers.to_vec(), body, Duration::ZERO);
        self.shared.script.lock().unwrap().push_back(script);
    }

    pub(crate) fn takes(&self, time: Duration, times: usize) {
        let script = (200, Vec::new(), "", time);
        self.shared.script.lock().unwrap().extend(vec![script; times]);
    }

    /// Says once, after that time, that it is broken.
    pub(crate) fn fails_late(&self, time: Duration) {
        self.shared.script.lock().unwrap().push_back((502, Vec::new(), "", time));
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// Most requests that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.under_way.lock().unwrap().1
    }

    /// Waits until so many requests came; they always come, or the test hangs and says where.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Got> {
        while self.got().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.got()
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    request: axum::extract::Request,
) -> http::Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let got = Got {
        path: head.uri.to_string(),
        method: head.method,
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let script = shared.script.lock().unwrap().pop_front();
    {
        let mut under_way = shared.under_way.lock().unwrap();
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
    }
    shared.got.lock().unwrap().push(got);
    let (status, headers, body, time) = script.unwrap_or((200, Vec::new(), "fine", Duration::ZERO));
    tokio::time::sleep(time).await;
    shared.under_way.lock().unwrap().0 -= 1;
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// The interface and a courier.
pub(crate) struct Post {
    pub(crate) messages: Messages,
    pub(crate) endpoint: Endpoint,
    pub(crate) keys: Keys,
    courier: Courier,
}

pub(crate) fn courier_options() -> Options {
    Options {
        lease: Duration::from_secs(2),
        poll: Duration::from_millis(20),
        longest_rest: Duration::from_millis(50),
        ..Options::default()
    }
}

pub(crate) fn courier(bench: &Bench<'_>, options: Options, wake: Arc<Notify>) -> Courier {
    let keys = Keys::new("test", Secret::new("secret of the test"));
    let outside = Arc::new(Direct(reqwest::Client::builder().no_proxy().build().unwrap()));
    Courier::start("test", bench.store(), outside, keys, wake, options)
}

impl Post {
    pub(crate) async fn open(bench: &Bench<'_>) -> Self {
        let wake = Arc::new(Notify::new());
        let keys = Keys::new("test", Secret::new("secret of the test"));
        Self {
            messages: Messages::new(bench.store(), keys.clone(), wake.clone()),
            endpoint: Endpoint::start().await,
            courier: courier(bench, courier_options(), wake),
            keys,
        }
    }

    /// Asks as a server does.
    pub(crate) async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> (StatusCode, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let request = Request {
            method: &method.parse().unwrap(),
            path,
            prefix: "/p/test/work",
            query,
            headers: &map,
            body: body.into(),
            client_ip: Ipv4Addr::LOCALHOST.into(),
            host: None,
            is_service: true,
        };
        let answer = self.messages.answer(request).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Publishes to the endpoint; the message's id.
    pub(crate) async fn publish(&self, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let target = format!("/v2/publish/{}{path}", self.endpoint.url);
        let (status, answer) = self.ask("POST", &target, headers, body.to_owned()).await;
        assert!(status.is_success(), "{status} {answer}");
        answer["messageId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn close(self) {
        self.courier.stop().await;
    }
}
