//! What was promised: ids, the CBOR profile, the Merkle tree of a manifest, and the signed records that name it.
//!
//! Nothing here does I/O, reads a clock or draws a random number. FORMAT.md, beside this crate, is the byte-level
//! contract; each module names its section.

pub mod cbor;

mod adoption;
mod blob;
mod chunk;
mod clock;
mod cosignature;
mod diff;
mod entry;
mod envelope;
mod equivocation;
mod extensions;
mod full;
mod head;
mod ids;
mod key;
mod limits;
mod op;
mod path;
mod pin;
mod record;
mod revocation;
mod root;
mod text_rules;
mod tree;
mod trust;
mod verify;

pub use adoption::{ANCESTORS_MAX, Adopted, Adoption, Ancestors, Because, Mark, judge};
pub use blob::{BlobHasher, HashedBlob};
pub use chunk::{ChunkError, ChunkList, ChunkListBuilder, chunk_count, chunk_len, chunk_range, verify_small};
pub use clock::{Clock, SystemClock, Timestamp};
pub use cosignature::{
    CLOCK_SKEW_MAX, COSIGNATURE_LIFE, Cosig, CosigRefusal, Cosignature, Freshness, Staleness, freshness,
    trusted_now,
};
pub use diff::{
    ApplyError, DiffError, DiffHeader, apply_diff, decode_diff, diff_fits, encode_diff, end_of_operation,
    last_whole_operation,
};
pub use entry::{Entry, EntryError, Ext};
pub use envelope::{Envelope, EnvelopeError, RecordKind, SIGNATURES_MAX, signed_bytes};
pub use equivocation::{EQUIVOCATION_BYTES_MAX, Equivocation, EquivocationError};
pub use extensions::{EXTENSIONS_MAX, Extensions};
pub use full::{FullError, FullFrames, FullReader, encode_full};
pub use head::{
    Head, HeadBuilder, HeadMeta, LABELS_MAX, Label, ORIGINS_MAX, TAGS_MAX, VOID_MAX, skip_target,
};
pub use ids::{BlobId, CatalogId, HeadId, NodeId, ParseIdError, RevId, RootId, Sha256};
pub use key::{KeyError, KeyHint, KeyLine, PublicKey, SignError, Signature, Signer, SigningKey};
pub use limits::{
    BLOB_BYTES_MAX, CHUNK_BYTES, DIFF_BYTES_MAX, DIFF_OPS_MAX, DIFF_PATH_BYTES_MAX, EXT_BYTES_MAX, MTIME_MAX,
    NODE_BYTES_MAX, PATH_BYTES_MAX, PATH_SEGMENTS_MAX, PROOF_BYTES_MAX, SEGMENT_BYTES_MAX, TREE_LEVELS_MAX,
};
pub use op::Op;
pub use path::{ArtifactPath, PathError, PathReason, UNICODE_VERSION};
pub use pin::Pin;
pub use record::{BrokenRule, Record, RecordError, Unverified};
pub use revocation::{
    HashedBlobId, REVOCATION_BYTES_MAX, Reason, Revocation, RevocationError, RevocationList, Revoked,
};
pub use root::{
    Floor, KeyEntry, ROOT_KEYS_MAX, RoleEntry, Roles, Root, RootBuilder, Witness, default_witness_quorum,
};
pub use text_rules::check_catalog_name;
pub use tree::{
    Branch, Changes, Child, Entries, HOT_PATHS_MAX, HotPaths, Listing, MemoryNodes, Node, NodeError, NodeIds,
    NodeSink, Nodes, NodesError, Proof, ProofError, Tree, TreeBuilder, TreeError,
};
pub use trust::{HeadRefusal, ROOTS_MAX, RetireError, RootRefusal, SelfRevocation, TrustRoot};
pub use verify::{Basis, Role, RoleName, Verified, VerifyError, verify, verify_named};
