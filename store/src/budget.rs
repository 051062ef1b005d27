//! What the store may take of the disk, enforced before every write.
//!
//! One pack (or an eighth of a small budget) is kept back for compaction, which must write before it can free.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;

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
        Self { limit, kept_back: pack_bytes.min(limit / 8), packs: AtomicU64::new(0), index }
    }

    /// Counts bytes about to be written.
    pub(crate) fn reserve(&self, need: u64, compaction: bool) -> Result<(), StoreError> {
        let budget = self.limit - if compaction || self.limit == u64::MAX { 0 } else { self.kept_back };
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

    /// Bytes that ordinary writes may still take.
    pub(crate) fn free(&self) -> u64 {
        let (packs, index) = self.used();
        let kept_back = if self.limit == u64::MAX { 0 } else { self.kept_back };
        (self.limit - kept_back).saturating_sub(packs + index)
    }
}
