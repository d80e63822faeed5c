//! The HTTP side: one function from request to answer, with Mailpit's paths and field names.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::message::{Attachment, Person};
use super::search::Query;
use super::{Mailbox, Message, inbucket, page};

/// Messages of a page of a list when the request does not say.
const PAGE: usize = 50;
/// Bytes of a request's body.
const BODY: usize = 64 << 10;

/// An answer, for whatever server mounts the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// Value of `Content-Security-Policy`. A server that leaves it out lets the page run what a mail brings.
    pub security_policy: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn of(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            security_policy: "default-src 'none'; sandbox",
            body: body.into(),
        }
    }

    pub(super) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::of(200, "application/json", body),
            Err(error) => Self::text(500, &error.to_string()),
        }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self::of(status, "text/plain; charset=utf-8", text)
    }

    pub(super) fn not_found() -> Self {
        Self::text(404, "404 page not found")
    }
}

impl Mailbox {
    /// Answers a request. `path` is what follows the prefix that the mailbox is mounted at (`""` or `/` is the page), `query` has no
    /// question mark, `body` matters to DELETE only.
    pub fn answer(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Answer {
        let path = path.trim_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let query = Parameters::parse(query);
        let get = matches!(method, "GET" | "HEAD");
        match (method, parts.as_slice()) {
            (_, [""] | ["inbox"]) if get => page::page(),
            (_, ["livez" | "readyz"]) if get => Answer::text(200, "ok"),
            (_, ["api", "v1", "info"]) if get => self.info(),
            (_, ["api", "v1", "messages"]) if get => self.list(&query),
            (_, ["api", "v1", "search"]) if get => self.search(&query),
            (_, ["api", "v1", "message", id, rest @ ..]) if get => self.message(id, rest),
            (_, ["view", file]) if get => self.view(file),
            (_, ["api", "v1", "mailbox", name, rest @ ..]) => {
                inbucket::answer(self, method, &decode(name), rest)
            }
            ("DELETE", ["api", "v1", "messages"]) => self.delete(body),
            ("DELETE", ["api", "v1", "search"]) => self.delete_found(&query),
            (_, ["api", "v1", "info" | "messages" | "search"]) => {
                Answer::text(405, "Method Not Allowed")
            }
            _ => Answer::not_found(),
        }
    }

    /// The same as a router, to be nested under any prefix or served by itself.
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).layer(DefaultBodyLimit::max(BODY)).with_state(self.clone())
    }

    fn info(&self) -> Answer {
        let statistics = self.store.statistics();
        let messages = self.messages();
        Answer::json(&json!({
            "Version": concat!("plinth-", env!("CARGO_PKG_VERSION")),
            "LatestVersion": "disabled",
            "Database": "memory",
            "DatabaseSize": statistics.bytes,
            "Messages": messages.len(),
            "Unread": unread(&messages),
            "Tags": {},
            "RuntimeStats": {
                "Uptime": statistics.uptime_seconds,
                "Memory": statistics.bytes,
                "MessagesDeleted": statistics.deleted,
                "SMTPAccepted": statistics.accepted,
                "SMTPAcceptedSize": statistics.accepted_bytes,
                "SMTPRejected": statistics.rejected,
                "SMTPIgnored": 0,
            },
        }))
    }

    fn list(&self, query: &Parameters) -> Answer {
        let messages = self.messages();
        Answer::json(&Page::of(&messages, &messages, query))
    }

    fn search(&self, query: &Parameters) -> Answer {
        let search = Query::parse(query.get("query"));
        if search.is_empty() {
            return Answer::text(400, "Error: no search query");
        }
        let messages = self.messages();
        let found: Vec<_> =
            messages.iter().filter(|message| search.matches(message)).cloned().collect();
        Answer::json(&Page::of(&messages, &found, query))
    }

    fn message(&self, id: &str, rest: &[&str]) -> Answer {
        let Some(message) = self.store.find(id) else { return Answer::not_found() };
        match rest {
            [] => {
                message.set_read(true);
                Answer::json(&Whole::of(&message))
            }
            ["raw"] => Answer::of(200, "text/plain; charset=utf-8", message.source.clone()),
            ["headers"] => Answer::json(&inbucket::headers(&message)),
            _ => Answer::not_found(),
        }
    }

    /// `{id}.html` and `{id}.txt`: a body by itself.
    fn view(&self, file: &str) -> Answer {
        let Some((id, form)) = file.rsplit_once('.') else { return Answer::not_found() };
        match (self.store.find(id), form) {
            (Some(message), "html") if !message.html.is_empty() => Answer {
                security_policy: page::FRAME_POLICY,
                ..Answer::of(200, "text/html; charset=utf-8", message.html.clone())
            },
            (Some(message), "txt") => Answer::text(200, &message.text),
            _ => Answer::not_found(),
        }
    }

    /// Deletes the messages that the body names as `{"IDs": […]}`, or all.
    fn delete(&self, body: &[u8]) -> Answer {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(rename = "IDs")]
            ids: Vec<String>,
        }
        match serde_json::from_slice::<Named>(body) {
            Ok(named) if !named.ids.is_empty() => {
                self.store.delete(|message| named.ids.contains(&message.id));
            }
            _ => self.store.clear(),
        }
        Answer::text(200, "ok")
    }

    fn delete_found(&self, query: &Parameters) -> Answer {
        let search = Query::parse(query.get("query"));
        if search.is_empty() {
            return Answer::text(400, "Error: no search query");
        }
        self.store.delete(|message| search.matches(message));
        Answer::text(200, "ok")
    }
}

async fn handle(State(mailbox): State<Mailbox>, method: Method, uri: Uri, body: Bytes) -> Response {
    let query = uri.query().unwrap_or_default();
    let answer = mailbox.answer(method.as_str(), uri.path(), query, &body);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, answer.content_type),
        (header::CONTENT_SECURITY_POLICY, answer.security_policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, answer.body).into_response()
}

/// The parameters of a query, percent-decoded.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.get(name).parse().unwrap_or(default)
    }
}

/// Undoes percent-encoding of a path's part; plus signs stay.
fn decode(part: &str) -> String {
    let kept = part.replace('+', "%2B");
    let pair = url::form_urlencoded::parse(kept.as_bytes()).next();
    pair.map(|(name, _)| name.into_owned()).unwrap_or_default()
}

fn unread(messages: &[Arc<Message>]) -> usize {
    messages.iter().filter(|message| !message.is_read()).count()
}

/// A list of messages, with the counts that Mailpit gives.
#[derive(Serialize)]
struct Page<'a> {
    total: usize,
    unread: usize,
    count: usize,
    messages_count: usize,
    messages_unread: usize,
    start: usize,
    tags: [String; 0],
    messages: Vec<Summary<'a>>,
}

impl<'a> Page<'a> {
    fn of(all: &[Arc<Message>], found: &'a [Arc<Message>], query: &Parameters) -> Self {
        let start = query.number("start", 0);
        let limit = query.number("limit", PAGE);
        let messages: Vec<_> =
            found.iter().skip(start).take(limit).map(|message| Summary::of(message)).collect();
        Self {
            total: all.len(),
            unread: unread(all),
            count: messages.len(),
            messages_count: found.len(),
            messages_unread: unread(found),
            start,
            tags: [],
            messages,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    read: bool,
    from: &'a Person,
    to: &'a [Person],
    cc: &'a [Person],
    bcc: &'a [Person],
    reply_to: &'a [Person],
    subject: &'a str,
    created: &'a str,
    username: &'a str,
    tags: [String; 0],
    size: usize,
    attachments: usize,
    snippet: String,
}

impl<'a> Summary<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            id: &message.id,
            message_id: &message.message_id,
            read: message.is_read(),
            from: &message.from,
            to: &message.to,
            cc: &message.cc,
            bcc: &message.bcc,
            reply_to: &message.reply_to,
            subject: &message.subject,
            created: &message.created,
            username: &message.username,
            tags: [],
            size: message.source.len(),
            attachments: message.attachments.len(),
            snippet: message.snippet(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Whole<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    from: &'a Person,
    to: &'a [Person],
    cc: &'a [Person],
    bcc: &'a [Person],
    reply_to: &'a [Person],
    return_path: &'a str,
    subject: &'a str,
    date: &'a str,
    tags: [String; 0],
    username: &'a str,
    text: &'a str,
    #[serde(rename = "HTML")]
    html: &'a str,
    size: usize,
    inline: [String; 0],
    attachments: &'a [Attachment],
}

impl<'a> Whole<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            id: &message.id,
            message_id: &message.message_id,
            from: &message.from,
            to: &message.to,
            cc: &message.cc,
            bcc: &message.bcc,
            reply_to: &message.reply_to,
            return_path: &message.return_path,
            subject: &message.subject,
            date: &message.date,
            tags: [],
            username: &message.username,
            text: &message.text,
            html: &message.html,
            size: message.source.len(),
            inline: [],
            attachments: &message.attachments,
        }
    }
}
