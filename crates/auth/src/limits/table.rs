//! What is remembered about callers: bounded, and hard to make forget.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Parts of the table that are locked on their own.
const SHARDS: usize = 16;
/// Entries that are weighed against each other when one must go.
const WEIGHED: usize = 8;
/// An upper estimate of what one entry costs: key, value, two links, allocation and its place in the
/// hash map when that has just grown.
#[cfg(test)]
const BYTES_PER_ENTRY: usize = 128;

/// What an entry says, and how bad it would be to lose it.
pub(super) trait Entry: Default {
    /// 0 if forgetting the entry changes nothing at `now`; more, the more would be forgiven.
    fn weight(&self, now: u64) -> u32;
}

/// Who is meant: a digest under keys drawn at start, so that nobody can choose two names that
/// share an entry or many that share a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

/// A table of at most `capacity` entries.
///
/// When a shard is full, the least recently used entries are weighed and the lightest goes; those
/// that stay count as used. So a flood of fresh keys pushes out fresh keys, not the one caller
/// whose allowance is spent.
#[derive(Debug)]
pub(super) struct Table<E> {
    shards: Box<[Mutex<LruCache<Key, E>>]>,
    low: RandomState,
    high: RandomState,
}

impl<E: Entry> Table<E> {
    /// Memory is taken as entries come, at most about 128 bytes for each of `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        let each = NonZeroUsize::new(capacity / SHARDS).unwrap_or(NonZeroUsize::MIN);
        let shards = (0..SHARDS).map(|_| Mutex::new(LruCache::sparse(each))).collect();
        Self { shards, low: RandomState::new(), high: RandomState::new() }
    }

    pub(super) fn key(&self, name: impl Hash) -> Key {
        let (low, high) = (self.low.hash_one(&name), self.high.hash_one(&name));
        Key(u128::from(high) << 64 | u128::from(low))
    }

    /// Changes the entry of `key`, a new one if there is none, while no other caller sees it.
    pub(super) fn update<R>(&self, key: Key, now: u64, change: impl FnOnce(&mut E) -> R) -> R {
        let mut shard = self.shard(key);
        if !shard.contains(&key) {
            make_room(&mut shard, now);
        }
        change(shard.get_or_insert_mut(key, E::default))
    }

    /// Changes the entry of `key` if there is one.
    pub(super) fn update_known(&self, key: Key, change: impl FnOnce(&mut E)) {
        if let Some(entry) = self.shard(key).get_mut(&key) {
            change(entry);
        }
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, LruCache<Key, E>> {
        let index = usize::try_from(key.0 >> 96).unwrap_or(0) % SHARDS;
        // An entry is only a number: no panic can leave it half changed.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn peek<R>(&self, key: Key, look: impl FnOnce(&E) -> R) -> Option<R> {
        self.shard(key).peek(&key).map(look)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

fn make_room<E: Entry>(shard: &mut LruCache<Key, E>, now: u64) {
    if shard.len() < shard.cap().get() {
        return;
    }
    let oldest: Vec<(Key, u32)> =
        shard.iter().rev().take(WEIGHED).map(|(key, entry)| (*key, entry.weight(now))).collect();
    let Some((lightest, _)) = oldest.iter().min_by_key(|(_, weight)| weight) else { return };
    shard.pop(lightest);
    for (key, _) in oldest.iter().filter(|(_, weight)| *weight > 0) {
        shard.promote(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its weight lasts for ever.
    #[derive(Debug, Default)]
    struct Weight(u32);

    impl Entry for Weight {
        fn weight(&self, _now: u64) -> u32 {
            self.0
        }
    }

    fn table(capacity: usize) -> Table<Weight> {
        Table::new(capacity)
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let table = table(1024);
        for caller in 0..20_000 {
            table.update(table.key(caller), 0, |entry| entry.0 += 1);
            assert!(table.len() <= 1024);
        }
        assert!(table.len() > 1000, "a flood fills the table: {}", table.len());
    }

    #[test]
    fn an_entry_stays_within_the_promised_memory() {
        let entry = size_of::<super::super::Spent>().max(size_of::<super::super::code::Tries>());
        let node = size_of::<Key>() + entry + 2 * size_of::<usize>();
        let (allocation, slot) = (16, 2 * (2 * size_of::<usize>() + 1));
        let cost = node + allocation + slot * 8 / 7;
        assert!(cost <= BYTES_PER_ENTRY, "{cost} bytes");
    }

    #[test]
    fn a_flood_of_fresh_keys_does_not_push_out_a_heavy_entry() {
        let table = table(1024);
        let heavy = table.key("attacker");
        table.update(heavy, 0, |entry| entry.0 = 30);
        for caller in 0..100_000 {
            table.update(table.key(caller), 0, |entry| entry.0 = 1);
        }
        assert_eq!(table.peek(heavy, |entry| entry.0), Some(30));
    }

    #[test]
    fn the_least_recently_used_goes_among_equals() {
        let table = table(SHARDS * 2);
        let mut names = (0..).filter(|name| table.shard_index(*name) == 0);
        let [first, second, third] = [(); 3].map(|()| table.key(names.next().unwrap()));
        table.update(first, 0, |_| ());
        table.update(second, 0, |_| ());
        table.update(first, 0, |_| ());
        table.update(third, 0, |_| ());
        assert_eq!(table.peek(second, |_| ()), None);
        assert_eq!(table.peek(first, |_| ()), Some(()));
    }

    #[test]
    fn one_key_changes_in_one_step() {
        let table = table(1024);
        let key = table.key("shared");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| table.update(key, 0, |entry| entry.0 += 1)));
            }
        });
        assert_eq!(table.peek(key, |entry| entry.0), Some(8000));
    }

    impl Table<Weight> {
        fn shard_index(&self, name: i32) -> usize {
            usize::try_from(self.key(name).0 >> 96).unwrap() % SHARDS
        }
    }
}
