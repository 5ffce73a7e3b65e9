//! Values by text, in a hash map whose copies share most of it.
//!
//! The entries are spread over shards by their hash; a copy takes references to the shards, and a change copies one shard. Finding a value
//! costs one hash and one look, as in a plain map.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

/// How many entries a shard has before there are twice as many shards.
const FULL: usize = 32;

type Entry<V> = (Arc<str>, V);

/// Values by text.
///
/// It hashes with random keys, so that tenants cannot choose names that collide.
#[derive(Debug, Clone)]
pub(crate) struct Shards<V> {
    hasher: RandomState,
    /// None, or a power of two.
    shards: Vec<Arc<HashTable<Entry<V>>>>,
    len: usize,
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: Vec::new(), len: 0 }
    }
}

impl<V> Shards<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        if self.len == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let shard = self.shards.get(self.place(hash))?;
        shard.find(hash, |(it, _)| **it == *key).map(|(_, value)| value)
    }

    /// Bits of the hash that a shard itself does not look at: the table takes the lowest for the place and the highest for the tag.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.shards.len().wrapping_sub(1)
    }
}

impl<V: Clone> Shards<V> {
    /// The value of `key`, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        let place = self.place(hash);
        let shard = Arc::make_mut(self.shards.get_mut(place)?);
        shard.find_mut(hash, |(it, _)| **it == *key).map(|(_, value)| value)
    }

    /// The value of `key`, to be changed; made by `new` if there is none.
    pub(crate) fn entry(&mut self, key: &str, new: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one(key);
        let known = self.shards.get(self.place(hash)).is_some_and(|shard| shard.find(hash, |(it, _)| **it == *key).is_some());
        if !known {
            self.grow();
            self.len += 1;
        }
        let place = self.place(hash);
        let shard = Arc::make_mut(self.shards.get_mut(place).expect("there is a shard once there is an entry"));
        let hasher = &self.hasher;
        let rehash = |(it, _): &Entry<V>| hasher.hash_one(&**it);
        let entry = shard.entry(hash, |(it, _)| **it == *key, rehash).or_insert_with(|| (key.into(), new()));
        &mut entry.into_mut().1
    }

    /// Takes the entry of `key` away.
    pub(crate) fn remove(&mut self, key: &str) {
        let hash = self.hasher.hash_one(key);
        let place = self.place(hash);
        let Some(shard) = self.shards.get_mut(place) else { return };
        if let Ok(entry) = Arc::make_mut(shard).find_entry(hash, |(it, _)| **it == *key) {
            entry.remove();
            self.len -= 1;
        }
    }

    /// Makes room for one more entry.
    fn grow(&mut self) {
        let wanted = (self.len / FULL + 1).next_power_of_two();
        if wanted <= self.shards.len() {
            return;
        }
        let mut grown = Self { hasher: self.hasher.clone(), shards: Vec::new(), len: self.len };
        let mut tables: Vec<HashTable<Entry<V>>> = std::iter::repeat_with(HashTable::new).take(wanted).collect();
        let rehash = |(it, _): &Entry<V>| self.hasher.hash_one(&**it);
        for entry in self.shards.iter().flat_map(|shard| shard.iter()) {
            let hash = rehash(entry);
            if let Some(table) = tables.get_mut((hash >> 32) as usize & (wanted - 1)) {
                table.insert_unique(hash, entry.clone(), rehash);
            }
        }
        grown.shards = tables.into_iter().map(Arc::new).collect();
        *self = grown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_until_it_is_taken_and_copies_do_not_notice() {
        let mut all = Shards::default();
        for i in 0..1000 {
            *all.entry(&format!("k{i}"), || 0) = i;
        }
        *all.entry("k7", || 0) += 1;
        let before = all.clone();
        for i in (0..1000).step_by(2) {
            all.remove(&format!("k{i}"));
        }
        all.remove("none");
        *all.get_mut("k1").expect("there") = 5;
        for i in 0..1000 {
            let key = format!("k{i}");
            assert_eq!(before.get(&key).copied(), Some(if i == 7 { 8 } else { i }));
            assert_eq!(all.get(&key).is_some(), i % 2 == 1);
        }
        assert_eq!((all.get("k1"), before.get("k1"), all.get("none")), (Some(&5), Some(&1), None));
        assert!(!all.is_empty() && Shards::<()>::default().get("k").is_none());
    }

    #[test]
    fn a_change_of_one_of_many_copies_one_shard() {
        let mut all = Shards::default();
        for i in 0..10_000 {
            all.entry(&format!("k{i}"), || i);
        }
        let before = all.clone();
        all.entry("k42", || 0);
        *all.get_mut("k42").expect("there") = 1;
        let copied = all.shards.iter().zip(&before.shards).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
        assert!(all.shards.iter().all(|shard| shard.len() < 4 * FULL), "evenly spread");
    }
}
