use std::collections::{HashMap, VecDeque};

/// A map of at most `LIMIT` entries; the oldest one makes room for a new one.
#[derive(Debug)]
pub(super) struct Bounded<T, const LIMIT: usize> {
    entries: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T, const LIMIT: usize> Default for Bounded<T, LIMIT> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T, const LIMIT: usize> Bounded<T, LIMIT> {
    pub(super) fn insert(&mut self, key: String, value: T) {
        while self.order.len() >= LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.entries.insert(key, value);
    }

    pub(super) fn get(&self, key: &str) -> Option<&T> {
        self.entries.get(key)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<T> {
        self.order.retain(|known| known != key);
        self.entries.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut map: Bounded<i32, 2> = Bounded::default();
        map.insert("a".to_owned(), 1);
        map.insert("b".to_owned(), 2);
        assert_eq!(map.remove("a"), Some(1));
        map.insert("c".to_owned(), 3);
        map.insert("d".to_owned(), 4);
        assert_eq!((map.get("b"), map.get("c"), map.get("d")), (None, Some(&3), Some(&4)));
    }
}
