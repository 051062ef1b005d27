//! Every bound of the formats in this half of the crate, by name. FORMAT.md § Limits lists the same numbers; changing
//! one changes which manifests are valid.

/// Bytes of a chunk: the unit of verification, transfer and storage.
pub const CHUNK_BYTES: u64 = 256 * 1024;

/// Bytes of the largest blob: 64 GiB, whose chunk list is 8 MiB.
pub const BLOB_BYTES_MAX: u64 = 64 << 30;

/// Bytes of the longest artifact path.
pub const PATH_BYTES_MAX: usize = 1024;

/// Bytes of the longest segment of a path.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// Segments of the deepest path.
pub const PATH_SEGMENTS_MAX: usize = 32;

/// The latest modification time, 9999-12-31T23:59:59Z: an HTTP date cannot say a later one.
pub const MTIME_MAX: u64 = 253_402_300_799;

/// Encoded bytes of the largest extension map of an entry.
pub const EXT_BYTES_MAX: usize = 64;

/// Encoded bytes of the largest tree node.
pub const NODE_BYTES_MAX: usize = 128 * 1024;

/// Levels of the deepest tree, leaves included.
pub const TREE_LEVELS_MAX: u8 = 8;

/// Encoded bytes of the largest diff. Whatever is larger travels as nodes.
pub const DIFF_BYTES_MAX: usize = 64 << 20;

/// Operations of the largest diff.
pub const DIFF_OPS_MAX: usize = 1_000_000;

/// Bytes of all paths of a diff, written out. Prefixes make a path of 1024 bytes out of four on the wire, so without
/// this bound 64 MiB would unfold to gigabytes.
pub const DIFF_PATH_BYTES_MAX: usize = 128 << 20;

/// Encoded bytes of the largest proof: a node per level, and their frames.
pub const PROOF_BYTES_MAX: usize = TREE_LEVELS_MAX as usize * (NODE_BYTES_MAX + 5) + 1;
