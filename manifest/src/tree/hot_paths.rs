//! Entries that were looked up lately, of whatever trees: a table of fixed size, one place in memory per look-up.
//!
//! A key names a path in one immutable tree, so nothing in the table is ever out of date: a new tree has new keys, and
//! those of former ones are overwritten in time.

use std::fmt;
use std::sync::{Mutex, OnceLock};

use crate::{Entry, NodeId};

/// Entries per bucket.
const WAYS: usize = 4;
/// Buckets of a table, a power of two.
const BUCKETS: usize = 8192;

/// The entries of a table. With their keys they take less than 4 MiB, and up to
/// [`EXT_BYTES_MAX`](crate::EXT_BYTES_MAX) more each if they have extensions.
pub const HOT_PATHS_MAX: usize = WAYS * BUCKETS;

/// A path of one tree: half of the path's BLAKE3 hash, keyed by the root. Whoever finds two paths of one key, in 2^64
/// attempts, has confused nobody but the readers of a tree that they signed themselves.
type Key = [u8; 16];

/// A table of entries that were looked up lately, to be shared by all who look paths up. The memory is taken at the first
/// look-up.
#[derive(Default)]
pub struct HotPaths {
    buckets: OnceLock<Box<[Mutex<Bucket>]>>,
}

/// Keys stand beside each other, so that a miss reads one line of memory.
#[derive(Default)]
struct Bucket {
    keys: [Key; WAYS],
    entries: [Option<Entry>; WAYS],
    oldest: usize,
}

impl HotPaths {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entry of a path, if it is in the table; else what `look_up` finds, which then is.
    pub(super) fn find_or<E>(
        &self,
        root: &NodeId,
        path: &str,
        look_up: impl FnOnce() -> Result<Option<Entry>, E>,
    ) -> Result<Option<Entry>, E> {
        let (key, bucket) = self.place(root, path);
        // Never waits: whoever meets another thread here does without the table.
        if let Some(known) = bucket.and_then(|bucket| bucket.try_lock().ok()?.find(&key)) {
            return Ok(Some(known));
        }
        let found = look_up()?;
        if let (Some(entry), Some(mut bucket)) = (&found, bucket.and_then(|bucket| bucket.try_lock().ok())) {
            bucket.insert(key, entry.clone());
        }
        Ok(found)
    }

    fn place(&self, root: &NodeId, path: &str) -> (Key, Option<&Mutex<Bucket>>) {
        let buckets = self.buckets.get_or_init(|| (0..BUCKETS).map(|_| Mutex::default()).collect());
        let hash = blake3::keyed_hash(root.as_bytes(), path.as_bytes());
        let (key, rest) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        let [a, b, ..] = rest else { return (*key, None) };
        (*key, buckets.get(usize::from(u16::from_le_bytes([*a, *b])) % BUCKETS))
    }
}

impl Bucket {
    fn find(&self, key: &Key) -> Option<Entry> {
        let at = self.keys.iter().position(|known| known == key)?;
        self.entries.get(at)?.clone()
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        let at = self.oldest % WAYS;
        self.oldest = at + 1;
        if let (Some(old_key), Some(old)) = (self.keys.get_mut(at), self.entries.get_mut(at)) {
            (*old_key, *old) = (key, Some(entry));
        }
    }
}

impl fmt::Debug for HotPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotPaths").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::{BlobId, Sha256};

    fn entry(number: u64) -> Entry {
        let blob = BlobId::of(&number.to_le_bytes());
        Entry { size: number, blob, sha256: Sha256::from_bytes([0; 32]), mtime: 0, ext: None }
    }

    #[test]
    fn a_path_is_remembered_for_its_tree_and_no_other() {
        let (hot, trees) = (HotPaths::new(), [NodeId::of(b"a"), NodeId::of(b"b")]);
        let find = |root, path: &str, known: Option<u64>| {
            let mut asked = false;
            let found = hot.find_or(root, path, || {
                asked = true;
                Ok::<_, Infallible>(known.map(entry))
            });
            (found.expect("nothing fails").map(|entry| entry.size), asked)
        };
        assert_eq!(find(&trees[0], "p", Some(1)), (Some(1), true));
        assert_eq!(find(&trees[0], "p", Some(9)), (Some(1), false));
        assert_eq!(find(&trees[1], "p", Some(2)), (Some(2), true));
        assert_eq!(find(&trees[0], "q", None), (None, true));
        assert_eq!(find(&trees[0], "q", Some(3)), (Some(3), true), "an absence is not remembered");
        assert_eq!(find(&trees[0], "p", Some(9)), (Some(1), false));
    }

    #[test]
    fn it_takes_the_memory_that_its_page_says_and_holds_what_is_asked_in_turn() {
        assert!(BUCKETS * size_of::<Mutex<Bucket>>() < 4 << 20);
        let (hot, root) = (HotPaths::new(), NodeId::of(b"tree"));
        let mut looked_up = 0;
        for round in 0..4 {
            for number in 0..10_000 {
                let found = hot.find_or(&root, &format!("pool/{number}"), || {
                    looked_up += u64::from(round > 0);
                    Ok::<_, Infallible>(Some(entry(number)))
                });
                assert_eq!(found, Ok(Some(entry(number))));
            }
        }
        assert!(looked_up < 2_000, "{looked_up} of 30000 were forgotten");
    }
}
