//! The messages, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::{MailboxLimits, Message};

pub(super) struct Store {
    kept: Mutex<Kept>,
    /// The number of arrivals so far; every arrival wakes those who wait.
    arrivals: watch::Sender<u64>,
    most_messages: usize,
    most_bytes: usize,
    began: Instant,
    deleted: AtomicU64,
    accepted_bytes: AtomicU64,
    pub(super) rejected: AtomicU64,
}

#[derive(Default)]
struct Kept {
    /// Oldest first.
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
}

/// What `GET /api/v1/info` tells beside the messages.
pub(super) struct Statistics {
    pub(super) uptime_seconds: u64,
    pub(super) bytes: usize,
    pub(super) deleted: u64,
    pub(super) accepted: u64,
    pub(super) accepted_bytes: u64,
    pub(super) rejected: u64,
}

impl Store {
    pub(super) fn new(limits: &MailboxLimits) -> Self {
        Self {
            kept: Mutex::default(),
            arrivals: watch::Sender::new(0),
            most_messages: limits.messages.max(1),
            most_bytes: limits.bytes,
            began: Instant::now(),
            deleted: AtomicU64::new(0),
            accepted_bytes: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        }
    }

    /// Keeps a message, dropping the oldest ones over the bounds. The message itself is always kept.
    pub(super) fn add(&self, message: Message) {
        self.accepted_bytes.fetch_add(message.source.len() as u64, Ordering::Relaxed);
        {
            let mut kept = self.lock();
            kept.bytes += message.weight();
            kept.messages.push_back(Arc::new(message));
            while kept.messages.len() > self.most_messages
                || (kept.bytes > self.most_bytes && kept.messages.len() > 1)
            {
                let Some(oldest) = kept.messages.pop_front() else { break };
                kept.bytes -= oldest.weight();
            }
        }
        self.arrivals.send_modify(|count| *count += 1);
    }

    pub(super) fn newest_first(&self) -> Vec<Arc<Message>> {
        self.lock().messages.iter().rev().cloned().collect()
    }

    /// The message of that id; `latest` is the newest.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Message>> {
        self.find_in(id, |_| true)
    }

    /// The message of that id among those that `belongs` accepts; `latest` is the newest of them.
    pub(super) fn find_in(
        &self,
        id: &str,
        belongs: impl Fn(&Message) -> bool,
    ) -> Option<Arc<Message>> {
        let mut messages = self.newest_first().into_iter().filter(|message| belongs(message));
        messages.find(|message| id == "latest" || message.id == id)
    }

    pub(super) fn clear(&self) {
        self.delete(|_| true);
    }

    /// Forgets the messages that `unwanted` accepts.
    pub(super) fn delete(&self, unwanted: impl Fn(&Message) -> bool) {
        let mut kept = self.lock();
        let before = kept.messages.len();
        kept.messages.retain(|message| !unwanted(message));
        kept.bytes = kept.messages.iter().map(|message| message.weight()).sum();
        self.deleted.fetch_add((before - kept.messages.len()) as u64, Ordering::Relaxed);
    }

    /// Tells of every arrival after this call.
    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            uptime_seconds: self.began.elapsed().as_secs(),
            bytes: self.lock().bytes,
            deleted: self.deleted.load(Ordering::Relaxed),
            accepted: *self.arrivals.borrow(),
            accepted_bytes: self.accepted_bytes.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held; if it did, the messages would still be whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(messages: usize, bytes: usize) -> Store {
        Store::new(&MailboxLimits { messages, bytes, ..MailboxLimits::default() })
    }

    fn message(subject: &str, padding: usize) -> Message {
        let source = format!("Subject: {subject}\r\n\r\n{}\r\n", "x".repeat(padding));
        Message::parse(source.into_bytes(), "a@example.com", &["b@example.com".to_owned()], "")
    }

    fn subjects(store: &Store) -> Vec<String> {
        store.newest_first().iter().map(|message| message.subject.clone()).collect()
    }

    #[test]
    fn the_oldest_message_makes_room() {
        let store = store(2, usize::MAX);
        for subject in ["one", "two", "three"] {
            store.add(message(subject, 1));
        }
        assert_eq!(subjects(&store), ["three", "two"]);
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_message_stays() {
        let store = store(10, 1_000);
        store.add(message("small", 10));
        store.add(message("large", 5_000));
        assert_eq!(subjects(&store), ["large"]);
        store.add(message("next", 10));
        assert_eq!(subjects(&store), ["next"]);
    }

    #[test]
    fn deleting_gives_the_bytes_back() {
        let store = store(10, usize::MAX);
        store.add(message("one", 100));
        store.add(message("two", 100));
        store.delete(|message| message.subject == "one");
        assert_eq!(store.statistics().bytes, store.newest_first()[0].weight());
        assert_eq!(store.statistics().deleted, 1);
    }
}
