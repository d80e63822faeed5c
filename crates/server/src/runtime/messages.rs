//! What messages of a project need while it is served: connections of the owner's login, what answers, and the courier
//! that delivers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use plinth_auth::outgoing::{Outgoing, OutgoingPolicy};
use plinth_postgres::Secret;
use plinth_wire::{Budget, ConnectConfig, Pool, PoolOptions, WireError};
use plinth_work::Store;
use plinth_work::message::{Courier, Keys, Messages, Options, is_used};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Most connections of one project's messages.
pub(super) const MAX_CONNECTIONS: usize = 6;

/// Longest time that one delivery may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(900);

/// How a project's messages are kept and delivered.
pub struct MessageParts {
    /// The project's name.
    pub name: Arc<str>,
    /// As whom they are kept.
    pub connect: ConnectConfig,
    /// Bounds of the connections.
    pub pool: PoolOptions,
    /// The project's owner role.
    pub owner: Arc<str>,
    /// What the project's token and signing keys follow from.
    pub secret: Secret,
    /// Where endpoints may be.
    pub policy: OutgoingPolicy,
}

/// The messages of a project that is registered, whether or not it has any.
pub(super) struct MessageDesk {
    parts: MessageParts,
    budget: Arc<Budget>,
    state: RwLock<State>,
    /// Where the courier runs: delivering must not hold up a thread that serves clients.
    background: Option<Handle>,
    /// Whether it only answers any more.
    is_stopping: AtomicBool,
}

enum State {
    Unused,
    Used(Used),
    Closed,
}

struct Used {
    pool: Pool,
    messages: Arc<Messages>,
    courier: Option<Courier>,
}

impl MessageDesk {
    pub(super) fn new(parts: MessageParts, budget: Arc<Budget>) -> Self {
        let background = Handle::try_current().ok();
        let is_stopping = AtomicBool::new(false);
        Self { parts, budget, state: RwLock::new(State::Unused), background, is_stopping }
    }

    /// What answers, made when somebody asks for the first time, with the courier; `None` when the project was dropped.
    pub(super) fn messages(&self) -> Option<Arc<Messages>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Used(used) => return Some(used.messages.clone()),
            State::Closed => return None,
            State::Unused => {}
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Unused = *state {
            *state = State::Used(self.open());
        }
        match &*state {
            State::Used(used) => Some(used.messages.clone()),
            State::Unused | State::Closed => None,
        }
    }

    /// Delivers from now on, if the project has messages and nobody asked for them yet. One that has none costs a look.
    pub(super) async fn deliver(&self) -> Result<(), WireError> {
        if !matches!(*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Unused) {
            return Ok(());
        }
        let options = PoolOptions { max_connections: 1, shards: 1, ..self.parts.pool.clone() };
        let pool = Pool::new(self.parts.connect.clone(), self.budget.clone(), options);
        let store = Store::new(Arc::new(pool.clone()), self.parts.owner.clone());
        let used = is_used(&store).await;
        pool.close();
        if used? {
            self.messages();
        }
        Ok(())
    }

    fn open(&self) -> Used {
        let (connect, options) = (self.parts.connect.clone(), self.parts.pool.clone());
        let pool = Pool::new(connect, self.budget.clone(), options);
        let store = Arc::new(Store::new(Arc::new(pool.clone()), self.parts.owner.clone()));
        let keys = Keys::new(&*self.parts.name, self.parts.secret.clone());
        let wake = Arc::new(Notify::new());
        let courier = match self.is_stopping.load(Ordering::Acquire) {
            true => None,
            false => self.courier(store.clone(), keys.clone(), wake.clone()),
        };
        Used { pool, messages: Arc::new(Messages::new(store, keys, wake)), courier }
    }

    fn courier(&self, store: Arc<Store>, keys: Keys, wake: Arc<Notify>) -> Option<Courier> {
        let outgoing = Outgoing::new(self.parts.policy.clone(), DELIVERY_TIMEOUT)
            .inspect_err(|error| tracing::error!(error = %error, "messages cannot be delivered"))
            .ok()?;
        let _entered = self.background.as_ref()?.enter();
        let (name, options) = (self.parts.name.clone(), Options::default());
        Some(Courier::start(name, store, Arc::new(outgoing), keys, wake, options))
    }

    /// Closes connections that nobody has used for `idle_for`.
    pub(super) fn close_idle(&self, idle_for: Duration) {
        if let State::Used(used) = &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            used.pool.close_idle(idle_for);
        }
    }

    /// Ends deliveries, and closes the connections when that is done; nobody waits for it.
    pub(super) fn close(&self) {
        let Some(used) = self.end() else { return };
        match &self.background {
            Some(background) => drop(background.spawn(used.stop())),
            None => used.pool.close(),
        }
    }

    /// Ends deliveries, and gives back those that take too long. Whoever asks is answered all the same: steps that are
    /// under way say here what they came to.
    pub(super) async fn stop_delivering(&self) {
        let courier = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            self.is_stopping.store(true, Ordering::Release);
            match &mut *state {
                State::Used(used) => used.courier.take(),
                State::Unused | State::Closed => None,
            }
        };
        if let Some(courier) = courier {
            courier.stop().await;
        }
    }

    fn end(&self) -> Option<Used> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Used(used) => Some(used),
            State::Unused | State::Closed => None,
        }
    }
}

impl Used {
    async fn stop(self) {
        if let Some(courier) = self.courier {
            courier.stop().await;
        }
        self.pool.close();
    }
}
