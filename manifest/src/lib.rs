//! What was promised: ids, the CBOR profile, the Merkle tree of a manifest, and the signed records that name it.
//!
//! Nothing here does I/O, reads a clock or draws a random number. FORMAT.md, beside this crate, is the byte-level
//! contract; each module names its section.

mod blob;
pub mod cbor;
mod chunk;
mod clock;
mod entry;
mod ids;
mod limits;
mod path;

pub use blob::{BlobHasher, HashedBlob};
pub use chunk::{ChunkError, ChunkList, chunk_count, chunk_len, chunk_range, verify_small};
pub use clock::{Clock, SystemClock, Timestamp};
pub use entry::{Entry, EntryError, Ext};
pub use ids::{BlobId, CatalogId, HeadId, NodeId, ParseIdError, RevId, RootId, Sha256};
pub use limits::{
    BLOB_BYTES_MAX, CHUNK_BYTES, DIFF_BYTES_MAX, EXT_BYTES_MAX, MTIME_MAX, NODE_BYTES_MAX, PATH_BYTES_MAX,
    PATH_SEGMENTS_MAX, PROOF_BYTES_MAX, SEGMENT_BYTES_MAX, TREE_LEVELS_MAX,
};
pub use path::{ArtifactPath, PathError, PathReason, UNICODE_VERSION};
