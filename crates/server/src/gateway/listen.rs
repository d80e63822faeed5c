//! The listening socket and its connections (HTTP/1.1).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Gateway;
use super::patience::Patient;

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
    /// The address is taken by another program.
    #[error("{0} is in use by another program")]
    Taken(SocketAddr),
}

/// A socket that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
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
                    return Ok(Self { listener, address });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(ServerError::Bind { address: candidate, source }),
            }
        }
        Err(ServerError::Taken(address))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true, then lets the requests under way end, for a bounded time.
    pub async fn run(self, gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
        let limits = gateway.limits();
        let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let drain_timeout = limits.drain_timeout;
        let builder = connection_builder(&gateway);
        let mut connections = JoinSet::new();
        loop {
            // At the limit, further clients wait in the kernel's queue.
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place,
                () = stopped(&mut stop) => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    let serving = serve(builder.clone(), stream, gateway.clone(), stop.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain_timeout, drained).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "cut off requests that did not end in time"
            );
        }
    }
}

fn connection_builder(gateway: &Gateway) -> http1::Builder {
    let limits = gateway.limits();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .max_headers(limits.header_count)
        .keep_alive(true);
    builder
}

async fn serve(
    builder: http1::Builder,
    stream: TcpStream,
    gateway: Arc<Gateway>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small and complete: waiting to fill a packet would only add latency.
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, gateway.limits().request_timeout);
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
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
