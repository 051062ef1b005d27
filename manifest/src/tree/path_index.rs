//! What makes searching a node's paths fast: small numbers side by side, so that a search waits for memory once and
//! looks at one or two paths, not at seven. A million look-ups a second over a million paths depend on it.
//!
//! An index only guesses. What it says is always compared with the paths themselves, so it decides speed and nothing
//! else.

use std::collections::BTreeSet;
use std::ops::Range;

use super::row::common_prefix;

/// Tags that are compared at once.
const LANES: usize = 32;
/// Bytes of a path that make a key.
const KEY_BYTES: usize = 8;

/// Numbers that stand for the paths of one node, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathIndex {
    /// A leaf is asked whether it has a path: a tag of each, whose few false matches the path itself settles.
    Find { tags: Box<[u16]> },
    /// An inner node is asked where a path belongs: the first places at which neighbours differ, and of each path its
    /// bytes at those places as a number. Such keys ascend as the paths do.
    Search { places: [u16; KEY_BYTES], keys: Box<[u64]> },
}

impl PathIndex {
    pub(super) fn to_find<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Self {
        Self::Find { tags: paths.map(tag).collect() }
    }

    pub(super) fn to_search<'p>(paths: impl Iterator<Item = &'p [u8]> + Clone) -> Self {
        let neighbours = paths.clone().zip(paths.clone().skip(1));
        let differ = neighbours.map(|(former, next)| common_prefix(former, next));
        let differ: BTreeSet<_> = differ.filter_map(|place| u16::try_from(place).ok()).collect();
        // No path is as long as the places that are left over.
        let mut places = [u16::MAX; KEY_BYTES];
        places.iter_mut().zip(differ).for_each(|(place, differs)| *place = differs);
        let keys = paths.map(|path| key(path, &places)).collect();
        Self::Search { places, keys }
    }

    /// How many of `count` ascending paths are not greater than `path`, which `not_greater` tells of each.
    pub(super) fn rank(&self, path: &[u8], count: usize, not_greater: impl Fn(usize) -> bool) -> usize {
        match self.guess(path) {
            None => rank_within(0..count, not_greater),
            Some(guess) => rank_around(guess, count, not_greater),
        }
    }

    /// How many paths are most likely not greater than `path`; none if this index cannot tell.
    pub(super) fn guess(&self, path: &[u8]) -> Option<usize> {
        let Self::Search { places, keys } = self else { return None };
        let key = key(path, places);
        Some(keys.partition_point(|other| *other <= key))
    }

    /// The bytes of memory behind it.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Find { tags } => size_of_val(&**tags),
            Self::Search { keys, .. } => size_of_val(&**keys),
        }
    }

    /// Where a path is; none if this index cannot tell.
    pub(super) fn find<'p>(&self, path: &[u8], path_at: impl Fn(usize) -> &'p [u8]) -> Option<Option<usize>> {
        let Self::Find { tags } = self else { return None };
        let wanted = tag(path);
        for (group, lanes) in tags.chunks(LANES).enumerate() {
            let matches: u16 = lanes.iter().map(|tag| u16::from(*tag == wanted)).sum();
            if matches == 0 {
                continue;
            }
            let mut candidates = lanes.iter().enumerate().filter(|(_, tag)| **tag == wanted);
            if let Some((lane, _)) = candidates.find(|(lane, _)| path_at(group * LANES + lane) == path) {
                return Some(Some(group * LANES + lane));
            }
        }
        Some(None)
    }
}

/// A path's bytes at some places, as a number; NUL, which no path holds, where it is too short.
fn key(path: &[u8], places: &[u16; KEY_BYTES]) -> u64 {
    u64::from_be_bytes(places.map(|place| path.get(usize::from(place)).copied().unwrap_or_default()))
}

/// Looks on both sides of a guess, in steps that double, until the rank lies between two of them.
fn rank_around(guess: usize, count: usize, not_greater: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high, mut step) = (guess, count, 1);
    while low > 0 && !not_greater(low - 1) {
        high = low - 1;
        low = low.saturating_sub(step);
        step *= 2;
    }
    if high == count {
        (high, step) = (guess, 1);
        while high < count && not_greater(high) {
            low = high + 1;
            high = (high + step).min(count);
            step *= 2;
        }
    }
    rank_within(low..high, not_greater)
}

/// Halves a range until the rank is found: all paths before it are not greater, all behind it are.
fn rank_within(
    Range { start: mut low, end: mut high }: Range<usize>,
    not_greater: impl Fn(usize) -> bool,
) -> usize {
    while low < high {
        let middle = low.midpoint(high);
        if not_greater(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Sixteen bits of a path. It need not resist anybody: paths that collide cost a comparison each, and a node has few.
fn tag(path: &[u8]) -> u16 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = path.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let hash = words.iter().fold(path.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash, (*byte).into()));
    let [a, b, ..] = hash.wrapping_mul(FACTOR).to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few letters, so that paths share much, and some places differ behind the eighth.
        #[test]
        fn a_rank_is_the_count_of_paths_that_are_not_greater(
            paths in btree_set("[abc]{1,24}", 0..60),
            asked in "[abcd]{0,24}",
        ) {
            let paths: Vec<&[u8]> = paths.iter().map(String::as_bytes).collect();
            let indexes = [PathIndex::to_find(paths.iter().copied()), PathIndex::to_search(paths.iter().copied())];
            let asked_too = paths.iter().copied().chain([asked.as_bytes()]);
            for (index, path) in indexes.iter().flat_map(|index| asked_too.clone().map(move |path| (index, path))) {
                let expected = paths.iter().filter(|other| **other <= path).count();
                prop_assert_eq!(index.rank(path, paths.len(), |at| paths[at] <= path), expected);
            }
        }

        #[test]
        fn keys_ascend_as_their_paths_do(paths in btree_set("[abc/]{1,24}", 1..60)) {
            let index = PathIndex::to_search(paths.iter().map(String::as_bytes));
            let PathIndex::Search { keys, .. } = index else { panic!("made to search") };
            prop_assert!(keys.is_sorted());
        }
    }

    #[test]
    fn a_guess_is_right_wherever_few_places_differ() {
        let paths: Vec<String> = (0..600).map(|number| format!("pool/main/x-{number:05}/y_1.deb")).collect();
        let index = PathIndex::to_search(paths.iter().map(String::as_bytes));
        for (at, path) in paths.iter().enumerate() {
            assert_eq!(index.guess(path.as_bytes()), Some(at + 1));
        }
    }
}
