//! One typed configuration from four layers: defaults < `plinth.toml` < environment < flags.
//!
//! What was typed is [`RawConfig`]; what it means is [`Config`], built once at start. A key that is
//! not known is an error in the file, and a warning in the environment, which other tools share.

mod auth;
mod layers;
mod raw;
mod units;
mod work;

pub use auth::{AuthSettings, RawAuth, RawProject, Surroundings, sources as auth_sources};
pub use layers::{Layers, config_file, unknown_environment};
pub use raw::{
    KEYS, Key, RawConfig, RawHttp, RawKeys, RawLog, RawPool, RawPostgres, RawRest, RawWork,
};
pub use units::{ByteSize, Span};
pub use work::WorkConfig;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use plinth_wire::Secret;

/// What the process was told, validated. No option is left that has a default.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Where clients reach this instance, without a slash at the end; `None`: on this machine, at `listen`'s port.
    pub public_url: Option<String>,
    /// Whether to look for the next free port when `listen`'s is taken.
    pub listen_anywhere: bool,
    /// The folder of the managed cluster and everything that belongs to it.
    pub data_dir: PathBuf,
    /// The project that answers at the root; `None`: the one that was created first.
    pub default_project: Option<String>,
    /// Which PostgreSQL.
    pub cluster: ClusterConfig,
    /// The gateway's limits.
    pub http: HttpConfig,
    /// How callers are recognised.
    pub keys: KeysConfig,
    /// What the data API serves and how.
    pub rest: plinth_rest::Config,
    /// Connections.
    pub pool: PoolConfig,
    /// Where jobs and messages may go.
    pub work: WorkConfig,
    /// Sign-in, project by project.
    pub auth: AuthSettings,
    /// What is logged.
    pub log: LogConfig,
}

/// The PostgreSQL server that Plinth talks to.
#[derive(Debug, Clone)]
pub enum ClusterConfig {
    /// A private one that Plinth starts below the data folder.
    Managed {
        /// First port to try on the loopback interface.
        port: u16,
        /// `postgresql.conf` settings that override Plinth's own.
        settings: BTreeMap<String, String>,
    },
    /// One that is there already.
    External {
        /// Connection URL of an administrator.
        url: Secret,
    },
}

/// Limits of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// A longer request body is answered 413. Sixteen times as much is the room for all bodies
    /// together; one that finds no room is answered 503.
    pub body_bytes: usize,
    /// A longer request head is answered 431.
    pub header_bytes: usize,
    /// More header fields than that are answered 431.
    pub header_count: usize,
    /// How long a client may take to send a request's head; also how long an idle kept-alive
    /// connection stays open.
    pub header_timeout: Duration,
    /// How long a request may take in all before it is answered 504; also how long its client may
    /// take nothing of the answer before it is cut off.
    pub request_timeout: Duration,
    /// Open connections; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Requests under way; further ones are answered 503.
    pub max_requests: usize,
    /// How long requests under way may go on after the signal to stop.
    pub drain_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is believed; from anybody else the header means nothing.
    pub trusted_proxies: Vec<IpNet>,
}

/// How callers are recognised.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// Whether a request without an API key is refused (401); otherwise it is `anon`.
    pub require_apikey: bool,
    /// The audience that a token must name, when it names one.
    pub jwt_audience: Option<String>,
}

/// Connections to PostgreSQL.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Connections of all projects together.
    pub max_connections: usize,
    /// Projects that are open at the same time, each with one more connection; further ones make
    /// the project that was unused for longest go to sleep.
    pub max_projects: usize,
    /// How long a request waits for one before it is answered 504.
    pub acquire_timeout: Duration,
    /// How long a project may be unused before its connections, listener and catalog are dropped.
    pub idle_timeout: Duration,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter such as `info` or `plinth_server=debug,warn`; `auto` leaves it to the command.
    pub filter: String,
    /// One JSON object per line instead of text.
    pub json: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is no TOML, a key is unknown, or a value has the wrong type.
    #[error("{origin}: {message}")]
    Invalid {
        /// Where the value came from.
        origin: String,
        /// What is wrong with it.
        message: String,
    },
    /// Settings of sign-in cannot be used.
    #[error(transparent)]
    Auth(#[from] plinth_auth::config::AuthConfigError),
    /// A value is well formed and makes no sense.
    #[error("`{key}`: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        message: String,
    },
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let rest = rest_config(&raw.rest)?;
        let auth = AuthSettings::read(&raw)?;
        positive("http.max_connections", raw.http.max_connections)?;
        positive("http.max_requests", raw.http.max_requests)?;
        positive("http.header_count", raw.http.header_count)?;
        positive("pool.max_connections", raw.pool.max_connections)?;
        positive("pool.max_projects", raw.pool.max_projects)?;
        // hyper cannot work with a smaller read buffer.
        if raw.http.header_size.bytes() < 8192 {
            return Err(value("http.header_size", "must be at least 8KiB"));
        }
        if let Some(name) = &raw.default_project
            && !is_project_name(name)
        {
            return Err(value("default_project", format!("`{name}` is no project name")));
        }
        let cluster = match raw.database_url {
            Some(url) => ClusterConfig::External { url: Secret::new(url) },
            None => ClusterConfig::Managed {
                port: raw.postgres.port,
                settings: raw.postgres.settings.into_iter().collect(),
            },
        };
        Ok(Self {
            listen: parse_listen(&raw.listen)?,
            public_url: raw.http.public_url.as_deref().map(parse_public_url).transpose()?,
            listen_anywhere: false,
            data_dir: raw.data_dir,
            default_project: raw.default_project,
            cluster,
            http: HttpConfig {
                body_bytes: raw.http.body_size.bytes(),
                header_bytes: raw.http.header_size.bytes(),
                header_count: raw.http.header_count,
                header_timeout: raw.http.header_timeout.duration(),
                request_timeout: raw.http.request_timeout.duration(),
                max_connections: raw.http.max_connections,
                max_requests: raw.http.max_requests,
                drain_timeout: raw.http.drain_timeout.duration(),
                trusted_proxies: parse_networks(&raw.http.trusted_proxies)?,
            },
            keys: KeysConfig {
                require_apikey: raw.keys.require_apikey,
                jwt_audience: raw.keys.jwt_audience,
            },
            rest,
            pool: PoolConfig {
                max_connections: raw.pool.max_connections,
                max_projects: raw.pool.max_projects,
                acquire_timeout: raw.pool.acquire_timeout.duration(),
                idle_timeout: raw.pool.idle_timeout.duration(),
            },
            work: WorkConfig::try_from(&raw.work)?,
            auth,
            log: LogConfig { filter: raw.log.filter, json: raw.log.json },
        })
    }
}

impl Config {
    /// Where clients reach this instance, without a slash at the end. Links in mails begin with it, and so does the
    /// issuer of tokens, which apps compare with the URL that they were given: by `plinth status`, if by nothing else.
    pub fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| local_origin(self.listen))
    }
}

/// How clients on this machine call a server that listens there.
pub fn local_origin(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        return format!("http://127.0.0.1:{}", listen.port());
    }
    format!("http://{listen}")
}

fn rest_config(raw: &RawRest) -> Result<plinth_rest::Config, ConfigError> {
    if raw.schemas.is_empty() || raw.schemas.iter().any(String::is_empty) {
        return Err(value("rest.schemas", "needs at least one schema"));
    }
    Ok(plinth_rest::Config {
        schemas: raw.schemas.clone(),
        extra_search_path: raw.extra_search_path.clone(),
        max_rows: (raw.max_rows > 0).then_some(raw.max_rows),
        aggregates: raw.aggregates,
        plan: raw.plan,
        tx_end: parse_tx_end(&raw.tx_end).ok_or_else(|| {
            value(
                "rest.tx_end",
                "must be commit, commit-allow-override, rollback or rollback-allow-override",
            )
        })?,
        openapi_mode: parse_openapi_mode(&raw.openapi_mode).ok_or_else(|| {
            value("rest.openapi_mode", "must be follow-privileges, ignore-privileges or disabled")
        })?,
        ..plinth_rest::Config::default()
    })
}

/// Reads the value of `db-tx-end`, as PostgREST names it.
pub fn parse_tx_end(text: &str) -> Option<plinth_rest::TxEnd> {
    use plinth_rest::TxEnd;
    Some(match text {
        "commit" => TxEnd::Commit,
        "commit-allow-override" => TxEnd::CommitAllowOverride,
        "rollback" => TxEnd::Rollback,
        "rollback-allow-override" => TxEnd::RollbackAllowOverride,
        _ => return None,
    })
}

/// Reads the value of `openapi-mode`, as PostgREST names it.
pub fn parse_openapi_mode(text: &str) -> Option<plinth_rest::OpenApiMode> {
    use plinth_rest::OpenApiMode;
    Some(match text {
        "follow-privileges" => OpenApiMode::FollowPrivileges,
        "ignore-privileges" => OpenApiMode::IgnorePrivileges,
        "disabled" => OpenApiMode::Disabled,
        _ => return None,
    })
}

/// Reads `address:port`, `:port`, `localhost:port` or a bare port (on the loopback interface).
///
/// # Errors
///
/// [`ConfigError::Value`] with what it should look like.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ConfigError> {
    let bare = text.trim().trim_start_matches(':');
    if let Ok(port) = bare.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let local = text.trim().replace("localhost:", "127.0.0.1:").replace("*:", "0.0.0.0:");
    local.parse().map_err(|_| {
        value("listen", format!("`{text}` is no address; write it like 127.0.0.1:5400"))
    })
}

/// Reads addresses and networks, such as `10.0.0.0/8`.
fn parse_networks(texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    let parse = |text: &String| {
        let text = text.trim();
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| {
            let message = format!("`{text}` is no network; write it like 10.0.0.0/8");
            value("http.trusted_proxies", message)
        })
    };
    texts.iter().map(parse).collect()
}

/// Reads a URL that others can be appended to: http or https, a host, perhaps a path; without the slash at its end.
fn parse_public_url(text: &str) -> Result<String, ConfigError> {
    let url = url::Url::parse(text.trim()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && (url.username(), url.password(), url.query(), url.fragment())
                == ("", None, None, None)
    });
    match url {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err(value("http.public_url", format!("`{text}` is not like https://example.org"))),
    }
}

/// Whether `name` may be a project's: `^[a-z][a-z0-9-]{0,38}[a-z0-9]$`.
pub fn is_project_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (2..=40).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn positive(key: &'static str, number: usize) -> Result<(), ConfigError> {
    if number == 0 { Err(value(key, "must be at least 1")) } else { Ok(()) }
}

fn value(key: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let config = Config::try_from(RawConfig::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:5400");
        assert!(config.keys.require_apikey);
        assert!(matches!(config.cluster, ClusterConfig::Managed { port: 54322, .. }));
    }

    #[test]
    fn listen_is_read_in_its_short_forms() {
        for (text, address) in [
            ("5500", "127.0.0.1:5500"),
            (":5500", "127.0.0.1:5500"),
            ("localhost:5500", "127.0.0.1:5500"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(parse_listen(text).unwrap().to_string(), address, "{text}");
        }
        for text in ["", "example.org:80", "1.2.3.4", "127.0.0.1:99999"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_public_url_is_one_that_others_can_be_appended_to() {
        let public = |text: Option<&str>| {
            let mut raw = RawConfig::default();
            raw.http.public_url = text.map(str::to_owned);
            Config::try_from(raw).map(|config| config.public_url())
        };
        for (text, url) in [
            (None, "http://127.0.0.1:5400"),
            (Some("https://example.org"), "https://example.org"),
            (Some("https://example.org/"), "https://example.org"),
            (Some(" http://Example.org:8080/plinth/ "), "http://example.org:8080/plinth"),
        ] {
            assert_eq!(public(text).unwrap(), url, "{text:?}");
        }
        for text in [
            "",
            "example.org",
            "ftp://example.org",
            "https://me@example.org",
            "https://example.org/?a=b",
            "https://example.org/#a",
            "javascript:alert(1)",
        ] {
            let error = public(Some(text)).unwrap_err().to_string();
            assert!(error.contains("http.public_url"), "{text}: {error}");
        }
    }

    #[test]
    fn everywhere_means_this_machine_to_its_clients() {
        for (listen, origin) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://127.0.0.1:80"),
            ("[::1]:80", "http://[::1]:80"),
            ("10.0.0.1:5400", "http://10.0.0.1:5400"),
        ] {
            assert_eq!(local_origin(listen.parse().unwrap()), origin);
        }
    }

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let mut raw = RawConfig::default();
        assert!(Config::try_from(raw.clone()).unwrap().http.trusted_proxies.is_empty());
        raw.http.trusted_proxies = ["10.0.0.0/8", " ::1 ", "192.0.2.1"].map(str::to_owned).into();
        let proxies = Config::try_from(raw.clone()).unwrap().http.trusted_proxies;
        let proxies: Vec<String> = proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]);
        raw.http.trusted_proxies.push("example.org".to_owned());
        let error = Config::try_from(raw).unwrap_err().to_string();
        assert!(error.contains("http.trusted_proxies"), "{error}");
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let mut raw = RawConfig::default();
        raw.http.max_requests = 0;
        let error = Config::try_from(raw).unwrap_err().to_string();
        assert!(error.contains("http.max_requests"), "{error}");

        let mut raw = RawConfig::default();
        raw.rest.tx_end = "maybe".to_owned();
        assert!(Config::try_from(raw).unwrap_err().to_string().contains("rest.tx_end"));

        let raw =
            RawConfig { default_project: Some("No Such Name".to_owned()), ..RawConfig::default() };
        assert!(Config::try_from(raw).unwrap_err().to_string().contains("default_project"));
    }

    #[test]
    fn project_names_are_those_that_fit_a_host_name() {
        for name in ["ab", "echelon", "a-1", "a234567890123456789012345678901234567890"] {
            assert!(is_project_name(name), "{name}");
        }
        for name in [
            "",
            "a",
            "-a",
            "a-",
            "A1",
            "1a",
            "a_b",
            "a.b",
            "a/b",
            "a23456789012345678901234567890123456789012",
        ] {
            assert!(!is_project_name(name), "{name}");
        }
    }

    #[test]
    fn a_database_url_means_an_external_cluster_and_is_not_printed() {
        let raw = RawConfig {
            database_url: Some("postgres://me:hunter2@db/x".to_owned()),
            ..RawConfig::default()
        };
        let config = Config::try_from(raw).unwrap();
        assert!(matches!(config.cluster, ClusterConfig::External { .. }));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
