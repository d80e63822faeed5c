//! Tokens that were verified lately, so that the signature is checked once and not per request.

use std::collections::HashMap;
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
}

#[derive(Default)]
struct Generations {
    young: HashMap<Fingerprint, Arc<Verified>>,
    old: HashMap<Fingerprint, Arc<Verified>>,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(2), generations: Mutex::default() }
    }

    /// The token of that fingerprint, unless it is unknown or no longer valid at `now` (Unix seconds).
    pub(super) fn get(&self, key: &Fingerprint, now: i64) -> Option<Arc<Verified>> {
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
        if generations.young.len() >= self.capacity / 2 {
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
    }
}
