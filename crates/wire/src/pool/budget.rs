//! What all pools of a cluster have together.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Counted, Inner, KEPT_AT_LEAST, lock};

/// The number of connections that all pools of a cluster may have together.
#[derive(Debug)]
pub struct Budget {
    max_connections: usize,
    permits: Arc<Semaphore>,
    pools: Mutex<Vec<Weak<Inner>>>,
    /// Pools that wait for a permit; while there are any, connections are closed after use.
    pub(super) waiting: AtomicUsize,
}

impl Budget {
    /// A budget of `max_connections`.
    pub fn new(max_connections: usize) -> Arc<Self> {
        Arc::new(Self {
            max_connections,
            permits: Arc::new(Semaphore::new(max_connections)),
            pools: Mutex::default(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Connections that may still be opened.
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }

    pub(super) async fn acquire(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return permit;
        }
        let _waiting = Counted::enter(&self.waiting);
        let mut permit = pin!(self.permits.clone().acquire_owned());
        loop {
            self.evict_one_idle();
            // A pool may have kept a young connection and then had no more use for it, so look again.
            match tokio::time::timeout(KEPT_AT_LEAST, &mut permit).await {
                Ok(Ok(permit)) => return permit,
                Ok(Err(_closed)) => unreachable!("the budget's semaphore is never closed"),
                Err(_elapsed) => {}
            }
        }
    }

    /// What each of the pools that are in use may keep while another one wants more.
    pub(super) fn share(&self) -> usize {
        let in_use = |pool: &Arc<Inner>| {
            pool.open.load(Ordering::Relaxed) > 0 || pool.wanting.load(Ordering::Relaxed) > 0
        };
        let pools = lock(&self.pools).iter().filter_map(Weak::upgrade).filter(in_use).count();
        self.max_connections / pools.max(1)
    }

    /// Closes the connection that has been idle for longest, in whichever pool it is.
    fn evict_one_idle(&self) {
        let pools: Vec<Arc<Inner>> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        let oldest = pools
            .iter()
            .filter_map(|pool| lock(&pool.idle).first().map(|idle| (idle.since, pool)))
            .min_by_key(|(since, _)| *since);
        let Some((_, pool)) = oldest else {
            pools.iter().for_each(|pool| pool.dismiss());
            return;
        };
        let mut idle = lock(&pool.idle);
        if !idle.is_empty() {
            drop(idle.remove(0));
        }
    }

    pub(super) fn register(&self, pool: &Arc<Inner>) {
        let mut pools = lock(&self.pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }
}
