//! SMTP spoken by hand, and what HTTP shows of it.

use std::time::Duration;

use plinth_doubles::mailbox::{Answer, Mailbox, MailboxLimits, Refusal, Stage};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(mailbox: &Mailbox) -> Self {
        let mut client =
            Self(BufReader::new(TcpStream::connect(mailbox.smtp_address()).await.unwrap()));
        assert!(client.reply().await.starts_with("220 "));
        client
    }

    /// The last line of a reply.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            tokio::time::timeout(SOON, self.0.read_line(&mut line)).await.unwrap().unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, text: &str) -> String {
        self.0.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn expect(&mut self, text: &str, code: &str) {
        let reply = self.say(text).await;
        assert!(reply.starts_with(code), "{text} -> {reply}");
    }

    async fn deliver(&mut self, to: &str, source: &str) {
        self.expect("EHLO test", "250").await;
        self.expect("MAIL FROM:<from@example.com>", "250").await;
        self.expect(&format!("RCPT TO:<{to}>"), "250").await;
        self.expect("DATA", "354").await;
        self.expect(&format!("{source}\r\n."), "250").await;
    }
}

fn json(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.content_type), (200, "application/json"), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn get(mailbox: &Mailbox, path: &str, query: &str) -> Value {
    json(&mailbox.answer("GET", path, query, b""))
}

fn source(subject: &str) -> String {
    format!(
        "From: Plinth <from@example.com>\r\nTo: Ada <ada@example.com>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.com>\r\n\r\nThe code is 123456\r\n..stuffed"
    )
}

#[tokio::test]
async fn a_message_goes_in_by_smtp_and_comes_out_as_mailpit_says_it() {
    let mailbox = Mailbox::local().await.unwrap();
    let mut client = Client::connect(&mailbox).await;
    client.deliver("ada@example.com", &source("one")).await;
    client.deliver("bob@example.com", &source("two")).await;
    client.expect("QUIT", "221").await;

    let list = get(&mailbox, "/api/v1/messages", "limit=1");
    assert_eq!(
        (&list["total"], &list["unread"], &list["count"], &list["messages_count"], &list["start"]),
        (&2.into(), &2.into(), &1.into(), &2.into(), &0.into())
    );
    let summary = &list["messages"][0];
    assert_eq!(summary["Subject"], "two");
    assert_eq!(
        summary["From"],
        serde_json::json!({"Name": "Plinth", "Address": "from@example.com"})
    );
    assert_eq!(summary["To"][0]["Address"], "ada@example.com");
    assert_eq!(summary["Bcc"][0]["Address"], "bob@example.com");
    assert_eq!(summary["Snippet"], "The code is 123456 .stuffed");
    assert_eq!(summary["Read"], false);
    assert_eq!(summary["Tags"], serde_json::json!([]));
    assert_eq!(get(&mailbox, "/api/v1/messages", "start=1")["messages"][0]["Subject"], "one");

    let found = get(&mailbox, "/api/v1/search", "query=to%3Aada%40example.com%20subject:one");
    assert_eq!((&found["total"], &found["messages_count"]), (&2.into(), &1.into()));
    let id = found["messages"][0]["ID"].as_str().unwrap();
    let message = get(&mailbox, &format!("/api/v1/message/{id}"), "");
    assert_eq!(message["MessageID"], "one@example.com");
    assert_eq!(message["Text"].as_str().unwrap().trim(), "The code is 123456\r\n.stuffed");
    assert_eq!(message["HTML"], "");
    assert_eq!(message["ReturnPath"], "from@example.com");
    assert_eq!(get(&mailbox, "/api/v1/message/latest", "")["Subject"], "two");
    assert_eq!(get(&mailbox, "/api/v1/info", "")["Messages"], 2);
    assert_eq!(get(&mailbox, "/api/v1/info", "")["Unread"], 0);

    let raw = mailbox.answer("GET", &format!("/api/v1/message/{id}/raw"), "", b"");
    assert_eq!(raw.content_type, "text/plain; charset=utf-8");
    assert!(String::from_utf8(raw.body).unwrap().ends_with("123456\r\n.stuffed\r\n"));

    let body = format!("{{\"IDs\": [\"{id}\"]}}");
    assert_eq!(mailbox.answer("DELETE", "/api/v1/messages", "", body.as_bytes()).body, b"ok");
    assert_eq!(get(&mailbox, "/api/v1/messages", "")["total"], 1);
    mailbox.answer("DELETE", "/api/v1/messages", "", b"");
    assert_eq!(get(&mailbox, "/api/v1/messages", "")["messages"], serde_json::json!([]));
    assert_eq!(mailbox.answer("GET", "/api/v1/message/latest", "", b"").status, 404);
}

#[tokio::test]
async fn the_older_api_groups_by_mailbox() {
    let mailbox = Mailbox::local().await.unwrap();
    Client::connect(&mailbox).await.deliver("ada+tag@example.com", &source("one")).await;
    for name in ["ada+tag", "ada%2Btag", "ADA+tag@example.com"] {
        let list = get(&mailbox, &format!("/api/v1/mailbox/{name}"), "");
        assert_eq!(list[0]["subject"], "one", "{name}");
    }
    assert_eq!(get(&mailbox, "/api/v1/mailbox/bob", ""), serde_json::json!([]));
    let message = get(&mailbox, "/api/v1/mailbox/ada+tag/latest", "");
    assert!(message["body"]["text"].as_str().unwrap().contains("123456"));
    assert_eq!(message["header"]["Subject"][0], "one");
    assert_eq!(mailbox.answer("GET", "/api/v1/mailbox/bob/latest", "", b"").status, 404);
    mailbox.answer("DELETE", "/api/v1/mailbox/ada+tag", "", b"");
    assert!(mailbox.messages().is_empty());
}

#[tokio::test]
async fn commands_out_of_order_or_shape_are_refused() {
    let mailbox = Mailbox::local().await.unwrap();
    let mut client = Client::connect(&mailbox).await;
    client.expect("MAIL FROM:<a@b.c>", "503").await;
    client.expect("HELO test", "250").await;
    client.expect("RCPT TO:<a@b.c>", "503").await;
    client.expect("DATA", "503").await;
    client.expect("MAIL FROM:a@b.c", "501").await;
    client.expect("MAIL FROM:<a@b.c> SIZE=999999999", "552").await;
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("MAIL FROM:<a@b.c>", "503").await;
    client.expect("RCPT TO:<>", "501").await;
    client.expect("RSET", "250").await;
    client.expect("RCPT TO:<a@b.c>", "503").await;
    client.expect("VRFY a", "252").await;
    client.expect("NOOP", "250").await;
    client.expect("STARTTLS", "500").await;
    client.expect(&"x".repeat(10_000), "500").await;
    client.expect("QUIT", "221").await;
}

#[tokio::test]
async fn any_password_will_do_and_the_name_is_kept() {
    let mailbox = Mailbox::local().await.unwrap();
    let mut client = Client::connect(&mailbox).await;
    client.expect("EHLO test", "250").await;
    client.expect("AUTH PLAIN !!!", "501").await;
    client.expect("AUTH CRAM-MD5", "504").await;
    client.expect("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.expect("dXNlcg==", "334 UGFzc3dvcmQ6").await;
    client.expect("cGFzcw==", "235").await;
    client.expect("AUTH PLAIN AGFkYQBwYXNz", "235").await;
    client.deliver("ada@example.com", &source("one")).await;
    assert_eq!(mailbox.messages()[0].username, "ada");
}

#[tokio::test]
async fn a_message_over_the_bound_is_refused_and_the_dialogue_goes_on() {
    let limits = MailboxLimits { message_bytes: 2_000, ..MailboxLimits::default() };
    let mailbox = Mailbox::start(([127, 0, 0, 1], 0).into(), limits).await.unwrap();
    let mut client = Client::connect(&mailbox).await;
    client.expect("EHLO test", "250").await;
    client.expect("MAIL FROM:<a@b.c>", "250").await;
    client.expect("RCPT TO:<a@b.c>", "250").await;
    client.expect("DATA", "354").await;
    client.expect(&format!("{}\r\n.", "x".repeat(5_000)), "552").await;
    client.deliver("ada@example.com", &source("small")).await;
    assert_eq!(mailbox.messages().len(), 1);
    assert_eq!(get(&mailbox, "/api/v1/info", "")["RuntimeStats"]["SMTPRejected"], 1);
}

#[tokio::test]
async fn sessions_are_bounded_in_number_and_silence() {
    let limits =
        MailboxLimits { sessions: 1, idle: Duration::from_millis(300), ..MailboxLimits::default() };
    let mailbox = Mailbox::start(([127, 0, 0, 1], 0).into(), limits).await.unwrap();
    let mut first = Client::connect(&mailbox).await;
    let mut second = TcpStream::connect(mailbox.smtp_address()).await.unwrap();
    let mut turned_away = String::new();
    second.read_to_string(&mut turned_away).await.unwrap();
    assert!(turned_away.starts_with("421 "), "{turned_away}");
    let mut rest = String::new();
    tokio::time::timeout(SOON, first.0.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn refusals_happen_where_and_as_often_as_told() {
    let mailbox = Mailbox::local().await.unwrap();
    mailbox.refuse_next(Refusal { stage: Stage::Rcpt, reply: "550 5.1.1 No".into(), times: 2 });
    let mut client = Client::connect(&mailbox).await;
    client.expect("EHLO test", "250").await;
    client.expect("MAIL FROM:<a@b.c>", "250").await;
    client.expect("RCPT TO:<a@b.c>", "550").await;
    client.expect("RCPT TO:<a@b.c>", "550").await;
    client.expect("RCPT TO:<a@b.c>", "250").await;
}

#[tokio::test]
async fn waiting_ends_with_the_arrival() {
    let mailbox = Mailbox::local().await.unwrap();
    let waiter = mailbox.clone();
    let waiting = tokio::spawn(async move { waiter.wait_for("ADA@example.com", SOON).await });
    Client::connect(&mailbox).await.deliver("ada@example.com", &source("one")).await;
    assert_eq!(waiting.await.unwrap().unwrap().subject, "one");
    assert!(mailbox.wait_for("bob@example.com", Duration::from_millis(20)).await.is_none());
}

#[tokio::test]
async fn the_router_answers_under_any_prefix() {
    let mailbox = Mailbox::local().await.unwrap();
    Client::connect(&mailbox).await.deliver("ada@example.com", &source("one")).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest("/inbox", mailbox.router());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let page = http(address, "GET /inbox").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(
        page.contains("content-security-policy: default-src 'none'; script-src 'sha256-"),
        "{page}"
    );
    assert!(page.contains("<title>Inbox</title>"));
    let list = http(address, "GET /inbox/api/v1/messages").await;
    assert!(list.contains("\"Subject\":\"one\""), "{list}");
    assert!(http(address, "PUT /inbox/api/v1/messages").await.starts_with("HTTP/1.1 405"));
    assert!(http(address, "GET /inbox/api/v2/messages").await.starts_with("HTTP/1.1 404"));
    assert!(http(address, "GET /inbox/api/v1/search?query=").await.starts_with("HTTP/1.1 400"));
    assert!(http(address, "DELETE /inbox/api/v1/search?query=to:ada").await.ends_with("ok"));
    assert!(mailbox.messages().is_empty());
    server.abort();
}

#[tokio::test]
async fn a_mails_html_is_served_but_may_run_nothing() {
    let mailbox = Mailbox::local().await.unwrap();
    let html = "Subject: x\r\nContent-Type: text/html\r\n\r\n<p>Hi</p><script>evil()</script>";
    let mut client = Client::connect(&mailbox).await;
    client.deliver("ada@example.com", html).await;
    let answer = mailbox.answer("GET", "/view/latest.html", "", b"");
    assert_eq!((answer.status, answer.content_type), (200, "text/html; charset=utf-8"));
    assert!(String::from_utf8_lossy(&answer.body).contains("<p>Hi</p>"));
    assert!(answer.security_policy.contains("default-src 'none'"));
    assert!(answer.security_policy.contains("sandbox "));
    assert!(!answer.security_policy.contains("script"));
    client.deliver("ada@example.com", &source("plain")).await;
    assert_eq!(mailbox.answer("GET", "/view/latest.html", "", b"").status, 404);
    let text = mailbox.answer("GET", "/view/latest.txt", "", b"");
    assert!(String::from_utf8_lossy(&text.body).contains("123456"));
}

async fn http(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
