//! A server of the project that is asked.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

/// The key that both sides know, in base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

type Answer = fn(&Value) -> Value;

struct Shared {
    asked: Mutex<Vec<Value>>,
    answer: Answer,
}

/// It ends with the test's runtime.
pub(super) struct Listener {
    base: String,
    shared: Arc<Shared>,
}

impl Listener {
    /// Answers each payload with `answer`; a signature that is not the key's is answered with 401.
    pub(super) fn start(answer: Answer) -> Self {
        let shared = Arc::new(Shared { asked: Mutex::default(), answer });
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        let app = Router::new().fallback(handle).with_state(shared.clone());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = tokio::net::TcpListener::from_std(socket).unwrap();
                axum::serve(socket, app).await.unwrap();
            });
        });
        Self { base, shared }
    }

    /// Settings in which it is the hook of that name.
    pub(super) fn config(&self, name: &str) -> String {
        let base = &self.base;
        format!(
            "[auth.hook.{name}]\nenabled = true\nuri = \"{base}/{name}\"\nsecrets = \"v1,whsec_{KEY}\"\n"
        )
    }

    /// What it was asked, the oldest first.
    pub(super) fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> axum::response::Response {
    if !is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let payload: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    let answer = (shared.answer)(&payload);
    shared.asked.lock().unwrap().push(payload);
    ([("content-type", "application/json")], answer.to_string()).into_response()
}

/// Verifies as Standard Webhooks has it.
fn is_signed(headers: &HeaderMap, body: &str) -> bool {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
    text("webhook-signature").split(' ').any(|signature| {
        let tag = signature.strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok());
        tag.is_some_and(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
    })
}

/// Agrees to everything.
pub(super) fn agree(_payload: &Value) -> Value {
    json!({})
}
