//! Verified reads: the only way out for bytes that came from a disk (P1).
//!
//! A chunk is hashed after every read and before anybody sees it; what has verified may stay in memory, within a
//! bound, and is served from there.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, chunk_len};

use crate::buffers::{Buffer, Buffers};
use crate::cache::Cache;
use crate::disk::DiskFile;
use crate::pack::Location;
use crate::record::HEADER_BYTES;

/// Chunks in memory that have verified.
#[derive(Debug)]
pub(crate) struct Chunks {
    verified: Cache<(BlobId, u32), Bytes>,
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
        Self { verified: Cache::new(bytes_max), buffers: Arc::default() }
    }

    pub(crate) fn cached(&self, blob: &BlobId, chunk: u32) -> Option<Bytes> {
        self.verified.get(&(*blob, chunk))
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
        let weight = buffer.weight();
        let bytes = buffer.into_bytes();
        self.verified.insert((*wanted.blob, wanted.chunk), bytes.clone(), weight);
        bytes
    }

    /// Forgets a blob's first chunks, as many as `count`.
    pub(crate) fn forget(&self, blob: &BlobId, count: u32) {
        (0..count).for_each(|chunk| self.verified.remove(&(*blob, chunk)));
    }
}
