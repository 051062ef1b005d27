//! A bounded map for hot things: first in, first out, but what was used since it came in gets another round (CLOCK).
//!
//! The bound is in weight (bytes, or 1 each). Sharded, so that readers on many threads rarely meet.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 16;

/// A map from `K` to `V` that forgets.
pub(crate) struct Cache<K, V> {
    hasher: RandomState,
    shards: Vec<Mutex<Shard<K, V>>>,
    weight_max: u64,
    /// Whether a value was used by those who hold it, without being asked for here.
    used_elsewhere: fn(&V) -> bool,
}

struct Shard<K, V> {
    entries: HashMap<K, Entry<V>>,
    order: VecDeque<(K, u64)>,
    weight: u64,
    ticks: u64,
}

struct Entry<V> {
    value: V,
    weight: u64,
    /// Tells this entry's place in the order from those of earlier entries under the same key.
    tick: u64,
    used: bool,
}

impl<K: Copy + Eq + Hash, V: Clone> Cache<K, V> {
    /// A cache of at most this weight. Each of 16 shards holds its part, and at least one entry whose weight fits.
    pub(crate) fn new(weight_max: u64) -> Self {
        Self::watching(weight_max, |_| false)
    }

    /// As [`new`](Self::new), for values that others hold too: `used_elsewhere` says whether one was used there since it
    /// was last called.
    pub(crate) fn watching(weight_max: u64, used_elsewhere: fn(&V) -> bool) -> Self {
        let shard = || Shard { entries: HashMap::new(), order: VecDeque::new(), weight: 0, ticks: 0 };
        let shards = (0..SHARDS).map(|_| Mutex::new(shard())).collect();
        Self { hasher: RandomState::new(), shards, weight_max: weight_max / SHARDS as u64, used_elsewhere }
    }

    fn shard(&self, key: &K) -> std::sync::MutexGuard<'_, Shard<K, V>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("below 16");
        let shard = self.shards.get(hash).expect("there are 16 shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut shard = self.shard(key);
        let entry = shard.entries.get_mut(key)?;
        entry.used = true;
        Some(entry.value.clone())
    }

    /// Puts a value in; one heavier than a whole shard is not kept.
    pub(crate) fn insert(&self, key: K, value: V, weight: u64) {
        self.insert_if(key, value, weight, || true);
    }

    /// As [`insert`](Self::insert), if `still` says so while the shard is locked.
    pub(crate) fn insert_if(&self, key: K, value: V, weight: u64, still: impl FnOnce() -> bool) {
        let mut shard = self.shard(&key);
        if still() {
            shard.remove(&key);
            if weight <= self.weight_max {
                shard.insert(key, value, weight);
                shard.shrink(self.weight_max, self.used_elsewhere);
            }
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        self.shard(key).remove(key);
    }

    /// The weight of all that is held.
    pub(crate) fn weight(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).weight).sum()
    }
}

impl<K: Copy + Eq + Hash, V> Shard<K, V> {
    fn insert(&mut self, key: K, value: V, weight: u64) {
        self.ticks += 1;
        self.weight += weight;
        self.order.push_back((key, self.ticks));
        self.entries.insert(key, Entry { value, weight, tick: self.ticks, used: false });
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.weight -= entry.weight;
        }
        // What was removed leaves its place in the order behind; sweep when such places outnumber the living.
        if self.order.len() > 2 * self.entries.len() + 16 {
            let entries = &self.entries;
            self.order.retain(|(key, tick)| entries.get(key).is_some_and(|entry| entry.tick == *tick));
        }
    }

    fn shrink(&mut self, weight_max: u64, used_elsewhere: fn(&V) -> bool) {
        while self.weight > weight_max {
            let Some((key, tick)) = self.order.pop_front() else { return };
            match self.entries.get_mut(&key) {
                Some(entry) if entry.tick == tick && (used_elsewhere(&entry.value) || entry.used) => {
                    entry.used = false;
                    self.order.push_back((key, tick));
                }
                Some(entry) if entry.tick == tick => self.remove(&key),
                _ => {}
            }
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("weight_max_per_shard", &self.weight_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn it_stays_within_its_weight_and_keeps_what_is_used() {
        let cache = Cache::new(16 * 100);
        cache.insert(0u32, "hot", 10);
        for key in 1..10_000u32 {
            assert_eq!(cache.get(&0), Some("hot"), "before {key}");
            cache.insert(key, "cold", 10);
            assert!(cache.weight() <= 1600);
        }
    }

    #[test]
    fn what_others_use_without_asking_stays_until_they_stop() {
        let uses = Arc::new(AtomicBool::new(true));
        let cache = Cache::watching(16 * 100, |uses: &Arc<AtomicBool>| uses.load(Ordering::Relaxed));
        let crowd = |cache: &Cache<u32, Arc<AtomicBool>>| {
            (1..10_000u32).for_each(|key| cache.insert(key, Arc::default(), 10));
        };
        cache.insert(0, Arc::clone(&uses), 10);
        crowd(&cache);
        assert!(Arc::strong_count(&uses) > 1, "it is still here");
        uses.store(false, Ordering::Relaxed);
        crowd(&cache);
        assert_eq!(Arc::strong_count(&uses), 1, "it went");
    }

    #[test]
    fn replacing_and_removing_give_their_weight_back() {
        let cache = Cache::new(16 * 100);
        for round in 0..1000u32 {
            cache.insert(1u32, round, 60);
            assert_eq!((cache.get(&1), cache.weight()), (Some(round), 60));
        }
        cache.remove(&1);
        assert_eq!((cache.get(&1), cache.weight()), (None, 0));
        cache.insert(1, 0, 101);
        assert_eq!(cache.get(&1), None, "heavier than a shard");
    }
}
