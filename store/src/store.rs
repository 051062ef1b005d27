//! The store as its users hold it, and what all its parts share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use odi_manifest::{BlobId, HotPaths, Node, NodeId};

use crate::budget::Budget;
use crate::buffers::ChunkRoom;
use crate::cache::Cache;
use crate::chunks::Chunks;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::events::{Event, Events};
use crate::flights::Flights;
use crate::index::Index;
use crate::leases::Leases;
use crate::marking::Marking;
use crate::nodes::PendingNodes;
use crate::options::StoreOptions;
use crate::pack::{Appender, Shelf};
use crate::partial::Partials;
use crate::queue::Queue;
use crate::read_pool::ReadPool;
use crate::reading::Reading;
use crate::rows::{Known, Rows};

/// A content-addressed store in one folder. Cloning shares it; dropping the last clone commits what is queued.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    pool: ReadPool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the writer thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) index: Index,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) appender: Appender,
    pub(crate) budget: Arc<Budget>,
    pub(crate) rows: Rows,
    pub(crate) chunks: Chunks,
    pub(crate) reading: Arc<Reading>,
    pub(crate) flights: Flights,
    pub(crate) partials: Partials,
    pub(crate) leases: Arc<Leases>,
    pub(crate) nodes: PendingNodes,
    pub(crate) decoded: Cache<NodeId, Arc<Node>>,
    pub(crate) hot_paths: HotPaths,
    pub(crate) marking: Marking,
    /// Held while packs are compacted.
    pub(crate) compacting: Mutex<()>,
    pub(crate) events: Events,
    /// The last tombstone's generation.
    pub(crate) generation: AtomicU64,
    /// Held for as long as the store is open; last, so that it is let go last.
    pub(crate) _lock: Box<dyn DiskFile>,
}

/// Between two attempts at a store that is in use.
const LOCK_RETRY: Duration = Duration::from_millis(20);

impl Store {
    /// Opens the store in a folder, creating it if there is none, and recovers what a crash left.
    ///
    /// # Errors
    /// The folder is in use or holds something else, or the disk or the index fails.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let pool = ReadPool::new(options.read_threads);
        let shared = Arc::new(crate::open::open(disk, folder, options)?);
        let writer = crate::writer::spawn(Arc::clone(&shared));
        Ok(Self { inner: Arc::new(Inner { shared, pool, writer: Mutex::new(Some(writer)) }) })
    }

    /// The same; while a process that is just ending still has the store, waits for it up to `patience`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_after(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        options: &StoreOptions,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::open(Arc::clone(disk), folder, options.clone()) {
                Err(StoreError::Locked { .. }) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
                opened => return opened,
            }
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn pool(&self) -> &ReadPool {
        &self.inner.pool
    }

    /// Room for a chunk that arrives, of so many bytes.
    #[must_use]
    pub fn chunk_room(&self, len: usize) -> ChunkRoom {
        self.inner.shared.chunks.room(len)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.shared.folder
    }

    /// Whether all of a blob is here. A damaged index counts as not.
    #[must_use]
    pub fn contains(&self, blob: &BlobId) -> bool {
        is_empty_blob(blob) || matches!(self.known(blob), Ok(Known::Complete(_)))
    }

    /// The size of a blob that is here in full.
    #[must_use]
    pub fn blob_size(&self, blob: &BlobId) -> Option<u64> {
        if is_empty_blob(blob) {
            return Some(0);
        }
        match self.known(blob) {
            Ok(Known::Complete(row)) => Some(row.size),
            _ => None,
        }
    }

    /// Whether a blob was purged and not lifted since.
    ///
    /// # Errors
    /// The index fails.
    pub fn is_dead(&self, blob: &BlobId) -> Result<bool, StoreError> {
        Ok(matches!(self.known(blob)?, Known::Dead))
    }

    pub(crate) fn known(&self, blob: &BlobId) -> Result<Known, StoreError> {
        let shared = self.shared();
        shared.rows.lookup(&shared.index, blob)
    }

    /// Waits until everything written so far is durable.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn flush(&self) -> Result<(), StoreError> {
        let queue = &self.shared().queue;
        queue.wait(queue.last())
    }

    /// What was lost since the last call; at most [`EVENTS_MAX`](crate::EVENTS_MAX) and a count of the rest.
    #[must_use]
    pub fn take_events(&self) -> Vec<Event> {
        self.shared().events.take()
    }

    /// Why the store takes no more writes, if so. Opening it again is the way on.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.shared().queue.failure()
    }
}

impl Shared {
    pub(crate) fn hour(&self) -> crate::row::Hour {
        crate::row::Hour::of(self.options.clock.now())
    }

    pub(crate) fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// The empty blob is built in: always here, never stored.
pub(crate) fn is_empty_blob(blob: &BlobId) -> bool {
    static EMPTY: std::sync::LazyLock<BlobId> = std::sync::LazyLock::new(|| BlobId::of(b""));
    *blob == *EMPTY
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pool.close();
        self.shared.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the store's writer thread panicked");
        }
    }
}
