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
    pub(crate) name: Name,
    pub(crate) description: Description,
}

/// What a session calls a statement; empty for the unnamed one, which the next one replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    text: [u8; 11],
    length: u8,
}

impl Name {
    /// The name of the `number`th statement; 0 is the unnamed one.
    pub(crate) fn of(number: u32) -> Self {
        let mut name = Self { text: [0; 11], length: 0 };
        if number > 0 {
            let text = format!("s{number}");
            name.text[..text.len()].copy_from_slice(text.as_bytes());
            name.length = u8::try_from(text.len()).unwrap_or_default();
        }
        name
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

#[derive(Debug)]
struct Entry {
    prepared: Prepared,
    used: u64,
}

/// Places for statements that were found lately.
const RECENT: usize = 16;

/// The prepared statements of one session, bounded; the least recently used one makes room. With
/// room for none, every statement is the unnamed one.
#[derive(Debug)]
pub(crate) struct StatementCache {
    entries: HashMap<Key, Entry, BuildHasherDefault<TextHasher>>,
    /// Statements that were found lately, by where their text is in memory: requests of one shape share
    /// theirs, and going through it twice, to hash it and to compare it, is half the work of a look-up.
    recent: [Option<(Key, Entry)>; RECENT],
    capacity: usize,
    clock: u64,
    next_name: u32,
}

impl StatementCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::default(),
            recent: Default::default(),
            capacity,
            clock: 0,
            next_name: 0,
        }
    }

    /// The prepared statement, if the session has it and its description arrived.
    pub(crate) fn get(&mut self, role: &Arc<str>, sql: &Arc<str>) -> Option<Prepared> {
        self.clock += 1;
        let place = sql.as_ptr().addr() / 16 % RECENT;
        if let Some((key, entry)) = &mut self.recent[place]
            && Arc::ptr_eq(&key.sql, sql)
            && key.role == *role
        {
            entry.used = self.clock;
            return Some(entry.prepared.clone());
        }
        let key = Key { role: role.clone(), sql: sql.clone() };
        let entry = self.entries.get_mut(&key)?;
        entry.prepared.description.get()?;
        entry.used = self.clock;
        let found = entry.prepared.clone();
        let recent = Entry { prepared: found.clone(), used: self.clock };
        let before = self.recent[place].replace((key, recent));
        self.note_use(before);
        Some(found)
    }

    /// Notes when a statement that leaves its place among the recent ones was used.
    fn note_use(&mut self, recent: Option<(Key, Entry)>) {
        let Some((key, recent)) = recent else { return };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.used = entry.used.max(recent.used);
        }
    }

    fn forget_recent(&mut self) {
        for recent in std::mem::take(&mut self.recent) {
            self.note_use(recent);
        }
    }

    /// Whether statements keep their names at all.
    pub(crate) fn keeps(&self) -> bool {
        self.capacity > 0
    }

    /// A name that no statement of the session had before, or that of the unnamed statement.
    pub(crate) fn fresh_name(&mut self) -> Name {
        self.next_name += u32::from(self.keeps());
        Name::of(self.next_name)
    }

    /// Notes that the session has prepared `key`.
    pub(crate) fn insert(&mut self, key: Key, prepared: Prepared) {
        if !self.keeps() {
            return;
        }
        self.forget_recent();
        self.clock += 1;
        self.entries.insert(key, Entry { prepared, used: self.clock });
    }

    /// Forgets the least recently used statements beyond the bound and returns their names, for
    /// the session to close.
    pub(crate) fn evict(&mut self) -> Vec<Name> {
        let mut evicted = Vec::new();
        if self.entries.len() > self.capacity {
            self.forget_recent();
        }
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

    /// Forgets everything and returns the names to close.
    pub(crate) fn clear(&mut self) -> Vec<Name> {
        self.recent = Default::default();
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

    fn described(name: Name) -> Prepared {
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
    fn names_are_numbered_and_the_unnamed_one_is_empty() {
        let names = [0, 1, 10, u32::MAX].map(Name::of);
        assert_eq!(names.each_ref().map(Name::as_str), ["", "s1", "s10", "s4294967295"]);
    }

    #[test]
    fn one_text_under_two_roles_is_two_statements() {
        let mut cache = StatementCache::new(8);
        let name = cache.fresh_name();
        cache.insert(key("anon", "select 1"), described(name));
        let found = cache.get(&"anon".into(), &"select 1".into());
        assert_eq!(found.map(|prepared| prepared.name), Some(name));
        assert!(cache.get(&"authenticated".into(), &"select 1".into()).is_none());
    }

    #[test]
    fn a_statement_that_was_never_described_is_prepared_again() {
        let mut cache = StatementCache::new(8);
        cache.insert(
            key("r", "a"),
            Prepared { name: Name::of(1), description: Description::default() },
        );
        assert!(cache.get(&"r".into(), &"a".into()).is_none());
    }

    #[test]
    fn the_least_recently_used_statement_makes_room() {
        let mut cache = StatementCache::new(2);
        for (name, sql) in [(1, "a"), (2, "b"), (3, "c")] {
            if name == 3 {
                cache.get(&"r".into(), &"a".into());
            }
            cache.insert(key("r", sql), described(Name::of(name)));
        }
        assert_eq!(cache.evict(), vec![Name::of(2)]);
        assert_eq!(cache.len(), 2);
        assert!(cache.evict().is_empty());
    }

    #[test]
    fn what_was_found_lately_is_found_by_its_place_and_stays_in_use() {
        let mut cache = StatementCache::new(2);
        let (a, b, role): (Arc<str>, Arc<str>, Arc<str>) = ("a".into(), "b".into(), "r".into());
        cache.insert(key("r", "a"), described(Name::of(1)));
        cache.insert(key("r", "b"), described(Name::of(2)));
        let found = |cache: &mut StatementCache, role: &Arc<str>, sql: &Arc<str>| {
            cache.get(role, sql).map(|prepared| prepared.name)
        };
        found(&mut cache, &role, &b);
        for _ in 0..3 {
            assert_eq!(found(&mut cache, &"r".into(), &a), Some(Name::of(1)));
        }
        assert_eq!(found(&mut cache, &"other".into(), &a), None);
        cache.insert(key("r", "c"), described(Name::of(3)));
        assert_eq!(cache.evict(), vec![Name::of(2)], "the other one was used later");
        assert_eq!(found(&mut cache, &role, &a), Some(Name::of(1)));
        cache.clear();
        assert_eq!(found(&mut cache, &role, &a), None);
        // A statement that was prepared again under another name.
        cache.insert(key("r", "a"), described(Name::of(4)));
        assert_eq!(found(&mut cache, &role, &a), Some(Name::of(4)));
    }
}
