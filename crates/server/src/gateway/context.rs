//! What SQL may read of a request: `request.headers` and `request.cookies` as JSON.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The headers as a JSON object with lower-case names. Repeated ones are joined by `, ` (RFC 9110
/// §5.2); `authorization` is the value given here when there is one; cookies are left out, since
/// they have an object of their own.
pub(super) fn headers_json(headers: &HeaderMap, authorization: Option<&HeaderValue>) -> Bytes {
    let mut json = Vec::with_capacity(1024);
    json.push(b'{');
    let is_left_out = |name: &HeaderName| {
        name == header::COOKIE || (authorization.is_some() && name == header::AUTHORIZATION)
    };
    if headers.keys_len() == headers.len() {
        for (name, value) in headers.iter().filter(|(name, _)| !is_left_out(name)) {
            member(&mut json, name.as_str(), value.as_bytes());
        }
    } else {
        for name in headers.keys().filter(|name| !is_left_out(name)) {
            let values: Vec<&[u8]> =
                headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            member(&mut json, name.as_str(), &values.join(&b", "[..]));
        }
    }
    if let Some(value) = authorization {
        member(&mut json, header::AUTHORIZATION.as_str(), value.as_bytes());
    }
    json.push(b'}');
    Bytes::from(json)
}

/// The cookies as a JSON object (RFC 6265 §4.2.1); what is no `name=value` is left out.
pub(super) fn cookies_json(headers: &HeaderMap) -> Bytes {
    if !headers.contains_key(header::COOKIE) {
        return Bytes::from_static(b"{}");
    }
    let mut json = vec![b'{'];
    for value in headers.get_all(header::COOKIE) {
        let line = text(value);
        for (name, value) in line.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            member(&mut json, name, value.as_bytes());
        }
    }
    json.push(b'}');
    Bytes::from(json)
}

fn text(value: &HeaderValue) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

fn member(json: &mut Vec<u8>, name: &str, value: &[u8]) {
    if json.len() > 1 {
        json.push(b',');
    }
    string(json, name.as_bytes());
    json.push(b':');
    string(json, value);
}

/// A JSON string. Nearly every header is made of characters that stand for themselves.
fn string(json: &mut Vec<u8>, text: &[u8]) {
    // All of them are looked at, which is faster than to stop at the first: eight and more at a time.
    let plain = text.iter().fold(true, |plain, byte| {
        plain & (b' '..=b'~').contains(byte) & (*byte != b'"') & (*byte != b'\\')
    });
    if plain {
        json.push(b'"');
        json.extend_from_slice(text);
        json.push(b'"');
    } else {
        // Writing a string into a vector cannot fail.
        let _ = serde_json::to_writer(json, &String::from_utf8_lossy(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    fn parse(json: &Bytes) -> Value {
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn names_are_lower_case_and_values_are_escaped() {
        let map = headers(&[("x-a", b"say \"hi\" \\"), ("x-b", b"caf\xc3\xa9"), ("x-c", b"\xff")]);
        assert_eq!(
            parse(&headers_json(&map, None)),
            json!({"x-a": "say \"hi\" \\", "x-b": "café", "x-c": "\u{fffd}"})
        );
        assert_eq!(parse(&headers_json(&HeaderMap::new(), None)), json!({}));
    }

    #[test]
    fn repeated_headers_are_joined_and_authorization_is_replaced() {
        let map = headers(&[
            ("x-a", b"1"),
            ("x-a", b"2"),
            ("x-a", b"3"),
            ("authorization", b"Bearer sb_x"),
        ]);
        let rewritten = HeaderValue::from_static("Bearer token");
        assert_eq!(
            parse(&headers_json(&map, Some(&rewritten))),
            json!({"x-a": "1, 2, 3", "authorization": "Bearer token"})
        );
    }

    #[test]
    fn cookies_have_an_object_of_their_own() {
        let map = headers(&[("cookie", b"a=1; b=x=y; rubbish; =; c="), ("x", b"1")]);
        assert_eq!(parse(&cookies_json(&map)), json!({"a": "1", "b": "x=y", "": "", "c": ""}));
        assert_eq!(parse(&headers_json(&map, None)), json!({"x": "1"}));
        assert_eq!(parse(&cookies_json(&HeaderMap::new())), json!({}));
    }
}
