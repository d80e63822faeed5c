//! API keys: which one a request brought, and what it stands for.

use http::HeaderMap;
use http::header::AsHeaderName;
use percent_encoding::percent_decode_str;
use plinth_wire::Secret;

use super::token_cache::{Fingerprint, fingerprint};

/// Name of the header and of the query parameter that carry an API key.
pub(super) const APIKEY: &str = "apikey";

/// What an API key of a project stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyClass {
    /// For browsers: the publishable key and the anon key.
    Anon,
    /// For servers: the secret key and the service key.
    Service,
}

/// The keys of one project, kept as digests.
pub(super) struct ApiKeys {
    known: Vec<(Fingerprint, KeyClass)>,
}

impl ApiKeys {
    /// The project's keys with what they stand for; empty ones stand for nothing.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = (&'a str, KeyClass)>) -> Self {
        let known = keys.into_iter().filter(|(key, _)| !key.is_empty());
        Self { known: known.map(|(key, class)| (fingerprint(key), class)).collect() }
    }

    /// What the key of that fingerprint stands for.
    pub(super) fn class(&self, key: &Fingerprint) -> Option<KeyClass> {
        self.known.iter().find(|(known, _)| known == key).map(|(_, class)| *class)
    }
}

/// The API key that a request brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PresentedKey {
    /// None.
    Absent,
    /// More than one, so that it is open which one counts.
    Ambiguous,
    /// In the header.
    Header(Secret),
    /// In the query string.
    Query(Secret),
}

impl PresentedKey {
    /// Finds the key in the headers, else in the query string.
    pub(super) fn find(headers: &HeaderMap, query: &str) -> Self {
        match one_header(headers, APIKEY) {
            Err(Ambiguous) => return Self::Ambiguous,
            Ok(Some(key)) => return Self::Header(Secret::new(key)),
            Ok(None) => {}
        }
        let mut found = query.split('&').filter_map(apikey_of);
        match (found.next(), found.next()) {
            (None, _) => Self::Absent,
            (Some(key), None) => Self::Query(Secret::new(key)),
            (Some(_), Some(_)) => Self::Ambiguous,
        }
    }
}

/// The query string without the parameter that carried the key.
pub(super) fn without_apikey(query: &str) -> String {
    let rest: Vec<&str> = query.split('&').filter(|pair| apikey_of(pair).is_none()).collect();
    rest.join("&")
}

fn apikey_of(pair: &str) -> Option<String> {
    let (name, value) = pair.split_once('=')?;
    (name == APIKEY).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// A header that must come once came several times with different values.
struct Ambiguous;

/// Whether a header came several times with different values.
pub(super) fn differs(headers: &HeaderMap, name: impl AsHeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|first| values.any(|other| other != first))
}

/// The value of a header that may come once; bytes that are no text become one that matches nothing.
fn one_header(
    headers: &HeaderMap,
    name: impl AsHeaderName + Clone,
) -> Result<Option<String>, Ambiguous> {
    if differs(headers, name.clone()) {
        return Err(Ambiguous);
    }
    let Some(first) = headers.get(name) else { return Ok(None) };
    let text = String::from_utf8_lossy(first.as_bytes()).trim().to_owned();
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|v| (http::HeaderName::from_static(APIKEY), HeaderValue::from_str(v).unwrap()))
            .collect()
    }

    #[test]
    fn the_header_is_preferred_to_the_query() {
        let found = PresentedKey::find(&headers(&["h"]), "apikey=q");
        assert_eq!(found, PresentedKey::Header(Secret::new("h")));
        let found = PresentedKey::find(&headers(&[]), "select=a&apikey=q%2B1");
        assert_eq!(found, PresentedKey::Query(Secret::new("q+1")));
        assert_eq!(PresentedKey::find(&headers(&[]), "xapikey=q&apikey"), PresentedKey::Absent);
        assert_eq!(PresentedKey::find(&headers(&[""]), ""), PresentedKey::Absent);
    }

    #[test]
    fn two_different_keys_are_ambiguous() {
        assert_eq!(PresentedKey::find(&headers(&["a", "b"]), ""), PresentedKey::Ambiguous);
        assert_eq!(
            PresentedKey::find(&headers(&["a", "a"]), ""),
            PresentedKey::Header(Secret::new("a"))
        );
        assert_eq!(PresentedKey::find(&headers(&[]), "apikey=a&apikey=b"), PresentedKey::Ambiguous);
    }

    #[test]
    fn only_the_key_is_taken_out_of_the_query() {
        assert_eq!(without_apikey("a=1&apikey=x&b=2"), "a=1&b=2");
        assert_eq!(without_apikey("apikey=x"), "");
    }

    #[test]
    fn keys_are_told_apart_by_what_they_stand_for() {
        let keys = ApiKeys::new([
            ("p", KeyClass::Anon),
            ("s", KeyClass::Service),
            ("", KeyClass::Service),
        ]);
        assert_eq!(keys.class(&fingerprint("p")), Some(KeyClass::Anon));
        assert_eq!(keys.class(&fingerprint("s")), Some(KeyClass::Service));
        assert_eq!(keys.class(&fingerprint("x")), None);
        assert_eq!(keys.class(&fingerprint("")), None);
    }
}
