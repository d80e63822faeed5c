//! What is kept of a delivery: its id, its headers without secrets, its body as a value of SQL. Pure.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use serde_json_path::JsonPath;

use super::verify::hex;
use crate::manifest::{EventId, Verify};

/// Longest id that is kept as it is, in bytes; of a longer one its hash.
const MAX_ID: usize = 255;

/// Headers that are never kept.
const SECRET: [HeaderName; 4] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE];

/// A header with one of these in its name carries a secret in all likelihood.
const SECRET_PARTS: [&str; 6] = ["token", "secret", "password", "apikey", "api-key", "signature"];

/// The id of a delivery: where the manifest says, else the SHA-256 of the body.
pub(super) fn event_id(place: Option<&EventId>, headers: &HeaderMap, body: &[u8]) -> String {
    let given = match place {
        None => None,
        Some(EventId::Header(name)) => {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        }
        Some(EventId::Body(path)) => id_in(path, body),
    };
    let given = given.filter(|id| !id.is_empty() && !id.contains('\0'));
    match given {
        Some(id) if id.len() <= MAX_ID => id,
        Some(id) => hash(id.as_bytes()),
        None => hash(body),
    }
}

fn id_in(path: &str, body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let path = JsonPath::parse(path).ok()?;
    match path.query(&body).first()? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The headers as a JSON object with names in lower case, without those that carry secrets and the proof itself.
/// Repeated ones are joined by `, ` (RFC 9110 §5.2).
pub(super) fn kept_headers(rule: &Verify, headers: &HeaderMap) -> Value {
    let kept = headers.keys().filter(|name| !is_secret(rule, name)).map(|name| {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .map(String::from_utf8_lossy)
            .collect();
        (name.as_str().to_owned(), Value::String(values.join(", ")))
    });
    Value::Object(kept.collect())
}

fn is_secret(rule: &Verify, name: &HeaderName) -> bool {
    rule.header.as_deref() == Some(name.as_str())
        || SECRET.contains(name)
        || SECRET_PARTS.iter().any(|part| name.as_str().contains(part))
}

/// Whether the body says that it is JSON, and is not. An empty one is taken: some providers ask so whether anybody is there.
pub(super) fn is_broken_json(content_type: Option<&str>, body: &[u8]) -> bool {
    let says_so = media_type(content_type).eq_ignore_ascii_case("application/json");
    let text = std::str::from_utf8(body);
    says_so
        && !body.trim_ascii().is_empty()
        // Numbers and depths that are beyond us are JSON all the same.
        && text.is_err() | text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_err())
}

fn media_type(content_type: Option<&str>) -> &str {
    content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}

/// The body as JSON text that PostgreSQL takes as `jsonb`: JSON as it came, the fields of a form, or a text as a JSON
/// string; bytes that are no text in base64.
pub(super) fn body_json(content_type: Option<&str>, body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else {
        return Value::String(STANDARD.encode(body)).to_string();
    };
    let json = serde_json::from_str::<Value>(text);
    // `curl -d` and others call whatever they send a form; no form is an object or a list in JSON.
    let is_no_form = json.as_ref().is_ok_and(|json| json.is_object() || json.is_array());
    let is_form =
        media_type(content_type).eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if is_form && !is_no_form {
        return form(body).to_string();
    }
    match json {
        Ok(value) if !has_nul(&value) => text.to_owned(),
        _ if text.contains('\0') => Value::String(STANDARD.encode(body)).to_string(),
        _ => Value::String(text.to_owned()).to_string(),
    }
}

/// One text for a field; a list of texts for a field that comes more than once.
fn form(body: &[u8]) -> Value {
    let mut fields: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        let clean = |text: &str| text.replace('\0', "\u{fffd}");
        fields.entry(clean(&name)).or_default().push(Value::String(clean(&value)));
    }
    let field = |(name, mut values): (String, Vec<Value>)| match values.len() {
        1 => (name, values.remove(0)),
        _ => (name, Value::Array(values)),
    };
    Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>())
}

/// Whether there is a NUL character in it, which `jsonb` cannot hold.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::{Encoding, Scheme};

    fn rule(header: Option<&str>) -> Verify {
        Verify {
            scheme: Scheme::SharedHeader,
            secrets: Vec::new(),
            header: header.map(str::to_owned),
            prefix: String::new(),
            encoding: Encoding::Hex,
            tolerance_ms: None,
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn body(kind: &str, body: &[u8]) -> Value {
        serde_json::from_str(&body_json(Some(kind), body)).unwrap()
    }

    #[test]
    fn an_id_is_where_the_manifest_says_or_the_hash_of_the_body() {
        let map = headers(&[("x-event", "evt-1"), ("x-empty", "")]);
        let place = |name: &str| EventId::Header(name.to_owned());
        let path = |path: &str| EventId::Body(path.to_owned());
        let of = |place: &EventId, body: &[u8]| event_id(Some(place), &map, body);
        assert_eq!(of(&place("x-event"), b"{}"), "evt-1");
        assert_eq!(of(&path("$.id"), br#"{"id": "evt_7"}"#), "evt_7");
        assert_eq!(of(&path("$.data[0].id"), br#"{"data": [{"id": 12}]}"#), "12");
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(event_id(None, &map, b"{}"), hash);
        for absent in [place("x-other"), place("x-empty"), path("$.id")] {
            assert_eq!(of(&absent, b"{}"), hash, "{absent:?}");
        }
        let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(MAX_ID + 1));
        assert_eq!(of(&path("$.id"), long.as_bytes()).len(), 64);
        assert_eq!(of(&path("$.id"), br#"{"id": "a\u0000"}"#).len(), 64);
    }

    #[test]
    fn headers_that_carry_secrets_are_not_kept() {
        let map = headers(&[
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("x-proof", "s3cret"),
            ("x-gitlab-token", "s3cret"),
            ("x-api-key", "s3cret"),
            ("x-hub-signature-256", "sha256=00"),
            ("content-type", "application/json"),
            ("x-many", "1"),
            ("x-many", "2"),
        ]);
        let kept = kept_headers(&rule(Some("x-proof")), &map);
        assert_eq!(kept, json!({"content-type": "application/json", "x-many": "1, 2"}));
    }

    #[test]
    fn a_body_is_json_or_a_form_or_a_text() {
        assert_eq!(body("text/plain", br#"{"a": [1]}"#), json!({"a": [1]}));
        assert_eq!(
            body("application/x-www-form-urlencoded; charset=utf-8", b"a=1&b=x+y&b=%C3%A9"),
            json!({"a": "1", "b": ["x y", "é"]})
        );
        assert_eq!(body("text/plain", b"{broken"), json!("{broken"));
        assert_eq!(body("text/plain", b""), json!(""));
        assert_eq!(body("text/plain", &[0xff, 0xfe]), json!("//4="));
    }

    #[test]
    fn json_that_is_called_a_form_is_json() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(body(form, br#"{"id": "e1", "a": 1}"#), json!({"id": "e1", "a": 1}));
        assert_eq!(body(form, b"[1]"), json!([1]));
        assert_eq!(body(form, b"{x}=1"), json!({"{x}": "1"}));
        assert_eq!(body(form, b"7"), json!({"7": ""}));
    }

    #[test]
    fn what_says_that_it_is_json_must_be() {
        let broken = |body: &[u8]| is_broken_json(Some("application/json; charset=utf-8"), body);
        for body in [&b"{broken"[..], b"{\"a\": }", b"{} {}", b"\xff", b"a=1"] {
            assert!(broken(body), "{body:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in [&b"{}"[..], b" [1]\n", b"null", b"", b"1e400", br#""\ud800""#, deep.as_bytes()]
        {
            assert!(!broken(body), "{:?}", String::from_utf8_lossy(&body[..body.len().min(20)]));
        }
        assert!(!is_broken_json(Some("text/plain"), b"{broken"));
        assert!(!is_broken_json(None, b"{broken"));
    }

    #[test]
    fn what_jsonb_cannot_hold_becomes_a_text() {
        let text = r#"{"a": "\u0000"}"#;
        assert_eq!(body("application/json", text.as_bytes()), json!(text));
        assert_eq!(body("text/plain", b"a\0b"), json!("YQBi"));
        assert_eq!(body("application/json", b"1e400"), json!("1e400"));
        assert_eq!(body("application/json", br#""\ud800""#), json!(r#""\ud800""#));
        // Numbers keep all their digits.
        assert_eq!(body_json(None, b"12345678901234567890123.5"), "12345678901234567890123.5");
        let deep = "[".repeat(100_000);
        assert_eq!(body("application/json", deep.as_bytes()), json!(deep));
    }
}
