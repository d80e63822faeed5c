//! Values that are fetched: each once at a time, kept for a while, bounded in number.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

/// Until when a value serves, and how long a failure silences.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freshness {
    pub(super) max_age: Duration,
    pub(super) retry_after: Duration,
}

#[derive(Debug)]
pub(super) struct Cache<T> {
    slots: Mutex<LruCache<String, Arc<Slot<T>>>>,
}

/// One value. Whoever holds the lock fetches; the others wait and find the value.
type Slot<T> = tokio::sync::Mutex<State<T>>;

#[derive(Debug)]
struct State<T> {
    value: Option<(Arc<T>, Instant)>,
    failed: Option<Instant>,
}

impl<T> Cache<T> {
    pub(super) fn new(limit: usize) -> Self {
        let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        Self { slots: Mutex::new(LruCache::new(limit)) }
    }

    /// The value of `key`: a fresh one, or one that `fetch` gives now (it is not polled otherwise), or an old one where that fails.
    /// `None` when there is none and it is too early to ask again.
    pub(super) async fn get<E>(
        &self,
        key: &str,
        freshness: Freshness,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<Arc<T>>, E> {
        let slot = self.slot(key);
        let mut state = slot.lock().await;
        let old = match &state.value {
            Some((value, since)) if since.elapsed() < freshness.max_age => {
                return Ok(Some(value.clone()));
            }
            other => other.as_ref().map(|(value, _)| value.clone()),
        };
        if state.failed.is_some_and(|failed| failed.elapsed() < freshness.retry_after) {
            return Ok(old);
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                *state = State { value: Some((value.clone(), Instant::now())), failed: None };
                Ok(Some(value))
            }
            Err(error) => {
                state.failed = Some(Instant::now());
                if old.is_some() { Ok(old) } else { Err(error) }
            }
        }
    }

    fn slot(&self, key: &str) -> Arc<Slot<T>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = || Arc::new(Slot::new(State { value: None, failed: None }));
        slots.get_or_insert(key.to_owned(), empty).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Freshness =
        Freshness { max_age: Duration::from_secs(60), retry_after: Duration::from_secs(60) };
    const STALE: Freshness = Freshness { max_age: Duration::ZERO, ..FRESH };

    #[tokio::test]
    async fn a_fresh_value_is_not_fetched_again() {
        let cache = Cache::new(1);
        let first = cache.get("a", FRESH, async { Ok::<_, ()>(1) }).await.unwrap();
        let second = cache.get("a", FRESH, async { Ok::<_, ()>(2) }).await.unwrap();
        assert_eq!((first.as_deref(), second.as_deref()), (Some(&1), Some(&1)));
    }

    #[tokio::test]
    async fn an_old_value_serves_when_no_new_one_is_to_be_had() {
        let cache = Cache::new(1);
        cache.get("a", STALE, async { Ok::<_, ()>(1) }).await.unwrap();
        let value = cache.get("a", STALE, async { Err(()) }).await.unwrap();
        assert_eq!(value.as_deref(), Some(&1));
    }

    #[tokio::test]
    async fn after_a_failure_nothing_is_asked_for_a_while() {
        let cache: Cache<i32> = Cache::new(1);
        cache.get("a", FRESH, async { Err("down") }).await.unwrap_err();
        let mut asked = false;
        let value = cache
            .get("a", FRESH, async {
                asked = true;
                Ok::<_, ()>(1)
            })
            .await
            .unwrap();
        assert_eq!((value, asked), (None, false));
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_is_forgotten() {
        let cache = Cache::new(2);
        for key in ["a", "b", "c"] {
            cache.get(key, FRESH, async { Ok::<_, ()>(1) }).await.unwrap();
        }
        let again = cache.get("a", FRESH, async { Ok::<_, ()>(2) }).await.unwrap();
        assert_eq!(again.as_deref(), Some(&2));
    }
}
