//! Open readers: a blob that somebody reads is not evicted, and a purge tells its readers at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::BlobId;

const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Leases {
    shards: [Mutex<HashMap<BlobId, Lessees>>; SHARDS],
}

#[derive(Debug, Default)]
struct Lessees {
    count: u32,
    dead: Arc<AtomicBool>,
}

/// One reader's hold on a blob.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<Leases>,
    blob: BlobId,
    dead: Arc<AtomicBool>,
}

impl Leases {
    fn lock(&self, blob: &BlobId) -> MutexGuard<'_, HashMap<BlobId, Lessees>> {
        let [first, ..] = blob.as_bytes();
        let shard = self.shards.get(usize::from(*first) % SHARDS).expect("there are 16 shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lease(self: &Arc<Self>, blob: &BlobId) -> Lease {
        let mut shard = self.lock(blob);
        let lessees = shard.entry(*blob).or_default();
        lessees.count += 1;
        Lease { leases: Arc::clone(self), blob: *blob, dead: Arc::clone(&lessees.dead) }
    }

    /// Whether somebody reads the blob.
    pub(crate) fn holds(&self, blob: &BlobId) -> bool {
        self.lock(blob).contains_key(blob)
    }

    /// The blob may live again: those who open it from now on are not told of its former death.
    pub(crate) fn revive(&self, blob: &BlobId) {
        if let Some(lessees) = self.lock(blob).get_mut(blob) {
            lessees.dead = Arc::default();
        }
    }

    /// Tells the readers of a blob that it is dead.
    pub(crate) fn kill(&self, blob: &BlobId) {
        if let Some(lessees) = self.lock(blob).get(blob) {
            lessees.dead.store(true, Ordering::Release);
        }
    }
}

impl Lease {
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        let mut shard = self.leases.lock(&self.blob);
        shard.entry(self.blob).or_default().count += 1;
        Self { leases: Arc::clone(&self.leases), blob: self.blob, dead: Arc::clone(&self.dead) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut shard = self.leases.lock(&self.blob);
        if let Some(lessees) = shard.get_mut(&self.blob) {
            lessees.count -= 1;
            if lessees.count == 0 {
                shard.remove(&self.blob);
            }
        }
    }
}
