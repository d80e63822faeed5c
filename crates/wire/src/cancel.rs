//! Asking the server to end a statement that nobody waits for any more.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ConnectConfig;
use crate::socket::Socket;

/// How long the server may take to hear it. Otherwise the statement goes on to its own limit.
const LIMIT: Duration = Duration::from_secs(5);

/// What the server takes for the right to end a session's statement (PostgreSQL "Message Formats", BackendKeyData).
#[derive(Clone, Copy)]
pub(crate) struct CancelKey {
    pub(crate) process: i32,
    pub(crate) secret: i32,
}

impl CancelKey {
    /// Has the server cancel whatever the session runs when it hears this, which may be something else by then: the
    /// session takes no other batch.
    pub(crate) async fn cancel(self, config: &ConnectConfig) {
        match tokio::time::timeout(LIMIT, self.ask(config)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "could not cancel a statement"),
            Err(_elapsed) => tracing::debug!("could not cancel a statement in time"),
        }
    }

    async fn ask(self, config: &ConnectConfig) -> io::Result<()> {
        let mut socket = Socket::connect(&config.host, config.port, &config.tls).await?;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.process, self.secret, &mut request);
        socket.write_all(&request).await?;
        socket.flush().await?;
        // It answers by hanging up, after the session was told.
        socket.read_to_end(&mut Vec::new()).await.map(drop)
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey").field("process", &self.process).finish_non_exhaustive()
    }
}
