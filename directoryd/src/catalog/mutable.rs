//! The paths whose bytes a head has replaced, as far as a directory has seen: indexes, mostly.
//!
//! Retained heads alone do not tell an index that has not changed for hours from a file that never will. A client that takes the
//! index from its unpinned URL, and what it names a moment after the next head, would meet two states.
//!
//! Invariants
//! - Once mutable, always mutable: the set of a state has that of the state before it.
//! - It is bounded; past that, every path counts as mutable, which costs clients a redirect and nothing else.

use std::collections::HashSet;

/// How many paths are told apart: their digests take half a megabyte per catalog.
pub const MUTABLE_MAX: usize = 50_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Mutable {
    /// The first half of each path's BLAKE3, for whom a stranger's collision would only be redirected.
    digests: HashSet<u128>,
    is_full: bool,
}

impl Mutable {
    /// Adds a path.
    pub fn insert(&mut self, path: &str) {
        if self.digests.len() < MUTABLE_MAX {
            self.digests.insert(digest(path));
        } else {
            self.give_up();
        }
    }

    /// From now on every path counts.
    pub fn give_up(&mut self) {
        self.is_full = true;
        self.digests = HashSet::new();
    }

    /// Whether a path's bytes were replaced, as far as that is known.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.is_full || self.digests.contains(&digest(path))
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
        mutable.insert("InRelease");
        assert!(mutable.contains("InRelease") && !mutable.contains("pool/a.deb"));
        (0..MUTABLE_MAX).for_each(|n| mutable.insert(&format!("{n}")));
        assert!(mutable.contains("pool/a.deb") && mutable.contains("InRelease"));
    }
}
