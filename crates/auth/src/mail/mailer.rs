//! The queue between a request that wants a mail sent and the server that takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lettre::{AsyncSmtpTransport, Message, Tokio1Executor};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::delivery::{Outcome, attempt};
use super::message::build;
use super::{Mail, MailKind, MailTemplates, SettingsError, SmtpSettings};

/// Why a mail was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// As many mails are waiting as may wait.
    #[error("too many mails are waiting")]
    QueueFull,
    /// The mailer is being drained.
    #[error("mail is no longer taken")]
    Closed,
}

/// What a mailer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailCounts {
    /// Taken by [`Mailer::send`].
    pub accepted: u64,
    /// Refused because the queue was full or closed.
    pub refused: u64,
    /// Handed over to the server.
    pub sent: u64,
    /// Attempts that were put off.
    pub retried: u64,
    /// Given up: refused for good, tried too often, or not to be rendered.
    pub failed: u64,
    /// Waiting or on their way now.
    pub pending: u64,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    sent: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    Open,
    /// What waits is tried once more, at once.
    Draining,
    /// What is not done is dropped.
    Stopped,
}

/// Sends a project's mail in the background. Cheap to clone.
///
/// A mail is a task of the runtime that it was started with; there are at most [`SmtpSettings::queue`] of them, of which
/// [`SmtpSettings::connections`] talk to the server at a time. A mail that must wait to be tried again holds no connection.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
    runtime: Handle,
}

struct Inner {
    settings: SmtpSettings,
    templates: MailTemplates,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    places: Arc<Semaphore>,
    connections: Semaphore,
    phase: watch::Sender<Phase>,
    counters: Counters,
}

impl Mailer {
    /// A mailer whose work is done on `runtime`. Nothing is connected before the first mail.
    ///
    /// # Errors
    /// [`SettingsError`] when the settings cannot be used.
    pub fn start(
        settings: SmtpSettings,
        templates: MailTemplates,
        runtime: Handle,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let inner = Inner {
            transport: settings.transport()?,
            places: Arc::new(Semaphore::new(settings.queue)),
            connections: Semaphore::new(settings.connections),
            phase: watch::Sender::new(Phase::Open),
            counters: Counters::default(),
            templates,
            settings,
        };
        Ok(Self { inner: Arc::new(inner), runtime })
    }

    /// Takes a mail and returns at once; rendering, connecting and trying again happen in the background. What goes wrong there is
    /// logged and counted, never told to the caller, whose answer must not depend on it.
    ///
    /// # Errors
    /// [`SendError`] when the queue is full or closed.
    pub fn send(&self, mail: Mail) -> Result<(), SendError> {
        let counters = &self.inner.counters;
        let refuse = |error| {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(mail.kind = mail.kind.name(), error = %error, "mail refused");
            Err(error)
        };
        if *self.inner.phase.borrow() != Phase::Open {
            return refuse(SendError::Closed);
        }
        let Ok(place) = self.inner.places.clone().try_acquire_owned() else {
            return refuse(SendError::QueueFull);
        };
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.clone();
        self.runtime.spawn(async move {
            inner.process(mail).await;
            drop(place);
        });
        Ok(())
    }

    /// What has been done so far.
    pub fn counts(&self) -> MailCounts {
        let counters = &self.inner.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MailCounts {
            accepted: read(&counters.accepted),
            refused: read(&counters.refused),
            sent: read(&counters.sent),
            retried: read(&counters.retried),
            failed: read(&counters.failed),
            pending: (self.inner.settings.queue - self.inner.places.available_permits()) as u64,
        }
    }

    /// Takes no more mail, tries what waits once more at once, and waits up to `patience` for all of it. What is left then is dropped;
    /// its number is the answer.
    pub async fn drain(&self, patience: Duration) -> u64 {
        self.inner.phase.send_if_modified(|phase| {
            let opens = *phase == Phase::Open;
            if opens {
                *phase = Phase::Draining;
            }
            opens
        });
        let all = u32::try_from(self.inner.settings.queue).unwrap_or(u32::MAX);
        let idle = self.inner.places.acquire_many(all);
        let done = tokio::time::timeout(patience, idle).await.is_ok();
        let left = if done { 0 } else { self.counts().pending };
        self.inner.phase.send_replace(Phase::Stopped);
        if left > 0 {
            tracing::warn!(mail.left = left, "mails dropped at shutdown");
        }
        left
    }
}

impl Inner {
    async fn process(&self, mail: Mail) {
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased;
            () = self.deliver(&mail) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Stopped) => {}
        }
    }

    /// Sends a mail or gives it up.
    async fn deliver(&self, mail: &Mail) {
        let message = match self.message(mail) {
            Ok(message) => message,
            Err(reason) => return self.give_up(mail.kind, "", &reason),
        };
        // The domain tells which provider has trouble; the person is nobody's business.
        let domain = mail.to.rsplit_once('@').map_or("", |(_, domain)| domain);
        let mut tried = 1;
        loop {
            let reason = match self.attempt(&message).await {
                Outcome::Sent => {
                    self.counters.sent.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(
                        mail.kind = mail.kind.name(),
                        mail.domain = domain,
                        "mail sent"
                    );
                    return;
                }
                Outcome::Never(reason) => return self.give_up(mail.kind, domain, &reason),
                Outcome::Later(reason) => reason,
            };
            let pause = self.settings.retry.pause_after(tried);
            let Some(pause) = pause.filter(|_| *self.phase.borrow() == Phase::Open) else {
                return self.give_up(mail.kind, domain, &reason);
            };
            self.counters.retried.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                mail.kind = mail.kind.name(),
                mail.domain = domain,
                mail.attempt = tried,
                error = reason,
                "mail put off"
            );
            self.wait(pause).await;
            tried += 1;
        }
    }

    fn message(&self, mail: &Mail) -> Result<Message, String> {
        let rendered = self.templates.render(mail).map_err(|error| error.to_string())?;
        build(&self.settings, mail.kind, &mail.to, rendered).map_err(|error| error.to_string())
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let Ok(_connection) = self.connections.acquire().await else {
            return Outcome::Never("the mailer is closed".to_owned());
        };
        attempt(&self.transport, message, self.settings.attempt_timeout).await
    }

    /// Waits, unless the mailer is drained meanwhile. A fifth more or less keeps many mails from coming back together.
    async fn wait(&self, pause: Duration) {
        let spread = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
        let pause = pause.mul_f64(0.8 + 0.4 * spread);
        let mut phase = self.phase.subscribe();
        let _ = tokio::time::timeout(pause, phase.wait_for(|phase| *phase != Phase::Open)).await;
    }

    fn give_up(&self, kind: MailKind, domain: &str, reason: &str) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            mail.kind = kind.name(),
            mail.domain = domain,
            error = reason,
            "mail given up"
        );
    }
}
