//! What makes searching a node's paths fast: small numbers side by side, so that a search waits for memory once and
//! looks at one path, not at seven. A million look-ups a second over a million paths depend on it.

use std::cmp::Ordering;
use std::ops::Range;

use super::row::common_prefix;

/// Tags that are compared at once.
const LANES: usize = 32;

/// Numbers that stand for the paths of one node, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathIndex {
    /// A leaf is asked whether it has a path: a tag of each, whose few false matches the path itself settles.
    Find { tags: Box<[u16]> },
    /// An inner node is asked where a path belongs: how many leading bytes all paths share, and the eight bytes of
    /// each behind those as a number that sorts like them. NUL, which no path holds, fills up short ones.
    Search { shared: u32, keys: Box<[u64]> },
}

impl PathIndex {
    pub(super) fn to_find<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Self {
        Self::Find { tags: paths.map(tag).collect() }
    }

    pub(super) fn to_search<'p>(paths: impl DoubleEndedIterator<Item = &'p [u8]> + Clone) -> Self {
        let (first, last) = (paths.clone().next(), paths.clone().next_back());
        let shared = common_prefix(first.unwrap_or_default(), last.unwrap_or_default());
        let keys = paths.map(|path| key(path, shared)).collect();
        Self::Search { shared: u32::try_from(shared).unwrap_or_default(), keys }
    }

    /// The rows among which a path is or would be, of `count` that begin with `first`.
    pub(super) fn narrow(&self, path: &[u8], first: &[u8], count: usize) -> Range<usize> {
        let Self::Search { shared, keys } = self else { return 0..count };
        let shared = *shared as usize;
        let head = path.get(..shared).unwrap_or(path);
        match first.get(..shared).map_or(Ordering::Equal, |common| head.cmp(common)) {
            Ordering::Less => return 0..0,
            Ordering::Greater => return count..count,
            Ordering::Equal => {}
        }
        let key = key(path, shared);
        // Counting all is faster than halving: nothing waits for a former comparison.
        let begin: usize = keys.iter().map(|other| usize::from(*other < key)).sum();
        let same = keys.get(begin..).unwrap_or_default().iter().take_while(|other| **other == key).count();
        begin..begin + same
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

/// Eight bytes of a path behind the first `shared`, as a big-endian number.
fn key(path: &[u8], shared: usize) -> u64 {
    let rest = path.get(shared..).unwrap_or_default();
    let mut key = [0; 8];
    match rest.first_chunk() {
        Some(whole) => key = *whole,
        None => key.iter_mut().zip(rest).for_each(|(to, from)| *to = *from),
    }
    u64::from_be_bytes(key)
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
