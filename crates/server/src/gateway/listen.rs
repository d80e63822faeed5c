//! The listening socket and its connections (HTTP/1.1).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::client_address::Peer;
use super::cores::Cores;
use super::patience::Patient;
use super::response::Answer;
use super::target::Encoded;
use crate::config::HttpConfig;

/// How many ports after the wanted one are tried.
const PORTS_TRIED: u16 = 50;

/// Pause after the system refused to accept a connection (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host has no address.
    #[error("cannot find an address of {host}")]
    Unknown {
        /// Which host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The Unix socket cannot be listened on.
    #[error("cannot listen on the socket {path}")]
    Socket {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The threads that serve cannot be started.
    #[error("cannot start the threads that serve")]
    Threads(#[source] io::Error),
    /// The address is taken by another program.
    #[error("{0} is in use by another program")]
    Taken(SocketAddr),
}

/// What answers requests.
pub trait Answering: Send + Sync + 'static {
    /// The limits that the listener enforces.
    fn limits(&self) -> &HttpConfig;

    /// How many threads serve its clients.
    fn threads(&self) -> usize {
        1
    }

    /// Answers one request, in bounded time, whatever it is.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// A socket that listens.
pub struct Server {
    listener: Listener,
    address: SocketAddr,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A client's connection, registered with no runtime yet.
enum Client {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Tcp(listener) => Ok(Client::Tcp(listener.accept().await?.0.into_std()?)),
            Self::Unix(listener, _) => Ok(Client::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}

impl Drop for Listener {
    /// A socket that nobody listens at must not look like one.
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Server {
    /// Listens on `address`; with `anywhere`, on the next free port when that one is taken.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when no port is to be had.
    pub async fn bind(address: SocketAddr, anywhere: bool) -> Result<Self, ServerError> {
        let last = if anywhere { PORTS_TRIED } else { 0 };
        for step in 0..=last {
            let Some(port) = address.port().checked_add(step) else { break };
            let candidate = SocketAddr::new(address.ip(), port);
            match TcpListener::bind(candidate).await {
                Ok(listener) => {
                    let address = listener.local_addr().unwrap_or(candidate);
                    return Ok(Self { listener: Listener::Tcp(listener), address });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(ServerError::Bind { address: candidate, source }),
            }
        }
        Err(ServerError::Taken(address))
    }

    /// Listens on a host in PostgREST's spelling: a name, an address, or `*`, `*4`, `!4`, `*6`, `!6` for
    /// every address, of IPv4 or IPv6 preferably (`*`) or only (`!`).
    ///
    /// # Errors
    ///
    /// [`ServerError`] when the host has no address that can be listened on.
    pub async fn bind_host(host: &str, port: u16) -> Result<Self, ServerError> {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let candidates: Vec<SocketAddr> = match host {
            "!4" => vec![SocketAddr::new(v4, port)],
            "!6" => vec![SocketAddr::new(v6, port)],
            "*4" => vec![SocketAddr::new(v4, port), SocketAddr::new(v6, port)],
            // Listening on the unspecified address of IPv6 takes clients of IPv4 too.
            "*" | "*6" => vec![SocketAddr::new(v6, port), SocketAddr::new(v4, port)],
            name => tokio::net::lookup_host((name.trim_matches(['[', ']']), port))
                .await
                .map_err(|source| ServerError::Unknown { host: host.to_owned(), source })?
                .collect(),
        };
        let mut last = None;
        for candidate in candidates {
            match Self::bind(candidate, false).await {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ServerError::Unknown {
            host: host.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    /// Listens on a Unix socket with the file mode `mode`; one that nobody listens at any more is replaced.
    ///
    /// # Errors
    ///
    /// [`ServerError::Socket`] when that is not possible.
    pub fn bind_socket(path: &Path, mode: u32) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Socket { path: path.to_owned(), source };
        if let Ok(found) = std::fs::symlink_metadata(path) {
            let in_use = io::Error::new(io::ErrorKind::AddrInUse, "another program listens there");
            let no_socket = io::Error::new(io::ErrorKind::AlreadyExists, "it is no socket");
            if !found.file_type().is_socket() {
                return Err(failed(no_socket));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(failed(in_use));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = Listener::Unix(UnixListener::bind(path).map_err(failed)?, path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Ok(Self { listener, address })
    }

    /// Where it listens; port 0 for a Unix socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The Unix socket's file.
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.listener {
            Listener::Unix(_, path) => Some(path),
            Listener::Tcp(_) => None,
        }
    }

    /// Where it listens, for people.
    pub fn label(&self) -> String {
        match &self.listener {
            Listener::Unix(_, path) => path.display().to_string(),
            Listener::Tcp(_) => format!("http://{}", self.address),
        }
    }

    /// Serves until `stop` becomes true, then lets the requests under way end, for a bounded time.
    ///
    /// # Errors
    ///
    /// [`ServerError::Threads`] when the system has no threads left.
    pub async fn run<A: Answering>(
        self,
        gateway: Arc<A>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ServerError> {
        let limits = gateway.limits();
        let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let cores = start_cores(&gateway, &stop)?;
        loop {
            // At the limit, further clients wait in the kernel's queue.
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place,
                () = stopped(&mut stop) => break,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            match accepted {
                Ok(client) => cores.take(client, place),
                Err(error) => {
                    tracing::warn!(error = %error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        let cut_off = cores.drain().await;
        if cut_off > 0 {
            tracing::warn!(connections = cut_off, "cut off requests that did not end in time");
        }
        Ok(())
    }
}

fn start_cores<A: Answering>(
    gateway: &Arc<A>,
    stop: &watch::Receiver<bool>,
) -> Result<Cores<Client>, ServerError> {
    let builder = connection_builder(gateway.limits());
    let (threads, drain_timeout) = (gateway.threads(), gateway.limits().drain_timeout);
    let (gateway, stop) = (gateway.clone(), stop.clone());
    let serve = move |client| serve_client(builder.clone(), client, gateway.clone(), stop.clone());
    Cores::start(threads, drain_timeout, serve).map_err(ServerError::Threads)
}

async fn serve_client<A: Answering>(
    builder: http1::Builder,
    client: Client,
    gateway: Arc<A>,
    stop: watch::Receiver<bool>,
) {
    let taken = match client {
        Client::Tcp(stream) => match TcpStream::from_std(stream) {
            Ok(stream) => {
                // Answers are small and complete: waiting to fill a packet would only add latency.
                let _ = stream.set_nodelay(true);
                let peer = stream.peer_addr().ok().map(Peer);
                serve(builder, stream, peer, gateway, stop).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        Client::Unix(stream) => match UnixStream::from_std(stream) {
            Ok(stream) => {
                serve(builder, stream, None, gateway, stop).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    if let Err(error) = taken {
        tracing::warn!(error = %error, "could not take a connection");
    }
}

fn connection_builder(limits: &HttpConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .max_headers(limits.header_count)
        .keep_alive(true);
    builder
}

async fn serve<A: Answering>(
    builder: http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Option<Peer>,
    gateway: Arc<A>,
    mut stop: watch::Receiver<bool>,
) {
    let stream = Patient::new(Encoded::new(stream), gateway.limits().request_timeout);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let gateway = gateway.clone();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        async move { Ok::<_, std::convert::Infallible>(gateway.handle(request).await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(error = %error, "a client's connection broke");
    }
}

/// Waits for the order to stop; an owner who went away gives it too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
