//! The receiving side of SMTP (RFC 5321), as much as senders need, with bounds on everything.

mod session;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::MailboxLimits;
use super::store::Store;
use session::Session;

/// The moment of a session at which something can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Instead of the greeting.
    Greeting,
    /// In answer to AUTH.
    Auth,
    /// In answer to MAIL.
    Mail,
    /// In answer to RCPT.
    Rcpt,
    /// After the message was received.
    Data,
}

/// A reply to give instead of accepting.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Where.
    pub stage: Stage,
    /// The reply line without its end: `451 4.3.0 Try again later`.
    pub reply: String,
    /// How many times.
    pub times: u32,
}

/// What tests make the server do.
#[derive(Default)]
pub(super) struct Control {
    refusals: Mutex<VecDeque<Refusal>>,
    pace_ms: AtomicU64,
    begun: AtomicU64,
}

impl Control {
    pub(super) fn refuse(&self, refusal: Refusal) {
        if refusal.times > 0 {
            self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push_back(refusal);
        }
    }

    pub(super) fn set_pace(&self, pause: Duration) {
        self.pace_ms.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(self.pace_ms.load(Ordering::Relaxed))
    }

    /// The refusal that is due at this stage, which counts as given.
    fn due(&self, stage: Stage) -> Option<String> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let index = refusals.iter().position(|refusal| refusal.stage == stage)?;
        let refusal = refusals.get_mut(index)?;
        refusal.times -= 1;
        let reply = refusal.reply.clone();
        if refusal.times == 0 {
            refusals.remove(index);
        }
        Some(reply)
    }
}

/// Accepts sessions until the task is aborted; sessions end with it.
pub(super) async fn serve(
    socket: TcpListener,
    store: Arc<Store>,
    control: Arc<Control>,
    limits: MailboxLimits,
) {
    let places = Arc::new(Semaphore::new(limits.sessions));
    let mut sessions = JoinSet::new();
    loop {
        while sessions.try_join_next().is_some() {}
        let Ok((mut client, _)) = socket.accept().await else {
            // Out of file descriptors, for instance: others must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let _ = client.write_all(b"421 4.3.2 Too many sessions\r\n").await;
            continue;
        };
        control.begun.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(client, store.clone(), control.clone(), limits.clone());
        sessions.spawn(async move {
            let _place = place;
            if let Err(error) = session.run().await {
                tracing::debug!(error = %error, "SMTP session broke off");
            }
        });
    }
}
