//! The paths whose bytes a head has replaced, as far as a directory has seen: indexes, mostly.
//!
//! Retained heads alone do not tell an index that has not changed for hours from a file that never will. A client that takes the
//! index from its unpinned URL, and what it names a moment after the next head, would meet two states.
//!
//! Invariants
//! - Once mutable, always mutable, unless the head that replaced it is voided: a catalog has one set for all its states. One for each
//!   would be most of what they take.
//! - It is bounded; past that, every path counts as mutable, which costs clients a redirect and nothing else.

use std::collections::HashMap;

/// How many paths are told apart: their digests take two megabytes per catalog.
pub const MUTABLE_MAX: usize = 50_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Mutable {
    /// The first half of each path's BLAKE3, for whom a stranger's collision would only be redirected, and the number of the head that
    /// replaced it first.
    since: HashMap<u128, u64>,
    is_full: bool,
}

impl Mutable {
    /// Adds a path that the head of this number replaced.
    pub fn insert(&mut self, path: &str, seq: u64) {
        if self.since.len() < MUTABLE_MAX {
            self.since.entry(digest(path)).or_insert(seq);
        } else {
            self.give_up();
        }
    }

    /// From now on every path counts.
    pub fn give_up(&mut self) {
        self.is_full = true;
        self.since = HashMap::new();
    }

    /// Heads above this number are void: what only they replaced is as it was. Where every path counts it stays so.
    pub fn forget_above(&mut self, seq: u64) {
        self.since.retain(|_, since| *since <= seq);
    }

    /// Whether a path's bytes were replaced, as far as that is known.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        // Most catalogs replace nothing, or little: the path is hashed only where that may say something.
        self.is_full || !self.since.is_empty() && self.since.contains_key(&digest(path))
    }
}

fn digest(path: &str) -> u128 {
    let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        *blake3::hash(path.as_bytes()).as_bytes();
    u128::from_be_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_counts_and_past_the_bound_everything_does() {
        let mut mutable = Mutable::default();
        mutable.insert("InRelease", 4);
        assert!(mutable.contains("InRelease") && !mutable.contains("pool/a.deb"));
        (0..MUTABLE_MAX).for_each(|n| mutable.insert(&format!("{n}"), 5));
        assert!(mutable.contains("pool/a.deb") && mutable.contains("InRelease"));
    }
    #[test]
    fn what_void_heads_replaced_is_as_it_was() {
        let mut mutable = Mutable::default();
        for (path, seq) in [("InRelease", 2), ("a", 3), ("InRelease", 3)] {
            mutable.insert(path, seq);
        }
        mutable.forget_above(2);
        assert!(mutable.contains("InRelease") && !mutable.contains("a"));
    }
}
