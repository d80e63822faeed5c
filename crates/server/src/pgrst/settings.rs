//! What the settings mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use plinth_wire::Secret;

use super::keys::{APP_SETTINGS, Key, Kind, find};
use crate::config::{parse_openapi_mode, parse_tx_end};
use crate::gateway::{NoPath, RolePath};

/// Texts by the names of their settings.
pub(super) type Layer = BTreeMap<String, String>;

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

/// The layers of settings, the strongest first.
pub(super) struct Layers<'l> {
    /// By the names in the database.
    pub database: &'l Layer,
    /// By the names in a file.
    pub flags: &'l Layer,
    /// By the names of variables.
    pub environment: &'l Layer,
    /// By the names in a file.
    pub file: &'l Layer,
}

impl Layers<'_> {
    /// The value of the strongest layer that has one, even an empty one.
    fn raw(&self, name: &str, in_database: bool) -> Option<&str> {
        let database = || self.database.get(&name.replace('-', "_"));
        let found = in_database.then(database).flatten();
        let found = found.or_else(|| self.flags.get(name));
        let found = found.or_else(|| self.environment.get(&Key::variable(name)));
        found.or_else(|| self.file.get(name)).map(String::as_str)
    }

    /// A text that may be empty, by its name only.
    fn emptyable(&self, name: &str) -> Option<&str> {
        self.raw(name, find(name).is_some_and(|key| key.in_database))
    }

    /// An empty value is none: then the alias counts, then the default.
    fn text(&self, name: &str) -> Option<&str> {
        let key = find(name)?;
        let given = |name| self.raw(name, key.in_database).filter(|text| !text.is_empty());
        given(key.name)
            .or_else(|| given(key.alias?))
            .or(Some(key.default).filter(|text| !text.is_empty()))
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    fn default_of(name: &str) -> &'static str {
        find(name).map_or("", |key| key.default)
    }

    /// What is no number is ignored, with a warning.
    fn number<N: std::str::FromStr>(&self, name: &str, warnings: &mut Vec<String>) -> Option<N> {
        let text = self.text(name)?;
        // A file may write a number as 5e3 or 10.0.
        let whole =
            || text.parse::<f64>().ok().filter(|n| n.fract() == 0.0).map(|n| format!("{n:.0}"));
        let parsed = text.parse().ok().or_else(|| whole()?.parse().ok());
        if parsed.is_none() {
            warnings.push(format!("{name} is no number and is ignored"));
            return Self::default_of(name).parse().ok();
        }
        parsed
    }

    /// Any spelling of true and false, or a number above zero; anything else is ignored.
    fn switch(&self, name: &str, warnings: &mut Vec<String>) -> bool {
        let text = self.text(name).unwrap_or_default();
        let letters: String = text.chars().filter(|c| c.is_alphabetic()).collect();
        match (letters.to_lowercase().as_str(), text.trim().parse::<i64>()) {
            ("true", _) => true,
            ("false", _) => false,
            (_, Ok(number)) => number > 0,
            _ => {
                warnings.push(format!("{name} is neither true nor false and is ignored"));
                Self::default_of(name) == "true"
            }
        }
    }

    /// What counts for `key`, written as its kind is.
    pub(super) fn effective(&self, key: &Key) -> String {
        let ignored = &mut Vec::new();
        match key.kind {
            Kind::Switch => self.switch(key.name, ignored).to_string(),
            Kind::Number => {
                let number: Option<u64> = self.number(key.name, ignored);
                number.map(|number| number.to_string()).unwrap_or_default()
            }
            Kind::Text if key.name == "db-extra-search-path" => {
                self.emptyable(key.name).unwrap_or(key.default).to_owned()
            }
            Kind::Text => self.owned(key.name).unwrap_or_default(),
        }
    }

    pub(super) fn app_settings(&self) -> Vec<(String, String)> {
        let in_file = self.file.iter().filter(|(name, _)| name.starts_with(APP_SETTINGS));
        let mut found: Layer = in_file.map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in self.environment {
            if let Some(rest) = name.strip_prefix("PGRST_APP_SETTINGS_") {
                found.insert(format!("{APP_SETTINGS}{rest}"), value.clone());
            }
        }
        found.into_iter().collect()
    }
}

fn wrong<T>(message: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::Value(message.into()))
}

/// The names of a list; what is between two commas is a name, even nothing.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
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
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => return wrong("server-trace-header is no name of a header"),
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

/// The admin server is where the server is unless told otherwise.
fn listen_admin(layers: &Layers<'_>, port: u16) -> Result<Place, SettingsError> {
    match listen(layers, "admin-server", port)? {
        Place::Tcp(_, port) if layers.text("admin-server-host").is_none() => {
            let host = layers.owned("server-host").unwrap_or_else(|| "!4".to_owned());
            Ok(Place::Tcp(host, port))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(pairs: &[(&str, &str)]) -> Layer {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(
        file: &[(&str, &str)],
        environment: &[(&str, &str)],
        database: &[(&str, &str)],
    ) -> Result<Settings, String> {
        let (file, environment, database) = (layer(file), layer(environment), layer(database));
        let flags = Layer::new();
        let layers =
            Layers { database: &database, flags: &flags, environment: &environment, file: &file };
        Settings::read(&layers).map_err(|error| error.to_string())
    }

    #[test]
    fn without_any_settings_there_are_postgrests_defaults() {
        let settings = read(&[], &[], &[]).unwrap();
        assert_eq!(settings.listen, Place::Tcp("!4".to_owned(), 3000));
        assert_eq!(settings.admin, None);
        assert_eq!(settings.rest.schemas, ["public"]);
        assert_eq!(settings.channel.as_deref(), Some("pgrst"));
        assert_eq!(settings.jwt.role_path, RolePath::default());
        assert_eq!(settings.jwt.cache_entries, 1000);
        assert_eq!(settings.log_level, LogLevel::Error);
        assert!(settings.in_database && settings.time_zones && settings.warnings.is_empty());
        assert_eq!(settings.rest.hoisted_settings, plinth_rest::Config::default().hoisted_settings);
    }

    #[test]
    fn the_database_wins_over_the_environment_and_that_over_the_file() {
        let settings = read(
            &[
                ("db-schemas", "f"),
                ("db-max-rows", "1"),
                ("server-port", "1"),
                ("db-anon-role", "a"),
            ],
            &[
                ("PGRST_DB_SCHEMAS", "e, e2"),
                ("PGRST_DB_MAX_ROWS", "2"),
                ("PGRST_DB_ANON_ROLE", ""),
            ],
            &[("db_schemas", "d,d2"), ("server_port", "7")],
        )
        .unwrap();
        assert_eq!(settings.rest.schemas, ["d", "d2"]);
        assert_eq!(settings.rest.max_rows, Some(2));
        assert_eq!(settings.listen, Place::Tcp("!4".to_owned(), 1), "not the database's to say");
        assert_eq!(settings.anonymous_role, None, "an empty variable hides the file's value");
    }

    #[test]
    fn old_names_count_when_the_new_ones_are_silent() {
        let settings = read(
            &[
                ("max-rows", "5"),
                ("db-schema", "old"),
                ("role-claim-key", ".r"),
                ("pre-request", "p"),
            ],
            &[("PGRST_SECRET_IS_BASE64", "TRUE")],
            &[],
        )
        .unwrap();
        assert_eq!(
            (settings.rest.max_rows, settings.rest.schemas),
            (Some(5), vec!["old".to_owned()])
        );
        assert_eq!(settings.jwt.role_path.as_str(), ".r");
        assert_eq!(settings.pre_request.as_deref(), Some("p"));
        assert!(settings.jwt.base64);
    }

    #[test]
    fn app_settings_keep_their_names_and_the_environment_wins() {
        let settings = read(
            &[("app.settings.a", "1"), ("app.settings.b", "2"), ("app.other", "3")],
            &[("PGRST_APP_SETTINGS_b", "4"), ("PGRST_APP_SETTINGS_C", "5")],
            &[],
        )
        .unwrap();
        let pair = |name: &str, value: &str| (format!("app.settings.{name}"), value.to_owned());
        assert_eq!(settings.app_settings, [pair("C", "5"), pair("a", "1"), pair("b", "4")]);
    }

    #[test]
    fn numbers_and_switches_are_read_generously() {
        for (text, wanted) in
            [("TRUE", true), ("\"true\"", true), ("1", true), ("0", false), ("False", false)]
        {
            let settings = read(&[], &[("PGRST_DB_PLAN_ENABLED", text)], &[]).unwrap();
            assert_eq!(settings.rest.plan, wanted, "{text}");
        }
        let settings = read(
            &[("db-pool", "2e1")],
            &[("PGRST_DB_CONFIG", "perhaps"), ("PGRST_SERVER_PORT", "x")],
            &[],
        )
        .unwrap();
        assert_eq!(settings.pool_size, 20);
        assert!(settings.in_database);
        assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    }

    #[test]
    fn values_that_make_no_sense_are_refused_in_postgrests_words() {
        for (variable, value, message) in [
            ("LOG_LEVEL", "never", "Invalid logging level. Check your configuration."),
            ("DB_TX_END", "random", "Invalid transaction termination. Check your configuration."),
            ("OPENAPI_MODE", "follow-", "Invalid openapi-mode. Check your configuration."),
            (
                "CLIENT_ERROR_VERBOSITY",
                "x",
                "Invalid client-error-verbosity. Check your configuration.",
            ),
            (
                "OPENAPI_SERVER_PROXY_URI",
                "htp:/@@host.invalid",
                "Malformed proxy uri, a correct example: https://example.com:8443/basePath",
            ),
            ("JWT_AUD", "foo://%%$$^^.com", "jwt-aud should be a string or a valid URI"),
            ("JWT_ROLE_CLAIM_KEY", ".role##", "failed to parse role-claim-key value (.role##)"),
            ("DB_SCHEMAS", "public, pg_catalog", "db-schemas does not allow schema: 'pg_catalog'"),
            ("ADMIN_SERVER_PORT", "3000", "admin-server-port cannot be the same as server-port"),
        ] {
            let name = format!("PGRST_{variable}");
            assert_eq!(read(&[], &[(&name, value)], &[]).unwrap_err(), message, "{variable}");
        }
        for (mode, why) in
            [("800", "not an octal"), ("577", "between 600 and 777"), ("1000", "between 600")]
        {
            let socket = ("PGRST_SERVER_UNIX_SOCKET", "/tmp/x.sock");
            let error =
                read(&[], &[socket, ("PGRST_SERVER_UNIX_SOCKET_MODE", mode)], &[]).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
