//! What others' web servers were seen to have, for as long as that counts: a table of bounded size.
//!
//! A proof ends with its time, and with the next head: that may say that other bytes are meant. It is remembered a while longer as one
//! that has ended.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use odi_manifest::{HeadId, Timestamp};

/// The most proofs remembered.
const PROOFS_MAX: usize = 10_000;

/// What was seen of each key.
#[derive(Debug)]
pub(crate) struct Proofs<K, V>(Mutex<HashMap<K, Proof<V>>>);

#[derive(Clone, Debug)]
struct Proof<V> {
    seen: V,
    /// Since when it counts: a clock that is set back makes it no older than it can be.
    at: Timestamp,
    until: Timestamp,
    /// The newest head then.
    newest: Option<HeadId>,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known<V> {
    /// This was seen, and counts.
    Now(V),
    /// This was seen, and counts no more.
    Before(V),
    /// Nothing, or it is forgotten.
    Never,
}

impl<K, V> Default for Proofs<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Proofs<K, V> {
    /// What was seen, if that still counts at this time and under this newest head.
    pub(crate) fn known(&self, key: &K, now: Timestamp, newest: Option<HeadId>) -> Option<V> {
        match self.of(key, now, newest) {
            Known::Now(seen) => Some(seen),
            Known::Before(_) | Known::Never => None,
        }
    }

    /// What was seen, whether or not it still counts.
    pub(crate) fn of(&self, key: &K, now: Timestamp, newest: Option<HeadId>) -> Known<V> {
        let counts = |proof: &Proof<V>| proof.at <= now && now < proof.until && proof.newest == newest;
        match self.proofs().get(key) {
            None => Known::Never,
            Some(proof) if counts(proof) => Known::Now(proof.seen.clone()),
            Some(proof) => Known::Before(proof.seen.clone()),
        }
    }

    /// Remembers what was seen just now.
    pub(crate) fn note(&self, key: K, seen: V, now: Timestamp, until: Timestamp, newest: Option<HeadId>) {
        let mut proofs = self.proofs();
        if proofs.len() >= PROOFS_MAX {
            proofs.retain(|_, proof| now < proof.until);
        }
        if proofs.len() >= PROOFS_MAX {
            proofs.clear();
        }
        proofs.insert(key, Proof { seen, at: now, until, newest });
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<K, Proof<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_ends_with_its_time_and_with_the_next_head_and_they_are_bounded() {
        let proofs = Proofs::<usize, bool>::default();
        let (first, next) = (Some(HeadId::of(b"first")), Some(HeadId::of(b"next")));
        let at = Timestamp;
        proofs.note(1, true, at(0), at(60), first);
        assert_eq!(proofs.known(&1, at(59), first), Some(true));
        assert_eq!(proofs.known(&1, at(60), first), None);
        assert_eq!(proofs.known(&1, at(59), next), None);
        assert_eq!(proofs.known(&2, at(0), first), None);
        proofs.note(3, true, at(50), at(60), first);
        assert_eq!(proofs.known(&3, at(49), first), None, "the clock was set back");
        assert_eq!(proofs.of(&1, at(60), first), Known::Before(true));
        assert_eq!(proofs.of(&1, at(59), next), Known::Before(true));
        assert_eq!(proofs.of(&2, at(0), first), Known::Never);
        for key in 0..3 * PROOFS_MAX {
            proofs.note(key, true, at(100), at(200), first);
            assert!(proofs.proofs().len() <= PROOFS_MAX);
        }
    }
}
