//! A project's sign-in in front of a database of the test's own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use plinth_auth::config::{Environment, Sources};
use plinth_auth::external::{Directory, DirectorySettings};
use plinth_auth::limits::{CodeGuard, LimitSettings, Limits};
use plinth_auth::mail::{MailTemplates, Mailer, SmtpSettings};
use plinth_auth::outgoing::{Outgoing, OutgoingPolicy};
use plinth_auth::password::{Cost, Hasher, HasherSettings};
use plinth_auth::seal::Sealer;
use plinth_auth::sms::{SmsSender, TestSms};
use plinth_auth::token::SigningKeys;
use plinth_auth::{Auth, Basis, Db, Parts, Request};
use plinth_doubles::mailbox::{Mailbox, Message};
use plinth_testkit::{Template, TestDatabase, with_database};
use plinth_wire::{Budget, Pool, PoolOptions, Secret};
use serde_json::{Value, json};

/// The password of every user that a test signs up.
pub(crate) const PASSWORD: &str = "correct horse";

/// What secrets are sealed with: 32 bytes in hexadecimal.
pub(crate) const SEALING_KEY: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Addresses and numbers have to be confirmed; as many mails and messages as a test likes.
pub(crate) const CONFIRM: &str = "\
[auth]
site_url = \"http://localhost:3000\"
[auth.email]
enable_confirmations = true
max_frequency = \"0s\"
[auth.sms]
enable_signup = true
enable_confirmations = true
max_frequency = \"0s\"
";

/// What a client keeps that begins a sign-in by PKCE.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its digest (RFC 7636, appendix B).
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where the sign-in says that it is.
pub(crate) const EXTERNAL_URL: &str = "http://localhost:5400/p/test/auth/v1";

/// How long a mail may be on its way.
const SOON: Duration = Duration::from_secs(20);

/// A sign-in with its database, its mail server and its phones.
pub(crate) struct Site<'a> {
    auth: Auth,
    mailbox: Mailbox,
    mailer: Option<Mailer>,
    phones: Arc<TestSms>,
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

/// Asks identity providers on this machine.
fn directory() -> Arc<Directory> {
    let policy = OutgoingPolicy { allow_http_loopback: true, ..OutgoingPolicy::default() };
    Directory::new(Outgoing::new(policy, SOON).unwrap(), DirectorySettings::default())
}

/// How a sign-in differs from one that nobody has configured.
pub(crate) struct Setup<'a> {
    /// `config.toml`
    pub(crate) config: &'a str,
    /// How much is let through.
    pub(crate) limits: LimitSettings,
    /// Whether there is a mail server.
    pub(crate) mail: bool,
    /// Whether there is a carrier of text messages.
    pub(crate) sms: bool,
    /// What else differs, such as addresses of servers that are the test's own.
    pub(crate) adjust: &'a dyn Fn(&mut Parts),
}

impl Default for Setup<'_> {
    fn default() -> Self {
        let limits = LimitSettings { email_sent: None, sms_sent: None, ..LimitSettings::default() };
        Self { config: "", limits, mail: true, sms: true, adjust: &|_| {} }
    }
}

/// One request, when it is a special one.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) token: Option<&'a str>,
    /// Instead of those that [`Site::send`] sends.
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: Bytes,
    pub(crate) ip: IpAddr,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            target: "/",
            token: None,
            headers: &[
                ("content-type", "application/json"),
                ("x-supabase-api-version", "2024-01-01"),
                ("user-agent", "tests"),
            ],
            body: Bytes::new(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// A mail that arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) message: Arc<Message>,
}

impl Arrived {
    /// The digits to type.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let digits = |word: &&str| word.len() >= 6 && word.bytes().all(|b| b.is_ascii_digit());
        let words = self.message.text.split_whitespace();
        words.into_iter().find(digits).unwrap_or_else(|| panic!("{}", self.message.text)).to_owned()
    }

    /// The link to follow, below the address of the sign-in: `/verify?…`.
    #[track_caller]
    pub(crate) fn link(&self) -> String {
        let words = self.message.text.split_whitespace();
        let mut links = words.filter_map(|word| word.strip_prefix(EXTERNAL_URL));
        links.next().unwrap_or_else(|| panic!("{}", self.message.text)).to_owned()
    }

    /// A parameter of the link.
    #[track_caller]
    pub(crate) fn parameter(&self, name: &str) -> String {
        parameter(self.link().split_once('?').unwrap().1, name)
    }
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
    with_setup(Setup { config, ..Setup::default() }, test);
}

/// Runs a test on a sign-in that is set up as the test wants it.
#[track_caller]
pub(crate) fn with_setup(setup: Setup<'_>, test: impl AsyncFnOnce(&Site<'_>)) {
    with_database(&Template::Platform, async |database| {
        let site = Site::new(database, setup).await;
        test(&site).await;
        if let Some(mailer) = &site.mailer {
            mailer.drain(SOON).await;
        }
        site.pool.close();
    });
}

impl<'a> Site<'a> {
    async fn new(database: &'a TestDatabase, setup: Setup<'_>) -> Self {
        let project = database.project();
        let endpoint = database.cluster().cluster().endpoint();
        let connect = endpoint.wire(&project.auth_login, &project.database, "plinth auth");
        let options = PoolOptions { max_connections: 8, ..PoolOptions::default() };
        let pool = Arc::new(Pool::new(connect, Budget::new(8), options));
        let table = toml::from_str::<toml::Table>(setup.config).unwrap().remove("auth");
        let table = table.and_then(|auth| auth.as_table().cloned()).unwrap_or_default();
        let sources = Sources::new(Environment::default());
        let sources = sources.table("test", Path::new(""), table);
        let config = sources.config().unwrap();
        let secret = project.keys.jwt_secret.clone();
        let mailbox = Mailbox::local().await.unwrap();
        let mailer = setup.mail.then(|| {
            let templates = MailTemplates::from_config(&config.email).unwrap();
            // One after the other, so that the last mail is the last one sent.
            let server =
                SmtpSettings { connections: 1, ..SmtpSettings::catcher(mailbox.smtp_address()) };
            Mailer::start(server, templates, tokio::runtime::Handle::current()).unwrap()
        });
        let phones = Arc::new(TestSms::default());
        let sms: Option<Arc<dyn SmsSender>> = match setup.sms {
            true => Some(phones.clone()),
            false => None,
        };
        let basis = Basis {
            project: project.name.as_str().into(),
            db: Db::new(pool.clone()),
            keys: Arc::new(SigningKeys::new(&secret).unwrap()),
            secret,
            external_url: EXTERNAL_URL.to_owned(),
            hasher: hasher(),
            sealer: Arc::new(Sealer::parse(&Secret::new(SEALING_KEY)).unwrap()),
            directory: directory(),
            client: plinth_auth::outgoing::client().unwrap(),
            mail_catcher: None,
            background: None,
        };
        let mut parts = Parts::from_config(basis, Arc::new(config)).unwrap();
        parts.mailer.clone_from(&mailer);
        parts.sms = sms;
        parts.codes = Arc::new(CodeGuard::new(&setup.limits, Instant::now()));
        parts.limits = Arc::new(Limits::new(setup.limits, Instant::now()));
        (setup.adjust)(&mut parts);
        let auth = Auth::new(parts);
        Self { auth, mailbox, mailer, phones, database, pool }
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
        let body = if method == "GET" { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.ask(Ask { method, target, token, body, ..Ask::default() }).await
    }

    /// Asks in a special way.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Answer {
        let method: Method = ask.method.parse().unwrap();
        let (path, query) = ask.target.split_once('?').unwrap_or((ask.target, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in ask.headers {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let request = Request {
            method: &method,
            path,
            query,
            headers: &headers,
            body: ask.body,
            bearer: ask.token,
            client_ip: ask.ip,
        };
        let response = self.auth.answer(request).await;
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Answer { status: response.status, headers: response.headers, body }
    }

    /// Every mail that was sent so far, the newest first.
    pub(crate) async fn mails(&self) -> Vec<Arc<Message>> {
        if let Some(mailer) = &self.mailer {
            let deadline = Instant::now() + SOON;
            while mailer.counts().pending > 0 {
                assert!(Instant::now() < deadline, "{:?}", mailer.counts());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        self.mailbox.messages()
    }

    /// The mail server waits so long before every reply.
    pub(crate) fn slow_mail(&self, pause: Duration) {
        self.mailbox.set_pace(pause);
    }

    /// Whether mails are on their way.
    pub(crate) fn is_mailing(&self) -> bool {
        self.mailer.as_ref().is_some_and(|mailer| mailer.counts().pending > 0)
    }

    /// The last mail to `address`.
    pub(crate) async fn mail_to(&self, address: &str) -> Arrived {
        let mails = self.mails().await;
        let message = mails.into_iter().find(|message| message.is_for(address));
        Arrived { message: message.unwrap_or_else(|| panic!("no mail to {address}")) }
    }

    /// The digits of the last message to `phone`.
    pub(crate) fn code_to(&self, phone: &str) -> String {
        self.phones.last_to(phone).unwrap_or_else(|| panic!("no message to {phone}")).code
    }

    /// Every text message that was sent so far, the oldest first.
    pub(crate) fn messages(&self) -> Vec<plinth_auth::sms::SentSms> {
        self.phones.sent()
    }

    /// Follows the link of a mail, as a browser does.
    pub(crate) async fn follow(&self, link: &str) -> Answer {
        self.ask(Ask { target: link, headers: &[], ..Ask::default() }).await
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

    /// A new user with [`PASSWORD`], whose address is confirmed, signed in.
    pub(crate) async fn confirmed(&self, email: &str) -> SignedIn {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = self.post("/signup", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let code = self.mail_to(email).await.code();
        let answer = self.verify("signup", email, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.signed_in()
    }

    /// Types the code of a mail.
    pub(crate) async fn verify(&self, kind: &str, email: &str, code: &str) -> Answer {
        self.post("/verify", json!({"type": kind, "email": email, "token": code})).await
    }

    /// Types the code of a text message.
    pub(crate) async fn verify_phone(&self, kind: &str, phone: &str, code: &str) -> Answer {
        self.post("/verify", json!({"type": kind, "phone": phone, "token": code})).await
    }

    /// Gives the digest of a link without following it.
    pub(crate) async fn verify_hash(&self, kind: &str, hash: &str) -> Answer {
        self.post("/verify", json!({"type": kind, "token_hash": hash})).await
    }

    /// Changes the user who has `token`.
    pub(crate) async fn put(&self, token: &str, body: Value) -> Answer {
        self.send("PUT", "/user", Some(token), body).await
    }

    /// Tokens and codes that were sent so far are older than any may be.
    pub(crate) async fn grow_old(&self) {
        self.sql(
            "update auth.one_time_tokens set created_at = created_at - interval '8 days'; \
             update auth.flow_state set created_at = created_at - interval '8 days', \
             auth_code_issued_at = auth_code_issued_at - interval '8 days'",
        )
        .await;
    }

    /// How often the log has an action.
    pub(crate) async fn logged(&self, action: &str) -> i64 {
        self.count(&format!("auth.audit_log_entries where payload ->> 'action' = '{action}'")).await
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

    /// Has sign-in open its connections anew.
    pub(crate) fn reconnect(&self) {
        self.pool.close_idle(Duration::ZERO);
    }

    /// Ends the connections of sign-in.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// The secret of the project's tokens.
    pub(crate) fn secret(&self) -> String {
        self.database.project().keys.jwt_secret.expose().to_owned()
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.database.name()
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

    /// Where the answer leads to.
    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    /// A parameter of the query of where the answer leads to; empty when there is none.
    #[track_caller]
    pub(crate) fn in_query(&self, name: &str) -> String {
        let place = self.location().split('#').next().unwrap();
        parameter(place.split_once('?').map_or("", |(_, query)| query), name)
    }

    /// A parameter of the fragment of where the answer leads to; empty when there is none.
    #[track_caller]
    pub(crate) fn in_fragment(&self, name: &str) -> String {
        parameter(self.location().split_once('#').map_or("", |(_, fragment)| fragment), name)
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.error())
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

/// The first value of a parameter; empty when there is none.
fn parameter(query: &str, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
