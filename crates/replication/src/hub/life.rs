//! The life of a stream: it begins, is read, ends, and begins again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::backoff::{Backoff, PROVED};
use crate::counters::count;
use crate::frame::Frame;
use crate::hub::HubOptions;
use crate::hub::router::Router;
use crate::hub::shared::Shared;
use crate::publication;
use crate::session::Session;
use crate::{Assembler, Lsn, StreamError};

/// How often the server is told where we are.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The server is asked for a sign of life this many times before it is taken for gone.
const ASKED: u32 = 6;
/// A slot that takes longer waits for transactions that are older than it.
const SLOW_SLOT: Duration = Duration::from_secs(5);
/// Longest name of a slot (PostgreSQL "NAMEDATALEN").
const MAX_SLOT_NAME: usize = 63;

/// Reads streams, one after the other, until nobody listens any more.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let ended = stream(&shared).await;
        shared.set_slot(None);
        if let Err(error) = ended {
            if began.elapsed() >= PROVED {
                backoff.reset();
            }
            let wait = backoff.wait(error.is_lasting(), rand::random());
            tell(&shared, &error, wait);
            tokio::select! {
                () = sleep(wait) => {}
                () = shared.forsaken() => {}
            }
        }
        if shared.retire() {
            return;
        }
    }
}

fn tell(shared: &Shared, error: &StreamError, wait: Duration) {
    count(&shared.counters.restarts, 1);
    let reason = error.gap();
    shared.gap(reason);
    tracing::warn!(
        replication.database = shared.options.connect.database,
        replication.gap = ?reason,
        replication.retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        error = error as &dyn std::error::Error,
        "the stream of changes has ended; it will begin anew, and changes in between are missed"
    );
}

/// One stream from beginning to end. Ends well when nobody listens any more.
async fn stream(shared: &Arc<Shared>) -> Result<(), StreamError> {
    let (mut session, from) = tokio::select! {
        begun = begin(shared) => begun?,
        // Hanging up is enough: the server notices, and the slot goes.
        () = shared.forsaken() => return Ok(()),
    };
    let mut router = Router::new(shared.clone(), from);
    read(shared, &mut session, &mut router).await?;
    session.close().await;
    tracing::info!(
        replication.database = shared.options.connect.database,
        "nobody listens any more; the stream of changes has ended"
    );
    Ok(())
}

/// Makes publications and slot, and begins to stream; returns from where.
async fn begin(shared: &Arc<Shared>) -> Result<(Session, Lsn), StreamError> {
    let options = &shared.options;
    let mut session = Session::open(&options.connect, options.message_bytes).await?;
    let publications = publication::prepare(&options.publications, &mut session).await?;
    let slot = slot_name(&options.connect.database);
    let from = make_slot(&mut session, &slot, &options.connect.database).await?;
    session.start(&start_command(options, &slot, &publications)).await?;
    count(&shared.counters.starts, 1);
    tracing::info!(
        replication.database = options.connect.database,
        replication.slot = slot,
        replication.from = %from,
        "streaming changes"
    );
    shared.set_slot(Some(slot));
    Ok((session, from))
}

/// Makes a slot that ends with the session. PostgreSQL first waits for the end of all transactions that write at the moment.
async fn make_slot(session: &mut Session, slot: &str, database: &str) -> Result<Lsn, StreamError> {
    let sql =
        format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    let mut made = pin!(session.command("make a replication slot", &sql));
    let rows = tokio::select! {
        rows = &mut made => rows,
        () = sleep(SLOW_SLOT) => {
            tracing::warn!(
                replication.database = database,
                "the replication slot has to wait for the end of transactions that were there before it"
            );
            made.await
        }
    }?;
    // slot_name, consistent_point, snapshot_name, output_plugin
    let place = rows.first().and_then(|row| row.get(1)?.as_deref()?.parse().ok());
    place.ok_or_else(|| StreamError::Protocol("a slot without a place in the log".to_owned()))
}

fn start_command(options: &HubOptions, slot: &str, publications: &[String]) -> String {
    let names: Vec<String> =
        publications.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    // A string of the replication commands knows no escapes but the doubled quote.
    let names = names.join(",").replace('\'', "''");
    let streaming = if options.take_uncommitted { ", streaming 'on'" } else { "" };
    format!(
        "START_REPLICATION SLOT {slot} LOGICAL 0/0 \
         (proto_version '2', publication_names '{names}', messages 'on'{streaming})"
    )
}

/// A name that no other stream has: of this instance, of another, or of this one's past.
fn slot_name(database: &str) -> String {
    let suffix = format!("_{:012x}", rand::random::<u64>() & 0xFFFF_FFFF_FFFF);
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    let room = MAX_SLOT_NAME - "plinth_".len() - suffix.len();
    let database: String = database.chars().map(plain).take(room).collect();
    format!("plinth_{database}{suffix}")
}

async fn read(
    shared: &Arc<Shared>,
    session: &mut Session,
    router: &mut Router,
) -> Result<(), StreamError> {
    let mut assembler = Assembler::new(shared.options.spool_bytes);
    let mut changes = shared.changes();
    let mut forsaken = pin!(shared.forsaken());
    let mut pulse = Pulse::new(shared.options.silence);
    let mut clock = interval(STATUS_EVERY.min(pulse.ask_every));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if assembler.is_between() {
            router.refresh();
        }
        while let Some(frame) = session.take_frame()? {
            take(frame, session, &mut assembler, router).await?;
        }
        tokio::select! {
            read = session.read_more() => {
                read?;
                pulse.heard = Instant::now();
                count(&shared.counters.bytes, session.take_received());
            }
            _ = changes.changed() => {}
            () = &mut forsaken => return Ok(()),
            _ = clock.tick() => pulse.beat(session, router.position()).await?,
        }
    }
}

async fn take(
    frame: Frame,
    session: &mut Session,
    assembler: &mut Assembler,
    router: &mut Router,
) -> Result<(), StreamError> {
    match frame {
        Frame::Data { lsn, message } => {
            assembler.take(lsn, message, router)?;
            // Who subscribed in the meantime joins between two transactions, also when the stream never pauses.
            if assembler.is_between() {
                router.refresh();
            }
        }
        Frame::Keepalive { end, reply_wanted } => {
            if assembler.is_between() {
                router.advance(end);
            }
            if reply_wanted {
                session.confirm(router.position(), false).await?;
            }
        }
    }
    Ok(())
}

/// When the server heard of us, and we of it.
struct Pulse {
    /// How long it may say nothing.
    silence: Duration,
    /// How often it is told where we are even if we are where we were, and asked to answer.
    ask_every: Duration,
    heard: Instant,
    asked: Instant,
    told: Lsn,
}

impl Pulse {
    fn new(silence: Duration) -> Self {
        // A clock cannot tick all the time.
        let ask_every = (silence / ASKED).max(Duration::from_millis(10));
        let now = Instant::now();
        Self { silence, ask_every, heard: now, asked: now, told: Lsn(0) }
    }

    /// Tells the server where we are, now and then.
    async fn beat(&mut self, session: &mut Session, position: Lsn) -> Result<(), StreamError> {
        if self.heard.elapsed() > self.silence {
            return Err(StreamError::Silent(self.silence));
        }
        let ask = self.asked.elapsed() >= self.ask_every;
        if ask || position != self.told {
            session.confirm(position, ask).await?;
            self.told = position;
        }
        if ask {
            self.asked = Instant::now();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_names_of_their_own_that_postgresql_takes() {
        for database in ["echelon", "my-app-2", &"a".repeat(63), "Ünïcode \"'"] {
            let name = slot_name(database);
            assert!(name.len() <= MAX_SLOT_NAME, "{name}");
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(plain), "{name}");
            assert_ne!(name, slot_name(database));
        }
    }
}
