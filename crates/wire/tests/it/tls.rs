//! Encryption: a stand-in before the server takes it off, since the test's PostgreSQL has none.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plinth_postgres::Endpoint;
use plinth_testkit::{Template, with_database};
use plinth_wire::{Connection, Host, Tls, TlsMode, WireError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{batch, first};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates").join(name)
}

/// Something that speaks TLS with a certificate for `localhost` and passes on to PostgreSQL.
struct StandIn {
    port: u16,
    encrypted: Arc<AtomicUsize>,
}

impl StandIn {
    async fn before(port: u16) -> Self {
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
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let encrypted = Arc::new(AtomicUsize::new(0));
        let counted = encrypted.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), counted.clone());
                tokio::spawn(async move {
                    let mut request = [0; 8];
                    client.read_exact(&mut request).await.unwrap();
                    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "an SSLRequest");
                    client.write_all(b"S").await.unwrap();
                    // Clients that do not trust the certificate go away here.
                    let Ok(mut stream) = acceptor.accept(client).await else { return };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { port: own, encrypted }
    }
}

/// Runs `test` with an endpoint that is reached through a stand-in, and the database to use.
fn encrypted(test: impl AsyncFnOnce(Endpoint, &StandIn, &str)) {
    with_database(&Template::Empty, async |database| {
        let cluster = database.cluster().cluster().endpoint().clone();
        let stand_in = StandIn::before(cluster.port).await;
        let host = Host::Tcp("localhost".to_owned());
        let endpoint = Endpoint { host, port: stand_in.port, ..cluster };
        test(endpoint, &stand_in, database.name()).await;
    });
}

fn with(endpoint: &Endpoint, host: &str, mode: TlsMode, authority: Option<&str>) -> Endpoint {
    let tls = Tls { mode, root_certificate: authority.map(file) };
    Endpoint { host: Host::Tcp(host.to_owned()), tls, ..endpoint.clone() }
}

async fn open(endpoint: &Endpoint, database: &str) -> Result<String, WireError> {
    let config = endpoint.wire(&endpoint.admin, database, "plinth");
    let mut connection = Connection::open(&config, 8).await?;
    // More than one record in each direction.
    let answer = connection.run(&batch(&["select repeat('x', 100000)"])).await?;
    Ok(first(&answer[0]))
}

#[test]
fn a_server_is_talked_to_encrypted_when_it_is_who_it_should_be() {
    encrypted(async |endpoint, stand_in, database| {
        let authority = Some("authority.pem");
        for (host, mode, authority) in [
            ("localhost", TlsMode::VerifyFull, authority),
            ("127.0.0.1", TlsMode::VerifyCa, authority),
            ("127.0.0.1", TlsMode::Require, authority),
            ("127.0.0.1", TlsMode::Require, None),
            ("127.0.0.1", TlsMode::Prefer, None),
        ] {
            let endpoint = with(&endpoint, host, mode, authority);
            assert_eq!(open(&endpoint, database).await.unwrap().len(), 100_000, "{mode}");
            let administrative = endpoint.connect(database).await.unwrap();
            administrative.simple_query("select 1").await.unwrap();
            administrative.close().await;
        }
        assert_eq!(stand_in.encrypted.load(Ordering::SeqCst), 10);
    });
}

#[test]
fn a_server_that_is_somebody_else_is_told_nothing() {
    encrypted(async |endpoint, stand_in, database| {
        for (host, mode, authority) in [
            ("localhost", TlsMode::VerifyFull, "stranger.pem"),
            ("localhost", TlsMode::VerifyCa, "stranger.pem"),
            ("localhost", TlsMode::Require, "stranger.pem"),
            // Vouched for, and for another name.
            ("127.0.0.1", TlsMode::VerifyFull, "authority.pem"),
        ] {
            let endpoint = with(&endpoint, host, mode, Some(authority));
            let error = open(&endpoint, database).await.unwrap_err();
            assert!(matches!(error, WireError::Connect(_)), "{mode}: {error:?}");
            assert!(endpoint.connect(database).await.is_err(), "{mode}");
        }
        assert_eq!(stand_in.encrypted.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_server_that_cannot_encrypt_is_used_only_when_that_does_not_matter() {
    with_database(&Template::Empty, async |database| {
        let endpoint = database.cluster().cluster().endpoint().clone();
        let prefer = with(&endpoint, "127.0.0.1", TlsMode::Prefer, None);
        open(&prefer, database.name()).await.unwrap();
        prefer.connect(database.name()).await.unwrap().close().await;
        for mode in [TlsMode::Require, TlsMode::VerifyCa, TlsMode::VerifyFull] {
            let strict = with(&endpoint, "127.0.0.1", mode, Some("authority.pem"));
            let error = open(&strict, database.name()).await.unwrap_err();
            assert!(matches!(error, WireError::Connect(_)), "{mode}: {error:?}");
            assert!(strict.connect(database.name()).await.is_err(), "{mode}");
        }
    });
}
