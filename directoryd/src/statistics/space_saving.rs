//! Which few of very many artifacts are asked for most, in memory that is fixed beforehand.
//!
//! Space-Saving (Metwally, Agrawal and El Abbadi, 2005): so many counters; whoever comes without one takes the least of them over, with
//! what it had counted as its possible error. With m counters and N counted in all, no count is more than N / m too high,
//! none is too low, and whatever has more than N / m has a counter. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The counters.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceSaving {
    capacity: usize,
    counters: HashMap<Arc<str>, Counter>,
    /// The same, the least first. A count is positive, and so are ordered by their bits.
    order: BTreeSet<(u64, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Counter {
    count: f64,
    error: f64,
    size: u64,
}

/// What is known of one artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Heavy {
    /// Its path.
    pub path: Arc<str>,
    /// At most so much was counted.
    pub count: f64,
    /// At least `count` less this was.
    pub error: f64,
    /// The artifact's size when it was counted last.
    pub size: u64,
}

impl Heavy {
    /// What was counted for certain.
    #[must_use]
    pub fn certain(&self) -> f64 {
        self.count - self.error
    }
}

/// A counter as it is kept on a disk: numbers by their bits, so that a restart changes none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCounter(String, u64, u64, u64);

impl SpaceSaving {
    /// No more than `capacity` artifacts will be told apart.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), counters: HashMap::new(), order: BTreeSet::new() }
    }

    /// Counts `weight`, which is positive, for an artifact.
    pub fn add(&mut self, path: &str, size: u64, weight: f64) {
        let known = self.counters.get_key_value(path).map(|(key, counter)| (Arc::clone(key), *counter));
        let (key, counter) = match known {
            Some((key, counter)) => {
                self.order.remove(&(counter.count.to_bits(), Arc::clone(&key)));
                (key, Counter { count: counter.count + weight, size, ..counter })
            }
            None => {
                let least = if self.counters.len() < self.capacity { 0.0 } else { self.take_least() };
                (Arc::from(path), Counter { count: least + weight, error: least, size })
            }
        };
        self.order.insert((counter.count.to_bits(), Arc::clone(&key)));
        self.counters.insert(key, counter);
    }

    fn take_least(&mut self) -> f64 {
        let Some((bits, path)) = self.order.pop_first() else { return 0.0 };
        self.counters.remove(&path);
        f64::from_bits(bits)
    }

    /// Multiplies every count, by more than 0. What becomes too small to matter is forgotten.
    pub fn scale(&mut self, factor: f64) {
        for counter in self.counters.values_mut() {
            counter.count *= factor;
            counter.error *= factor;
        }
        self.counters.retain(|_, counter| counter.count > f64::MIN_POSITIVE);
        self.order =
            self.counters.iter().map(|(path, counter)| (counter.count.to_bits(), Arc::clone(path))).collect();
    }

    /// All that has a counter, the most first.
    pub fn heaviest(&self) -> impl Iterator<Item = Heavy> + '_ {
        self.order.iter().rev().filter_map(|(_, path)| {
            let Counter { count, error, size } = *self.counters.get(path)?;
            Some(Heavy { path: Arc::clone(path), count, error, size })
        })
    }

    /// As it is kept.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptCounter> {
        self.heaviest()
            .map(|heavy| {
                KeptCounter(heavy.path.to_string(), heavy.count.to_bits(), heavy.error.to_bits(), heavy.size)
            })
            .collect()
    }

    /// What was kept, as far as it makes sense.
    #[must_use]
    pub fn restored(capacity: usize, kept: Vec<KeptCounter>) -> Self {
        let mut sketch = Self::new(capacity);
        for KeptCounter(path, count, error, size) in kept.into_iter().take(sketch.capacity) {
            let counter = Counter { count: f64::from_bits(count), error: f64::from_bits(error), size };
            let makes_sense = counter.count.is_finite() && counter.count > 0.0;
            if makes_sense && (0.0..=counter.count).contains(&counter.error) {
                let path: Arc<str> = path.into();
                sketch.order.insert((count, Arc::clone(&path)));
                sketch.counters.insert(path, counter);
            }
        }
        sketch
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What the paper promises, over any stream.
        #[test]
        fn no_count_is_further_off_than_promised(
            stream in proptest::collection::vec((0u8..40, 1u32..5), 0..400),
            capacity in 1usize..12,
        ) {
            let (mut sketch, mut truth) = (SpaceSaving::new(capacity), BTreeMap::<String, f64>::new());
            for (name, weight) in &stream {
                sketch.add(&name.to_string(), 1, f64::from(*weight));
                *truth.entry(name.to_string()).or_default() += f64::from(*weight);
            }
            let all: f64 = truth.values().sum();
            let bound = all / f64::from(u32::try_from(capacity).unwrap());
            let found: BTreeMap<String, Heavy> =
                sketch.heaviest().map(|heavy| (heavy.path.to_string(), heavy)).collect();
            prop_assert!(found.len() <= capacity);
            for (name, counted) in &truth {
                match found.get(name) {
                    Some(heavy) => {
                        prop_assert!(heavy.count >= *counted && heavy.certain() <= *counted);
                        prop_assert!(heavy.error <= bound);
                    }
                    None => prop_assert!(*counted <= bound, "{name} has {counted} of {all}"),
                }
            }
        }

        #[test]
        fn what_is_kept_is_all_there_is(stream in proptest::collection::vec((0u8..40, 1u32..5), 0..200)) {
            let mut sketch = SpaceSaving::new(8);
            stream.iter().for_each(|(name, weight)| sketch.add(&name.to_string(), 7, f64::from(*weight) / 3.0));
            let kept = serde_json::to_string(&sketch.kept()).unwrap();
            let mut again = SpaceSaving::restored(8, serde_json::from_str(&kept).unwrap());
            prop_assert_eq!(&again, &sketch);
            sketch.add("next", 1, 1.0);
            again.add("next", 1, 1.0);
            prop_assert_eq!(again, sketch);
        }
    }

    #[test]
    fn nonsense_is_not_restored() {
        let kept = |count: f64, error: f64| KeptCounter("x".to_owned(), count.to_bits(), error.to_bits(), 1);
        for nonsense in [kept(f64::NAN, 0.0), kept(-1.0, 0.0), kept(f64::INFINITY, 0.0), kept(1.0, 2.0)] {
            assert_eq!(SpaceSaving::restored(4, vec![nonsense]).heaviest().count(), 0);
        }
    }
}
