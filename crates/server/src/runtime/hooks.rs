//! What webhooks of a project need while it is served: connections of the owner's login, and the secrets that its
//! manifest names.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use plinth_postgres::Secret;
use plinth_wire::{Budget, ConnectConfig, Pool, PoolOptions};
use plinth_work::Store;
use plinth_work::hook::Hooks;
use tokio::sync::Notify;

/// Most connections of one project's webhooks: a delivery needs one for a millisecond.
pub(super) const MAX_CONNECTIONS: usize = 4;

/// Variables of Plinth itself and of its cluster, which no manifest sees.
const OWN: [&str; 2] = ["PLINTH_", "PG"];

/// How a project's webhooks are served.
pub struct HookParts {
    /// As whom they are kept.
    pub connect: ConnectConfig,
    /// Bounds of the connections.
    pub pool: PoolOptions,
    /// The project's owner role.
    pub owner: Arc<str>,
}

/// The webhooks of a project that is registered, whether or not any comes.
pub(super) struct HookDesk {
    parts: HookParts,
    budget: Arc<Budget>,
    state: RwLock<State>,
    arrived: Arc<Notify>,
}

enum State {
    Unused,
    Used(Pool, Arc<Hooks>),
    Closed,
}

impl HookDesk {
    pub(super) fn new(parts: HookParts, budget: Arc<Budget>) -> Self {
        Self { parts, budget, state: RwLock::new(State::Unused), arrived: Arc::default() }
    }

    /// Told of every delivery that made a job.
    pub(super) fn arrived(&self) -> &Arc<Notify> {
        &self.arrived
    }

    /// What answers, made for the first delivery; `None` when the project was dropped.
    pub(super) fn hooks(&self) -> Option<Arc<Hooks>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Used(_, hooks) => return Some(hooks.clone()),
            State::Closed => return None,
            State::Unused => {}
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Unused = *state {
            let (connect, options) = (self.parts.connect.clone(), self.parts.pool.clone());
            let pool = Pool::new(connect, self.budget.clone(), options);
            let store = Store::new(Arc::new(pool.clone()), self.parts.owner.clone());
            let arrived = self.arrived.clone();
            let wake = Arc::new(move || arrived.notify_one());
            let hooks = Hooks::new(Arc::new(store), Arc::new(variable), wake);
            *state = State::Used(pool, Arc::new(hooks));
        }
        match &*state {
            State::Used(_, hooks) => Some(hooks.clone()),
            State::Unused | State::Closed => None,
        }
    }

    /// Closes connections that nobody has used for `idle_for`.
    pub(super) fn close_idle(&self, idle_for: Duration) {
        if let State::Used(pool, _) = &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            pool.close_idle(idle_for);
        }
    }

    /// Closes the connections for good: those under way after their answer.
    pub(super) fn close(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Used(pool, _) = std::mem::replace(&mut *state, State::Closed) {
            pool.close();
        }
    }
}

/// A variable of the environment that manifests may name.
pub fn variable(name: &str) -> Option<Secret> {
    let is_own = OWN.iter().any(|own| name.starts_with(own));
    if is_own { None } else { std::env::var(name).ok().map(Secret::new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_see_no_variable_of_our_own() {
        assert!(variable("PATH").is_some(), "every process has it");
        for name in ["PLINTH_MASTER_KEY", "PLINTH_", "PGPASSWORD", "NO_SUCH_VARIABLE_AT_ALL"] {
            assert!(variable(name).is_none(), "{name}");
        }
    }
}
