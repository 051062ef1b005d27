//! What the owner of a store chooses, and every limit of the store.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{Clock, SystemClock};

/// A pack holds at most this many bytes.
pub const PACK_BYTES_MAX: u64 = 256 << 20;

/// A pack is at most this part of the budget: space comes back by whole packs, and compaction needs room for two.
const PACKS_PER_BUDGET: u64 = 32;

/// Unless that were less than this.
const PACK_BYTES_MIN: u64 = 1 << 20;

/// How a store is to behave. Start from [`StoreOptions::default`].
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The most bytes that packs and index may take together. Enforced before every write, with two packs kept back
    /// so that compaction always has room, and what the index may grow by. Default: no limit.
    pub budget_bytes: u64,
    /// The most bytes of verified chunks kept in memory. Default 256 MiB.
    pub cache_bytes: u64,
    /// The most bytes of blob rows and chunk lists kept in memory. Default 64 MiB.
    pub row_cache_bytes: u64,
    /// The most bytes of decoded tree nodes kept in memory. Default 64 MiB. Paths that were looked up lately take up to
    /// 6 MiB beside them, whatever this says.
    pub node_cache_bytes: u64,
    /// The most bytes of index pages kept in memory. Default 128 MiB.
    pub index_cache_bytes: u64,
    /// What nobody waits for is committed this long after it was written. Default 500 ms.
    pub commit_interval: Duration,
    /// A batch is committed when it reaches this many bytes. Default 1 GiB.
    pub batch_bytes: u64,
    /// A batch is committed when it reaches this many records. Default 64 Ki.
    pub batch_records: usize,
    /// A pack is sealed at this size, at most [`PACK_BYTES_MAX`] and a small part of the budget.
    pub pack_bytes: u64,
    /// Threads that read from disk on behalf of [`BlobReader::fetch`](crate::BlobReader::fetch). Default 4.
    pub read_threads: usize,
    /// Random bits for a store that is created, so that no published byte can pose as a record.
    pub salt: u64,
    /// The hour of a blob's last use comes from here.
    pub clock: Arc<dyn Clock>,
}

/// Rows and nodes are kept in at least so much memory each: below it every look-up walks the disk.
const LOOK_UP_BYTES_MIN: u64 = 8 << 20;

/// And in no more than this, however much there is for chunks.
const LOOK_UP_BYTES_MAX: u64 = 64 << 20;

impl StoreOptions {
    /// The same with so much memory for chunks, and as much for rows and for nodes as suits that: 8 to 64 MiB each.
    #[must_use]
    pub fn with_ram_cache(mut self, chunk_bytes: u64) -> Self {
        let look_ups = chunk_bytes.clamp(LOOK_UP_BYTES_MIN, LOOK_UP_BYTES_MAX);
        (self.cache_bytes, self.row_cache_bytes, self.node_cache_bytes) = (chunk_bytes, look_ups, look_ups);
        self
    }

    /// The size at which packs are sealed under this budget.
    pub(crate) fn sealed_at(&self) -> u64 {
        let part = (self.budget_bytes / PACKS_PER_BUDGET).max(PACK_BYTES_MIN);
        self.pack_bytes.min(PACK_BYTES_MAX).min(part)
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            budget_bytes: u64::MAX,
            cache_bytes: 256 << 20,
            row_cache_bytes: 64 << 20,
            node_cache_bytes: 64 << 20,
            index_cache_bytes: 128 << 20,
            commit_interval: Duration::from_millis(500),
            batch_bytes: 1 << 30,
            batch_records: 64 << 10,
            pack_bytes: PACK_BYTES_MAX,
            read_threads: 4,
            salt: RandomState::new().hash_one("odi store salt"),
            clock: Arc::new(SystemClock),
        }
    }
}
