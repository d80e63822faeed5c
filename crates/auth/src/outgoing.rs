//! Requests to other people's servers: short, bounded, never redirected. See [`plinth_outgoing`].

pub use plinth_outgoing::*;

/// A server on this machine that answers as it is told and keeps what it was asked.
#[cfg(test)]
pub(crate) mod double {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::{Request, State};
    use axum::response::Response;
    use http::{HeaderMap, Method, Uri};

    /// What was asked.
    #[derive(Debug, Clone)]
    pub(crate) struct Asked {
        pub(crate) method: Method,
        pub(crate) uri: Uri,
        pub(crate) headers: HeaderMap,
        pub(crate) body: Vec<u8>,
    }

    impl Asked {
        /// The fields of a form body, in their order.
        pub(crate) fn form(&self) -> Vec<(String, String)> {
            url::form_urlencoded::parse(&self.body).into_owned().collect()
        }
    }

    type Answer = Box<dyn Fn(usize) -> Response + Send + Sync>;

    struct Shared {
        asked: Mutex<Vec<Asked>>,
        answer: Answer,
    }

    /// The running server; it ends with the test's runtime.
    pub(crate) struct Double {
        pub(crate) base: String,
        shared: Arc<Shared>,
    }

    impl Double {
        /// Answers request number n (from 0) with `answer(n)`.
        pub(crate) async fn start(
            answer: impl Fn(usize) -> Response + Send + Sync + 'static,
        ) -> Self {
            let shared = Arc::new(Shared { asked: Mutex::default(), answer: Box::new(answer) });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let app = Router::new().fallback(handle).with_state(shared.clone());
            tokio::spawn(async move { axum::serve(listener, app).await });
            Self { base, shared }
        }

        /// Answers every request with this JSON.
        pub(crate) async fn json(status: u16, body: serde_json::Value) -> Self {
            Self::start(move |_| json(status, &body.to_string())).await
        }

        pub(crate) fn asked(&self) -> Vec<Asked> {
            self.shared.asked.lock().unwrap().clone()
        }
    }

    async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        let asked = Asked { method: head.method, uri: head.uri, headers: head.headers, body };
        let count = {
            let mut all = shared.asked.lock().unwrap();
            all.push(asked);
            all.len() - 1
        };
        (shared.answer)(count)
    }

    pub(crate) fn json(status: u16, body: &str) -> Response {
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap()
    }

    /// The address of a server that takes connections and never answers.
    pub(crate) async fn silent() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.push(socket);
            }
        });
        base
    }

    /// An address at which nothing listens.
    pub(crate) async fn closed() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }
}
