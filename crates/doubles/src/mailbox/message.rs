//! A received message, read once when it arrives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use mail_parser::{Address, DateTime, MessageParser, MimeHeaders};
use serde::Serialize;

/// Characters of a snippet.
const SNIPPET: usize = 250;

/// Name and address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Person {
    /// The display name, decoded; empty when there is none.
    pub name: String,
    /// The address.
    pub address: String,
}

/// What came beside the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Number of the MIME part.
    #[serde(rename = "PartID")]
    pub part_id: String,
    /// Its file name, or empty.
    #[serde(rename = "FileName")]
    pub file_name: String,
    /// Its media type.
    #[serde(rename = "ContentType")]
    pub content_type: String,
    /// Its Content-ID, or empty.
    #[serde(rename = "ContentID")]
    pub content_id: String,
    /// Its decoded size in bytes.
    #[serde(rename = "Size")]
    pub size: usize,
}

/// One message: its envelope, its headers, its bodies, its source.
#[derive(Debug)]
pub struct Message {
    /// Its name in this mailbox: 22 characters.
    pub id: String,
    /// The header `Message-ID` without brackets.
    pub message_id: String,
    /// The header `From`, or the envelope's sender.
    pub from: Person,
    /// The header `To`.
    pub to: Vec<Person>,
    /// The header `Cc`.
    pub cc: Vec<Person>,
    /// Recipients that no header names.
    pub bcc: Vec<Person>,
    /// The header `Reply-To`.
    pub reply_to: Vec<Person>,
    /// The sender of the envelope.
    pub return_path: String,
    /// The recipients of the envelope.
    pub recipients: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The header `Date` (RFC 3339), or when it came.
    pub date: String,
    /// When it came (RFC 3339, UTC).
    pub created: String,
    /// When it came, in milliseconds since 1970.
    pub created_ms: u64,
    /// The text body, decoded.
    pub text: String,
    /// The HTML body, decoded; empty when there is none.
    pub html: String,
    /// What came beside the bodies.
    pub attachments: Vec<Attachment>,
    /// Headers in their order, unfolded but not decoded.
    pub headers: Vec<(String, String)>,
    /// The user name that the session gave, or empty.
    pub username: String,
    /// The message as it was received, without dot-stuffing.
    pub source: Vec<u8>,
    read: AtomicBool,
}

impl Message {
    /// Reads a message. Anything is accepted: what cannot be read as a message is shown as source.
    pub(super) fn parse(
        source: Vec<u8>,
        sender: &str,
        recipients: &[String],
        username: &str,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let created = rfc3339(now.as_secs());
        let mut message = Self {
            id: uuid::Uuid::new_v4().simple().to_string().chars().take(22).collect(),
            message_id: String::new(),
            from: Person { name: String::new(), address: sender.to_owned() },
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            return_path: sender.to_owned(),
            recipients: recipients.to_vec(),
            subject: String::new(),
            date: created.clone(),
            created,
            created_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            text: String::new(),
            html: String::new(),
            attachments: Vec::new(),
            headers: Vec::new(),
            username: username.to_owned(),
            source: Vec::new(),
            read: AtomicBool::new(false),
        };
        message.read_source(&source);
        message.source = source;
        message.bcc = message.unnamed_recipients();
        message
    }

    fn read_source(&mut self, source: &[u8]) {
        let Some(parsed) = MessageParser::default().parse(source) else { return };
        self.message_id = parsed.message_id().unwrap_or_default().to_owned();
        if let Some(from) = people(parsed.from()).into_iter().next() {
            self.from = from;
        }
        self.to = people(parsed.to());
        self.cc = people(parsed.cc());
        self.reply_to = people(parsed.reply_to());
        self.subject = parsed.subject().unwrap_or_default().to_owned();
        if let Some(date) = parsed.date().filter(|date| date.is_valid()) {
            self.date = date.to_rfc3339();
        }
        self.text = parsed.body_text(0).unwrap_or_default().into_owned();
        // The parser makes HTML of a plain text for those who ask; a message without HTML has none here.
        if parsed.html_part(0).is_some_and(|part| part.is_text_html()) {
            self.html = parsed.body_html(0).unwrap_or_default().into_owned();
        }
        self.attachments = parsed.attachments().enumerate().map(attachment).collect();
        self.headers =
            parsed.headers_raw().map(|(name, value)| (name.to_owned(), unfold(value))).collect();
    }

    fn unnamed_recipients(&self) -> Vec<Person> {
        let named = |address: &str| {
            self.to.iter().chain(&self.cc).any(|person| same_address(&person.address, address))
        };
        self.recipients
            .iter()
            .filter(|address| !named(address))
            .map(|address| Person { name: String::new(), address: address.clone() })
            .collect()
    }

    /// Whether the envelope names this recipient; case does not matter.
    pub fn is_for(&self, recipient: &str) -> bool {
        self.recipients.iter().any(|address| same_address(address, recipient))
    }

    /// The first header of that name, unfolded but not decoded.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The beginning of the text in one line.
    pub fn snippet(&self) -> String {
        let mut snippet = String::new();
        let mut characters = 0;
        for word in self.text.split_whitespace() {
            let gap = usize::from(!snippet.is_empty());
            let left = SNIPPET.saturating_sub(characters + gap);
            if left == 0 {
                break;
            }
            if gap == 1 {
                snippet.push(' ');
            }
            snippet.extend(word.chars().take(left));
            characters += gap + word.chars().count().min(left);
        }
        snippet
    }

    /// Whether somebody has opened it.
    pub fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    pub(super) fn set_read(&self, read: bool) {
        self.read.store(read, Ordering::Relaxed);
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.source.len() + self.text.len() + self.html.len()
    }
}

pub(super) fn same_address(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn people(address: Option<&Address<'_>>) -> Vec<Person> {
    let person = |entry: &mail_parser::Addr<'_>| Person {
        name: entry.name().unwrap_or_default().to_owned(),
        address: entry.address().unwrap_or_default().to_owned(),
    };
    address.map(|list| list.iter().map(person).collect()).unwrap_or_default()
}

fn attachment((index, part): (usize, &mail_parser::MessagePart<'_>)) -> Attachment {
    let media = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    Attachment {
        part_id: (index + 1).to_string(),
        file_name: part.attachment_name().unwrap_or_default().to_owned(),
        content_type: media.unwrap_or_else(|| "application/octet-stream".to_owned()),
        content_id: part.content_id().unwrap_or_default().to_owned(),
        size: part.len(),
    }
}

fn unfold(value: &str) -> String {
    value.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn rfc3339(seconds: u64) -> String {
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0)).to_rfc3339()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &str) -> Message {
        let recipients = ["ada@example.com".to_owned(), "hidden@example.com".to_owned()];
        Message::parse(source.replace('\n', "\r\n").into_bytes(), "s@example.com", &recipients, "")
    }

    const BOTH: &str = "From: =?utf-8?B?SsO8cmdlbg==?= <from@example.com>\nTo: Ada <Ada@Example.com>\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\nDate: Sat, 21 Nov 2026 17:00:00 +0000\nMessage-ID: <id-1@example.com>\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nHello\n there\n--b\nContent-Type: text/html; charset=utf-8\n\n<p>Hello</p>\n--b--\n";

    #[test]
    fn headers_and_bodies_are_decoded() {
        let message = parse(BOTH);
        assert_eq!(message.from.name, "Jürgen");
        assert_eq!(message.subject, "Grüße");
        assert_eq!(message.message_id, "id-1@example.com");
        assert_eq!(message.date, "2026-11-21T17:00:00Z");
        assert!(message.html.contains("<p>Hello</p>"), "{}", message.html);
        assert_eq!(message.snippet(), "Hello there");
        assert_eq!(message.header("message-id"), Some("<id-1@example.com>"));
    }

    #[test]
    fn recipients_that_no_header_names_are_blind_copies() {
        let message = parse(BOTH);
        assert_eq!(message.bcc.len(), 1);
        assert_eq!(message.bcc[0].address, "hidden@example.com");
        assert!(message.is_for("ADA@example.com"));
    }

    #[test]
    fn a_plain_message_has_no_html() {
        let message = parse("Subject: x\n\nonly <text>\n");
        assert_eq!(message.html, "");
        assert_eq!(message.text.trim(), "only <text>");
    }

    #[test]
    fn what_is_no_message_is_kept_as_source() {
        let message = parse("\u{0}\u{1}");
        assert_eq!(message.from.address, "s@example.com");
        assert_eq!(message.source, b"\x00\x01");
    }

    #[test]
    fn a_snippet_counts_characters() {
        let message = parse(&format!(
            "Subject: x\nContent-Type: text/plain; charset=utf-8\n\n{}\n",
            "ü".repeat(400)
        ));
        assert_eq!(message.snippet().chars().count(), SNIPPET);
    }
}
