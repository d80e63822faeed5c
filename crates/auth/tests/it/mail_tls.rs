//! Mail over TLS: a stand-in before the mailbox takes the encryption off, and notes what came without it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use plinth_auth::mail::{MailCounts, SmtpSettings, TlsMode};
use plinth_doubles::mailbox::Mailbox;
use plinth_wire::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::mail::{SOON, mail, settings, settled, start};

/// Those of the tests of `plinth-wire`: the server's is for `localhost`.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/it/certificates").join(name)
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(file("server.key")).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A mail server that speaks TLS and passes on to a mailbox.
struct StandIn {
    mailbox: Mailbox,
    port: u16,
    /// What clients sent in the clear.
    clear: Arc<Mutex<String>>,
    /// Clients that were satisfied with the certificate.
    encrypted: Arc<AtomicUsize>,
}

impl StandIn {
    async fn start(mode: TlsMode) -> Self {
        let mailbox = Mailbox::local().await.unwrap();
        let inner = mailbox.smtp_address();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (clear, encrypted) = (Arc::<Mutex<String>>::default(), Arc::<AtomicUsize>::default());
        let (noted, counted, acceptor) = (clear.clone(), encrypted.clone(), acceptor());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (noted, counted, acceptor) = (noted.clone(), counted.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if mode == TlsMode::StartTls && !until_starttls(&mut client, &noted).await {
                        return;
                    }
                    // Clients that do not trust the certificate go away here.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(inner).await.unwrap();
                    if mode == TlsMode::StartTls {
                        // The client was greeted already.
                        line(&mut server).await;
                    }
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { mailbox, port, clear, encrypted }
    }

    /// Sends one mail, with a password, to `host` and says what became of it.
    async fn send(&self, host: &str, mode: TlsMode, authority: Option<&str>) -> MailCounts {
        let settings = SmtpSettings {
            host: host.to_owned(),
            port: self.port,
            user: "postman".to_owned(),
            pass: Secret::new("hunter2"),
            tls: Some(mode),
            extra_roots: authority.map(|name| std::fs::read(file(name)).unwrap()),
            ..settings(&self.mailbox)
        };
        let mailer = start(settings, &[]);
        mailer.send(mail("ada@example.com", json!({}))).unwrap();
        settled(&mailer).await
    }

    fn in_the_clear(&self) -> String {
        self.clear.lock().unwrap().clone()
    }
}

/// Speaks SMTP (RFC 3207) up to STARTTLS, and offers sign-in before it to whoever is careless; `false` when the client goes.
async fn until_starttls(client: &mut TcpStream, noted: &Mutex<String>) -> bool {
    client.write_all(b"220 localhost ESMTP\r\n").await.unwrap();
    loop {
        let line = line(client).await;
        noted.lock().unwrap().push_str(&line);
        let reply: &[u8] = match line.get(..4) {
            None => return false,
            Some("EHLO") => b"250-localhost\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n",
            Some("STAR") => b"220 2.0.0 Go ahead\r\n",
            Some(_) => b"250 2.0.0 Ok\r\n",
        };
        client.write_all(reply).await.unwrap();
        if line.starts_with("STARTTLS") {
            return true;
        }
    }
}

/// One line, read byte by byte so that nothing behind it is taken away from TLS; empty at the end.
async fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let Ok(byte) = stream.read_u8().await else { return String::new() };
        line.push(byte);
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn mail_goes_over_tls_to_a_server_that_a_private_authority_vouches_for() {
    for mode in [TlsMode::StartTls, TlsMode::Implicit] {
        let stand_in = StandIn::start(mode).await;
        let counts = stand_in.send("localhost", mode, Some("authority.pem")).await;
        assert_eq!((counts.sent, counts.retried, counts.failed), (1, 0, 0), "{mode:?}");
        assert_eq!(stand_in.encrypted.load(Ordering::SeqCst), 1);
        let message = stand_in.mailbox.wait_for("ada@example.com", SOON).await.unwrap();
        assert_eq!(message.username, "postman", "it signed in");
        let clear = stand_in.in_the_clear();
        let verbs: Vec<&str> = clear.lines().filter_map(|line| line.get(..4)).collect();
        let wanted: &[&str] = if mode == TlsMode::StartTls { &["EHLO", "STAR"] } else { &[] };
        assert_eq!(verbs, wanted, "{mode:?}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_neither_mail_nor_password() {
    for mode in [TlsMode::StartTls, TlsMode::Implicit] {
        let stand_in = StandIn::start(mode).await;
        for (host, authority) in [
            // The public authorities alone, another private one, and the right one for another name.
            ("localhost", None),
            ("localhost", Some("stranger.pem")),
            ("127.0.0.1", Some("authority.pem")),
        ] {
            let counts = stand_in.send(host, mode, authority).await;
            assert_eq!((counts.sent, counts.failed), (0, 1), "{mode:?} {host} {authority:?}");
        }
        assert_eq!(stand_in.encrypted.load(Ordering::SeqCst), 0, "{mode:?}");
        assert_eq!(stand_in.mailbox.sessions_begun(), 0, "{mode:?}");
        let clear = stand_in.in_the_clear();
        assert!(!clear.contains("AUTH") && !clear.contains("MAIL"), "{mode:?}: {clear}");
        assert_eq!(clear.contains("STARTTLS"), mode == TlsMode::StartTls, "they came that far");
    }
}
