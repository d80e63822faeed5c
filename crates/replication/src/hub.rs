//! One stream, many listeners.

mod life;
mod queue;
mod router;
mod shared;
mod subscription;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_wire::{Batch, ConnectConfig, Connection, Format, Lane, Statement, WireError};
use tokio::runtime::Handle;

use self::shared::Shared;
pub use self::subscription::{Overflow, QueueBounds, Subscription};
use crate::{Counters, Filter, Lsn, Publication};

/// How to stream the changes of one database.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The database, with a login that may make publications and slots: the administrator's. A role with REPLICATION can read
    /// the log of the whole cluster, so that no project may have one of its own.
    pub connect: ConnectConfig,
    /// What to read. Those that are missing and ours are made.
    pub publications: Vec<Publication>,
    /// How long the stream goes on when nobody listens any more. 30 s.
    pub linger: Duration,
    /// A server that has said nothing for this long is gone. 60 s: PostgreSQL allows us as much (`wal_sender_timeout`), and may be
    /// busy with a large transaction meanwhile.
    pub silence: Duration,
    /// Take large transactions while they run, and hold them here until they are committed. Off: PostgreSQL holds them, on
    /// disk beyond `logical_decoding_work_mem`.
    pub take_uncommitted: bool,
    /// Bytes that transactions under way may hold here. 64 MiB; with more, the stream begins anew, and there is a gap.
    pub spool_bytes: usize,
    /// Bytes that a change may have. 64 MiB; with more, the stream begins anew, and there is a gap.
    pub message_bytes: usize,
}

impl HubOptions {
    /// The usual bounds.
    pub fn new(connect: ConnectConfig, publications: Vec<Publication>) -> Self {
        Self {
            connect,
            publications,
            linger: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            take_uncommitted: false,
            spool_bytes: 64 * 1024 * 1024,
            message_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The changes of one database, for everybody in this process. Clones are the same hub.
///
/// There is a stream, and a replication slot, only while there are subscriptions and for a time after the last one
/// ([`HubOptions::linger`]). The slot is temporary: it ends with its connection, whatever becomes of this process, and so never
/// holds back log that nobody will read. What is missed in between, subscriptions are told of as a [`crate::Event::Gap`].
#[derive(Debug, Clone)]
pub struct ChangeHub {
    shared: Arc<Shared>,
}

impl ChangeHub {
    /// A hub whose stream will be read on `runtime`. Nothing happens before the first subscription.
    pub fn new(options: HubOptions, runtime: Handle) -> Self {
        Self { shared: Arc::new(Shared::new(options, runtime)) }
    }

    /// Listens to what `filter` wants; `name` is for the log. Begins the stream if there is none. Once it is there, and no
    /// transaction is being given out at the moment, the subscription gets [`crate::Event::Live`].
    pub fn subscribe(
        &self,
        name: &str,
        filter: Filter,
        bounds: QueueBounds,
        overflow: Overflow,
    ) -> Subscription {
        Subscription::new(self.shared.clone(), name, filter, bounds, overflow)
    }

    /// Ends all subscriptions and the stream; returns when the slot is gone. (One that was only being made goes within seconds.)
    /// Later subscriptions end at once.
    pub async fn close(&self) {
        self.shared.close().await;
    }

    /// What it has done.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.shared.subscribers().len()
    }

    /// The slot of the stream that runs at the moment.
    pub fn slot(&self) -> Option<String> {
        self.shared.slot()
    }

    /// The place in the log up to which everything was given out.
    pub fn position(&self) -> Lsn {
        Lsn(self.shared.counters.position.load(Ordering::Relaxed))
    }

    /// Asks the server, over a connection of its own, how much log it has written beyond [`ChangeHub::position`], in bytes. The
    /// stream itself does not say. Nothing is asked, and the answer is 0, while there is no stream.
    ///
    /// # Errors
    ///
    /// [`WireError`] when the server cannot be asked.
    pub async fn measure_lag(&self) -> Result<u64, WireError> {
        let lag = match self.slot() {
            None => 0,
            Some(_) => written(&self.shared.options.connect).await?.bytes_since(self.position()),
        };
        self.shared.counters.lag_bytes.store(lag, Ordering::Relaxed);
        Ok(lag)
    }
}

/// The end of the log that is on the server's disk.
async fn written(connect: &ConnectConfig) -> Result<Lsn, WireError> {
    let sql = "select pg_catalog.pg_current_wal_flush_lsn()";
    let statement = Statement { sql: sql.into(), params: Vec::new(), format: Format::Text };
    let batch =
        Batch { role: "".into(), statements: vec![statement], lane: Lane::Write, rollback: false };
    let results = Connection::open(connect, 0).await?.run(&batch).await?;
    let value = results.first().and_then(|rows| rows.text().first()?.first()?.clone());
    let text = value.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let lsn = text.and_then(|text| text.parse().ok());
    lsn.ok_or_else(|| WireError::Protocol("the server did not say where its log is".to_owned()))
}
