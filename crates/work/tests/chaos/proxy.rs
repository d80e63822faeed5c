//! A network between instances and PostgreSQL that can be cut, held up, and lose what is on its way.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What befalls connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weather {
    /// Connections that are older than this number are cut.
    cut: usize,
    /// Those that are older than this number stay open, and nothing of them arrives any more.
    lost: usize,
    /// Nothing arrives until this is over.
    held: bool,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = watch::Sender::new(Weather::default());
        let seen = weather.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Also while PostgreSQL is away, when nobody is behind it.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                    tokio::spawn(pass(client, server, seen.clone()));
                }
            }
        });
        Self { port, weather, task }
    }

    /// Ends all connections that there are.
    pub(crate) fn cut(&self) {
        self.weather.send_modify(|weather| weather.cut += 1);
    }

    /// All connections that there are lose everything from now on, and nobody is told.
    pub(crate) fn lose(&self) {
        self.weather.send_modify(|weather| weather.lost += 1);
    }

    /// Lets nothing through, or lets it go on.
    pub(crate) fn hold(&self, held: bool) {
        self.weather.send_modify(|weather| weather.held = held);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, seen: watch::Receiver<Weather>) {
    let born = *seen.borrow();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = seen.clone();
    tokio::select! {
        _ = async { tokio::join!(
            one_way(from_client, to_server, born, seen.clone()),
            one_way(from_server, to_client, born, seen),
        ) } => {}
        _ = cut.wait_for(|now| now.cut > born.cut) => {}
    }
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    born: Weather,
    mut seen: watch::Receiver<Weather>,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut bytes).await else { return };
        if seen.wait_for(|now| !now.held).await.is_err() {
            return;
        }
        if seen.borrow().lost > born.lost {
            std::future::pending::<()>().await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
