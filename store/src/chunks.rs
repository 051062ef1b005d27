//! Verified reads: the only way out for bytes that came from a disk (P1).
//!
//! A chunk is hashed after every read and before anybody sees it. What has verified is shared by all who send it at the
//! same time; what is asked for again soon stays in memory, within a bound, and is served from there. What is asked for
//! once is not kept: a large download would drive out all that is hot, and each of its reads would meet a buffer that the
//! processor's caches have long forgotten.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, chunk_len};

use crate::buffers::{Buffer, Buffers, ChunkRoom};
use crate::cache::Cache;
use crate::disk::DiskFile;
use crate::lent::{ChunkKey, Lent};
use crate::pack::Location;
use crate::record::HEADER_BYTES;

/// A chunk that was asked for once weighs at least this much, so that the notes of tiny ones stay few.
const NOTE_WEIGHT_MIN: u64 = 4096;

/// Chunks in memory that have verified.
#[derive(Debug)]
pub(crate) struct Chunks {
    verified: Cache<ChunkKey, Bytes>,
    /// Chunks that were read lately, as many as `verified` could hold; only their names.
    asked: Cache<ChunkKey, ()>,
    lent: Arc<Lent>,
    buffers: Arc<Buffers>,
}

/// One chunk, and how to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) blob: &'a BlobId,
    pub(crate) size: u64,
    pub(crate) chunk: u32,
    pub(crate) at: Location,
    /// The blob's list; needed above one chunk.
    pub(crate) list: Option<&'a ChunkList>,
}

/// Why a chunk did not come.
#[derive(Debug)]
pub(crate) enum Miss {
    /// It is not in memory, and nobody is to wait.
    NotNow,
    /// What lies there is not the chunk.
    Damaged,
    Disk(io::Error),
}

impl Wanted<'_> {
    fn verifies(&self, bytes: &[u8]) -> bool {
        match self.list {
            Some(list) => list.check(self.chunk, bytes).is_ok(),
            None => self.size <= CHUNK_BYTES && BlobId::of(bytes) == *self.blob,
        }
    }
}

impl Chunks {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let (verified, asked) = (Cache::new(bytes_max), Cache::new(bytes_max));
        Self { verified, asked, lent: Arc::default(), buffers: Arc::default() }
    }

    pub(crate) fn cached(&self, blob: &BlobId, chunk: u32) -> Option<Bytes> {
        let key = (*blob, chunk);
        self.verified.get(&key).or_else(|| self.shared(&key))
    }

    /// The chunk from whoever sends it now, if anybody does.
    fn shared(&self, key: &ChunkKey) -> Option<Bytes> {
        let bytes = self.lent.share(key)?;
        self.keep_if_asked_again(*key, &bytes, Buffers::weight(bytes.len()));
        Some(bytes)
    }

    /// Room for a chunk that arrives.
    pub(crate) fn room(&self, len: usize) -> ChunkRoom {
        ChunkRoom::new(&self.buffers, len)
    }

    /// Bytes of verified chunks in memory.
    pub(crate) fn weight(&self) -> u64 {
        self.verified.weight()
    }

    /// Reads and verifies a chunk; with `wait` false only if the system has it in memory.
    pub(crate) fn read(&self, file: &dyn DiskFile, wanted: &Wanted<'_>, wait: bool) -> Result<Bytes, Miss> {
        let len = chunk_len(wanted.size, wanted.chunk) as usize;
        let mut buffer = self.buffers.take(len);
        let offset = u64::from(wanted.at.offset) + HEADER_BYTES;
        let read = if wait {
            file.read_at(offset, buffer.as_mut())
        } else {
            file.read_at_nowait(offset, buffer.as_mut())
        };
        match read {
            Err(error) if !wait && error.kind() == io::ErrorKind::WouldBlock => return Err(Miss::NotNow),
            Err(error) => return Err(Miss::Disk(error)),
            Ok(read) if read < len => return Err(if wait { Miss::Damaged } else { Miss::NotNow }),
            Ok(_) => {}
        }
        if !wanted.verifies(buffer.as_ref()) {
            return Err(Miss::Damaged);
        }
        Ok(self.keep(wanted, buffer))
    }

    fn keep(&self, wanted: &Wanted<'_>, buffer: Buffer) -> Bytes {
        let (key, weight) = ((*wanted.blob, wanted.chunk), buffer.weight());
        let bytes = if buffer.is_pooled() { self.lent.lend(key, buffer) } else { buffer.into_bytes() };
        self.keep_if_asked_again(key, &bytes, weight);
        bytes
    }

    fn keep_if_asked_again(&self, key: ChunkKey, bytes: &Bytes, weight: u64) {
        if self.asked.get(&key).is_some() {
            self.asked.remove(&key);
            self.verified.insert(key, bytes.clone(), weight);
        } else {
            self.asked.insert(key, (), weight.max(NOTE_WEIGHT_MIN));
        }
    }

    /// Forgets a blob's first chunks, as many as `count`.
    pub(crate) fn forget(&self, blob: &BlobId, count: u32) {
        for chunk in 0..count {
            let key = (*blob, chunk);
            self.verified.remove(&key);
            self.lent.forget(&key);
        }
    }
}
