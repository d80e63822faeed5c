//! Cross-origin requests. Unless origins are listed, every one is welcome, since no cookie ever
//! authenticates anybody.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::response::{Answer, empty};

const ANY: HeaderValue = HeaderValue::from_static("*");
const GATEWAY_METHODS: HeaderValue =
    HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT");
const METHODS: HeaderValue =
    HeaderValue::from_static("GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD");
/// Headers that every browser may send anyway (Fetch standard, "CORS-safelisted request-header").
const SIMPLE_HEADERS: [&str; 3] = ["Accept", "Accept-Language", "Content-Language"];
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, \
     Transfer-Encoding, Range-Unit",
);
/// What clients of sign-in send and read; no cookie authenticates anybody there either, so credentials are harmless.
const AUTH_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const AUTH_HEADERS: [&str; 9] = [
    "Accept",
    "Authorization",
    "Content-Type",
    "X-Client-IP",
    "X-Client-Info",
    "X-JWT-AUD",
    "x-use-cookie",
    "X-Supabase-Api-Version",
    "apikey",
];
const AUTH_EXPOSED: HeaderValue =
    HeaderValue::from_static("X-Total-Count, Link, X-Supabase-Api-Version");
/// A day, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Whose scripts may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's, in the words of the gateways that clients know.
    Gateway,
    /// Everybody's, in the words of sign-in.
    Auth,
    /// These, or everybody's when there are none, in PostgREST's words.
    Listed(Vec<String>),
}

impl Origins {
    /// What to allow to `origin`, and whether with credentials; `None` for a stranger.
    fn allowed(&self, origin: &HeaderValue) -> Option<(HeaderValue, bool)> {
        match self {
            Self::Listed(listed) if !listed.is_empty() => {
                let known = listed.iter().any(|known| origin.as_bytes() == known.as_bytes());
                known.then(|| (origin.clone(), true))
            }
            Self::Auth => Some((origin.clone(), true)),
            Self::Gateway | Self::Listed(_) => Some((ANY, false)),
        }
    }
}

/// Whether this is a browser's question before the real request (Fetch standard, "CORS-preflight
/// fetch"). It carries no credentials, so it is answered before any are asked for.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight: everything is allowed, and the headers asked for are echoed. `None` for
/// a stranger, whose question is a request like any other.
pub(super) fn preflight(origins: &Origins, request: &HeaderMap) -> Option<Answer> {
    let (allowed, credentials) = origins.allowed(request.get(ORIGIN)?)?;
    let mut answer = empty(StatusCode::OK);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let wanted = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
    if *origins == Origins::Gateway {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, GATEWAY_METHODS);
        if let Some(wanted) = wanted {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            headers.insert(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        }
        return Some(answer);
    }
    if credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if *origins == Origins::Auth {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, AUTH_METHODS);
        headers.insert(VARY, HeaderValue::from_static("Origin, Access-Control-Request-Headers"));
        let list = allowed_headers(&AUTH_HEADERS, wanted, &[]);
        headers.extend(list.map(|list| (ACCESS_CONTROL_ALLOW_HEADERS, list)));
        return Some(answer);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    if wanted.is_some()
        && let Some(list) = allowed_headers(&["Authorization"], wanted, &SIMPLE_HEADERS)
    {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, list);
    }
    Some(answer)
}

/// The headers asked for, between those that are always allowed.
fn allowed_headers(
    first: &[&str],
    wanted: Option<&HeaderValue>,
    last: &[&str],
) -> Option<HeaderValue> {
    let wanted = wanted.map_or(Ok(""), HeaderValue::to_str).ok()?;
    let mut names = first.to_vec();
    names.extend(wanted.split(',').map(str::trim).filter(|name| !name.is_empty()));
    for name in last {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    HeaderValue::from_str(&names.join(", ")).ok()
}

/// Lets scripts of the origins read an ordinary answer.
pub(super) fn decorate(origins: &Origins, request: &HeaderMap, answer: &mut HeaderMap) {
    let origin = request.get(ORIGIN);
    if *origins == Origins::Gateway {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    }
    let Some(origin) = origin else { return };
    match origins.allowed(origin) {
        Some((allowed, credentials)) => {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            let exposed = if *origins == Origins::Auth { AUTH_EXPOSED } else { EXPOSED };
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
            if *origins == Origins::Auth {
                answer.append(VARY, HeaderValue::from_static("Origin"));
            }
            if credentials {
                answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
        }
        None => {
            answer.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preflight_headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("http://localhost:3000"));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PATCH"));
        headers
    }

    #[test]
    fn only_a_browsers_question_is_a_preflight() {
        let headers = preflight_headers();
        assert!(is_preflight(&Method::OPTIONS, &headers));
        assert!(!is_preflight(&Method::GET, &headers));
        assert!(!is_preflight(&Method::OPTIONS, &HeaderMap::new()));
    }

    #[test]
    fn a_preflight_echoes_the_headers_it_asks_for() {
        let mut headers = preflight_headers();
        let wanted = HeaderValue::from_static("apikey,authorization,accept");
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, wanted.clone());
        let answer = preflight(&Origins::Gateway, &headers).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], GATEWAY_METHODS);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS], wanted);

        let answer = preflight(&Origins::Listed(Vec::new()), &headers).unwrap();
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(answer.headers()[ACCESS_CONTROL_MAX_AGE], "86400");
        assert_eq!(
            answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS],
            "Authorization, apikey, authorization, accept, Accept-Language, Content-Language"
        );
        assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn sign_in_names_every_origin_back_with_what_its_clients_send_and_read() {
        let mut request = preflight_headers();
        request.insert(
            ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("apikey,x-client-info,x-mine"),
        );
        let answer = preflight(&Origins::Auth, &request).unwrap();
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], AUTH_METHODS);
        let allowed = answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        for name in ["Authorization", "X-Supabase-Api-Version", "apikey", "x-mine"] {
            assert!(allowed.split(", ").any(|known| known == name), "{name}: {allowed}");
        }
        let mut answer = HeaderMap::new();
        decorate(&Origins::Auth, &request, &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(answer[ACCESS_CONTROL_EXPOSE_HEADERS], AUTH_EXPOSED);
        assert_eq!(answer[VARY], "Origin");
        let mut answer = HeaderMap::new();
        decorate(&Origins::Auth, &HeaderMap::new(), &mut answer);
        assert!(answer.is_empty(), "no browser, no origin");
    }

    #[test]
    fn listed_origins_are_named_back_and_strangers_get_nothing() {
        let listed = |origin: &str| Origins::Listed(vec!["http://a.example".into(), origin.into()]);
        let request = preflight_headers();
        let answer = preflight(&listed("http://localhost:3000"), &request).unwrap();
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert!(preflight(&listed("http://localhost"), &request).is_none());

        let dress = |origins: &Origins| {
            let mut answer = HeaderMap::new();
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            decorate(origins, &request, &mut answer);
            answer
        };
        let answer = dress(&listed("http://localhost:3000"));
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(answer[ACCESS_CONTROL_EXPOSE_HEADERS], EXPOSED);
        assert!(dress(&listed("null")).is_empty());
        assert_eq!(dress(&Origins::Listed(Vec::new()))[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}
