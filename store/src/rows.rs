//! What is remembered of blobs, so that look-ups of hot rows never reach redb.
//!
//! A look-up that raced with a commit is not remembered: the commit counter must stand still from before the read
//! until the insertion, and the writer publishes after it has advanced the counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use odi_manifest::{BlobId, ChunkList};

use crate::cache::Cache;
use crate::error::StoreError;
use crate::index::{Index, Lookup, Published};
use crate::row::BlobRow;

/// What is known of a blob.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    Complete(Arc<BlobRow>),
    Dead,
    Absent,
}

#[derive(Debug)]
pub(crate) struct Rows {
    rows: Cache<BlobId, Known>,
    /// Verified chunk lists.
    pub(crate) lists: Cache<BlobId, Arc<ChunkList>>,
    commits: AtomicU64,
}

impl Known {
    fn weight(&self) -> u64 {
        match self {
            Self::Complete(row) => row.weight(),
            Self::Dead | Self::Absent => 96,
        }
    }
}

impl Rows {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { rows: Cache::new(bytes / 2), lists: Cache::new(bytes / 2), commits: AtomicU64::new(0) }
    }

    /// What memory knows, without asking the index.
    pub(crate) fn remembered(&self, blob: &BlobId) -> Option<Known> {
        self.rows.get(blob)
    }

    pub(crate) fn lookup(&self, index: &Index, blob: &BlobId) -> Result<Known, StoreError> {
        if let Some(known) = self.rows.get(blob) {
            return Ok(known);
        }
        let before = self.commits.load(Ordering::Acquire);
        let known = match index.lookup(blob)? {
            Lookup::Complete(row) => Known::Complete(Arc::new(row)),
            Lookup::Dead => Known::Dead,
            Lookup::Absent => Known::Absent,
        };
        let still = || self.commits.load(Ordering::Acquire) == before;
        self.rows.insert_if(*blob, known.clone(), known.weight(), still);
        Ok(known)
    }

    /// Takes in what a commit changed.
    pub(crate) fn publish(&self, published: Vec<(BlobId, Published)>) {
        self.commits.fetch_add(1, Ordering::AcqRel);
        for (blob, published) in published {
            let known = match published {
                Published::Complete(row) => Known::Complete(Arc::new(row)),
                Published::Dead => Known::Dead,
                Published::Absent => Known::Absent,
            };
            if !matches!(known, Known::Complete(_)) {
                self.lists.remove(&blob);
            }
            let weight = known.weight();
            self.rows.insert(blob, known, weight);
        }
    }
}
