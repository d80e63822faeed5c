//! Events that wait for one subscription.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::hub::{Overflow, QueueBounds};
use crate::{Ended, Event, GapReason, Lsn};

/// What came of putting an event into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits, or nobody wants it any more.
    Taken,
    /// The subscription was cut off.
    CutOff,
    /// What waited was dropped; the subscription is told.
    Gap,
}

/// A bounded queue with one reader. Writers never wait.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: QueueBounds,
    overflow: Overflow,
    inner: Mutex<Inner>,
    /// The first event came, or the end.
    ready: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Event>,
    bytes: usize,
    ended: Option<Ended>,
    /// What the reader was told last of the stream.
    told: Told,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Live,
    Gap,
}

impl Queue {
    pub(super) fn new(bounds: QueueBounds, overflow: Overflow) -> Self {
        Self { bounds, overflow, inner: Mutex::default(), ready: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a change or a message behind the others, unless the reader is waiting for the stream to begin.
    pub(super) fn push(&self, event: &Event, place: Lsn) -> Pushed {
        let mut inner = self.inner();
        if inner.ended.is_some() || inner.told != Told::Live {
            return Pushed::Taken;
        }
        let size = event.size();
        // Alone, an event may be as large as it likes: the stream bounds it.
        let full = !inner.events.is_empty()
            && (inner.events.len() >= self.bounds.events || inner.bytes + size > self.bounds.bytes);
        if !full {
            self.put(&mut inner, event.clone(), size);
            return Pushed::Taken;
        }
        let dropped = inner.clear();
        match self.overflow {
            Overflow::CutOff => {
                inner.ended = Some(Ended::TooSlow);
                self.ready.notify_one();
                Pushed::CutOff
            }
            Overflow::Gap => {
                let gap = Event::Gap { reason: GapReason::Slow { dropped } };
                self.put(&mut inner, gap, size_of::<Event>());
                self.put(&mut inner, Event::Live { from: place }, size_of::<Event>());
                self.put(&mut inner, event.clone(), size);
                Pushed::Gap
            }
        }
    }

    fn put(&self, inner: &mut Inner, event: Event, size: usize) {
        inner.bytes += size;
        inner.events.push_back(event);
        if inner.events.len() == 1 {
            self.ready.notify_one();
        }
    }

    /// Says that changes come from now on, if that is news.
    pub(super) fn live(&self, from: Lsn) {
        let mut inner = self.inner();
        if inner.ended.is_none() && inner.told != Told::Live {
            inner.told = Told::Live;
            self.put(&mut inner, Event::Live { from }, size_of::<Event>());
        }
    }

    /// Says that changes are missing, if that is news; whether it is.
    pub(super) fn gap(&self, reason: GapReason) -> bool {
        let mut inner = self.inner();
        let is_news = inner.ended.is_none() && inner.told != Told::Gap;
        if is_news {
            inner.told = Told::Gap;
            self.put(&mut inner, Event::Gap { reason }, size_of::<Event>());
        }
        is_news
    }

    /// Ends the queue. What waits in it is still read, unless it is the reader who leaves.
    pub(super) fn end(&self, ended: Ended) {
        let mut inner = self.inner();
        inner.ended.get_or_insert(ended);
        self.ready.notify_one();
    }

    /// The reader has left.
    pub(super) fn abandon(&self) {
        let mut inner = self.inner();
        inner.ended.get_or_insert(Ended::Closed);
        inner.clear();
    }

    /// Gives the reader all that waits, in exchange for an empty list.
    fn take_all(&self, taken: &mut VecDeque<Event>) -> Result<(), Ended> {
        let mut inner = self.inner();
        if inner.events.is_empty() {
            return inner.ended.map_or(Ok(()), Err);
        }
        inner.bytes = 0;
        std::mem::swap(&mut inner.events, taken);
        Ok(())
    }
}

/// The reader's end of a queue. It takes all that waits at once, so that reader and writer seldom meet.
#[derive(Debug)]
pub(super) struct Reader {
    queue: Arc<Queue>,
    taken: VecDeque<Event>,
}

impl Reader {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, taken: VecDeque::new() }
    }

    /// The first event, if there is one.
    pub(super) fn pop(&mut self) -> Result<Option<Event>, Ended> {
        if self.taken.is_empty() {
            self.queue.take_all(&mut self.taken)?;
        }
        Ok(self.taken.pop_front())
    }

    /// The next event, as soon as there is one. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Event, Ended> {
        loop {
            if let Some(event) = self.pop()? {
                return Ok(event);
            }
            // Remembers that it was notified in between.
            self.queue.ready.notified().await;
        }
    }
}

impl Inner {
    /// Drops what waits; returns how many events those were.
    fn clear(&mut self) -> u64 {
        let dropped = self.events.len();
        self.events = VecDeque::new();
        self.bytes = 0;
        dropped as u64
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::LogicalMessage;

    const BOUNDS: QueueBounds = QueueBounds { events: 4, bytes: 4096 };

    fn queue(overflow: Overflow) -> (Arc<Queue>, Reader) {
        let queue = Arc::new(Queue::new(BOUNDS, overflow));
        let mut reader = Reader::new(queue.clone());
        queue.live(Lsn(1));
        assert!(matches!(reader.pop(), Ok(Some(Event::Live { from: Lsn(1) }))));
        (queue, reader)
    }

    /// An event whose number is its length.
    fn event(length: usize) -> Event {
        Event::Message(Arc::new(LogicalMessage {
            transaction: None,
            lsn: Lsn(0),
            prefix: "".into(),
            content: Bytes::from(vec![0; length]),
        }))
    }

    fn number(event: Event) -> usize {
        let Event::Message(message) = event else { panic!("{event:?}") };
        message.content.len()
    }

    #[test]
    fn events_come_in_order() {
        let (queue, mut reader) = queue(Overflow::CutOff);
        for number in 1..=3 {
            assert_eq!(queue.push(&event(number), Lsn(2)), Pushed::Taken);
        }
        for expected in 1..=3 {
            assert_eq!(number(reader.pop().unwrap().unwrap()), expected);
        }
        assert!(reader.pop().unwrap().is_none());
    }

    #[test]
    fn a_slow_reader_is_cut_off_and_holds_nothing_more() {
        let (queue, mut reader) = queue(Overflow::CutOff);
        let pushed: Vec<Pushed> = (0..6).map(|n| queue.push(&event(n), Lsn(2))).collect();
        assert_eq!(pushed[..4], [Pushed::Taken; 4]);
        assert_eq!(pushed[4..], [Pushed::CutOff, Pushed::Taken]);
        assert!(queue.inner().events.is_empty() && queue.inner().bytes == 0);
        assert!(matches!(reader.pop(), Err(Ended::TooSlow)));
    }

    #[test]
    fn a_slow_reader_is_told_of_a_gap_and_goes_on_behind_it() {
        let (queue, mut reader) = queue(Overflow::Gap);
        for n in 0..4 {
            queue.push(&event(n), Lsn(2));
        }
        assert_eq!(queue.push(&event(9), Lsn(7)), Pushed::Gap);
        let gap = reader.pop().unwrap().unwrap();
        assert!(matches!(gap, Event::Gap { reason: GapReason::Slow { dropped: 4 } }), "{gap:?}");
        assert!(matches!(reader.pop(), Ok(Some(Event::Live { from: Lsn(7) }))));
        assert_eq!(number(reader.pop().unwrap().unwrap()), 9);
        assert_eq!(queue.inner().bytes, 0);
    }

    #[test]
    fn what_the_reader_has_in_its_hands_makes_room() {
        let (queue, mut reader) = queue(Overflow::CutOff);
        for n in 0..4 {
            queue.push(&event(n), Lsn(2));
        }
        assert_eq!(number(reader.pop().unwrap().unwrap()), 0);
        for n in 4..8 {
            assert_eq!(queue.push(&event(n), Lsn(2)), Pushed::Taken);
        }
        for n in 1..8 {
            assert_eq!(number(reader.pop().unwrap().unwrap()), n);
        }
    }

    #[test]
    fn bytes_are_bounded_as_events_are_but_one_event_is_always_taken() {
        let (queue, _) = queue(Overflow::CutOff);
        assert_eq!(queue.push(&event(10_000), Lsn(2)), Pushed::Taken);
        assert_eq!(queue.push(&event(1), Lsn(2)), Pushed::CutOff);
    }

    #[test]
    fn nothing_comes_between_a_gap_and_the_stream() {
        let (queue, mut reader) = queue(Overflow::CutOff);
        assert!(queue.gap(GapReason::Lost));
        assert!(!queue.gap(GapReason::Unavailable), "one gap is told once");
        queue.push(&event(1), Lsn(2));
        queue.live(Lsn(5));
        queue.live(Lsn(6));
        assert!(matches!(reader.pop(), Ok(Some(Event::Gap { reason: GapReason::Lost }))));
        assert!(matches!(reader.pop(), Ok(Some(Event::Live { from: Lsn(5) }))));
        assert!(matches!(reader.pop(), Ok(None)));
    }

    #[tokio::test]
    async fn the_end_is_read_after_what_waits() {
        let (queue, mut reader) = queue(Overflow::CutOff);
        queue.push(&event(1), Lsn(2));
        queue.end(Ended::Closed);
        assert_eq!(queue.push(&event(2), Lsn(2)), Pushed::Taken);
        assert_eq!(number(reader.next().await.unwrap()), 1);
        assert!(matches!(reader.next().await, Err(Ended::Closed)));
        assert!(matches!(reader.next().await, Err(Ended::Closed)));
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let (queue, mut reader) = queue(Overflow::CutOff);
        let reader = tokio::spawn(async move { reader.next().await.map(number) });
        tokio::task::yield_now().await;
        queue.push(&event(3), Lsn(2));
        assert_eq!(reader.await.unwrap(), Ok(3));
    }
}
