//! How a value is escaped for the place where it stands.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Environment, Value};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::mail::link::ALL_RESERVED;

/// What must not stand in a URL as it is; what is encoded already stays.
const NO_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Schemes that a user's own data may link to.
const SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

pub(super) fn register(environment: &mut Environment<'_>) {
    environment.add_filter("html", |value: Value| html(&shown(&value)));
    environment.add_filter("url", |value: Value| html(&url(&shown(&value))));
    environment.add_filter("link", |value: Value| html(&link(&shown(&value))));
    environment.add_filter("segment", |value: Value| html(&segment(&shown(&value))));
    environment.add_filter("query", |value: Value| query(&shown(&value)));
    environment.add_filter("text", |value: Value| text(&shown(&value)));
    environment.add_filter("nothing", |_: Value| String::new());
    environment.add_filter("len", |value: Value| value.len().unwrap_or(0));
    environment.add_filter("elements", elements);
}

/// What is missing is empty; what is neither text nor number is JSON.
fn shown(value: &Value) -> String {
    if value.is_undefined() || value.is_none() {
        return String::new();
    }
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => serde_json::to_string(value).unwrap_or_default(),
    }
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '\0' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

fn url(text: &str) -> String {
    utf8_percent_encode(text, NO_URL).to_string()
}

/// A URL that users chose: one with a scheme that may run something becomes a bare `#`.
fn link(text: &str) -> String {
    let head = text.split(['/', '?', '#']).next().unwrap_or_default();
    let scheme = head.split_once(':').map(|(scheme, _)| scheme.trim().to_ascii_lowercase());
    match scheme {
        Some(scheme) if !SCHEMES.contains(&scheme.as_str()) => "#".to_owned(),
        _ => url(text),
    }
}

/// A later piece of a URL that users chose, which must not complete a scheme that an earlier piece began.
fn segment(text: &str) -> String {
    url(text).replace(':', "%3A")
}

fn query(text: &str) -> String {
    utf8_percent_encode(text, ALL_RESERVED).to_string()
}

fn text(text: &str) -> String {
    let kept = |character: &char| !character.is_control() || matches!(character, '\n' | '\t');
    text.chars().filter(kept).collect()
}

/// What `range` goes through: the elements of a list, the values of an object, nothing else.
fn elements(value: Value) -> Vec<Value> {
    let iterated = || value.try_iter().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => iterated(),
        ValueKind::Map => {
            iterated().iter().map(|key| value.get_item(key).unwrap_or_default()).collect()
        }
        _ => Vec::new(),
    }
}

/// A writer that refuses to grow over a bound.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Bounded {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            let mut reason = String::new();
            let _ = write!(reason, "the mail would be larger than {} bytes", self.most);
            return Err(std::io::Error::other(reason));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_link_may_not_run_anything() {
        for evil in [
            "javascript:alert(1)",
            " JavaScript:x",
            "data:text/html,x",
            "vbscript:x",
            "java\nscript:x",
        ] {
            assert_eq!(link(evil), "#", "{evil}");
        }
        for good in ["https://a.test/x?y=z:1", "/path:x", "mailto:a@b.c", "?a:b"] {
            assert_eq!(link(good), good);
        }
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(html("<b a='\"'>&"), "&lt;b a=&#39;&#34;&#39;&gt;&amp;");
        assert_eq!(url("https://a.test/\"onclick=\" x"), "https://a.test/%22onclick=%22%20x");
        assert_eq!(query("a=b&c"), "a%3Db%26c");
        assert_eq!(text("a\r\nb\u{0}\u{1b}"), "a\nb");
    }
}
