//! An identity provider: OpenID Connect by discovery, and the shapes of GitHub, X, Discord, Facebook and Microsoft.
//!
//! The flow is a real one: codes are used once and bound to client, redirect URI and code challenge, clients prove themselves,
//! refresh tokens are replaced at each use, ID tokens are signed by keys that the key set lists. On request it misbehaves in ways that
//! a client has to notice ([`Misbehaviour`]).

mod authorize;
mod bounded;
mod keys;
mod shape;
mod state;
mod token;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use keys::Keys;
use shape::Shape;
use state::Shared;

/// The longest request body that is read, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// An application that signs its users in here.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Where codes may be sent. When empty: anywhere on this machine.
    pub redirect_uris: Vec<String>,
}

/// Somebody with an account here.
#[derive(Debug, Clone)]
pub struct User {
    /// The stable id, a number because some of the imitated services have numbers.
    pub id: u64,
    /// The name of the account.
    pub username: String,
    /// The person's name.
    pub name: String,
    /// The address, if there is one.
    pub email: Option<String>,
    /// Whether the address is confirmed.
    pub email_verified: bool,
}

impl User {
    /// A user `username` with the confirmed address `username@example.com`.
    pub fn named(id: u64, username: &str, name: &str) -> Self {
        Self {
            id,
            username: username.to_owned(),
            name: name.to_owned(),
            email: Some(format!("{username}@example.com")),
            email_verified: true,
        }
    }

    /// Where the user's picture would be.
    pub fn picture(&self) -> String {
        format!("https://pictures.example/{}.png", self.id)
    }
}

/// What ID tokens are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    /// ECDSA on P-256.
    #[default]
    Es256,
    /// RSA with 2048 bits.
    Rs256,
}

/// How the stand-in is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The applications.
    pub clients: Vec<Client>,
    /// The users. The first one is signed in where nobody chooses.
    pub users: Vec<User>,
    /// Send the browser back at once, without the page on which somebody chooses a user.
    pub auto: bool,
    /// What ID tokens are signed with.
    pub signature: Signature,
}

impl Default for Settings {
    /// Client `client` with secret `secret`, users Ada and Grace, no page.
    fn default() -> Self {
        let client = Client {
            id: "client".to_owned(),
            secret: "secret".to_owned(),
            redirect_uris: Vec::new(),
        };
        Self {
            clients: vec![client],
            users: vec![
                User::named(1815, "ada", "Ada Lovelace"),
                User::named(1906, "grace", "Grace Hopper"),
            ],
            auto: true,
            signature: Signature::default(),
        }
    }
}

/// What a client has to notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// ID tokens have another nonce.
    WrongNonce,
    /// ID tokens have no nonce.
    NoNonce,
    /// ID tokens are for another client.
    WrongAudience,
    /// ID tokens ended an hour ago.
    Expired,
    /// ID tokens name another issuer.
    WrongIssuer,
    /// ID tokens belong to another access token.
    WrongAccessTokenHash,
    /// The discovery document names another issuer.
    WrongDocument,
    /// Addresses are not confirmed.
    UnverifiedEmail,
    /// There are no addresses.
    NoEmail,
    /// There are no ID tokens.
    NoIdToken,
    /// The user endpoint is about somebody else.
    WrongUserinfo,
    /// Everything takes this long.
    Slow(Duration),
    /// Everything is answered with this status.
    Status(u16),
    /// Everything is answered with a redirect to this address.
    Redirect(String),
    /// Everything is answered with a body of 2 MiB.
    HugeBody,
}

/// A running stand-in. It ends when this is dropped.
#[derive(Debug)]
pub struct Oidc {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Oidc {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When there is no port or no key can be made.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), settings).await
    }

    /// Starts it on `address`.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn start_on(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let keys = Keys::new(settings.signature)?;
        let shared = Arc::new(Shared::new(format!("http://{address}"), settings, keys));
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the stand-in identity provider ended");
            }
        });
        Ok(Self { address, shared, server })
    }

    /// Its base URL without a slash at the end, which is also the issuer of its ID tokens.
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Misbehaves from now on, or no more.
    pub fn misbehave(&self, how: Option<Misbehaviour>) {
        self.shared.lock().misbehaviour = how;
    }

    /// Signs with a new key from now on. The key set keeps the last one too.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn rotate_keys(&self) -> io::Result<()> {
        self.shared.lock().keys.rotate()
    }

    /// How many requests came for `path`.
    pub fn requests(&self, path: &str) -> usize {
        self.shared.lock().requests.get(path).copied().unwrap_or_default()
    }

    /// An ID token as the first client would get it for the first user, with `changes` made to its claims (null removes one).
    /// This is what a client has that signs its user in by a library of the provider's.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn id_token(&self, changes: Value) -> io::Result<String> {
        let state = self.shared.lock();
        let mut claims = self.shared.default_claims(&state);
        if let (Value::Object(claims), Value::Object(changes)) = (&mut claims, changes) {
            for (claim, value) in changes {
                if value.is_null() {
                    claims.remove(&claim);
                } else {
                    claims.insert(claim, value);
                }
            }
        }
        state.keys.sign(&claims)
    }

    /// The public key set, as it is published.
    pub fn key_set(&self) -> Value {
        self.shared.lock().keys.set()
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let misbehaviour = shared.arrive(&path);
    if let Some(response) = misbehave(misbehaviour).await {
        return response;
    }
    let query = parts.uri.query().unwrap_or_default();
    let Some((shape, endpoint)) = Shape::of(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match (endpoint, parts.method) {
        (shape::Endpoint::Discovery, Method::GET) => json_answer(&shared.discovery(shape)),
        (shape::Endpoint::Keys, Method::GET) => json_answer(&shared.lock().keys.set()),
        (shape::Endpoint::Authorize, Method::GET) => {
            authorize::answer(&shared, shape, &path, query)
        }
        (shape::Endpoint::Token, Method::POST) => match to_bytes(body, BODY_LIMIT).await {
            Ok(body) => token::answer(&shared, shape, &parts.headers, &body),
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        },
        (shape::Endpoint::User, Method::GET | Method::POST) => {
            shape::user(&shared, shape, &path, query, &parts.headers)
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn misbehave(how: Option<Misbehaviour>) -> Option<Response> {
    match how? {
        Misbehaviour::Slow(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Misbehaviour::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(status.into_response())
        }
        Misbehaviour::Redirect(to) => {
            Some((StatusCode::FOUND, [(header::LOCATION, to)]).into_response())
        }
        Misbehaviour::HugeBody => {
            Some(json_answer(&json!({"filler": "x".repeat(2 * 1024 * 1024)})))
        }
        _ => None,
    }
}

fn json_answer(body: &Value) -> Response {
    json_with(StatusCode::OK, body)
}

fn json_with(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Body::from(body.to_string())).into_response()
}
