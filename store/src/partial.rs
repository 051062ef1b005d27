//! A blob that arrives in pieces: its chunk list first, then verified chunks in any order, from anybody.
//!
//! State is keyed by (BlobId, size), because a size is only a claim until the last chunk has verified. All who begin
//! the same blob share one state; what they stored before a restart is found again.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use odi_manifest::{
    BLOB_BYTES_MAX, BlobId, CHUNK_BYTES, ChunkError, ChunkList, chunk_count, chunk_len, verify_small,
};

use crate::chunks::{Miss, Wanted};
use crate::error::{PartialError, ReadError, StoreError};
use crate::leases::Lease;
use crate::pack::Record;
use crate::queue::Seq;
use crate::record::{Body, Header};
use crate::row::{BlobRow, Hour, Ordinal};
use crate::rows::Known;
use crate::store::{Store, is_empty_blob};

/// A blob on its way. Clones share it.
#[derive(Clone, Debug)]
pub struct Partial {
    store: Store,
    state: Arc<PartialState>,
}

/// What came of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The blob is here in full, and that is durable.
    pub complete: bool,
}

#[derive(Debug)]
struct PartialState {
    blob: BlobId,
    size: u64,
    /// Keeps the blob from eviction, and tells of its death.
    lease: Lease,
    list: OnceLock<Arc<ChunkList>>,
    held: Mutex<Held>,
    /// Outlives this state in the registry: what a successor must wait for before it asks the index.
    last: Arc<Mutex<Seq>>,
}

#[derive(Debug)]
struct Held {
    row: BlobRow,
    /// Chunks that somebody is writing now.
    writing: HashSet<u32>,
}

/// All partial blobs that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    open: Mutex<HashMap<(BlobId, u64), Shared>>,
}

/// A partial blob that somebody holds, or held: its state, and what it queued last.
type Shared = (Weak<PartialState>, Arc<Mutex<Seq>>);

/// Entries of partial blobs that nobody holds any more are swept when there are this many.
const SWEEP_AT: usize = 4096;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Begins a blob of a claimed size, or goes on with one.
    ///
    /// # Errors
    /// The blob is dead, or here with another size, or larger than any blob; or the index fails.
    pub fn begin(&self, blob: &BlobId, size: u64) -> Result<Partial, PartialError> {
        if size > BLOB_BYTES_MAX {
            return Err(PartialError::Content(ChunkError::BlobTooLarge { blob: *blob, size }));
        }
        if is_empty_blob(blob) != (size == 0) {
            let actual = if size == 0 { 1 } else { 0 };
            return Err(PartialError::Size { blob: *blob, claimed: size, actual });
        }
        let shared = self.shared();
        let mut open = lock(&shared.partials.open);
        let former = open.get(&(*blob, size)).cloned();
        if let Some(state) = former.as_ref().and_then(|(state, _)| state.upgrade()) {
            if state.lease.is_dead() {
                return Err(PartialError::Dead(*blob));
            }
            return Ok(Partial { store: self.clone(), state });
        }
        if let Some((_, last)) = former {
            // Its last holder went; what it queued must be in the index before we ask.
            shared.queue.wait(*lock(&last))?;
        }
        let lease = shared.leases.lease(blob);
        let row = match self.known(blob)? {
            Known::Dead => return Err(PartialError::Dead(*blob)),
            Known::Complete(row) if row.size == size => BlobRow::clone(&row),
            Known::Complete(row) => {
                return Err(PartialError::Size { blob: *blob, claimed: size, actual: row.size });
            }
            Known::Absent => {
                let row = shared.index.partial(blob, size)?;
                row.unwrap_or_else(|| BlobRow::new(Ordinal(u32::MAX), size, Hour::default()))
            }
        };
        let list = self.begin_list(blob, &row)?;
        let held = Mutex::new(Held { row, writing: HashSet::new() });
        let last = Arc::default();
        let state = Arc::new(PartialState { blob: *blob, size, lease, list, held, last: Arc::clone(&last) });
        if open.len() >= SWEEP_AT {
            open.retain(|_, (state, last)| {
                state.strong_count() > 0 || !shared.queue.is_committed(*lock(last))
            });
        }
        open.insert((*blob, size), (Arc::downgrade(&state), last));
        Ok(Partial { store: self.clone(), state })
    }

    fn begin_list(&self, blob: &BlobId, row: &BlobRow) -> Result<OnceLock<Arc<ChunkList>>, StoreError> {
        let (shared, found) = (self.shared(), OnceLock::new());
        let Some(at) = row.list else { return Ok(found) };
        match shared.read_list(blob, row.size, at) {
            Ok(list) => _ = found.set(list),
            Err(Miss::Disk(error)) => {
                return Err(StoreError::disk("read", &shared.shelf.path(at.pack), error));
            }
            Err(Miss::Damaged | Miss::NotNow) => shared.drop_chunk(blob, row.size, None, at, true),
        }
        Ok(found)
    }
}

impl Partial {
    /// The blob.
    #[must_use]
    pub fn blob(&self) -> &BlobId {
        &self.state.blob
    }

    /// The claimed size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// The verified chunk list, once it is known. Blobs of up to one chunk have none.
    #[must_use]
    pub fn list(&self) -> Option<Arc<ChunkList>> {
        self.state.list.get().cloned()
    }

    /// Whether chunks can be put now: the list is here, or the blob needs none.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.size <= CHUNK_BYTES || self.state.list.get().is_some()
    }

    /// Gives the chunk list. Durable when it returns, so that no chunk is ever kept that could not be verified.
    ///
    /// # Errors
    /// It is another blob's list, or the store cannot write.
    pub fn set_list(&self, list: ChunkList) -> Result<(), PartialError> {
        let (blob, size) = (self.state.blob, self.state.size);
        if *list.blob() != blob {
            return Err(PartialError::Content(ChunkError::OtherBlob { blob, got: *list.blob() }));
        }
        if list.size() != size {
            return Err(PartialError::Size { blob, claimed: size, actual: list.size() });
        }
        let shared = self.store.shared();
        let mut held = lock(&self.state.held);
        if self.state.list.get().is_some() {
            return Ok(());
        }
        let header = Header { body: Body::List { blob, size }, moved: false };
        let record = Record { header, payload: &list.to_bytes(), source: None };
        let appended = shared.appender.append(&[record])?;
        self.note(appended.seq);
        shared.queue.wait(appended.seq)?;
        held.row.list = Some(appended.at);
        // Nobody else sets it: the lock is held since it was found unset.
        let _ = self.state.list.set(Arc::new(list));
        Ok(())
    }

    /// The runs of chunks that are not here yet.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u32>> {
        lock(&self.state.held).row.missing().collect()
    }

    /// Whether a chunk is here.
    #[must_use]
    pub fn has(&self, chunk: u32) -> bool {
        lock(&self.state.held).row.location(chunk).is_some()
    }

    /// Whether nothing is missing, durable or not.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state.size == 0 || lock(&self.state.held).row.is_complete()
    }

    /// Gives a chunk. Verified before it is written; readable at once; durable at the next commit, or, if it was
    /// the last, when this returns.
    ///
    /// # Errors
    /// The bytes are not that chunk, the list is not here yet, or the store cannot write.
    pub fn put_chunk(&self, chunk: u32, bytes: &[u8]) -> Result<Progress, PartialError> {
        let (blob, size) = (self.state.blob, self.state.size);
        self.check(chunk, bytes)?;
        {
            let mut held = lock(&self.state.held);
            if held.row.location(chunk).is_some() {
                let complete = held.row.is_complete();
                drop(held);
                return self.progress(complete);
            }
            if !held.writing.insert(chunk) {
                return Ok(Progress { complete: false });
            }
        }
        let header = Header { body: Body::Data { blob, size, chunk }, moved: false };
        let appended =
            self.store.shared().appender.append(&[Record { header, payload: bytes, source: None }]);
        let mut held = lock(&self.state.held);
        held.writing.remove(&chunk);
        let appended = appended?;
        held.row.place(chunk, appended.at);
        self.note(appended.seq);
        let complete = held.row.is_complete();
        drop(held);
        self.progress(complete)
    }

    /// Waits until everything put so far is durable.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn flush(&self) -> Result<(), StoreError> {
        let last = *lock(&self.state.last);
        self.store.shared().queue.wait(last)
    }

    /// A chunk that is here, verified since it was read; `None` if it is not here. May wait for the disk.
    ///
    /// # Errors
    /// It was damaged (and is missing from now on), or the store cannot read.
    pub fn chunk(&self, chunk: u32) -> Result<Option<Bytes>, ReadError> {
        let (blob, size) = (self.state.blob, self.state.size);
        let shared = self.store.shared();
        if self.state.lease.is_dead() {
            return Err(ReadError::Gone { blob, chunk });
        }
        let Some(at) = lock(&self.state.held).row.location(chunk) else { return Ok(None) };
        if let Some(bytes) = shared.chunks.cached(&blob, chunk) {
            return Ok(Some(bytes));
        }
        let list = self.list();
        if size > CHUNK_BYTES && list.is_none() {
            return Ok(None);
        }
        let wanted = Wanted { blob: &blob, size, chunk, at, list: list.as_deref() };
        let read = shared.shelf.file(at.pack).map_err(Miss::Disk);
        match read.and_then(|file| shared.chunks.read(&*file, &wanted, true)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Miss::Disk(error)) if error.kind() == std::io::ErrorKind::NotFound => self.moved(chunk),
            Err(Miss::Disk(error)) => {
                Err(ReadError::Store(StoreError::disk("read", &shared.shelf.path(at.pack), error)))
            }
            Err(Miss::Damaged | Miss::NotNow) => {
                lock(&self.state.held).row.forget(chunk);
                shared.drop_chunk(&blob, size, Some(chunk), at, true);
                Err(ReadError::Damaged { blob, chunk })
            }
        }
    }

    /// Compaction took the pack away: asks the index where things lie now.
    fn moved(&self, chunk: u32) -> Result<Option<Bytes>, ReadError> {
        let (blob, size) = (self.state.blob, self.state.size);
        let shared = self.store.shared();
        let row = match self.store.known(&blob)? {
            Known::Complete(row) => Some(BlobRow::clone(&row)),
            Known::Dead => None,
            Known::Absent => shared.index.partial(&blob, size)?,
        };
        let at = row.as_ref().and_then(|row| row.location(chunk));
        let mut held = lock(&self.state.held);
        let Some((row, at)) = row.zip(at) else {
            held.row.forget(chunk);
            return Ok(None);
        };
        for moved in 0..chunk_count(size) {
            if let (Some(_), Some(at)) = (held.row.location(moved), row.location(moved)) {
                held.row.place(moved, at);
            }
        }
        drop(held);
        let list = self.list();
        let wanted = Wanted { blob: &blob, size, chunk, at, list: list.as_deref() };
        let read = shared.shelf.file(at.pack).map_err(Miss::Disk);
        match read.and_then(|file| shared.chunks.read(&*file, &wanted, true)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(ReadError::Damaged { blob, chunk }),
        }
    }

    fn check(&self, chunk: u32, bytes: &[u8]) -> Result<(), PartialError> {
        let (blob, size) = (self.state.blob, self.state.size);
        if self.state.lease.is_dead() {
            return Err(PartialError::Dead(blob));
        }
        if let Some(list) = self.state.list.get() {
            return list.check(chunk, bytes).map_err(PartialError::Content);
        }
        if size > CHUNK_BYTES {
            return Err(PartialError::ListFirst(blob));
        }
        let expected = chunk_len(size, chunk);
        if chunk > 0 || size == 0 {
            return Err(PartialError::Content(ChunkError::NoSuchChunk { blob, index: chunk }));
        }
        if bytes.len() != expected as usize {
            let got = bytes.len();
            return Err(PartialError::Content(ChunkError::ChunkLength { blob, index: chunk, expected, got }));
        }
        verify_small(&blob, bytes).map_err(PartialError::Content)
    }

    fn note(&self, seq: Seq) {
        let mut last = lock(&self.state.last);
        *last = (*last).max(seq);
    }

    fn progress(&self, complete: bool) -> Result<Progress, PartialError> {
        if complete {
            self.flush()?;
        }
        Ok(Progress { complete })
    }
}
