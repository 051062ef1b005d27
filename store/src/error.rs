//! What can go wrong, by who must act: the disk or ourselves ([`StoreError`]), whoever supplied bytes
//! ([`IngestError`], [`PartialError`]), or whoever can fetch a lost chunk again ([`ReadError`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odi_manifest::{BlobId, ChunkError, NodeId};

/// The store or its disk failed. Nobody outside is to blame.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A chunk in a pack could not be read.
    #[error("cannot {operation} {}", path.display())]
    Disk {
        /// The verb that failed.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// Writing would break the budget. Evict and reclaim, then try again.
    #[error("{need} more bytes do not fit: {used} of {budget} are used")]
    Full {
        /// Bytes asked for.
        need: u64,
        /// Bytes that packs and index take.
        used: u64,
        /// What may be used, without the pack kept back for compaction.
        budget: u64,
    },
    /// The folder holds something else, or a store of another version.
    #[error("{} is not an ODI store of version 1", path.display())]
    Foreign {
        /// The header file.
        path: PathBuf,
    },
    /// redb failed.
    #[error("the index failed to {operation}")]
    Index {
        /// What was being done.
        operation: &'static str,
        /// What redb said.
        source: Arc<redb::Error>,
    },
    /// A row of the index is not what the store writes.
    #[error("the index holds a malformed row; rebuild it with `odi store check --rebuild`")]
    IndexRow,
    /// Another process has it open.
    #[error("{} is open in another process", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// There are packs and no index.
    #[error("{} has packs but no index; rebuild it with `odi store check --rebuild`", path.display())]
    NoIndex {
        /// The store's folder.
        path: PathBuf,
    },
    /// A pack's own header is damaged, or the pack belongs to another store.
    #[error("{} is not a pack of this store", path.display())]
    PackHeader {
        /// The pack's file.
        path: PathBuf,
    },
    /// A former write failed, so that nothing is known about what reached the disk. Open the store again.
    #[error("the store takes no more writes since one failed")]
    Stopped {
        /// The failure.
        source: Arc<Self>,
    },
}

impl StoreError {
    pub(crate) fn disk(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Disk { operation, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn index(operation: &'static str, source: impl Into<redb::Error>) -> Self {
        Self::Index { operation, source: Arc::new(source.into()) }
    }
}

/// A blob was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are not what they were said to be: whoever supplied them is to blame.
    #[error("the bytes supplied do not verify")]
    Content(#[source] ChunkError),
    /// The blob was purged and stays dead until it is lifted.
    #[error("blob {0} was purged")]
    Dead(BlobId),
    /// A file changed, or ended early, while it was read.
    #[error("the file changed while it was read")]
    Changed,
    /// A file could not be read.
    #[error("cannot read the file")]
    Source(#[source] io::Error),
    /// A node's bytes are not the node's.
    #[error("the bytes supplied for node {0} are not that node")]
    Node(NodeId),
    /// The store could not write.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A piece of a partial blob was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// The chunk or list does not verify: whoever supplied it is to blame.
    #[error("what was supplied does not verify")]
    Content(#[source] ChunkError),
    /// Blobs of more than one chunk need their list first.
    #[error("blob {0} has no chunk list yet")]
    ListFirst(BlobId),
    /// The blob was purged and stays dead until it is lifted.
    #[error("blob {0} was purged")]
    Dead(BlobId),
    /// The complete blob is here and has another size.
    #[error("blob {blob} has {actual} bytes, not {claimed}")]
    Size {
        /// The blob.
        blob: BlobId,
        /// The size somebody claimed.
        claimed: u64,
        /// Its size, proved.
        actual: u64,
    },
    /// The store could not write.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Bytes could not be given out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The chunk rotted on disk. It has been dropped, and an event says so.
    #[error("chunk {chunk} of blob {blob} is damaged on disk")]
    Damaged {
        /// The blob.
        blob: BlobId,
        /// The chunk, from 0.
        chunk: u32,
    },
    /// The blob, or this chunk of it, is no longer held: purged, or dropped as damaged.
    #[error("chunk {chunk} of blob {blob} is not held")]
    Gone {
        /// The blob.
        blob: BlobId,
        /// The chunk, from 0.
        chunk: u32,
    },
    /// All readers are busy and their queue is full.
    #[error("too many reads are waiting")]
    Busy,
    /// The store could not read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
