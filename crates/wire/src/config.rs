//! Where to connect and as whom.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::WireError;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The folder that holds the socket `.s.PGSQL.{port}`.
    Unix(PathBuf),
    /// A host name or an address.
    Tcp(String),
}

impl Host {
    /// Whether it is surely this machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(name) => {
                name == "localhost"
                    || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
        }
    }
}

/// Everything needed to open a session.
#[derive(Debug, Clone)]
pub struct ConnectConfig {
    /// The server's address.
    pub host: Host,
    /// The server's port; also part of a Unix socket's name.
    pub port: u16,
    /// The login role.
    pub user: String,
    /// Its password, for servers that ask.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Further session settings, such as `search_path`, sent with the start-up message.
    pub settings: Vec<(String, String)>,
}

impl ConnectConfig {
    /// Reads a URL as libpq understands it (PostgreSQL "Connection URIs"): `postgres://` or
    /// `postgresql://`, user, password, host, port, database, and of the parameters `host`,
    /// `port`, `user`, `password`, `dbname`, `application_name`, `options` and `sslmode`.
    ///
    /// # Errors
    ///
    /// [`WireError::InvalidUrl`] when it is no such URL, or asks for TLS, which is not spoken yet:
    /// silently sending a password in the clear would be worse than failing.
    pub fn from_url(text: &str) -> Result<Self, WireError> {
        let invalid = |why: &str| WireError::InvalidUrl(why.to_owned());
        // An empty host is legal for libpq and not for the URL standard.
        let standard = text.replacen("@/", "@localhost/", 1).replacen(":///", "://localhost/", 1);
        let url = url::Url::parse(&standard).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(invalid("it must begin with postgresql://"));
        }
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let mut config = Self {
            host: parse_host(&decode(url.host_str().unwrap_or("localhost"))),
            port: url.port().unwrap_or(5432),
            user: decode(url.username()),
            password: url.password().map(|password| Secret::new(decode(password))),
            database: decode(url.path().trim_start_matches('/')),
            application_name: "plinth".to_owned(),
            settings: Vec::new(),
        };
        for (key, value) in url.query_pairs() {
            config.apply(&key, &value)?;
        }
        if config.user.is_empty() {
            return Err(invalid("the user is missing"));
        }
        if config.database.is_empty() {
            config.database.clone_from(&config.user);
        }
        Ok(config)
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), WireError> {
        match key {
            "host" => self.host = parse_host(value),
            "port" => {
                self.port = value
                    .parse()
                    .map_err(|_| WireError::InvalidUrl(format!("`{value}` is no port")))?;
            }
            "user" => value.clone_into(&mut self.user),
            "password" => self.password = Some(Secret::new(value)),
            "dbname" => value.clone_into(&mut self.database),
            "application_name" => value.clone_into(&mut self.application_name),
            "options" => self.settings.push(("options".to_owned(), value.to_owned())),
            "sslmode" if matches!(value, "disable" | "allow" | "prefer") => {}
            "sslmode" => {
                return Err(WireError::InvalidUrl(format!(
                    "sslmode={value} is not supported yet; use a Unix socket, the loopback \
                     interface or a TLS tunnel with sslmode=disable"
                )));
            }
            _ => tracing::debug!(parameter = key, "ignored a parameter of the connection URL"),
        }
        Ok(())
    }
}

fn parse_host(text: &str) -> Host {
    if text.starts_with('/') {
        return Host::Unix(PathBuf::from(text));
    }
    Host::Tcp(text.trim_start_matches('[').trim_end_matches(']').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_every_part() {
        let config = ConnectConfig::from_url(
            "postgresql://al%40x:p%2Fw@db.local:6543/shop?application_name=me",
        )
        .unwrap();
        assert_eq!(config.host, Host::Tcp("db.local".to_owned()));
        assert_eq!(config.port, 6543);
        assert_eq!(config.user, "al@x");
        assert_eq!(config.password.unwrap().expose(), "p/w");
        assert_eq!(config.database, "shop");
        assert_eq!(config.application_name, "me");
    }

    #[test]
    fn a_socket_folder_may_stand_in_the_host_or_in_a_parameter() {
        for text in ["postgres://me@%2Ftmp%2Fpg/db", "postgres://me@/db?host=/tmp/pg"] {
            let config = ConnectConfig::from_url(text).unwrap();
            assert_eq!(config.host, Host::Unix(PathBuf::from("/tmp/pg")), "{text}");
            assert_eq!(config.database, "db");
        }
    }

    #[test]
    fn the_database_defaults_to_the_user() {
        assert_eq!(ConnectConfig::from_url("postgres://me@localhost").unwrap().database, "me");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for text in ["http://x/y", "postgres://localhost/db", "nonsense", "postgres://u@h/d?port=x"]
        {
            assert!(ConnectConfig::from_url(text).is_err(), "{text}");
        }
        let error = ConnectConfig::from_url("postgres://u@h/d?sslmode=require").unwrap_err();
        assert!(error.to_string().contains("sslmode=require"));
    }

    #[test]
    fn a_password_is_not_printed() {
        let config = ConnectConfig::from_url("postgres://u:hunter2@h/d").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
