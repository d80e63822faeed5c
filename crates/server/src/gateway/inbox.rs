//! `/inbox`: the mails that `plinth up` has caught, for the developer at this machine.
//!
//! They hold what signs people in, so nobody else sees them: not another machine, and not a page of another site that
//! the developer has open, neither by its scripts (no answer allows another origin) nor by a name of its own that leads
//! here (the `Host` must be this machine's).

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use plinth_doubles::mailbox::Mailbox;

use super::answer_body::AnswerBody;
use super::body::Bodies;
use super::client_address::is_here;
use super::response::{Answer, Situation};

/// Where it is.
const PREFIX: &str = "/inbox";

/// Longest body: a list of messages to delete.
const BODY_BYTES: usize = 64 * 1024;

const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// What follows the prefix, for paths of the inbox.
pub(super) fn path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PREFIX)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Answers a request to the inbox.
pub(super) async fn answer(
    inbox: &Mailbox,
    bodies: &Bodies,
    parts: &Parts,
    path: &str,
    body: Incoming,
) -> Answer {
    if is_stranger(parts) {
        return Situation::NoRoute.answer();
    }
    let body = match bodies.read_at_most(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(situation) => return situation.answer(),
    };
    let query = parts.uri.query().unwrap_or_default();
    let found = inbox.answer(parts.method.as_str(), path, query, &body.bytes);
    let bytes = if parts.method == Method::HEAD { Vec::new() } else { found.body };
    let mut answer = Answer::new(AnswerBody::from(bytes::Bytes::from(bytes)));
    *answer.status_mut() = StatusCode::from_u16(found.status).unwrap_or(StatusCode::OK);
    let headers = answer.headers_mut();
    let text = |value: &str| HeaderValue::from_str(value).ok();
    let pairs = [
        (header::CONTENT_TYPE, text(found.content_type)),
        (header::CONTENT_SECURITY_POLICY, text(found.security_policy)),
        (header::CACHE_CONTROL, text("no-store")),
        (NO_SNIFF, text("nosniff")),
    ];
    headers.extend(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
    answer
}

/// Whether a request is from another machine, or from a page of another site that is open on this one.
pub(super) fn is_stranger(parts: &Parts) -> bool {
    let strange = is_forwarded(parts) || is_foreign(parts);
    strange || !is_here(&parts.extensions) || !is_this_machine(parts)
}

/// Whether the request is addressed to this machine, by a name that no other site can have.
fn is_this_machine(parts: &Parts) -> bool {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Whether a proxy or a tunnel on this machine has sent it, for somebody who is elsewhere. Some write a `Host` of their own.
fn is_forwarded(parts: &Parts) -> bool {
    [header::FORWARDED.as_str(), "x-forwarded-for", "x-forwarded-host", "x-real-ip"]
        .into_iter()
        .any(|name| parts.headers.contains_key(name))
}

/// Whether a page of another site has sent it.
fn is_foreign(parts: &Parts) -> bool {
    let origin = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match (origin, host) {
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_none_or(|(_, origin)| !origin.eq_ignore_ascii_case(host))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_paths_of_the_inbox_lead_there() {
        assert_eq!(path("/inbox"), Some(""));
        assert_eq!(path("/inbox/api/v1/messages"), Some("/api/v1/messages"));
        assert_eq!(path("/inboxes"), None);
        assert_eq!(path("/p/a/inbox"), None);
    }

    #[test]
    fn a_name_that_leads_here_is_not_enough() {
        for (host, fine) in [
            ("localhost:5400", true),
            ("LOCALHOST", true),
            ("127.0.0.1:5400", true),
            ("[::1]:5400", true),
            ("evil.example:5400", false),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_this_machine(&parts(&[("host", host)])), fine, "{host}");
        }
        assert!(!is_this_machine(&parts(&[])));
    }

    #[test]
    fn who_comes_through_a_tunnel_is_not_here() {
        let host = ("host", "localhost:5400");
        assert!(!is_forwarded(&parts(&[host])));
        for name in ["forwarded", "x-forwarded-for", "X-Forwarded-Host", "x-real-ip"] {
            assert!(is_forwarded(&parts(&[host, (name, "127.0.0.1")])), "{name}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let host = ("host", "localhost:5400");
        assert!(!is_foreign(&parts(&[host])));
        assert!(!is_foreign(&parts(&[host, ("origin", "http://localhost:5400")])));
        for origin in ["http://evil.example", "http://localhost:3000", "null"] {
            assert!(is_foreign(&parts(&[host, ("origin", origin)])), "{origin}");
        }
    }
}
