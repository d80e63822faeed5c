//! Mail from the queue to a mail server, over real SMTP.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plinth_auth::mail::{
    Content, Mail, MailCounts, MailKind, MailTemplates, MailValues, Mailer, RetryPolicy, SendError,
    SmtpSettings, TemplateSource, TlsMode,
};
use plinth_doubles::mailbox::{Mailbox, Refusal, Stage};
use plinth_wire::Secret;
use serde_json::{Value, json};
use tokio::runtime::Handle;

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn settings(mailbox: &Mailbox) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".into(),
        port: mailbox.smtp_address().port(),
        admin_email: "admin@example.com".into(),
        sender_name: "Größe & Söhne".into(),
        retry: RetryPolicy {
            attempts: 3,
            first: Duration::from_millis(20),
            ..RetryPolicy::default()
        },
        ..SmtpSettings::default()
    }
}

pub(crate) fn start(settings: SmtpSettings, own: &[(MailKind, TemplateSource)]) -> Mailer {
    let templates = MailTemplates::load(&own.iter().cloned().collect::<BTreeMap<_, _>>()).unwrap();
    Mailer::start(settings, templates, Handle::current()).unwrap()
}

pub(crate) fn mail(to: &str, data: Value) -> Mail {
    let values = MailValues {
        site_url: "https://app.test".into(),
        confirmation_url: Secret::new(
            "https://api.test/verify?token=t&type=invite&redirect_to=https://app.test",
        ),
        token: Secret::new("123456"),
        email: to.into(),
        data,
        ..MailValues::default()
    };
    Mail { kind: MailKind::Invite, to: to.into(), values }
}

fn refusal(stage: Stage, reply: &str, times: u32) -> Refusal {
    Refusal { stage, reply: reply.into(), times }
}

/// The counts as soon as nothing is pending.
pub(crate) async fn settled(mailer: &Mailer) -> MailCounts {
    let deadline = Instant::now() + SOON;
    while mailer.counts().pending > 0 {
        assert!(Instant::now() < deadline, "{:?}", mailer.counts());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    mailer.counts()
}

#[tokio::test]
async fn a_mail_arrives_with_its_headers_and_both_bodies() {
    let mailbox = Mailbox::local().await.unwrap();
    let settings = SmtpSettings {
        user: "user".into(),
        pass: Secret::new("pass"),
        headers: vec![("X-Kind".into(), "$messageType".into())],
        ..settings(&mailbox)
    };
    let source = TemplateSource {
        subject: Some("Willkommen, {{ .Data.name }}! 🎉".into()),
        ..TemplateSource::default()
    };
    let mailer = start(settings, &[(MailKind::Invite, source)]);
    mailer.send(mail("ada@example.com", json!({"name": "Ægir Þórsson 李"}))).unwrap();
    let message = mailbox.wait_for("ada@example.com", SOON).await.unwrap();
    assert_eq!(message.subject, "Willkommen, Ægir Þórsson 李! 🎉");
    assert_eq!(message.from.name, "Größe & Söhne");
    assert_eq!(
        (message.from.address.as_str(), message.return_path.as_str()),
        ("admin@example.com", "admin@example.com")
    );
    assert_eq!(message.to[0].address, "ada@example.com");
    assert!(message.message_id.ends_with("@example.com"), "{}", message.message_id);
    assert_eq!(message.header("X-Kind"), Some("invite"));
    assert_eq!(message.header("Auto-Submitted"), Some("auto-generated"));
    assert!(message.header("Date").is_some());
    assert!(
        message.text.contains(
            "\r\nhttps://api.test/verify?token=t&type=invite&redirect_to=https://app.test"
        ),
        "{}",
        message.text
    );
    assert!(
        message.html.contains("href=\"https://api.test/verify?token=t&amp;type=invite"),
        "{}",
        message.html
    );
    assert_eq!(message.username, "user");
    assert!(message.source.is_ascii());
    let counts = settled(&mailer).await;
    assert_eq!((counts.accepted, counts.sent, counts.failed), (1, 1, 0));
}

#[tokio::test]
async fn values_add_neither_headers_nor_recipients() {
    let mailbox = Mailbox::local().await.unwrap();
    let source = TemplateSource {
        subject: Some("Hello {{ .Data.name }}".into()),
        html: Some(Content::Inline("<p>{{ .Data.name }}</p>".into())),
        text: None,
    };
    let mailer = start(settings(&mailbox), &[(MailKind::Invite, source)]);
    let evil = "x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>\r\n<script>";
    mailer.send(mail("ada@example.com", json!({ "name": evil }))).unwrap();
    mailer.send(mail("ada@example.com>\r\nRCPT TO:<eve@example.com", json!({}))).unwrap();
    mailer.send(mail("ada@example.com, eve@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.sent, counts.failed), (1, 2));
    let messages = mailbox.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].recipients, ["ada@example.com"]);
    assert_eq!(messages[0].header("Bcc"), None);
    assert!(messages[0].html.contains("&lt;script&gt;") && !messages[0].html.contains("<script>"));
}

#[tokio::test]
async fn long_lines_and_lone_dots_survive() {
    let mailbox = Mailbox::local().await.unwrap();
    let source = TemplateSource {
        html: Some(Content::Inline("<pre>{{ .Data.long }}\n.\n..\n</pre>".into())),
        text: Some(Content::Inline("{{ .Data.long }}\n.\n.. end\n".into())),
        ..TemplateSource::default()
    };
    let mailer = start(settings(&mailbox), &[(MailKind::Invite, source)]);
    let long = "langes Wört ".repeat(1_000);
    mailer.send(mail("ada@example.com", json!({ "long": long }))).unwrap();
    let message = mailbox.wait_for("ada@example.com", SOON).await.unwrap();
    assert!(message.text.starts_with(&long));
    let text = message.text.replace("\r\n", "\n");
    assert!(text.trim_end().ends_with("\n.\n.. end"), "{}", &text[text.len() - 40..]);
    assert!(message.html.contains(&long));
    // RFC 5322 §2.1.1
    assert!(message.source.split(|byte| *byte == b'\n').all(|line| line.len() <= 999));
}

#[tokio::test]
async fn a_temporary_refusal_is_tried_again_and_a_final_one_is_not() {
    let mailbox = Mailbox::local().await.unwrap();
    let mailer = start(settings(&mailbox), &[]);
    mailbox.refuse_next(refusal(Stage::Rcpt, "451 4.7.1 Greylisted", 1));
    mailbox.refuse_next(refusal(Stage::Greeting, "421 4.3.2 Busy", 1));
    mailer.send(mail("ada@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.sent, counts.retried, counts.failed), (1, 2, 0));

    let sessions = mailbox.sessions_begun();
    mailbox.refuse_next(refusal(Stage::Data, "550 5.7.1 Spam", 1));
    mailer.send(mail("bob@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.sent, counts.retried, counts.failed), (1, 2, 1));
    assert_eq!(mailbox.sessions_begun(), sessions + 1);
}

#[tokio::test]
async fn trying_again_has_an_end() {
    let mailbox = Mailbox::local().await.unwrap();
    let mailer = start(settings(&mailbox), &[]);
    mailbox.refuse_next(refusal(Stage::Mail, "450 4.3.0 Later", 100));
    mailer.send(mail("ada@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.sent, counts.retried, counts.failed), (0, 2, 1));
    assert_eq!(mailbox.sessions_begun(), 3);
}

#[tokio::test]
async fn a_slow_server_slows_nobody_who_sends() {
    let mailbox = Mailbox::local().await.unwrap();
    mailbox.set_pace(Duration::from_secs(30));
    let mailer = start(settings(&mailbox), &[]);
    let begun = Instant::now();
    for _ in 0..100 {
        mailer.send(mail("ada@example.com", json!({}))).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(mailer.counts().pending, 100);
    assert_eq!(mailer.drain(Duration::from_millis(50)).await, 100);
}

#[tokio::test]
async fn an_attempt_takes_no_longer_than_its_limit() {
    let mailbox = Mailbox::local().await.unwrap();
    mailbox.set_pace(Duration::from_secs(30));
    let settings =
        SmtpSettings { attempt_timeout: Duration::from_millis(50), ..settings(&mailbox) };
    let mailer = start(settings, &[]);
    mailer.send(mail("ada@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.retried, counts.failed), (2, 1));
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let mailbox = Mailbox::local().await.unwrap();
    mailbox.set_pace(Duration::from_secs(30));
    let mailer = start(SmtpSettings { queue: 3, ..settings(&mailbox) }, &[]);
    for _ in 0..3 {
        mailer.send(mail("ada@example.com", json!({}))).unwrap();
    }
    assert_eq!(mailer.send(mail("ada@example.com", json!({}))), Err(SendError::QueueFull));
    let counts = mailer.counts();
    assert_eq!((counts.accepted, counts.refused, counts.pending), (3, 1, 3));
}

#[tokio::test]
async fn connections_are_bounded() {
    let mailbox = Mailbox::local().await.unwrap();
    mailbox.set_pace(Duration::from_millis(10));
    let mailer = start(SmtpSettings { connections: 2, ..settings(&mailbox) }, &[]);
    for _ in 0..10 {
        mailer.send(mail("ada@example.com", json!({}))).unwrap();
    }
    assert!(mailbox.wait_for("ada@example.com", SOON).await.is_some());
    // Whoever has the first message has opened at most two more connections since.
    assert!(mailbox.sessions_begun() <= 2 + mailbox.messages().len() as u64);
    assert_eq!(settled(&mailer).await.sent, 10);
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing() {
    let mailbox = Mailbox::local().await.unwrap();
    let settings = SmtpSettings {
        tls: Some(TlsMode::StartTls),
        user: "user".into(),
        pass: Secret::new("secret"),
        ..settings(&mailbox)
    };
    let mailer = start(settings, &[]);
    mailer.send(mail("ada@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.sent, counts.retried, counts.failed), (0, 0, 1));
    assert!(mailbox.messages().is_empty());
    assert_eq!(mailbox.sessions_begun(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_again() {
    let mailbox = Mailbox::local().await.unwrap();
    let mut settings = settings(&mailbox);
    settings.port = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let mailer = start(settings, &[]);
    mailer.send(mail("ada@example.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.retried, counts.failed), (2, 1));
}

#[tokio::test]
async fn draining_tries_once_more_at_once_and_takes_nothing_new() {
    let mailbox = Mailbox::local().await.unwrap();
    let mut settings = settings(&mailbox);
    settings.retry.first = Duration::from_secs(600);
    let mailer = start(settings, &[]);
    mailbox.refuse_next(refusal(Stage::Data, "451 4.3.0 Later", 1));
    mailer.send(mail("ada@example.com", json!({}))).unwrap();
    let deadline = Instant::now() + SOON;
    while mailer.counts().retried == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(mailer.drain(SOON).await, 0);
    assert_eq!(mailer.counts().sent, 1);
    assert_eq!(mailer.send(mail("ada@example.com", json!({}))), Err(SendError::Closed));
}

#[tokio::test]
async fn an_address_in_unicode_is_delivered() {
    let mailbox = Mailbox::local().await.unwrap();
    let mailer = start(settings(&mailbox), &[]);
    mailer.send(mail("jürgen@exämple.com", json!({}))).unwrap();
    let counts = settled(&mailer).await;
    assert_eq!((counts.sent, counts.failed), (1, 0));
    assert!(mailbox.messages()[0].recipients[0].starts_with("jürgen@"));
}
