//! What the settings mean.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use plinth_wire::Secret;

use super::layers::{Layers, list};
use crate::config::{parse_openapi_mode, parse_tx_end};
use crate::gateway::{NoPath, RolePath};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value is none of those that there are, or does not fit another.
    #[error("{0}")]
    Value(String),
    /// The path to the role is none.
    #[error(transparent)]
    Path(#[from] NoPath),
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Start, stop and trouble with the database.
    Crit,
    /// And answers of 5xx.
    Error,
    /// And answers of 4xx.
    Warn,
    /// And every request.
    Info,
    /// And what helps to develop.
    Debug,
}

impl LogLevel {
    /// The setting's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crit => "crit",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Crit, Self::Error, Self::Warn, Self::Info, Self::Debug];
        all.into_iter().find(|level| level.as_str() == text)
    }
}

/// How tokens are verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    /// The secret or the keys as they were written; `@path` is a file that holds them.
    pub secret: Option<Secret>,
    /// Whether they are in base64.
    pub base64: bool,
    /// Whom tokens must be for.
    pub audience: Option<String>,
    /// Where the role is.
    pub role_path: RolePath,
    /// Tokens that are remembered.
    pub cache_entries: usize,
}

/// All settings, with defaults for those that nobody gave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What shapes answers.
    pub rest: plinth_rest::Config,
    /// `app.settings.…`, whole names, for SQL.
    pub app_settings: Vec<(String, String)>,
    /// Whether errors are told without details and hints.
    pub terse_errors: bool,
    /// The role of those without a token.
    pub anonymous_role: Option<String>,
    /// The channel of reloads; `None` when nobody listens.
    pub channel: Option<String>,
    /// Whether the database's settings count.
    pub in_database: bool,
    /// Function that makes some of them.
    pub pre_config: Option<String>,
    /// Function before every request.
    pub pre_request: Option<String>,
    /// Most connections.
    pub pool_size: usize,
    /// How long a request waits for one.
    pub pool_acquisition_timeout: Duration,
    /// When one that nobody uses is closed.
    pub pool_idle_time: Duration,
    /// Whether to connect again after the database was away.
    pub automatic_recovery: bool,
    /// Whether connections keep statements prepared.
    pub prepared_statements: bool,
    /// Whether `Prefer: timezone` is heeded.
    pub time_zones: bool,
    /// Where the database is; `@path` is a file that says so.
    pub database_uri: Secret,
    /// How tokens are verified.
    pub jwt: Jwt,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Whether SQL is logged.
    pub log_query: bool,
    /// Whose scripts may read answers; everybody's when empty.
    pub cors_origins: Vec<String>,
    /// The header that is sent back.
    pub trace_header: Option<HeaderName>,
    /// Whether answers tell how long their parts took.
    pub timing: bool,
    /// Where to listen.
    pub listen: Place,
    /// Where the admin server listens.
    pub admin: Option<Place>,
    /// What was ignored, for the log.
    pub warnings: Vec<String>,
}

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A host in PostgREST's spelling, and a port.
    Tcp(String, u16),
    /// A Unix socket and its mode.
    Unix(PathBuf, u32),
}

fn wrong<T>(message: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::Value(message.into()))
}

impl Settings {
    /// # Errors
    ///
    /// [`SettingsError`] for a value that would leave open what is meant.
    pub(super) fn read(layers: &Layers<'_>) -> Result<Self, SettingsError> {
        let mut warnings = Vec::new();
        let w = &mut warnings;
        let channel = layers.owned("db-channel");
        let terse_errors = match layers.text("client-error-verbosity") {
            Some("verbose") => false,
            Some("minimal") => true,
            _ => return wrong("Invalid client-error-verbosity. Check your configuration."),
        };
        let log_level = layers.text("log-level").and_then(LogLevel::parse);
        let Some(log_level) = log_level else {
            return wrong("Invalid logging level. Check your configuration.");
        };
        let trace_header = match layers.text("server-trace-header").map(str::parse) {
            None => None,
            // Where an answer ends is not for its client to say.
            Some(Ok(name)) if plinth_rest::may_set_header(&name) => Some(name),
            Some(_) => {
                return wrong("server-trace-header is no name of a header that can be sent back");
            }
        };
        let listen = listen(layers, "server", layers.number("server-port", w).unwrap_or(3000))?;
        let admin_port: Option<u16> = layers.number("admin-server-port", w);
        if let (Some(admin), Place::Tcp(_, port)) = (admin_port, &listen)
            && admin == *port
            && admin != 0
        {
            return wrong("admin-server-port cannot be the same as server-port");
        }
        let admin = match (admin_port, layers.text("admin-server-unix-socket")) {
            (None, None) => None,
            (port, _) => Some(listen_admin(layers, port.unwrap_or_default())?),
        };
        Ok(Self {
            rest: rest(layers, w)?,
            app_settings: layers.app_settings(),
            terse_errors,
            anonymous_role: layers.owned("db-anon-role"),
            channel: channel.filter(|_| layers.switch("db-channel-enabled", w)),
            in_database: layers.switch("db-config", w),
            pre_config: layers.owned("db-pre-config"),
            pre_request: layers.owned("db-pre-request"),
            pool_size: layers.number("db-pool", w).unwrap_or(10).max(1),
            pool_acquisition_timeout: seconds(layers, "db-pool-acquisition-timeout", w),
            pool_idle_time: seconds(layers, "db-pool-max-idletime", w),
            automatic_recovery: layers.switch("db-pool-automatic-recovery", w),
            prepared_statements: layers.switch("db-prepared-statements", w),
            time_zones: layers.switch("db-timezone-enabled", w),
            database_uri: Secret::new(layers.text("db-uri").unwrap_or_default()),
            jwt: jwt(layers, w)?,
            log_level,
            log_query: layers.text("log-query") == Some("main-query")
                || layers.switch("log-query", &mut Vec::new()),
            cors_origins: layers.text("server-cors-allowed-origins").map(list).unwrap_or_default(),
            trace_header,
            timing: layers.switch("server-timing-enabled", w),
            listen,
            admin,
            warnings,
        })
    }
}

fn rest(layers: &Layers<'_>, w: &mut Vec<String>) -> Result<plinth_rest::Config, SettingsError> {
    let schemas = list(layers.text("db-schemas").unwrap_or("public"));
    for restricted in ["pg_catalog", "information_schema"] {
        if schemas.iter().any(|schema| schema == restricted) {
            return wrong(format!("db-schemas does not allow schema: '{restricted}'"));
        }
    }
    let Some(tx_end) = layers.text("db-tx-end").and_then(parse_tx_end) else {
        return wrong("Invalid transaction termination. Check your configuration.");
    };
    let Some(openapi_mode) = layers.text("openapi-mode").and_then(parse_openapi_mode) else {
        return wrong("Invalid openapi-mode. Check your configuration.");
    };
    let proxy = layers.owned("openapi-server-proxy-uri");
    if proxy.as_deref().is_some_and(|uri| !is_proxy_uri(uri)) {
        return wrong("Malformed proxy uri, a correct example: https://example.com:8443/basePath");
    }
    let search_path = layers.emptyable("db-extra-search-path").unwrap_or("public");
    let hoisted = layers.text("db-hoisted-tx-settings").map(list).unwrap_or_default();
    Ok(plinth_rest::Config {
        schemas,
        extra_search_path: if search_path.is_empty() { Vec::new() } else { list(search_path) },
        max_rows: layers.number("db-max-rows", w),
        aggregates: layers.switch("db-aggregates-enabled", w),
        plan: layers.switch("db-plan-enabled", w),
        tx_end,
        openapi_mode,
        pre_request: layers.text("db-pre-request").is_some(),
        root_spec: layers.owned("db-root-spec"),
        openapi_security: layers.switch("openapi-security-active", w),
        openapi_proxy_uri: proxy,
        hoisted_settings: hoisted.iter().map(|name| name.to_lowercase()).collect(),
        legacy_target_names: layers.switch("url-use-legacy-target-names", w),
    })
}

fn jwt(layers: &Layers<'_>, w: &mut Vec<String>) -> Result<Jwt, SettingsError> {
    let audience = layers.owned("jwt-aud");
    // RFC 7519 §2: a text with a colon must be a URI.
    if audience.as_deref().is_some_and(|text| text.contains(':') && !is_uri(text)) {
        return wrong("jwt-aud should be a string or a valid URI");
    }
    Ok(Jwt {
        secret: layers.text("jwt-secret").map(Secret::new),
        base64: layers.switch("jwt-secret-is-base64", w),
        audience,
        role_path: RolePath::parse(layers.text("jwt-role-claim-key").unwrap_or("$.role"))?,
        cache_entries: layers.number("jwt-cache-max-entries", w).unwrap_or(1000),
    })
}

fn seconds(layers: &Layers<'_>, name: &str, w: &mut Vec<String>) -> Duration {
    Duration::from_secs(layers.number(name, w).unwrap_or(10).max(1))
}

fn listen(layers: &Layers<'_>, server: &str, port: u16) -> Result<Place, SettingsError> {
    let host = layers.owned(&format!("{server}-host")).unwrap_or_else(|| "!4".to_owned());
    match layers.text(&format!("{server}-unix-socket")) {
        None => Ok(Place::Tcp(host, port)),
        Some(path) => {
            let name = format!("{server}-unix-socket-mode");
            let text = layers.text(&name).unwrap_or("660");
            match u32::from_str_radix(text, 8) {
                Err(_) => wrong(format!("Invalid {name}: not an octal")),
                Ok(mode) if !(0o600..=0o777).contains(&mode) => {
                    wrong(format!("Invalid {name}: needs to be between 600 and 777"))
                }
                Ok(mode) => Ok(Place::Unix(PathBuf::from(path), mode)),
            }
        }
    }
}

/// The admin server is where the server was told to be unless told otherwise, and on this machine only when neither
/// was told anything: it shows the schema to whoever asks.
fn listen_admin(layers: &Layers<'_>, port: u16) -> Result<Place, SettingsError> {
    let told = |name| layers.emptyable(name).filter(|host| !host.is_empty());
    match listen(layers, "admin-server", port)? {
        Place::Tcp(_, port) => {
            let host = told("admin-server-host").or_else(|| told("server-host"));
            Ok(Place::Tcp(host.unwrap_or("127.0.0.1").to_owned(), port))
        }
        place => Ok(place),
    }
}

fn is_proxy_uri(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://"))
        && is_uri(text)
        && url::Url::parse(text)
            .is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

/// Whether every character may stand in a URI (RFC 3986 §2), and a scheme comes first.
fn is_uri(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let mut bytes = text.bytes();
    let mut well_formed = true;
    while let Some(byte) = bytes.next() {
        well_formed &= match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            b'-' | b'.' | b'_' | b'~' => true,
            _ => byte.is_ascii_alphanumeric() || b":/?#[]@!$&'()*+,;=".contains(&byte),
        };
    }
    well_formed
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}
