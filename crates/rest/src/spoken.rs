//! What SQL says about an answer: a status and headers, from settings or from a raised error.

use http::{HeaderName, HeaderValue, StatusCode, header};

/// Headers that say where a message ends or belong to one connection (RFC 9112 §6, RFC 9110 §7.6.1). One that disagrees
/// with the answer would make the client, or a proxy that other projects' answers pass through, find the beginning of
/// the next answer in the middle of this one.
const FRAMING: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

/// What SQL calls a status (RFC 9112 §4, `reason-phrase`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(Box<str>);

impl Reason {
    /// The longest one, in bytes.
    const MAX_BYTES: usize = 256;

    /// `None` for what cannot stand in a status line.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let legal = |c: char| c == '\t' || !c.is_control();
        (text.len() <= Self::MAX_BYTES && text.chars().all(legal)).then(|| Self(text.into()))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The status `code`, if it can be that of a whole answer: informational ones (1xx) only announce another.
pub(crate) fn status(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code).ok().filter(|status| !status.is_informational())
}

/// A header; `None` when name or value are none.
pub(crate) fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_str(value).ok()?))
}

/// Whether others than the server have a say in that header: not in those that say where an answer ends.
pub fn may_set(name: &HeaderName) -> bool {
    !FRAMING.contains(name) && name.as_str() != "keep-alive"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_final_status() {
        for code in [0, 99, 100, 101, 199, 1000] {
            assert_eq!(status(code), None, "{code}");
        }
        for code in [200, 204, 304, 418, 599] {
            assert_eq!(status(code).unwrap().as_u16(), code);
        }
    }

    #[test]
    fn a_reason_stays_in_its_line() {
        assert_eq!(Reason::new("I'm a\tteapot ☕").unwrap().as_str(), "I'm a\tteapot ☕");
        for text in ["a\nb", "a\rb", "\0", "\u{7f}", "\u{85}", &"x".repeat(257)] {
            assert_eq!(Reason::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn where_an_answer_ends_is_not_for_sql_to_say() {
        let may = |name: &str| may_set(&header(name, "x").unwrap().0);
        for name in ["Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "upgrade"] {
            assert!(!may(name), "{name}");
        }
        for name in ["Content-Type", "Set-Cookie", "Location", "X-Length"] {
            assert!(may(name), "{name}");
        }
        assert!(header("a b", "x").is_none() && header("a", "x\r\ny: z").is_none());
    }
}
