//! Where to connect and as whom.

use std::fmt;
use std::path::PathBuf;

use crate::Tls;

/// A password, key or token. `Debug` prints `***`; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Absolute path of the folder that holds the socket `.s.PGSQL.{port}`.
    Unix(PathBuf),
    /// A host name or an address.
    Tcp(String),
}

impl Host {
    /// Whether it is surely this machine.
    pub fn is_local(&self) -> bool {
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
    /// Whether and how to encrypt.
    pub tls: Tls,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let config = ConnectConfig {
            host: Host::Tcp("db.internal".to_owned()),
            port: 5432,
            tls: Tls::default(),
            user: "me".to_owned(),
            password: Some(Secret::new("hunter2")),
            database: "shop".to_owned(),
            application_name: String::new(),
            settings: Vec::new(),
        };
        let printed = format!("{config:?}");
        assert!(printed.contains("password: Some(***)"), "{printed}");
    }

    #[test]
    fn sockets_and_loopback_addresses_are_this_machine() {
        let tcp = |name: &str| Host::Tcp(name.to_owned()).is_local();
        assert!(Host::Unix(PathBuf::from("/tmp")).is_local());
        assert!(tcp("localhost") && tcp("127.0.0.1") && tcp("::1"));
        assert!(!tcp("10.0.0.1") && !tcp("localhost.example.org"));
    }
}
