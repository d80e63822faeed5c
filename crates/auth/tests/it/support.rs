//! A project's sign-in in front of a database of the test's own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use plinth_auth::config::{Environment, Sources};
use plinth_auth::limits::{CodeGuard, LimitSettings, Limits};
use plinth_auth::password::{Cost, Hasher, HasherSettings, PasswordRules};
use plinth_auth::seal::Sealer;
use plinth_auth::token::SigningKeys;
use plinth_auth::{Auth, Db, Parts, Request};
use plinth_testkit::{Template, TestDatabase, with_database};
use plinth_wire::{Budget, Pool, PoolOptions, Secret};
use serde_json::{Value, json};

/// The password of every user that a test signs up.
pub(crate) const PASSWORD: &str = "correct horse";

/// What secrets are sealed with: 32 bytes in hexadecimal.
const SEALING_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Where the sign-in says that it is.
const EXTERNAL_URL: &str = "http://localhost:5400/p/test/auth/v1";

/// A sign-in with its database.
pub(crate) struct Site<'a> {
    auth: Auth,
    database: &'a TestDatabase,
    pool: Arc<Pool>,
}

/// Cheap hashes: what they cost is not what these tests are about.
fn hasher() -> Arc<Hasher> {
    static HASHER: LazyLock<Arc<Hasher>> = LazyLock::new(|| {
        let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let settings = HasherSettings { threads: 2, queue: 64, cost };
        Arc::new(Hasher::start(settings).unwrap())
    });
    HASHER.clone()
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Somebody who is signed in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) refresh: String,
}

/// Runs a test on a sign-in with the settings that nobody changed.
#[track_caller]
pub(crate) fn with_site(test: impl AsyncFnOnce(&Site<'_>)) {
    with_configured_site("", test);
}

/// Runs a test on a sign-in with settings as `config.toml` has them.
#[track_caller]
pub(crate) fn with_configured_site(config: &str, test: impl AsyncFnOnce(&Site<'_>)) {
    with_database(&Template::Platform, async |database| {
        let site = Site::new(database, config);
        test(&site).await;
        site.pool.close();
    });
}

impl<'a> Site<'a> {
    fn new(database: &'a TestDatabase, config: &str) -> Self {
        let project = database.project();
        let endpoint = database.cluster().cluster().endpoint();
        let connect = endpoint.wire(&project.auth_login, &project.database, "plinth auth");
        let options = PoolOptions { max_connections: 8, ..PoolOptions::default() };
        let pool = Arc::new(Pool::new(connect, Budget::new(8), options));
        let table = toml::from_str::<toml::Table>(config).unwrap().remove("auth");
        let table = table.and_then(|auth| auth.as_table().cloned()).unwrap_or_default();
        let sources = Sources::new(Environment::default());
        let sources = sources.table("test", Path::new(""), table);
        let config = sources.config().unwrap();
        let secret = project.keys.jwt_secret.clone();
        let auth = Auth::new(Parts {
            project: project.name.as_str().into(),
            db: Db::new(pool.clone()),
            config: Arc::new(config),
            keys: Arc::new(SigningKeys::new(&secret).unwrap()),
            secret,
            external_url: EXTERNAL_URL.to_owned(),
            hasher: hasher(),
            mailer: None,
            sms: None,
            limits: Arc::new(Limits::new(LimitSettings::default(), Instant::now())),
            codes: Arc::new(CodeGuard::new(&LimitSettings::default(), Instant::now())),
            passwords: Arc::new(PasswordRules { min_length: 6, ..PasswordRules::default() }),
            sealer: Arc::new(Sealer::parse(&Secret::new(SEALING_KEY)).unwrap()),
        });
        Self { auth, database, pool }
    }

    /// What tokens say about who issued them.
    pub(crate) fn issuer(&self) -> &'static str {
        EXTERNAL_URL
    }

    pub(crate) fn anon_key(&self) -> String {
        self.database.project().keys.anon_key.expose().to_owned()
    }

    pub(crate) fn service_key(&self) -> String {
        self.database.project().keys.service_role_key.expose().to_owned()
    }

    /// Asks as a browser without a session does, or with `token`.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        token: Option<&str>,
        body: Value,
    ) -> Answer {
        let method: Method = method.parse().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("x-supabase-api-version", HeaderValue::from_static("2024-01-01"));
        headers.insert("user-agent", HeaderValue::from_static("tests"));
        let body = if method == Method::GET { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request {
            method: &method,
            path,
            query,
            headers: &headers,
            body,
            bearer: token,
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let response = self.auth.answer(request).await;
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Answer { status: response.status, headers: response.headers, body }
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        self.send("POST", target, None, body).await
    }

    pub(crate) async fn get(&self, target: &str, token: &str) -> Answer {
        self.send("GET", target, Some(token), Value::Null).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/token?grant_type=refresh_token", json!({"refresh_token": token})).await
    }

    /// A new user with [`PASSWORD`], signed in.
    pub(crate) async fn sign_up(&self, email: &str) -> SignedIn {
        let answer = self.post("/signup", json!({"email": email, "password": PASSWORD})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.signed_in()
    }

    /// Runs statements as a superuser.
    pub(crate) async fn sql(&self, statements: &str) {
        let connection = self.database.connect().await.unwrap();
        connection.batch_execute(statements).await.unwrap();
        connection.close().await;
    }

    /// The one text that a query gives a superuser.
    pub(crate) async fn text(&self, query: &str) -> String {
        let connection = self.database.connect().await.unwrap();
        let row = connection.query_one(query, &[]).await.unwrap();
        let text = row.get::<_, Option<String>>(0).unwrap_or_default();
        connection.close().await;
        text
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.text(&format!("select count(*)::text from {table}")).await.parse().unwrap()
    }
}

impl Answer {
    /// The code of a refusal.
    pub(crate) fn error(&self) -> String {
        self.body["code"].as_str().or(self.body["error"].as_str()).unwrap_or_default().to_owned()
    }

    /// The text of a refusal.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The access token of a session.
    pub(crate) fn token(&self) -> &str {
        self.body["access_token"].as_str().unwrap()
    }

    /// What the access token says.
    pub(crate) fn claims(&self) -> Value {
        claims(self.token())
    }

    #[track_caller]
    pub(crate) fn signed_in(&self) -> SignedIn {
        let text =
            |value: &Value| value.as_str().unwrap_or_else(|| panic!("{}", self.body)).to_owned();
        SignedIn {
            id: text(&self.body["user"]["id"]),
            token: text(&self.body["access_token"]),
            refresh: text(&self.body["refresh_token"]),
        }
    }
}

impl SignedIn {
    pub(crate) fn claims(&self) -> Value {
        claims(&self.token)
    }
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
