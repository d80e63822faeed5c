//! One client's dialogue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Control, Stage};
use crate::mailbox::store::Store;
use crate::mailbox::{MailboxLimits, Message};

/// Bytes of a command line, its end included. RFC 5321 §4.5.3.1.4 asks for 512, AUTH for more.
const COMMAND_LINE: usize = 4_096;
/// Recipients of one message. RFC 5321 §4.5.3.1.8 asks for 100.
const RECIPIENTS: usize = 100;
/// Commands of one session.
const COMMANDS: usize = 10_000;

pub(super) struct Session {
    client: BufReader<TcpStream>,
    store: Arc<Store>,
    control: Arc<Control>,
    limits: MailboxLimits,
    greeted: bool,
    username: String,
    /// `Some` from MAIL on; empty for the null sender.
    sender: Option<String>,
    recipients: Vec<String>,
}

enum Line {
    Text(String),
    TooLong,
    End,
}

enum Body {
    Whole(Vec<u8>),
    TooLarge,
    End,
}

impl Session {
    pub(super) fn new(
        client: TcpStream,
        store: Arc<Store>,
        control: Arc<Control>,
        limits: MailboxLimits,
    ) -> Self {
        Self {
            client: BufReader::new(client),
            store,
            control,
            limits,
            greeted: false,
            username: String::new(),
            sender: None,
            recipients: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        if let Some(refusal) = self.control.due(Stage::Greeting) {
            return self.reply(&refusal).await;
        }
        self.reply("220 mailbox.localhost ESMTP").await?;
        for _ in 0..COMMANDS {
            let line = match self.read_command().await? {
                Line::Text(line) => line,
                Line::TooLong => {
                    self.reply("500 5.5.2 Line too long").await?;
                    continue;
                }
                Line::End => return Ok(()),
            };
            let (verb, argument) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            if verb.eq_ignore_ascii_case("QUIT") {
                return self.reply("221 2.0.0 Bye").await;
            }
            self.obey(&verb.to_ascii_uppercase(), argument.trim()).await?;
        }
        self.reply("421 4.7.0 Too many commands").await
    }

    async fn obey(&mut self, verb: &str, argument: &str) -> io::Result<()> {
        match verb {
            "EHLO" => self.hello(true).await,
            "HELO" => self.hello(false).await,
            "AUTH" => self.authenticate(argument).await,
            "MAIL" => self.mail(argument).await,
            "RCPT" => self.recipient(argument).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.reset();
                self.reply("250 2.0.0 Ok").await
            }
            "NOOP" => self.reply("250 2.0.0 Ok").await,
            "VRFY" => self.reply("252 2.1.5 Send it and see").await,
            "HELP" => {
                self.reply("214 2.0.0 EHLO HELO AUTH MAIL RCPT DATA RSET NOOP VRFY QUIT").await
            }
            _ => self.reply("500 5.5.1 Unknown command").await,
        }
    }

    async fn hello(&mut self, extended: bool) -> io::Result<()> {
        self.reset();
        self.greeted = true;
        if !extended {
            return self.reply("250 mailbox.localhost").await;
        }
        let size = self.limits.message_bytes;
        let reply = format!(
            "250-mailbox.localhost\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n\
             250-AUTH PLAIN LOGIN\r\n250 SIZE {size}"
        );
        self.reply(&reply).await
    }

    /// Any name and password will do; the name is kept with the messages.
    async fn authenticate(&mut self, argument: &str) -> io::Result<()> {
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let name = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let Some(given) = self.credential(initial, "334 ").await? else {
                    return self.reply("501 5.5.2 Not base64").await;
                };
                // RFC 4616: authorization identity, name, password, with NUL between.
                given.split('\0').nth(1).unwrap_or_default().to_owned()
            }
            "LOGIN" => {
                let name = self.credential(initial, "334 VXNlcm5hbWU6").await?;
                let password = self.credential("", "334 UGFzc3dvcmQ6").await?;
                match (name, password) {
                    (Some(name), Some(_)) => name,
                    _ => return self.reply("501 5.5.2 Not base64").await,
                }
            }
            _ => return self.reply("504 5.5.4 Unknown mechanism").await,
        };
        if let Some(refusal) = self.control.due(Stage::Auth) {
            return self.reply(&refusal).await;
        }
        self.username = name;
        self.reply("235 2.7.0 Welcome").await
    }

    /// The initial response if there is one, else what the client answers to `challenge`.
    async fn credential(&mut self, initial: &str, challenge: &str) -> io::Result<Option<String>> {
        let given = if initial.is_empty() {
            self.reply(challenge).await?;
            match self.read_command().await? {
                Line::Text(line) => line,
                Line::TooLong | Line::End => return Ok(None),
            }
        } else {
            initial.to_owned()
        };
        let decoded = STANDARD.decode(given.trim()).ok();
        Ok(decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn mail(&mut self, argument: &str) -> io::Result<()> {
        if !self.greeted {
            return self.reply("503 5.5.1 EHLO first").await;
        }
        if self.sender.is_some() {
            return self.reply("503 5.5.1 One message at a time").await;
        }
        let Some((sender, parameters)) = path(argument, "FROM:") else {
            return self.reply("501 5.5.4 MAIL FROM:<address>").await;
        };
        if declared_size(parameters) > self.limits.message_bytes {
            return self.refuse("552 5.3.4 Message too large").await;
        }
        if let Some(refusal) = self.control.due(Stage::Mail) {
            return self.refuse(&refusal).await;
        }
        self.sender = Some(sender.to_owned());
        self.reply("250 2.1.0 Ok").await
    }

    async fn recipient(&mut self, argument: &str) -> io::Result<()> {
        if self.sender.is_none() {
            return self.reply("503 5.5.1 MAIL first").await;
        }
        let Some((recipient, _)) = path(argument, "TO:").filter(|(path, _)| !path.is_empty())
        else {
            return self.reply("501 5.5.4 RCPT TO:<address>").await;
        };
        if self.recipients.len() == RECIPIENTS {
            return self.reply("452 4.5.3 Too many recipients").await;
        }
        if let Some(refusal) = self.control.due(Stage::Rcpt) {
            return self.refuse(&refusal).await;
        }
        self.recipients.push(recipient.to_owned());
        self.reply("250 2.1.5 Ok").await
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.recipients.is_empty() {
            return self.reply("503 5.5.1 RCPT first").await;
        }
        self.reply("354 End with a line of a single dot").await?;
        let source = match self.read_body().await? {
            Body::Whole(source) => source,
            Body::TooLarge => {
                self.reset();
                return self.refuse("552 5.3.4 Message too large").await;
            }
            Body::End => return Ok(()),
        };
        let sender = self.sender.take().unwrap_or_default();
        let recipients = std::mem::take(&mut self.recipients);
        if let Some(refusal) = self.control.due(Stage::Data) {
            return self.refuse(&refusal).await;
        }
        let message = Message::parse(source, &sender, &recipients, &self.username);
        let reply = format!("250 2.0.0 Ok: kept as {}", message.id);
        self.store.add(message);
        self.reply(&reply).await
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    async fn refuse(&mut self, reply: &str) -> io::Result<()> {
        self.store.rejected.fetch_add(1, Ordering::Relaxed);
        self.reply(reply).await
    }

    async fn reply(&mut self, reply: &str) -> io::Result<()> {
        let pace = self.control.pace();
        if !pace.is_zero() {
            sleep(pace).await;
        }
        let line = format!("{reply}\r\n");
        let write = self.client.get_mut().write_all(line.as_bytes());
        timeout(self.limits.idle, write).await.map_err(io::Error::from)?
    }

    async fn read_command(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let read = read_line(&mut self.client, &mut line, COMMAND_LINE);
        let whole = timeout(self.limits.idle, read).await.map_err(io::Error::from)??;
        if line.is_empty() {
            return Ok(Line::End);
        }
        if !whole {
            return Ok(Line::TooLong);
        }
        Ok(Line::Text(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Reads up to the lone dot and takes the stuffed dots away (RFC 5321 §4.5.2). A message over the bound is read to its end,
    /// so that the dialogue can go on, but not kept.
    async fn read_body(&mut self) -> io::Result<Body> {
        let bound = self.limits.message_bytes;
        let mut source = Vec::new();
        let mut too_large = false;
        loop {
            let mut line = Vec::new();
            let read = read_line(&mut self.client, &mut line, bound);
            let whole = timeout(self.limits.idle, read).await.map_err(io::Error::from)??;
            if line.is_empty() {
                return Ok(Body::End);
            }
            if line == b".\r\n" || line == b".\n" {
                return Ok(if too_large { Body::TooLarge } else { Body::Whole(source) });
            }
            let text = line.strip_prefix(b".").unwrap_or(&line);
            too_large |= !whole || source.len() + text.len() > bound;
            if too_large {
                source = Vec::new();
            } else {
                source.extend_from_slice(text);
            }
        }
    }
}

/// Reads up to and with the next line feed. Of a line longer than `most` the rest is skipped; the answer is whether it is whole. An empty line
/// means that the client has gone.
async fn read_line(
    client: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<bool> {
    let mut whole = true;
    loop {
        let available = client.fill_buf().await?;
        if available.is_empty() {
            return Ok(whole);
        }
        let end = available.iter().position(|byte| *byte == b'\n').map(|index| index + 1);
        let taken = end.unwrap_or(available.len());
        let room = most.saturating_sub(line.len()).min(taken);
        line.extend_from_slice(available.get(..room).unwrap_or_default());
        whole &= room == taken;
        client.consume(taken);
        if end.is_some() {
            return Ok(whole);
        }
    }
}

/// `FROM:<a@b> SIZE=1` → (`a@b`, `SIZE=1`).
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = argument.get(..keyword.len()).filter(|head| head.eq_ignore_ascii_case(keyword))?;
    let rest = argument.get(head.len()..)?.trim_start().strip_prefix('<')?;
    let (path, parameters) = rest.split_once('>')?;
    let acceptable = path.len() <= 320 && !path.contains(['<', ' ', '\r', '\n']);
    acceptable.then_some((path, parameters))
}

fn declared_size(parameters: &str) -> usize {
    let size = parameters.split_whitespace().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("SIZE").then(|| value.parse().unwrap_or(usize::MAX))
    });
    size.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_between_its_brackets() {
        assert_eq!(path("FROM:<a@b.c> SIZE=9", "FROM:"), Some(("a@b.c", " SIZE=9")));
        assert_eq!(path("from: <>", "FROM:"), Some(("", "")));
        assert_eq!(path("TO:<a b>", "TO:"), None);
        assert_eq!(path("TO:a@b", "TO:"), None);
        assert_eq!(path("ü:<a@b>", "TO:"), None);
    }

    #[test]
    fn the_declared_size_counts() {
        assert_eq!(declared_size(" BODY=8BITMIME size=12"), 12);
        assert_eq!(declared_size(" SIZE=99999999999999999999999"), usize::MAX);
        assert_eq!(declared_size(""), 0);
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_its_rest_skipped() {
        let mut client = BufReader::with_capacity(4, &b"0123456789\nnext\n"[..]);
        let mut line = Vec::new();
        assert!(!read_line(&mut client, &mut line, 5).await.unwrap());
        assert_eq!(line, b"01234");
        line.clear();
        assert!(read_line(&mut client, &mut line, 5).await.unwrap());
        assert_eq!(line, b"next\n");
    }
}
