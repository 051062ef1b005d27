//! Reading a blob that is here in full.
//!
//! [`BlobReader::cached`] is memory, [`BlobReader::try_chunk_now`] adds what the system has in memory,
//! [`BlobReader::chunk`] may wait for the disk, [`BlobReader::fetch`] has the store's own threads wait.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, chunk_count};

use crate::change::Change;
use crate::chunks::{Miss, Wanted};
use crate::error::{ReadError, StoreError};
use crate::leases::Lease;
use crate::pack::Location;
use crate::record::HEADER_BYTES;
use crate::row::BlobRow;
use crate::rows::Known;
use crate::store::{Shared, Store, is_empty_blob};

/// A blob that is here in full. While a reader is open the blob is not evicted; a purge ends it.
#[derive(Clone, Debug)]
pub struct BlobReader {
    blob: BlobId,
    size: u64,
    state: Arc<ReaderState>,
    store: Store,
}

#[derive(Debug)]
struct ReaderState {
    lease: Lease,
    row: Mutex<Option<Arc<BlobRow>>>,
    list: OnceLock<Arc<ChunkList>>,
}

impl Store {
    /// Opens a blob that is here in full; `None` if it is not.
    ///
    /// # Errors
    /// The index fails.
    pub fn open_blob(&self, blob: &BlobId) -> Result<Option<BlobReader>, StoreError> {
        // The lease first: from here on no eviction removes what the look-up finds.
        let lease = self.shared().leases.lease(blob);
        Ok(self.open_known(blob, lease, self.known(blob)?))
    }

    /// As [`open_blob`](Self::open_blob), without ever waiting for a disk: the outer `None` says that memory does not
    /// know whether the blob is here.
    #[must_use]
    pub fn open_blob_now(&self, blob: &BlobId) -> Option<Option<BlobReader>> {
        let shared = self.shared();
        let lease = shared.leases.lease(blob);
        Some(self.open_known(blob, lease, shared.rows.remembered(blob)?))
    }

    fn open_known(&self, blob: &BlobId, lease: Lease, known: Known) -> Option<BlobReader> {
        let shared = self.shared();
        let row = match known {
            Known::Complete(row) => Some(row),
            Known::Absent if is_empty_blob(blob) => None,
            Known::Dead | Known::Absent => return None,
        };
        if let Some(row) = &row {
            let hour = shared.hour();
            if row.last_use < hour {
                shared.queue.push_if_room(Change::Touch { blob: *blob, hour });
            }
        }
        let size = row.as_ref().map_or(0, |row| row.size);
        let state = ReaderState { lease, row: Mutex::new(row), list: OnceLock::new() };
        Some(BlobReader { blob: *blob, size, state: Arc::new(state), store: self.clone() })
    }

    /// The verified chunk list of a blob that is here in full and has one.
    #[must_use]
    pub fn chunk_list(&self, blob: &BlobId) -> Option<Arc<ChunkList>> {
        let reader = self.open_blob(blob).ok().flatten()?;
        if reader.size <= CHUNK_BYTES { None } else { reader.list(true).ok() }
    }
}

impl BlobReader {
    /// The blob.
    #[must_use]
    pub fn blob(&self) -> &BlobId {
        &self.blob
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks it has; the empty blob has none.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        chunk_count(self.size)
    }

    /// A chunk that is in memory, verified.
    #[must_use]
    pub fn cached(&self, chunk: u32) -> Option<Bytes> {
        if self.state.lease.is_dead() { None } else { self.store.shared().chunks.cached(&self.blob, chunk) }
    }

    /// A chunk that can be had and verified without waiting for a disk; `None` if it cannot. Hashes up to 256 KiB.
    ///
    /// # Errors
    /// The chunk is damaged or gone, or the store cannot read.
    pub fn try_chunk_now(&self, chunk: u32) -> Result<Option<Bytes>, ReadError> {
        match self.read(chunk, false) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refused::NotNow) => Ok(None),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// A chunk, verified since it was read. May wait for the disk.
    ///
    /// # Errors
    /// The chunk is damaged or gone, or the store cannot read.
    pub fn chunk(&self, chunk: u32) -> Result<Bytes, ReadError> {
        self.read(chunk, true).map_err(|refused| match refused {
            Refused::NotNow => ReadError::Gone { blob: self.blob, chunk },
            Refused::Error(error) => error,
        })
    }

    /// Has one of the store's own threads read a chunk and hand it to `done`. Whoever asks for the same chunk meanwhile
    /// gets it from the same read.
    pub fn fetch(&self, chunk: u32, done: impl FnOnce(Result<Bytes, ReadError>) + Send + 'static) {
        let reader = self.clone();
        let answer = move |read| {
            // What somebody else's read brought is not for readers of a blob that died meanwhile.
            let gone = ReadError::Gone { blob: reader.blob, chunk };
            done(if reader.state.lease.is_dead() { Err(gone) } else { read });
        };
        let Some(read) = self.store.shared().reading.join((self.blob, chunk), answer) else { return };
        let reader = self.clone();
        // If too many reads wait already the job is dropped, and with it the read, which says so to all who wait.
        self.store.pool().run(move || read.end(&reader.chunk(chunk)));
    }

    fn read(&self, chunk: u32, wait: bool) -> Result<Bytes, Refused> {
        let gone = ReadError::Gone { blob: self.blob, chunk };
        if self.state.lease.is_dead() {
            return Err(gone.into());
        }
        if let Some(bytes) = self.cached(chunk) {
            return Ok(bytes);
        }
        let list = if self.size > CHUNK_BYTES { Some(self.list(wait)?) } else { None };
        let shared = self.store.shared();
        // Compaction may move a chunk between the look at its row and the read; once, since packs stay for long.
        for renewed in [false, true] {
            let row = if renewed { self.renewed()? } else { self.row() };
            let at = row.and_then(|row| row.location(chunk)).ok_or_else(|| gone.clone())?;
            let wanted = Wanted { blob: &self.blob, size: self.size, chunk, at, list: list.as_deref() };
            let read = shared.shelf.file(at.pack).map_err(Miss::Disk);
            match read.and_then(|file| shared.chunks.read(&*file, &wanted, wait)) {
                Ok(bytes) => return Ok(bytes),
                Err(Miss::NotNow) => return Err(Refused::NotNow),
                Err(Miss::Disk(error)) if error.kind() == std::io::ErrorKind::NotFound && !renewed => {}
                Err(Miss::Disk(error)) => {
                    let error = StoreError::disk("read", &shared.shelf.path(at.pack), error);
                    return Err(ReadError::Store(error).into());
                }
                Err(Miss::Damaged) => {
                    shared.drop_chunk(&self.blob, self.size, Some(chunk), at, wait);
                    return Err(ReadError::Damaged { blob: self.blob, chunk }.into());
                }
            }
        }
        Err(gone.into())
    }

    fn row(&self) -> Option<Arc<BlobRow>> {
        self.state.row.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renewed(&self) -> Result<Option<Arc<BlobRow>>, ReadError> {
        let row = match self.store.known(&self.blob)? {
            Known::Complete(row) => Some(row),
            Known::Dead | Known::Absent => None,
        };
        self.state.row.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&row);
        Ok(row)
    }

    /// The blob's list, read and verified once per reader at most.
    fn list(&self, wait: bool) -> Result<Arc<ChunkList>, Refused> {
        if let Some(list) = self.state.list.get() {
            return Ok(Arc::clone(list));
        }
        let shared = self.store.shared();
        if let Some(list) = shared.rows.lists.get(&self.blob) {
            return Ok(Arc::clone(self.state.list.get_or_init(|| list)));
        }
        if !wait {
            return Err(Refused::NotNow);
        }
        for renewed in [false, true] {
            let row = if renewed { self.renewed()? } else { self.row() };
            let Some(at) = row.and_then(|row| row.list) else { break };
            match shared.read_list(&self.blob, self.size, at) {
                Ok(list) => return Ok(Arc::clone(self.state.list.get_or_init(|| list))),
                Err(Miss::Disk(error)) if error.kind() == std::io::ErrorKind::NotFound && !renewed => {}
                Err(Miss::Disk(error)) => {
                    let error = StoreError::disk("read", &shared.shelf.path(at.pack), error);
                    return Err(ReadError::Store(error).into());
                }
                Err(Miss::Damaged | Miss::NotNow) => {
                    shared.drop_chunk(&self.blob, self.size, None, at, wait);
                    return Err(ReadError::Damaged { blob: self.blob, chunk: 0 }.into());
                }
            }
        }
        Err(ReadError::Gone { blob: self.blob, chunk: 0 }.into())
    }
}

/// Why a read gave nothing.
enum Refused {
    NotNow,
    Error(ReadError),
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Self::Error(error)
    }
}

impl Shared {
    /// Reads and verifies a chunk list, and remembers it.
    pub(crate) fn read_list(&self, blob: &BlobId, size: u64, at: Location) -> Result<Arc<ChunkList>, Miss> {
        let file = self.shelf.file(at.pack).map_err(Miss::Disk)?;
        let mut bytes = vec![0; chunk_count(size) as usize * 32];
        let read = file.read_at(u64::from(at.offset) + HEADER_BYTES, &mut bytes).map_err(Miss::Disk)?;
        let list = ChunkList::verify(bytes.get(..read).unwrap_or_default(), blob, size);
        let list = Arc::new(list.map_err(|_| Miss::Damaged)?);
        self.rows.lists.insert(*blob, Arc::clone(&list), bytes.len() as u64 + 96);
        Ok(list)
    }

    /// Drops a damaged chunk, or list, from the index; an event follows when that is durable.
    pub(crate) fn drop_chunk(&self, blob: &BlobId, size: u64, chunk: Option<u32>, at: Location, wait: bool) {
        let change = Change::Drop { blob: *blob, size, chunk, at };
        if !wait {
            return self.queue.push_if_room(change);
        }
        let dropped = self.queue.push([change].into_iter(), 0).and_then(|seq| self.queue.wait(seq));
        if let Err(error) = dropped {
            tracing::warn!(%error, %blob, "cannot note that a chunk is damaged");
        }
    }
}
