//! Whose address a request came from, for limits and sessions.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a request's connection, kept among its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The client's address: the peer's own, unless that is a trusted proxy; then the last address in `X-Forwarded-For`
/// that is none, because every proxy appends whom it heard from, and what stands before that is the client's own say.
/// `None` on a Unix socket.
///
/// A project may have `named` another header. Who does says that a proxy stands before it, so where nobody says which
/// (`trusted` is empty), whoever is at the other end is taken for it; everything else is the same.
pub(super) fn client_address(
    extensions: &Extensions,
    headers: &HeaderMap,
    trusted: &[IpNet],
    named: Option<&HeaderName>,
) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut client = extensions.get().map(|Peer(peer)| peer.ip().to_canonical());
    let mut believed = match &client {
        _ if named.is_some() && trusted.is_empty() => true,
        Some(peer) => is_trusted(peer),
        None => false,
    };
    // From the nearest hop to the farthest.
    for line in headers.get_all(named.unwrap_or(&FORWARDED_FOR)).iter().rev() {
        for hop in line.to_str().unwrap_or_default().rsplit(',') {
            if !believed {
                return client;
            }
            // A trusted proxy that says nothing of use is the farthest that is known.
            let Some(next) = parse_hop(hop.trim()) else { return client };
            client = Some(next);
            believed = is_trusted(&next);
        }
    }
    client
}

/// Whether the other end of the connection is on this machine.
pub(super) fn is_here(extensions: &Extensions) -> bool {
    extensions.get().is_none_or(|Peer(peer)| peer.ip().to_canonical().is_loopback())
}

/// An address, perhaps with a port, as proxies write it.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        client_by(None, peer, forwarded, trusted)
    }

    /// By the header that is named, else by the usual one.
    fn client_by(
        named: Option<HeaderName>,
        peer: &str,
        said: &[&'static str],
        trusted: &[&str],
    ) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        for line in said {
            headers.append(named.clone().unwrap_or(FORWARDED_FOR), line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_address(&extensions, &headers, &trusted, named.as_ref()).unwrap().to_string()
    }

    #[test]
    fn a_header_that_is_named_is_believed_as_far_as_its_proxy_wrote_it() {
        const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
        let by = |peer, said: &[&'static str], trusted: &[&str]| {
            client_by(Some(REAL_IP), peer, said, trusted)
        };
        assert_eq!(by("127.0.0.1", &["1.1.1.1"], &[]), "1.1.1.1");
        assert_eq!(by("10.0.0.1", &["9.9.9.9, 1.1.1.1"], &[]), "1.1.1.1", "9.9.9.9 is made up");
        assert_eq!(by("10.0.0.1", &["9.9.9.9", "1.1.1.1"], &[]), "1.1.1.1");
        assert_eq!(by("10.0.0.1", &["nonsense"], &[]), "10.0.0.1");
        assert_eq!(by("10.0.0.1", &[], &[]), "10.0.0.1");
        // Where it is said which proxies there are, nobody else is believed.
        assert_eq!(by("10.0.0.1", &["9.9.9.9, 1.1.1.1, 10.0.0.2"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(by("8.8.8.8", &["1.1.1.1"], &["10.0.0.0/8"]), "8.8.8.8");
        // The usual header says nothing then.
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "1.1.1.1".parse().unwrap());
        assert_eq!(client_address(&Extensions::new(), &headers, &[], Some(&REAL_IP)), None);
        headers.insert(REAL_IP, "2.2.2.2".parse().unwrap());
        let behind_a_socket = client_address(&Extensions::new(), &headers, &[], Some(&REAL_IP));
        assert_eq!(behind_a_socket.unwrap().to_string(), "2.2.2.2");
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(client("8.8.8.8", &["1.1.1.1"], &[]), "8.8.8.8");
        assert_eq!(client("8.8.8.8", &["1.1.1.1"], &["10.0.0.0/8"]), "8.8.8.8");
        assert_eq!(client("::ffff:8.8.8.8", &[], &[]), "8.8.8.8");
    }

    #[test]
    fn behind_proxies_it_is_the_last_hop_that_is_none_of_them() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        let behind = |forwarded: &[&'static str]| client("10.0.0.1", forwarded, &trusted);
        assert_eq!(behind(&["1.1.1.1"]), "1.1.1.1");
        assert_eq!(behind(&["9.9.9.9, 1.1.1.1, 10.0.0.2"]), "1.1.1.1", "9.9.9.9 is made up");
        assert_eq!(behind(&["9.9.9.9", "1.1.1.1", "10.0.0.2,10.0.0.3"]), "1.1.1.1");
        assert_eq!(behind(&["1.1.1.1:4711"]), "1.1.1.1");
        assert_eq!(behind(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(behind(&["2001:db8::1, fd00::2"]), "2001:db8::1");
        assert_eq!(client("::ffff:10.0.0.1", &["1.1.1.1"], &trusted), "1.1.1.1");
    }

    #[test]
    fn a_proxy_that_says_nothing_of_use_stands_for_its_clients() {
        let behind = |forwarded: &[&'static str]| client("10.0.0.1", forwarded, &["10.0.0.0/8"]);
        assert_eq!(behind(&[]), "10.0.0.1");
        assert_eq!(behind(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        for rubbish in ["", "unknown", "1.1.1.1, _hidden", "1.1.1.1,"] {
            assert_eq!(behind(&[rubbish]), "10.0.0.1", "{rubbish}");
        }
        assert_eq!(behind(&["1.1.1.1, nonsense, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn a_unix_socket_has_no_address() {
        let trusted = ["0.0.0.0/0".parse().unwrap()];
        assert_eq!(client_address(&Extensions::new(), &HeaderMap::new(), &trusted, None), None);
    }
}
