//! Hosts that somebody who runs the machine named, each with a port or at all of them.

use std::collections::BTreeSet;

use url::{Host, Url};

/// Hosts by name or literal address, compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(BTreeSet<(String, Option<u16>)>);

/// What was written is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host; write it like app.internal, 10.0.3.7:8080 or [fd00::7]:8080")]
pub struct HostError(String);

impl Hosts {
    /// Reads `name`, `address`, and either with `:port`; without a port, every port is meant.
    ///
    /// # Errors
    ///
    /// [`HostError`] for the first that is something else, such as a URL, a network or a pattern.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, HostError> {
        let read = |text: T| {
            let text = text.as_ref().trim();
            host(text).ok_or_else(|| HostError(text.to_owned()))
        };
        texts.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is named for `port`; without a port, whether it is named for any.
    pub(crate) fn contains(&self, name: &str, port: Option<u16>) -> bool {
        let name = name.to_ascii_lowercase();
        self.0.iter().any(|(host, only)| {
            *host == name && (only.is_none() || port.is_none() || *only == port)
        })
    }
}

/// The host of a URL as it is compared: an IPv6 address has no brackets.
pub(crate) fn name_of(url: &Url) -> Option<String> {
    url.host().map(|host| bare(&host))
}

fn bare<T: AsRef<str>>(host: &Host<T>) -> String {
    match host {
        Host::Domain(name) => name.as_ref().to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn host(text: &str) -> Option<(String, Option<u16>)> {
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Some((address.to_string(), None));
    }
    let (name, port) = match text.rsplit_once(':') {
        // The colon is inside of `[…]`.
        Some((_, after)) if after.ends_with(']') => (text, None),
        Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port != 0)?)),
        None => (text, None),
    };
    // A pattern would be a host to the parser of URLs, and never match.
    let host = Host::parse(name).ok().filter(|_| !name.contains('*'))?;
    Some((bare(&host), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_with_a_port_or_at_all_of_them() {
        let named = ["App.internal", "10.0.3.7:8080", "[fd00::7]:8080", "fd00::8", "[fd00::9]"];
        let hosts = Hosts::parse(named).unwrap();
        for (name, port) in [
            ("app.internal", 1),
            ("APP.internal", 443),
            ("10.0.3.7", 8080),
            ("fd00::7", 8080),
            ("fd00::8", 1),
            ("fd00::9", 1),
        ] {
            assert!(hosts.contains(name, Some(port)), "{name}:{port}");
            assert!(hosts.contains(name, None), "{name}");
        }
        for (name, port) in [("10.0.3.7", 8081), ("fd00::7", 443), ("internal", 1)] {
            assert!(!hosts.contains(name, Some(port)), "{name}:{port}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "http://app",
            "app/x",
            "10.0.0.0/8",
            "*.internal",
            "app:",
            "app:0",
            "app:99999",
            "me@app",
            "a b",
        ] {
            let error = Hosts::parse([text]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
