//! HTTP to the outside world, held to a policy: where it may go, how long it may take, how much it may bring back.
//!
//! Addresses come from settings, and settings may be written by people who do not run the machine. So a URL is looked at before the
//! call, and a name is looked at again after it was resolved, by the same resolver that the connection uses: there is no gap between
//! the check and the use in which a name could change its address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::address::{self, is_public};
use super::hosts::{Hosts, name_of};

/// The largest body that is read unless another limit is set, in bytes. A longer answer is an error, not a truncated text.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Where outgoing calls may go. The default is the public internet over TLS and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingPolicy {
    /// Development only: plain HTTP to this machine is allowed, and so are this machine's own addresses.
    pub allow_http_loopback: bool,
    /// Hosts that may be private, for example an identity provider inside the company. TLS is required all the same.
    pub private_hosts: Hosts,
    /// Hosts that may be private and may be called by plain HTTP as well: people's own programs on this machine or in the
    /// same private network.
    pub plain_hosts: Hosts,
    /// Where hosts are named, for those who are refused; `None`: nobody can.
    pub settings: Option<HostSettings>,
}

/// The settings from which a policy has its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostSettings {
    /// That of [`OutgoingPolicy::private_hosts`].
    pub private: &'static str,
    /// That of [`OutgoingPolicy::plain_hosts`].
    pub plain: &'static str,
}

/// A call that the policy does not allow, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("calls to {place} are not allowed{remedy}")]
pub struct Refusal {
    /// Scheme, host and port.
    place: String,
    /// Empty, or the rest of the sentence.
    remedy: String,
}

/// Why an outgoing call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The policy does not allow this URL.
    #[error(transparent)]
    Refused(Refusal),
    /// The other side could not be reached, or broke off.
    #[error("{host} could not be reached")]
    Unreachable {
        /// The host that was called.
        host: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The other side took too long.
    #[error("{0} did not answer in time")]
    TimedOut(String),
    /// The answer is longer than the client reads.
    #[error("the answer of {0} is too long")]
    TooLong(String),
    /// The client could not be set up.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status. Redirects are answers like any other: they are never followed.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether it went on behind that. Only [`Outgoing::send_cut`] gives such answers.
    pub is_cut: bool,
}

/// A client that keeps an [`OutgoingPolicy`]. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Calls what nobody named.
    client: reqwest::Client,
    /// Calls the hosts that are named, at their ports: a resolver does not know the port.
    named: Option<reqwest::Client>,
    policy: Arc<OutgoingPolicy>,
    body_limit: usize,
}

impl Outgoing {
    /// A client whose calls take at most `timeout`, from the first byte sent to the last one read.
    ///
    /// # Errors
    ///
    /// [`OutgoingError::Client`] if TLS cannot be set up.
    pub fn new(policy: OutgoingPolicy, timeout: Duration) -> Result<Self, OutgoingError> {
        let client = |policy: OutgoingPolicy| {
            super::builder()
                .dns_resolver(Arc::new(Resolver(policy)))
                .timeout(timeout)
                .build()
                .map_err(OutgoingError::Client)
        };
        let has_names = !policy.private_hosts.is_empty() || !policy.plain_hosts.is_empty();
        let named = has_names.then(|| client(policy.clone())).transpose()?;
        let nameless = OutgoingPolicy {
            allow_http_loopback: policy.allow_http_loopback,
            ..Default::default()
        };
        let client = client(nameless)?;
        Ok(Self { client, named, policy: Arc::new(policy), body_limit: BODY_LIMIT })
    }

    /// The same client with answers of at most `bytes` instead of [`BODY_LIMIT`].
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        Self { body_limit: bytes, ..self }
    }

    /// Whether the policy allows `url`, as far as this can be said without resolving its host.
    ///
    /// # Errors
    ///
    /// [`OutgoingError::Refused`] if it does not.
    pub fn check(&self, url: &Url) -> Result<(), OutgoingError> {
        if self.policy.allows(url) {
            return Ok(());
        }
        let refusal = match (url.username(), url.password()) {
            ("", None) => self.policy.refusal(place(url)),
            _ => Refusal { place: place(url), remedy: " with a user or a password".to_owned() },
        };
        Err(OutgoingError::Refused(refusal))
    }

    /// The client that judges by the right names what `url`'s host resolves to.
    fn client(&self, url: &Url) -> &reqwest::Client {
        let name = name_of(url).unwrap_or_default();
        let is_named = self.policy.may_be_private(&name, url.port_or_known_default());
        self.named.as_ref().filter(|_| is_named).unwrap_or(&self.client)
    }

    /// Sends `request` and reads the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// Every variant of [`OutgoingError`] but [`OutgoingError::Client`].
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Answer, OutgoingError> {
        let url = Url::parse(&request.uri().to_string());
        let answer = self.send_cut(request).await?;
        let host = url.map(|url| place(&url)).unwrap_or_default();
        if answer.is_cut { Err(OutgoingError::TooLong(host)) } else { Ok(answer) }
    }

    /// As [`Outgoing::send`], for those to whom the status of a longer answer says enough: of its body they get as much as
    /// the limit allows.
    ///
    /// # Errors
    ///
    /// As [`Outgoing::send`], without [`OutgoingError::TooLong`].
    pub async fn send_cut(&self, request: http::Request<Vec<u8>>) -> Result<Answer, OutgoingError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| {
            OutgoingError::Refused(self.policy.refusal("an address that is no URL".to_owned()))
        })?;
        self.check(&url)?;
        let host = place(&url);
        let request = reqwest::Request::try_from(request)
            .map_err(|source| OutgoingError::Unreachable { host: host.clone(), source })?;
        let sent = self.client(&url).execute(request).await;
        let mut response = sent.map_err(|error| self.failure(&host, error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let read = super::beginning(response, self.body_limit).await;
        let (body, is_cut) = read.map_err(|error| self.failure(&host, error))?;
        Ok(Answer { status, headers, body, is_cut })
    }

    fn failure(&self, host: &str, error: reqwest::Error) -> OutgoingError {
        if error.is_timeout() {
            return OutgoingError::TimedOut(host.to_owned());
        }
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            if inner.is::<NoAllowedAddress>() {
                return OutgoingError::Refused(self.policy.refusal(host.to_owned()));
            }
            cause = inner.source();
        }
        OutgoingError::Unreachable { host: host.to_owned(), source: error.without_url() }
    }
}

impl OutgoingPolicy {
    fn allows(&self, url: &Url) -> bool {
        let (Some(host), Some(name)) = (url.host(), name_of(url)) else { return false };
        let port = url.port_or_known_default();
        let loopback = match &host {
            Host::Domain(name) => is_localhost(name),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let scheme = match url.scheme() {
            "https" => true,
            "http" => {
                (self.allow_http_loopback && loopback) || self.plain_hosts.contains(&name, port)
            }
            _ => false,
        };
        let address = match host {
            Host::Domain(name) => self.allows_name(name, port),
            Host::Ipv4(address) => self.allows_address(&name, port, address.into()),
            Host::Ipv6(address) => self.allows_address(&name, port, address.into()),
        };
        scheme && address && url.username().is_empty() && url.password().is_none()
    }

    /// Whether a name may be resolved at all. Not every system has addresses for the names below `localhost`.
    fn allows_name(&self, name: &str, port: Option<u16>) -> bool {
        !is_localhost(name) || self.allow_http_loopback || self.may_be_private(name, port)
    }

    /// Whether a connection to `address`, which `name` stands for, may be made; without a port, to any that is named.
    fn allows_address(&self, name: &str, port: Option<u16>, address: IpAddr) -> bool {
        let loopback = address::embedded(address).is_loopback();
        // A name that says it is this machine may be nothing else, or plain HTTP would leave it.
        if is_localhost(name) && !loopback {
            return false;
        }
        is_public(address)
            || (self.allow_http_loopback && loopback)
            || self.may_be_private(name, port)
    }

    fn may_be_private(&self, name: &str, port: Option<u16>) -> bool {
        self.private_hosts.contains(name, port) || self.plain_hosts.contains(name, port)
    }

    /// What is said of a call to `place`, a scheme with a host and a port.
    fn refusal(&self, place: String) -> Refusal {
        let remedy = match (self.settings, place.split_once("://")) {
            (Some(settings), Some(("http", _))) => {
                format!(": hosts that may be called without TLS are named in {}", settings.plain)
            }
            (Some(settings), Some(("https", _))) => {
                format!(": hosts that may be private are named in {}", settings.private)
            }
            _ => String::new(),
        };
        Refusal { place, remedy }
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Scheme, host and port: what a log may keep of a URL.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The system's resolver without the addresses that the policy refuses.
struct Resolver(OutgoingPolicy);

/// A name has addresses, and none of them may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address that may be called")]
struct NoAllowedAddress;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|address| policy.allows_address(name.as_str(), None, address.ip()))
                .collect();
            if found.is_empty() {
                return Err(NoAllowedAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn hosts(names: &[&str]) -> Hosts {
        Hosts::parse(names).unwrap()
    }

    fn refused(policy: &OutgoingPolicy, url: &str) -> bool {
        !policy.allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn only_tls_to_public_addresses_is_allowed_by_default() {
        let policy = OutgoingPolicy::default();
        assert!(!refused(&policy, "https://accounts.google.com/x"));
        assert!(!refused(&policy, "https://8.8.8.8/"));
        for url in [
            "http://accounts.google.com/",
            "http://localhost/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://user:word@example.com/",
            "file:///etc/passwd",
            "ftp://example.com/",
        ] {
            assert!(refused(&policy, url), "{url} must be refused");
        }
    }

    #[test]
    fn the_development_flag_opens_this_machine_only() {
        let policy = OutgoingPolicy { allow_http_loopback: true, ..Default::default() };
        for url in ["http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/"] {
            assert!(!refused(&policy, url), "{url} must be allowed");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "https://10.0.0.1/"] {
            assert!(refused(&policy, url), "{url} must be refused");
        }
        assert!(!policy.allows_address("a.localhost", None, [93, 184, 216, 34].into()));
    }

    #[test]
    fn a_host_may_be_private_when_it_is_named() {
        let policy = OutgoingPolicy {
            private_hosts: hosts(&["id.corp.example", "10.0.0.7"]),
            ..Default::default()
        };
        assert!(policy.allows_address("ID.corp.example", None, [10, 0, 0, 1].into()));
        assert!(!policy.allows_address("other.example", None, [10, 0, 0, 1].into()));
        assert!(!refused(&policy, "https://10.0.0.7/"));
        assert!(refused(&policy, "http://10.0.0.7/"));
        assert!(refused(&policy, "https://10.0.0.8/"));
    }

    #[test]
    fn a_host_may_be_called_without_tls_when_it_is_named() {
        let policy =
            OutgoingPolicy { plain_hosts: hosts(&["worker", "10.0.0.7"]), ..Default::default() };
        for url in ["http://worker:3000/", "https://WORKER/", "http://10.0.0.7/x"] {
            assert!(!refused(&policy, url), "{url} must be allowed");
        }
        for url in ["http://other:3000/", "http://10.0.0.8/", "ftp://worker/"] {
            assert!(refused(&policy, url), "{url} must be refused");
        }
        assert!(policy.allows_address("worker", None, [172, 18, 0, 3].into()));
        assert!(!policy.allows_address("other", None, [172, 18, 0, 3].into()));
    }

    #[test]
    fn a_host_that_is_named_with_a_port_is_private_at_that_port_only() {
        let policy = OutgoingPolicy {
            private_hosts: hosts(&["10.0.0.7:8443", "localhost:8443"]),
            plain_hosts: hosts(&["127.0.0.1:3000", "[::1]:3000", "worker:3000"]),
            ..Default::default()
        };
        for url in [
            "https://10.0.0.7:8443/",
            "https://localhost:8443/",
            "http://127.0.0.1:3000/",
            "http://[::1]:3000/",
            "http://worker:3000/",
            // What it resolves to is looked at as for any other name.
            "https://worker/",
        ] {
            assert!(!refused(&policy, url), "{url} must be allowed");
        }
        for url in [
            "https://10.0.0.7/",
            "https://localhost/",
            "http://10.0.0.7:8443/",
            "http://127.0.0.1:5432/",
            "http://[::1]/",
            "http://worker/",
        ] {
            assert!(refused(&policy, url), "{url} must be refused");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_named_for_another_port_may_not_be_private() {
        let policy =
            OutgoingPolicy { private_hosts: hosts(&["localhost:8443"]), ..Default::default() };
        let outgoing = Outgoing::new(policy, Duration::from_secs(5)).unwrap();
        // Past the check of the URL, as a name would be that looks public.
        let url = Url::parse("https://localhost:9/").unwrap();
        let error = outgoing.client(&url).get(url).send().await.unwrap_err();
        let error = outgoing.failure("https://localhost:9", error);
        assert!(matches!(error, OutgoingError::Refused(_)), "{error:?}");
        let url = Url::parse("https://localhost:8443/").unwrap();
        let error = outgoing.client(&url).get(url).send().await.unwrap_err();
        let error = outgoing.failure("https://localhost:8443", error);
        assert!(matches!(error, OutgoingError::Unreachable { .. }), "{error:?}");
    }

    #[test]
    fn a_refusal_names_the_setting_that_would_allow_the_host() {
        let settings = HostSettings { private: "a.private", plain: "a.plain" };
        let policy = OutgoingPolicy { settings: Some(settings), ..Default::default() };
        let outgoing = Outgoing::new(policy, Duration::from_secs(5)).unwrap();
        for (url, error) in [
            (
                "http://127.0.0.1:9/x?y",
                "calls to http://127.0.0.1:9 are not allowed: hosts that may be called without TLS are named in a.plain",
            ),
            (
                "https://10.0.0.7/x",
                "calls to https://10.0.0.7 are not allowed: hosts that may be private are named in a.private",
            ),
        ] {
            let refusal = outgoing.check(&Url::parse(url).unwrap()).unwrap_err();
            assert_eq!(refusal.to_string(), error);
        }
    }

    /// Where a server answers two requests with 2000 bytes.
    fn long_answers() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().take(2).flatten() {
                let _request = stream.read(&mut [0; 4096]);
                let head = "HTTP/1.1 203 Fine\r\ncontent-length: 2000\r\nconnection: close\r\n\r\n";
                let _gone = stream.write_all(format!("{head}{}", "x".repeat(2000)).as_bytes());
            }
        });
        url
    }

    #[tokio::test]
    async fn of_an_answer_that_is_too_long_the_beginning_can_be_had() {
        let policy = OutgoingPolicy { allow_http_loopback: true, ..Default::default() };
        let outgoing = Outgoing::new(policy, Duration::from_secs(60)).unwrap().with_body_limit(999);
        let url = long_answers();
        let request = || http::Request::get(&url).body(Vec::new()).unwrap();
        let answer = outgoing.send_cut(request()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len(), answer.is_cut), (203, 999, true));
        let error = outgoing.send(request()).await.unwrap_err();
        assert!(matches!(error, OutgoingError::TooLong(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to() {
        let timeout = Duration::from_secs(5);
        let outgoing = Outgoing::new(OutgoingPolicy::default(), timeout).unwrap();
        // Past the check of the URL, as a name of somebody else's that resolves to this machine would be.
        let request = outgoing.client.get("https://localhost/").build().unwrap();
        let error = outgoing.client.execute(request).await.unwrap_err();
        let error = outgoing.failure("https://localhost", error);
        assert!(matches!(error, OutgoingError::Refused(_)), "{error:?}");
        let open = OutgoingPolicy { allow_http_loopback: true, ..Default::default() };
        let found = Resolver(open).resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.map(|address| address.ip()).all(|address| address.is_loopback()));
    }
}
