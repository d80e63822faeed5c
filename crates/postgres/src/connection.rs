//! Administrative connections: few, short-lived, one statement after the other. The data plane has its own in `wire`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use plinth_wire::{ConnectConfig, Host, Secret, Tls};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, Notification};

use crate::quote::ident;
use crate::sqlstate;
use crate::tls::{self, MakeTls};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Notifications that wait for a slow listener.
const NOTIFICATIONS_HELD: usize = 64;
/// What `pg_stat_activity` shows for these connections.
const APPLICATION_NAME: &str = "plinth";
/// What the sessions of Plinth's own SQL begin with, above what a project's owner can set for the database.
///
/// The owner role may create functions and operators in the schemas of a project's search path. A superuser that
/// resolves a name there runs whatever they wrote.
const OWN_SQL: &str = "-c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0 \
                       -c idle_in_transaction_session_timeout=0";
/// What is written as `%XX` in a URL: all but the unreserved characters (RFC 3986 §2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A role that may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Name of the role.
    pub role: String,
    /// Its password; `None` where the server asks for none.
    pub password: Option<Secret>,
}

/// A server and the login that administers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub host: Host,
    /// Port, also part of the unix socket's name.
    pub port: u16,
    /// Whether and how connections over TCP are encrypted.
    pub tls: Tls,
    /// The administrator.
    pub admin: Login,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection URL does not parse.
    #[error("the database URL is not valid")]
    Url(#[source] tokio_postgres::Error),
    /// The URL lacks something that has no default.
    #[error("the database URL names no {0}")]
    Incomplete(&'static str),
    /// The URL asks for an encryption that does not exist.
    #[error(
        "the database URL says sslmode={0}, which is none of disable, prefer, require, verify-ca, verify-full"
    )]
    TlsMode(String),
    /// What the encryption needs is not there.
    #[error("cannot prepare TLS for the database")]
    Tls(#[source] std::io::Error),
    /// The server could not be reached, or refused.
    #[error("cannot connect to database `{database}` at {place} as `{role}`")]
    Open {
        /// Database asked for.
        database: String,
        /// Host and port.
        place: String,
        /// Login used.
        role: String,
        /// What went wrong.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl ConnectError {
    /// SQLSTATE of the server's refusal, if it came that far.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Open { source, .. } => source.code().map(|code| code.code()),
            _ => None,
        }
    }

    /// The server is there but not ready for connections yet, or not any more.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Open { source, .. } => match source.code() {
                Some(code) => matches!(
                    code.code(),
                    sqlstate::CANNOT_CONNECT_NOW
                        | sqlstate::ADMIN_SHUTDOWN
                        | sqlstate::CRASH_SHUTDOWN
                ),
                None => true,
            },
            _ => false,
        }
    }
}

impl Endpoint {
    /// A server that nobody can listen in on.
    pub fn of_this_machine(host: Host, port: u16, admin: Login) -> Self {
        Self { host, port, tls: Tls::default(), admin }
    }

    /// Reads a `postgres://` URL or a `key=value` string; returns the endpoint and the database that it names.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if it does not parse, or names no user.
    pub fn from_url(url: &str) -> Result<(Self, Option<String>), ConnectError> {
        let (url, wanted) = tls::take_parameters(url)?;
        let config: Config = url.parse().map_err(ConnectError::Url)?;
        let host = match config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(name)) => Host::Tcp(name.clone()),
            #[cfg(unix)]
            Some(tokio_postgres::config::Host::Unix(dir)) => Host::Unix(dir.clone()),
            None => match config.get_hostaddrs().first() {
                Some(address) => Host::Tcp(address.to_string()),
                None => return Err(ConnectError::Incomplete("host")),
            },
        };
        let role = config.get_user().ok_or(ConnectError::Incomplete("user"))?.to_owned();
        let password = config
            .get_password()
            .map(|bytes| Secret::new(String::from_utf8_lossy(bytes).into_owned()));
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let tls = wanted.or_default(host.is_local());
        Ok((
            Self { host, port, tls, admin: Login { role, password } },
            config.get_dbname().map(str::to_owned),
        ))
    }

    /// Opens a connection to `database` as the administrator, for Plinth's own SQL: its search path is `pg_catalog`
    /// whatever the database says, and people's SQL has no place in it.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Open`] if the server is not there or refuses.
    pub async fn connect(&self, database: &str) -> Result<Connection, ConnectError> {
        self.open(self.own_sql(&self.admin, database), &self.admin, database).await
    }

    /// Opens a connection to `database` as `login`, with the settings that the database has for it: for people's SQL,
    /// and so never for the administrator, where people's names could become a superuser's commands.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Open`] if the server is not there or refuses.
    pub async fn connect_as(
        &self,
        login: &Login,
        database: &str,
    ) -> Result<Connection, ConnectError> {
        self.open(self.config(login, database), login, database).await
    }

    async fn open(
        &self,
        config: Config,
        login: &Login,
        database: &str,
    ) -> Result<Connection, ConnectError> {
        let failed = |source| self.failure(login, database, source);
        let tls = MakeTls::new(&self.tls).map_err(ConnectError::Tls)?;
        let (client, driver) = config.connect(tls).await.map_err(failed)?;
        let driver = tokio::spawn(async move {
            // The client of this connection sees the failure itself; here it would be said twice.
            let _ = driver.await;
        });
        Ok(Connection { client, driver })
    }

    /// Opens a connection to `database` as `login` that receives the notifications of `channels`, for Plinth's own SQL
    /// as [`Endpoint::connect`].
    ///
    /// # Errors
    ///
    /// [`ConnectError::Open`] if the server is not there or refuses.
    pub async fn listen(
        &self,
        login: &Login,
        database: &str,
        channels: &[&str],
    ) -> Result<Listener, ConnectError> {
        let failed = |source| self.failure(login, database, source);
        let tls = MakeTls::new(&self.tls).map_err(ConnectError::Tls)?;
        let (client, mut connection) =
            self.own_sql(login, database).connect(tls).await.map_err(failed)?;
        let (sender, receiver) = mpsc::channel(NOTIFICATIONS_HELD);
        let driver = tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    // A listener that is this far behind will look at everything anyway when it comes to read.
                    let _ = sender.try_send(notification);
                }
            }
        });
        let connection = Connection { client, driver };
        let listen: Vec<String> =
            channels.iter().map(|channel| format!("listen {}", ident(channel))).collect();
        connection.batch_execute(&listen.join("; ")).await.map_err(failed)?;
        Ok(Listener { connection, receiver })
    }

    /// A `postgresql://` URL for `login` and `database`, for people and their tools. It holds the password.
    pub fn url(&self, login: &Login, database: &str) -> Secret {
        let role = percent_encode(&login.role);
        let password = login
            .password
            .as_ref()
            .map_or_else(String::new, |password| format!(":{}", percent_encode(password.expose())));
        let host = match &self.host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
            Host::Tcp(name) => name.clone(),
            Host::Unix(dir) => percent_encode(&dir.to_string_lossy()).to_string(),
        };
        let (port, database) = (self.port, percent_encode(database));
        let mut url = format!("postgresql://{role}{password}@{host}:{port}/{database}");
        if self.tls.mode != tls::default_mode(self.host.is_local()) {
            url.push_str(&format!("?sslmode={}", self.tls.mode));
        }
        if let Some(file) = &self.tls.root_certificate {
            let mark = if url.contains('?') { '&' } else { '?' };
            let file = percent_encode(&file.to_string_lossy()).to_string();
            url.push_str(&format!("{mark}sslrootcert={file}"));
        }
        Secret::new(url)
    }

    /// The same for the pools of the data plane, whose sessions are called `application_name`.
    pub fn wire(&self, login: &Login, database: &str, application_name: &str) -> ConnectConfig {
        ConnectConfig {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls.clone(),
            user: login.role.clone(),
            password: login.password.clone(),
            database: database.to_owned(),
            application_name: application_name.to_owned(),
            settings: Vec::new(),
        }
    }

    fn failure(
        &self,
        login: &Login,
        database: &str,
        source: tokio_postgres::Error,
    ) -> ConnectError {
        let (database, role) = (database.to_owned(), login.role.clone());
        ConnectError::Open { database, place: self.to_string(), role, source }
    }

    fn own_sql(&self, login: &Login, database: &str) -> Config {
        let mut config = self.config(login, database);
        config.options(OWN_SQL);
        config
    }

    fn config(&self, login: &Login, database: &str) -> Config {
        let mut config = Config::new();
        match &self.host {
            Host::Unix(dir) => config.host_path(dir),
            Host::Tcp(name) => config.host(name),
        };
        config
            .port(self.port)
            .user(&login.role)
            .dbname(database)
            .application_name(APPLICATION_NAME)
            .ssl_mode(tls::driver_mode(self.tls.mode))
            .connect_timeout(CONNECT_TIMEOUT);
        if let Some(password) = &login.password {
            config.password(password.expose());
        }
        config
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Unix(dir) => write!(f, "{} port {}", dir.display(), self.port),
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// An open connection. Dropping it ends the session; [`Connection::close`] also waits for the end of the socket.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Ends the session and waits until the goodbye is written.
    pub async fn close(self) {
        drop(self.client);
        let _ = self.driver.await;
    }

    /// The client, for transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Holds the lock `name` until the session ends. Other sessions of the same database that ask for the name wait.
    ///
    /// Returns `false` when the lock was not to be had within `wait`.
    pub(crate) async fn lock(
        &self,
        name: &str,
        wait: Duration,
    ) -> Result<bool, tokio_postgres::Error> {
        let millis = wait.as_millis().max(1).to_string();
        self.execute("select set_config('lock_timeout', $1, false)", &[&millis]).await?;
        let locked =
            self.execute("select pg_advisory_lock(hashtextextended($1, 0))", &[&name]).await;
        self.batch_execute("reset lock_timeout").await?;
        match locked {
            Ok(_) => Ok(true),
            Err(error) if has_code(&error, sqlstate::LOCK_NOT_AVAILABLE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Like [`Connection::lock`], without waiting.
    pub(crate) async fn try_lock(&self, name: &str) -> Result<bool, tokio_postgres::Error> {
        let row = self
            .query_one("select pg_try_advisory_lock(hashtextextended($1, 0))", &[&name])
            .await?;
        Ok(row.get(0))
    }

    /// Gives back a lock taken by [`Connection::lock`] or [`Connection::try_lock`].
    pub(crate) async fn unlock(&self, name: &str) -> Result<(), tokio_postgres::Error> {
        self.execute("select pg_advisory_unlock(hashtextextended($1, 0))", &[&name]).await.map(drop)
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// A connection that listens on notification channels. Ends when it is dropped.
#[derive(Debug)]
pub struct Listener {
    connection: Connection,
    receiver: mpsc::Receiver<Notification>,
}

impl Listener {
    /// The next notification; `None` when the connection has ended. At most 64 wait for this call, more are dropped:
    /// take one as "something has changed".
    pub async fn next(&mut self) -> Option<Notification> {
        self.receiver.recv().await
    }

    /// The connection, to read what the notifications are about.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, for what needs transactions.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Whether `error` came from the server with this SQLSTATE.
pub(crate) fn has_code(error: &tokio_postgres::Error, code: &str) -> bool {
    error.code().is_some_and(|found| found.code() == code)
}

fn percent_encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(Endpoint, Option<String>), ConnectError> {
        Endpoint::from_url(url)
    }

    #[test]
    fn a_url_names_host_port_login_and_database() {
        let (endpoint, database) = parse("postgres://me:p%40ss@db.internal:6000/app").unwrap();
        assert_eq!(endpoint.host, Host::Tcp("db.internal".to_owned()));
        assert_eq!(endpoint.port, 6000);
        assert_eq!(
            endpoint.admin,
            Login { role: "me".to_owned(), password: Some(Secret::new("p@ss")) }
        );
        assert_eq!(database.as_deref(), Some("app"));
    }

    #[test]
    fn encryption_that_is_asked_for_is_part_of_the_endpoint_and_of_its_urls() {
        for url in [
            "postgresql://me:p@h:5432/app?sslmode=verify-full&sslrootcert=%2Fa%20b",
            "postgresql://me:p@h:5432/app?sslmode=require",
            "postgresql://me:p@h:5432/app",
            "postgresql://me:p@127.0.0.1:5432/app?sslmode=prefer",
        ] {
            let (endpoint, _) = parse(url).unwrap();
            assert_eq!(endpoint.url(&endpoint.admin, "app").expose(), url);
        }
        assert!(matches!(parse("postgres://me@h/app?sslmode=on"), Err(ConnectError::TlsMode(_))));
    }

    #[test]
    fn a_url_without_user_or_host_is_refused() {
        assert!(matches!(parse("postgres://h/app"), Err(ConnectError::Incomplete("user"))));
        assert!(matches!(parse("user=me"), Err(ConnectError::Incomplete("host"))));
        assert!(matches!(parse("http://h/app"), Err(ConnectError::Url(_))));
    }

    #[test]
    fn a_printed_url_reads_back_as_the_same_endpoint() {
        for host in [Host::Tcp("127.0.0.1".into()), Host::Unix("/tmp/a b".into())] {
            let admin =
                Login { role: "postgres.my-app".into(), password: Some(Secret::new("a/b:c@d")) };
            let endpoint = Endpoint::of_this_machine(host, 54322, admin);
            let url = endpoint.url(&endpoint.admin, "my-app");
            assert_eq!(parse(url.expose()).unwrap(), (endpoint, Some("my-app".to_owned())));
        }
    }
}
