//! What the store may take of the disk, enforced before every write.
//!
//! Two packs (or an eighth of a small budget) are kept back for compaction, which must write before it can free. So is as much
//! again as the index takes, for it grows by doubling, in the middle of a commit that must not fail. And content leaves a little
//! to what says what is needed: a store that is full of blobs still takes the tree of the next head, and tombstones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;

/// What bytes are written for, the least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Chunks and their lists.
    Content,
    /// Tree nodes and tombstones.
    Structure,
    /// Moving what is here, to free more than it takes.
    Compaction,
}

/// What content leaves to structure: this part of the limit, or so many bytes.
const STRUCTURE: (u64, u64) = (32, 1 << 30);

#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    kept_back: u64,
    packs: AtomicU64,
    /// Length of the index file, kept by its backend.
    index: Arc<AtomicU64>,
}

impl Budget {
    pub(crate) fn new(limit: u64, pack_bytes: u64, index: Arc<AtomicU64>) -> Self {
        Self { limit, kept_back: (2 * pack_bytes).min(limit / 8), packs: AtomicU64::new(0), index }
    }

    /// The most that may be taken after a write for this purpose.
    fn most(&self, purpose: Purpose) -> u64 {
        if self.limit == u64::MAX {
            return self.limit;
        }
        let for_compaction = self.kept_back + self.index.load(Ordering::Relaxed);
        let for_structure = (self.limit / STRUCTURE.0).min(STRUCTURE.1);
        self.limit.saturating_sub(match purpose {
            Purpose::Content => for_compaction + for_structure,
            Purpose::Structure => for_compaction,
            Purpose::Compaction => 0,
        })
    }

    /// Counts bytes about to be written.
    pub(crate) fn reserve(&self, need: u64, purpose: Purpose) -> Result<(), StoreError> {
        let budget = self.most(purpose);
        let before = self.packs.fetch_add(need, Ordering::AcqRel);
        let used = before + self.index.load(Ordering::Relaxed);
        if used.saturating_add(need) > budget {
            self.packs.fetch_sub(need, Ordering::AcqRel);
            return Err(StoreError::Full { need, used, budget });
        }
        Ok(())
    }

    /// Gives back bytes that were not written, or that have been removed.
    pub(crate) fn release(&self, bytes: u64) {
        self.packs.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Counts bytes that are there.
    pub(crate) fn found(&self, bytes: u64) {
        self.packs.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes of all packs, and of the index file.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.packs.load(Ordering::Acquire), self.index.load(Ordering::Relaxed))
    }

    /// Bytes that content may still take.
    pub(crate) fn free(&self) -> u64 {
        let (packs, index) = self.used();
        self.most(Purpose::Content).saturating_sub(packs + index)
    }
}
