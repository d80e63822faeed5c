//! Tokens that were verified lately, so that the signature is checked once and not per request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::jwt::Verified;

/// Digest of a credential. Credentials are looked up by it, so that comparing them takes time that
/// tells nothing about them, and so that none is kept in memory.
pub(super) type Fingerprint = [u8; 32];

/// The digest of a token or an API key.
pub(super) fn fingerprint(credential: &str) -> Fingerprint {
    Sha256::digest(credential.as_bytes()).into()
}

/// A bounded cache of verified tokens in two generations.
///
/// A full young generation becomes the old one, and the old one is forgotten; what is found in the
/// old one moves to the young. So at most `capacity` tokens are kept, the ones in use stay, and
/// nothing is ever searched through. One cache belongs to one project: a token that one project
/// accepted says nothing to another.
pub(super) struct TokenCache {
    capacity: usize,
    generations: Mutex<Generations>,
    counts: Counts,
}

/// What a cache did so far.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    hits: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Fingerprint, Arc<Verified>>,
    old: HashMap<Fingerprint, Arc<Verified>>,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens; of none, when that is less than two.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, generations: Mutex::default(), counts: Counts::default() }
    }

    /// Look-ups, those that found something, and tokens that made room for others.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.counts.requests), read(&self.counts.hits), read(&self.counts.evictions))
    }

    /// The token of that fingerprint, unless it is unknown or no longer valid at `now` (Unix seconds).
    pub(super) fn get(&self, key: &Fingerprint, now: i64) -> Option<Arc<Verified>> {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let found = self.find(key, now)?;
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        Some(found)
    }

    fn find(&self, key: &Fingerprint, now: i64) -> Option<Arc<Verified>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(key) {
            return Some(found.clone()).filter(|token| now <= token.valid_until);
        }
        let found = generations.old.remove(key)?;
        if now > found.valid_until {
            return None;
        }
        self.insert(&mut generations, *key, found.clone());
        Some(found)
    }

    /// Remembers a token that was just verified.
    pub(super) fn put(&self, key: Fingerprint, token: Arc<Verified>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.insert(&mut generations, key, token);
    }

    fn insert(&self, generations: &mut Generations, key: Fingerprint, token: Arc<Verified>) {
        if self.capacity < 2 {
            return;
        }
        if generations.young.len() >= self.capacity / 2 {
            let forgotten = std::mem::take(&mut generations.old).len();
            self.counts.evictions.fetch_add(forgotten as u64, Ordering::Relaxed);
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn token(valid_until: i64) -> Arc<Verified> {
        Arc::new(Verified { role: Arc::from("anon"), claims: Bytes::new(), valid_until })
    }

    #[test]
    fn a_token_is_forgotten_when_it_expires() {
        let cache = TokenCache::new(10);
        let key = fingerprint("a");
        cache.put(key, token(100));
        assert!(cache.get(&key, 100).is_some());
        assert!(cache.get(&key, 101).is_none());
        assert!(cache.get(&fingerprint("b"), 1).is_none());
    }

    #[test]
    fn the_cache_never_grows_beyond_its_capacity_and_keeps_what_is_used() {
        let cache = TokenCache::new(10);
        let used = fingerprint("used");
        cache.put(used, token(100));
        for number in 0..1000 {
            cache.put(fingerprint(&number.to_string()), token(100));
            assert!(cache.get(&used, 1).is_some(), "after {number}");
            let generations = cache.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 10);
        }
        assert!(cache.get(&fingerprint("0"), 1).is_none());
        let (requests, hits, evictions) = cache.counts();
        assert_eq!((requests, hits), (1001, 1000));
        assert!(evictions >= 990, "{evictions}");
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = TokenCache::new(0);
        cache.put(fingerprint("a"), token(100));
        assert!(cache.get(&fingerprint("a"), 1).is_none());
    }
}
