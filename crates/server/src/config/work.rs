//! Where jobs and messages may go besides the public internet.

use plinth_auth::outgoing::{HostSettings, Hosts, OutgoingPolicy};

use super::{ConfigError, RawWork, value};

/// The keys, as errors of those who are refused name them.
const SETTINGS: HostSettings =
    HostSettings { private: "`work.private_hosts`", plain: "`work.plain_hosts`" };

/// Hosts that may be called though they are not public.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkConfig {
    /// Those that need TLS all the same.
    pub private_hosts: Hosts,
    /// Those that do not.
    pub plain_hosts: Hosts,
}

impl WorkConfig {
    /// Where calls may go; with `allow_http_loopback`, to this machine too: for development.
    pub fn policy(&self, allow_http_loopback: bool) -> OutgoingPolicy {
        OutgoingPolicy {
            allow_http_loopback,
            private_hosts: self.private_hosts.clone(),
            plain_hosts: self.plain_hosts.clone(),
            settings: Some(SETTINGS),
        }
    }
}

impl TryFrom<&RawWork> for WorkConfig {
    type Error = ConfigError;

    fn try_from(raw: &RawWork) -> Result<Self, ConfigError> {
        let read = |key, texts: &[String]| {
            Hosts::parse(texts).map_err(|error| value(key, error.to_string()))
        };
        Ok(Self {
            private_hosts: read("work.private_hosts", &raw.private_hosts)?,
            plain_hosts: read("work.plain_hosts", &raw.plain_hosts)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, RawConfig};

    #[test]
    fn what_is_no_host_is_refused_with_its_key() {
        for key in ["private_hosts", "plain_hosts"] {
            let text = format!("[work]\n{key} = ['app:3000', 'http://app:3000']");
            let raw: RawConfig = toml::from_str(&text).unwrap();
            let error = Config::try_from(raw).unwrap_err().to_string();
            assert!(error.contains(&format!("`work.{key}`: `http://app:3000`")), "{error}");
        }
    }
}
