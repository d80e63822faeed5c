//! From words to a message on the wire (RFC 5322, RFC 2045–2047).

use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::settings::custom_header;
use super::{MailKind, Rendered, SettingsError, SmtpSettings};

/// Why a message cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("the recipient is not a mail address")]
    Recipient,
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the message cannot be put together")]
    Build(#[source] lettre::error::Error),
}

/// Puts a message together. Nothing of `rendered`, of the sender's name or of a configured header can begin a new header.
pub(super) fn build(
    settings: &SmtpSettings,
    kind: MailKind,
    to: &str,
    rendered: Rendered,
) -> Result<Message, MessageError> {
    let recipient: Address = to.trim().parse().map_err(|_| MessageError::Recipient)?;
    let sender = settings.sender()?;
    let id = format!("<{}@{}>", uuid::Uuid::new_v4(), sender.domain());
    let name = Some(one_line(&settings.sender_name)).filter(|name| !name.is_empty());
    let mut builder = Message::builder()
        .from(Mailbox::new(name, sender))
        .to(Mailbox::new(None, recipient))
        .subject(one_line(&rendered.subject))
        .date_now()
        .message_id(Some(id))
        // RFC 3834 §5: so that nobody's holiday notice answers.
        .raw_header(custom_header("Auto-Submitted", "auto-generated")?);
    for (name, value) in &settings.headers {
        let value = value.replace("$messageType", &kind.message_type());
        builder = builder.raw_header(custom_header(name, &value)?);
    }
    builder
        .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
        .map_err(MessageError::Build)
}

/// `text` as one line for a header: control characters and line ends become single blanks; marks that turn the direction of writing,
/// which make a text look like another, are left out.
pub(super) fn one_line(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter(|character| !is_direction(*character))
        .map(|character| if is_break(character) { ' ' } else { character })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_break(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

fn is_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(sender_name: &str, subject: &str, to: &str) -> Result<String, MessageError> {
        let settings = SmtpSettings {
            host: "localhost".into(),
            admin_email: "admin@example.com".into(),
            sender_name: sender_name.into(),
            headers: vec![("X-Kind".into(), "a $messageType\r\nX-Evil: 1".into())],
            ..SmtpSettings::default()
        };
        let rendered =
            Rendered { subject: subject.into(), html: "<p>x</p>".into(), text: "x".into() };
        let message = build(&settings, MailKind::PasswordChanged, to, rendered)?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    fn header_names(message: &str) -> Vec<String> {
        let head = message.split("\r\n\r\n").next().unwrap();
        let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        lines.map(|line| line.split(':').next().unwrap().to_lowercase()).collect()
    }

    #[test]
    fn a_message_has_its_headers_once() {
        let message = formatted("Plinth", "Hello", "ada@example.com").unwrap();
        let mut names = header_names(&message);
        names.sort();
        assert_eq!(
            names,
            [
                "auto-submitted",
                "content-type",
                "date",
                "from",
                "message-id",
                "mime-version",
                "subject",
                "to",
                "x-kind"
            ]
        );
        assert!(message.contains("From: Plinth <admin@example.com>\r\n"), "{message}");
        assert!(
            message.contains("X-Kind: a password_changed_notification X-Evil: 1\r\n"),
            "{message}"
        );
        assert!(message.contains("multipart/alternative"));
    }

    #[test]
    fn nothing_can_begin_a_header() {
        let plain = header_names(&formatted("N", "S", "ada@example.com").unwrap());
        for evil in [
            "a\r\nBcc: x@y.z",
            "a\nBcc: x@y.z",
            "a\rBcc: x@y.z",
            "a\r\n\r\n<script>",
            "ü\r\nBcc: x@y.z",
            "a\u{2028}Bcc: x",
        ] {
            let message = formatted(evil, evil, "ada@example.com").unwrap();
            assert_eq!(header_names(&message), plain, "{evil:?}");
        }
    }

    #[test]
    fn a_recipient_is_one_address() {
        for to in [
            "a@b.c, d@e.f",
            "a@b.c\r\nBcc: d@e.f",
            "a@b.c>",
            "A <a@b.c>",
            "",
            "a@b.c d@e.f",
            "a@b.c\nRCPT TO:<x@y.z>",
        ] {
            assert!(matches!(formatted("N", "S", to), Err(MessageError::Recipient)), "{to:?}");
        }
    }

    #[test]
    fn directions_of_writing_are_left_out() {
        assert_eq!(one_line("a\u{202e}gpj.exe\t\u{2067}b"), "agpj.exe b");
    }
}
