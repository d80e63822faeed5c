//! Which statements a session has prepared.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::rows::Description;

/// A statement text under the role that it was planned for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) role: Arc<str>,
    pub(crate) sql: Arc<str>,
}

/// A prepared statement of a session.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// Its number; 0 is the unnamed statement, which the next one replaces.
    pub(crate) name: u32,
    pub(crate) description: Description,
}

#[derive(Debug)]
struct Entry {
    prepared: Prepared,
    used: u64,
}

/// The prepared statements of one session, bounded; the least recently used one makes room. With
/// room for none, every statement is the unnamed one.
#[derive(Debug)]
pub(crate) struct StatementCache {
    entries: HashMap<Key, Entry, BuildHasherDefault<TextHasher>>,
    capacity: usize,
    clock: u64,
    next_name: u32,
}

impl StatementCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::default(), capacity, clock: 0, next_name: 0 }
    }

    /// The prepared statement, if the session has it and its description arrived.
    pub(crate) fn get(&mut self, key: &Key) -> Option<Prepared> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.prepared.description.get()?;
        entry.used = self.clock;
        Some(entry.prepared.clone())
    }

    /// Whether statements keep their names at all.
    pub(crate) fn keeps(&self) -> bool {
        self.capacity > 0
    }

    /// A number that no statement of the session had before, or the unnamed statement.
    pub(crate) fn fresh_name(&mut self) -> u32 {
        self.next_name += u32::from(self.keeps());
        self.next_name
    }

    /// Notes that the session has prepared `key`.
    pub(crate) fn insert(&mut self, key: Key, prepared: Prepared) {
        if !self.keeps() {
            return;
        }
        self.clock += 1;
        self.entries.insert(key, Entry { prepared, used: self.clock });
    }

    /// Forgets the least recently used statements beyond the bound and returns their numbers, for
    /// the session to close.
    pub(crate) fn evict(&mut self) -> Vec<u32> {
        let mut evicted = Vec::new();
        while self.entries.len() > self.capacity {
            let Some(key) =
                self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone())
            else {
                break;
            };
            evicted.extend(self.entries.remove(&key).map(|entry| entry.prepared.name));
        }
        evicted
    }

    /// Forgets everything and returns the numbers to close.
    pub(crate) fn clear(&mut self) -> Vec<u32> {
        self.entries.drain().map(|(_, entry)| entry.prepared.name).collect()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Hashes long texts a word at a time: a request looks up a thousand bytes of SQL. Who finds texts that
/// collide gains nothing, since the table is small and bounded.
#[derive(Debug, Default)]
struct TextHasher(u64);

impl TextHasher {
    fn mix(&mut self, word: u64) {
        // An odd number without a pattern in its bits.
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        let (low, high) = (product & u128::from(u64::MAX), product >> 64);
        self.0 = u64::try_from(low ^ high).unwrap_or_default().rotate_left(23);
    }
}

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length tells texts apart that differ in zeros at their end.
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(role: &str, sql: &str) -> Key {
        Key { role: role.into(), sql: sql.into() }
    }

    fn described(name: u32) -> Prepared {
        let description = Description::default();
        description.set(Arc::default()).unwrap();
        Prepared { name, description }
    }

    #[test]
    fn texts_that_differ_anywhere_hash_differently() {
        let hash = |text: &str| {
            let mut hasher = TextHasher::default();
            hasher.write(text.as_bytes());
            hasher.finish()
        };
        let text = "select id, title from item where id = $1";
        let mut hashes = std::collections::HashSet::from([hash(text), hash("")]);
        for position in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[position] ^= 1;
            assert!(hashes.insert(hash(std::str::from_utf8(&other).unwrap())), "{position}");
            assert!(hashes.insert(hash(&text[..position])) || position == 0, "{position}");
        }
        assert!(hashes.insert(hash("a")) && hashes.insert(hash("a\0")));
    }

    #[test]
    fn one_text_under_two_roles_is_two_statements() {
        let mut cache = StatementCache::new(8);
        let name = cache.fresh_name();
        cache.insert(key("anon", "select 1"), described(name));
        let found = cache.get(&key("anon", "select 1"));
        assert_eq!(found.map(|prepared| prepared.name), Some(name));
        assert!(cache.get(&key("authenticated", "select 1")).is_none());
    }

    #[test]
    fn a_statement_that_was_never_described_is_prepared_again() {
        let mut cache = StatementCache::new(8);
        cache.insert(key("r", "a"), Prepared { name: 1, description: Description::default() });
        assert!(cache.get(&key("r", "a")).is_none());
    }

    #[test]
    fn the_least_recently_used_statement_makes_room() {
        let mut cache = StatementCache::new(2);
        for (name, sql) in [(1, "a"), (2, "b"), (3, "c")] {
            if name == 3 {
                cache.get(&key("r", "a"));
            }
            cache.insert(key("r", sql), described(name));
        }
        assert_eq!(cache.evict(), vec![2]);
        assert_eq!(cache.len(), 2);
        assert!(cache.evict().is_empty());
    }
}
