//! From changes to those who want them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::counters::count;
use crate::hub::queue::Pushed;
use crate::hub::shared::Shared;
use crate::hub::subscription::Subscriber;
use crate::{Decode, DecodeError, Event, LogicalMessage, Lsn, Relation, Sink};

/// Gives changes out. Who wants which table is looked up once per table, and again when the table or the subscriptions change.
#[derive(Debug)]
pub(super) struct Router {
    shared: Arc<Shared>,
    /// The set of subscribers that is served.
    generation: Option<u64>,
    subscribers: Vec<Arc<Subscriber>>,
    routes: HashMap<u32, Route>,
    /// Everything before this was given out.
    position: Lsn,
}

#[derive(Debug)]
struct Route {
    relation: Arc<Relation>,
    subscribers: Vec<Arc<Subscriber>>,
}

impl Router {
    /// At the beginning of a stream that gives whatever is committed after `position`.
    pub(super) fn new(shared: Arc<Shared>, position: Lsn) -> Self {
        let (subscribers, routes) = (Vec::new(), HashMap::new());
        let mut router = Self { shared, generation: None, subscribers, routes, position };
        router.advance(position);
        router
    }

    /// Everything before this was given out.
    pub(super) fn position(&self) -> Lsn {
        self.position
    }

    /// Nothing is left to give out before `end`.
    pub(super) fn advance(&mut self, end: Lsn) {
        self.position = self.position.max(end);
        self.shared.counters.position.store(self.position.0, Ordering::Relaxed);
    }

    /// Serves those who listen now. Only between transactions: who joins gets whole ones.
    pub(super) fn refresh(&mut self) {
        let generation = self.shared.generation();
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        self.subscribers = self.shared.subscribers();
        self.routes.clear();
        for subscriber in &self.subscribers {
            subscriber.queue.live(self.position);
        }
    }

    fn give(&self, subscriber: &Arc<Subscriber>, event: &Event) {
        let counters = &self.shared.counters;
        match subscriber.queue.push(event, self.position) {
            Pushed::Taken => {}
            Pushed::Gap => {
                count(&counters.gaps, 1);
                tracing::debug!(
                    replication.subscription = subscriber.name,
                    "a subscription is too slow; it has missed changes"
                );
            }
            Pushed::CutOff => {
                count(&counters.cut_off, 1);
                tracing::warn!(
                    replication.subscription = subscriber.name,
                    "a subscription is too slow; it was cut off"
                );
                self.shared.remove(subscriber);
            }
        }
    }
}

impl Sink for Router {
    fn change(&mut self, relation: &Arc<Relation>, decode: Decode<'_>) -> Result<(), DecodeError> {
        let current =
            self.routes.get(&relation.oid).filter(|route| Arc::ptr_eq(&route.relation, relation));
        if current.is_none() {
            let wanted = |it: &&Arc<Subscriber>| it.filter.wants(relation);
            let subscribers = self.subscribers.iter().filter(wanted).cloned().collect();
            self.routes.insert(relation.oid, Route { relation: relation.clone(), subscribers });
        }
        let subscribers = self.routes.get(&relation.oid).map(|route| route.subscribers.as_slice());
        let subscribers = subscribers.unwrap_or_default();
        if subscribers.is_empty() {
            count(&self.shared.counters.changes_unwanted, 1);
            return Ok(());
        }
        count(&self.shared.counters.changes, 1);
        let event = Event::Change(Arc::new(decode()?));
        subscribers.iter().for_each(|subscriber| self.give(subscriber, &event));
        Ok(())
    }

    fn message(&mut self, message: LogicalMessage) {
        let wanted = |it: &&Arc<Subscriber>| it.filter.wants_messages(&message.prefix);
        let subscribers: Vec<_> = self.subscribers.iter().filter(wanted).cloned().collect();
        if subscribers.is_empty() {
            return;
        }
        count(&self.shared.counters.messages, 1);
        let event = Event::Message(Arc::new(message));
        subscribers.iter().for_each(|subscriber| self.give(subscriber, &event));
    }

    fn committed(&mut self, end: Lsn) {
        count(&self.shared.counters.transactions, 1);
        self.advance(end);
    }
}
