//! What the store holds and what it takes.

use crate::error::StoreError;
use crate::store::Store;

/// Counts and bytes of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blobs that are here in full.
    pub blobs: u64,
    /// Blobs, by claimed size, of which something is here.
    pub partial: u64,
    /// Tree nodes.
    pub nodes: u64,
    /// Tombstones, lifted ones included.
    pub dead: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Bytes of records that are needed; the rest is reclaimed when a pack is less than half needed.
    pub live_bytes: u64,
    /// Bytes of the index file.
    pub index_bytes: u64,
    /// What packs and index may take together.
    pub budget_bytes: u64,
    /// What ordinary writes may still take.
    pub free_bytes: u64,
    /// Bytes of verified chunks in memory.
    pub cached_bytes: u64,
}

impl Store {
    /// Counts and bytes. Reads the accounts of all packs, so not for every request.
    ///
    /// # Errors
    /// The index fails.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let shared = self.shared();
        let counts = shared.index.counts()?;
        let packs = shared.index.packs()?;
        let (pack_bytes, index_bytes) = shared.budget.used();
        Ok(Stats {
            blobs: counts.blobs,
            partial: counts.partial,
            nodes: counts.nodes,
            dead: counts.dead,
            packs: packs.len() as u64,
            pack_bytes,
            live_bytes: packs.iter().map(|(_, row)| row.live).sum(),
            index_bytes,
            budget_bytes: shared.options.budget_bytes,
            free_bytes: shared.budget.free(),
            cached_bytes: shared.chunks.weight(),
        })
    }

    /// Bytes that packs and index take now, and bytes that ordinary writes may still take. Cheap.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        let (packs, index) = self.shared().budget.used();
        (packs + index, self.shared().budget.free())
    }
}
