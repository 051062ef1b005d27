//! Verified chunks that somebody is sending right now.
//!
//! Whoever wants the same chunk meanwhile shares the buffer, so that a thousand downloads of one file take one
//! buffer per chunk. A buffer goes back to its pool when its last reader is done, and never earlier.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use odi_manifest::BlobId;

use crate::buffers::Buffer;

const SHARDS: usize = 16;

/// A chunk of a blob.
pub(crate) type ChunkKey = (BlobId, u32);

#[derive(Debug, Default)]
pub(crate) struct Lent {
    shards: [Mutex<HashMap<ChunkKey, Weak<Loan>>>; SHARDS],
}

/// A verified chunk, its place in [`Lent`] and its buffer.
#[derive(Debug)]
struct Loan {
    key: ChunkKey,
    buffer: Buffer,
    lent: Arc<Lent>,
}

/// One reader's share.
#[derive(Debug)]
struct Share(Arc<Loan>);

impl Lent {
    fn lock(&self, (blob, chunk): &ChunkKey) -> MutexGuard<'_, HashMap<ChunkKey, Weak<Loan>>> {
        let [first, ..] = blob.as_bytes();
        let shard = self.shards.get((usize::from(*first) ^ *chunk as usize) % SHARDS);
        shard.expect("there are 16 shards").lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunk, if somebody has it.
    pub(crate) fn share(&self, key: &ChunkKey) -> Option<Bytes> {
        // The guard is gone before the share can be: the last share's end takes the same lock.
        let loan = self.lock(key).get(key).and_then(Weak::upgrade);
        loan.map(|loan| Bytes::from_owner(Share(loan)))
    }

    /// Gives out a verified chunk.
    pub(crate) fn lend(self: &Arc<Self>, key: ChunkKey, buffer: Buffer) -> Bytes {
        let loan = Arc::new(Loan { key, buffer, lent: Arc::clone(self) });
        self.lock(&key).insert(key, Arc::downgrade(&loan));
        Bytes::from_owner(Share(loan))
    }

    /// Shares a chunk no further.
    pub(crate) fn forget(&self, key: &ChunkKey) {
        self.lock(key).remove(key);
    }
}

impl AsRef<[u8]> for Share {
    fn as_ref(&self) -> &[u8] {
        self.0.buffer.as_ref()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut shard = self.lent.lock(&self.key);
        // Two that read the chunk at the same moment have a buffer each; the place belongs to the later one.
        if shard.get(&self.key).is_some_and(|loan| loan.strong_count() == 0) {
            shard.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Buffers;

    const LEN: usize = 100_000;

    fn filled(buffers: &Arc<Buffers>, with: u8) -> Buffer {
        let mut buffer = buffers.take(LEN);
        buffer.as_mut().fill(with);
        buffer
    }

    fn key(of: &[u8]) -> ChunkKey {
        (BlobId::of(of), 3)
    }

    #[test]
    fn readers_at_the_same_time_share_a_buffer_and_the_last_one_returns_it() {
        let (buffers, lent) = (Arc::<Buffers>::default(), Arc::<Lent>::default());
        let first = lent.lend(key(b"a"), filled(&buffers, 1));
        let place = first.as_ptr();
        let second = lent.share(&key(b"a")).unwrap();
        assert_eq!(second.as_ptr(), place);
        let slice = second.slice(10..20);
        drop((first, second));
        // A slice is a reader too: its bytes may not change under it.
        let other = filled(&buffers, 2);
        assert_ne!(other.as_ref().as_ptr(), place);
        assert_eq!(slice, [1; 10][..]);
        drop(slice);
        assert!(lent.share(&key(b"a")).is_none(), "nobody has it any more");
        assert_eq!(filled(&buffers, 3).as_ref().as_ptr(), place, "the buffer is used again");
    }

    #[test]
    fn of_two_that_read_at_the_same_moment_the_later_is_shared_and_each_returns_its_own() {
        let (buffers, lent) = (Arc::<Buffers>::default(), Arc::<Lent>::default());
        let first = lent.lend(key(b"a"), filled(&buffers, 1));
        let later = lent.lend(key(b"a"), filled(&buffers, 1));
        drop(first);
        let shared = lent.share(&key(b"a")).unwrap();
        assert_eq!(shared.as_ptr(), later.as_ptr());
        drop(later);
        assert!(lent.share(&key(b"a")).is_some());
        drop(shared);
        assert!(lent.share(&key(b"a")).is_none());
        assert!(lent.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn what_is_forgotten_stays_with_its_readers_only() {
        let (buffers, lent) = (Arc::<Buffers>::default(), Arc::<Lent>::default());
        let reader = lent.lend(key(b"a"), filled(&buffers, 7));
        lent.forget(&key(b"a"));
        assert!(lent.share(&key(b"a")).is_none());
        assert!(reader.iter().all(|byte| *byte == 7));
    }
}
