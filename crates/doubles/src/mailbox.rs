//! A mail server that keeps what it gets: SMTP in, HTTP out.

mod api;
mod inbucket;
mod message;
mod page;
mod search;
mod smtp;
mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use api::Answer;
pub use message::{Attachment, Message, Person};
pub use smtp::{Refusal, Stage};

use store::Store;

/// How much a mailbox keeps and accepts.
#[derive(Debug, Clone)]
pub struct MailboxLimits {
    /// Messages kept; the oldest makes room. 500 by default.
    pub messages: usize,
    /// Bytes kept, of sources and decoded bodies together; the oldest make room. 64 MiB by default.
    pub bytes: usize,
    /// Bytes of one message; a larger one is refused with 552. 10 MiB by default.
    pub message_bytes: usize,
    /// SMTP sessions at a time; a further one is turned away with 421. 64 by default.
    pub sessions: usize,
    /// How long a session may be silent. 60 seconds by default.
    pub idle: Duration,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            messages: 500,
            bytes: 64 << 20,
            message_bytes: 10 << 20,
            sessions: 64,
            idle: Duration::from_secs(60),
        }
    }
}

/// A running mail double. Clones share the messages; the listener ends with the last clone.
#[derive(Clone)]
pub struct Mailbox {
    store: Arc<Store>,
    control: Arc<smtp::Control>,
    listener: Arc<Listener>,
}

struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mailbox {
    /// Listens for SMTP on `address`; port 0 takes a free one. Must be called within a tokio runtime, which serves the sessions.
    ///
    /// # Errors
    /// What the operating system says when the address cannot be had.
    pub async fn start(address: SocketAddr, limits: MailboxLimits) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let store = Arc::new(Store::new(&limits));
        let control = Arc::new(smtp::Control::default());
        let task = tokio::spawn(smtp::serve(socket, store.clone(), control.clone(), limits));
        Ok(Self { store, control, listener: Arc::new(Listener { address, task }) })
    }

    /// A mailbox on a free port of this machine, with the default limits.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn local() -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), MailboxLimits::default()).await
    }

    /// Where it listens for SMTP.
    pub fn smtp_address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Everything kept, newest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.store.newest_first()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.store.clear();
    }

    /// The newest message whose envelope names `recipient`, waiting up to `patience` for one to come.
    pub async fn wait_for(&self, recipient: &str, patience: Duration) -> Option<Arc<Message>> {
        self.wait_until(patience, |message| message.is_for(recipient)).await
    }

    /// The newest message that `wanted` accepts, waiting up to `patience` for one to come.
    pub async fn wait_until(
        &self,
        patience: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> Option<Arc<Message>> {
        let mut arrivals = self.store.arrivals();
        let search = async {
            loop {
                if let Some(found) = self.messages().into_iter().find(|message| wanted(message)) {
                    return Some(found);
                }
                arrivals.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, search).await.ok().flatten()
    }

    /// Refuses what comes next, `refusal.times` times, before it behaves again. Further calls queue up.
    pub fn refuse_next(&self, refusal: Refusal) {
        self.control.refuse(refusal);
    }

    /// Waits this long before every reply from now on. Zero is the default.
    pub fn set_pace(&self, pause: Duration) {
        self.control.set_pace(pause);
    }

    /// How many SMTP sessions were begun.
    pub fn sessions_begun(&self) -> u64 {
        self.control.begun()
    }
}
