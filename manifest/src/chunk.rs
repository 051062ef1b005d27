//! Chunk lists: the chaining values of a blob's 256 KiB chunks, taken from BLAKE3's own tree.
//!
//! FORMAT.md § Chunk lists. A list is untrusted bytes until it merges to the [`BlobId`]; a [`ChunkList`] has done so,
//! and from then on each chunk verifies alone, in any order and from any source. Blobs of up to one chunk have no
//! list and verify whole.

use std::ops::Range;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::{BLOB_BYTES_MAX, BlobId, CHUNK_BYTES};

/// Bytes of one chaining value.
const VALUE_BYTES: usize = 32;

/// A list or a chunk that is not what its blob's name says. The guilty party is whoever supplied the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// No blob is that large.
    #[error("blob {blob} cannot have {size} bytes, the largest has {BLOB_BYTES_MAX}")]
    BlobTooLarge {
        /// The blob.
        blob: BlobId,
        /// Its claimed size.
        size: u64,
    },
    /// A blob of at most one chunk has no list.
    #[error("blob {blob} of {size} bytes has no chunk list")]
    NoList {
        /// The blob.
        blob: BlobId,
        /// Its claimed size.
        size: u64,
    },
    /// A list of the wrong length for the blob's size.
    #[error("chunk list of blob {blob} has {got} bytes instead of {expected}")]
    ListLength {
        /// The blob.
        blob: BlobId,
        /// 32 times the number of chunks.
        expected: u64,
        /// What was supplied.
        got: usize,
    },
    /// A list, or a whole small blob, that hashes to another name.
    #[error("bytes supplied for blob {blob} are those of {got}")]
    OtherBlob {
        /// The blob.
        blob: BlobId,
        /// What the bytes hash to.
        got: BlobId,
    },
    /// An index past the last chunk.
    #[error("blob {blob} has no chunk {index}")]
    NoSuchChunk {
        /// The blob.
        blob: BlobId,
        /// The index, from 0.
        index: u32,
    },
    /// A chunk of the wrong length.
    #[error("chunk {index} of blob {blob} has {got} bytes instead of {expected}")]
    ChunkLength {
        /// The blob.
        blob: BlobId,
        /// The index, from 0.
        index: u32,
        /// Its length.
        expected: u32,
        /// What was supplied.
        got: usize,
    },
    /// A chunk whose bytes are not those of the blob.
    #[error("chunk {index} of blob {blob} does not verify")]
    ChunkContent {
        /// The blob.
        blob: BlobId,
        /// The index, from 0.
        index: u32,
    },
}

impl ChunkError {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BlobTooLarge { .. } => "blob-too-large",
            Self::NoList { .. } => "no-list",
            Self::ListLength { .. } => "list-length",
            Self::OtherBlob { .. } => "other-blob",
            Self::NoSuchChunk { .. } => "no-such-chunk",
            Self::ChunkLength { .. } => "chunk-length",
            Self::ChunkContent { .. } => "chunk-content",
        }
    }
}

/// How many chunks a blob of `size` bytes has: none if empty. Saturates for sizes past [`BLOB_BYTES_MAX`].
#[must_use]
pub fn chunk_count(size: u64) -> u32 {
    u32::try_from(size.div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX)
}

/// Where chunk `index` lies in a blob of `size` bytes; empty past the end.
#[must_use]
pub fn chunk_range(size: u64, index: u32) -> Range<u64> {
    let start = (u64::from(index) * CHUNK_BYTES).min(size);
    start..start.saturating_add(CHUNK_BYTES).min(size)
}

/// Bytes of chunk `index` in a blob of `size` bytes: [`CHUNK_BYTES`] for all but the last; 0 past the end.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a chunk's length is at most CHUNK_BYTES")]
pub fn chunk_len(size: u64, index: u32) -> u32 {
    let range = chunk_range(size, index);
    (range.end - range.start) as u32
}

/// Verifies a whole blob that is in memory, of any size.
///
/// # Errors
/// [`ChunkError::OtherBlob`].
pub fn verify_small(blob: &BlobId, bytes: &[u8]) -> Result<(), ChunkError> {
    let got = BlobId::of(bytes);
    if got == *blob { Ok(()) } else { Err(ChunkError::OtherBlob { blob: *blob, got }) }
}

/// The verified chunk list of one blob of more than one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkList {
    blob: BlobId,
    size: u64,
    values: Box<[ChainingValue]>,
}

impl ChunkList {
    /// Turns a supplied list into a verified one: it has exactly one value per chunk, and merges to the blob's name.
    /// Only a blob's true size can pass, up to the length of the last chunk, which that chunk's own check settles.
    ///
    /// # Errors
    /// The list is not this blob's, or a blob of this size has none.
    pub fn verify(bytes: &[u8], blob: &BlobId, size: u64) -> Result<Self, ChunkError> {
        let blob = *blob;
        if size > BLOB_BYTES_MAX {
            return Err(ChunkError::BlobTooLarge { blob, size });
        }
        if size <= CHUNK_BYTES {
            return Err(ChunkError::NoList { blob, size });
        }
        let expected = u64::from(chunk_count(size)) * VALUE_BYTES as u64;
        let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
        if bytes.len() as u64 != expected || !rest.is_empty() {
            return Err(ChunkError::ListLength { blob, expected, got: bytes.len() });
        }
        let got = merge_root(values);
        if got != blob {
            return Err(ChunkError::OtherBlob { blob, got });
        }
        Ok(Self { blob, size, values: values.into() })
    }

    /// A list whose values were computed from the blob itself.
    pub(crate) fn computed(values: Vec<ChainingValue>, size: u64) -> Self {
        Self { blob: merge_root(&values), size, values: values.into() }
    }

    /// The blob.
    #[must_use]
    pub const fn blob(&self) -> &BlobId {
        &self.blob
    }

    /// The blob's size in bytes. The list proves it to within the last chunk.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks the blob has: at least two.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a list is never empty")]
    pub fn len(&self) -> u32 {
        chunk_count(self.size)
    }

    /// The list as stored and sent: the values one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.as_flattened().to_vec()
    }

    /// The chaining value of one chunk.
    #[must_use]
    pub fn value(&self, index: u32) -> Option<&ChainingValue> {
        self.values.get(usize::try_from(index).ok()?)
    }

    /// Verifies one chunk of the blob.
    ///
    /// # Errors
    /// The bytes are not that chunk.
    pub fn check(&self, index: u32, bytes: &[u8]) -> Result<(), ChunkError> {
        let blob = self.blob;
        let value = self.value(index).ok_or(ChunkError::NoSuchChunk { blob, index })?;
        let expected = chunk_len(self.size, index);
        if bytes.len() != expected as usize {
            return Err(ChunkError::ChunkLength { blob, index, expected, got: bytes.len() });
        }
        if chunk_value(index, bytes) == *value {
            Ok(())
        } else {
            Err(ChunkError::ChunkContent { blob, index })
        }
    }
}

/// Computes the chunk list of a blob that is at hand, with BLAKE3 alone: half the work of a
/// [`BlobHasher`](crate::BlobHasher) where nobody asks for the SHA-256.
#[derive(Clone, Debug, Default)]
pub struct ChunkListBuilder {
    values: Vec<ChainingValue>,
    size: u64,
}

impl ChunkListBuilder {
    /// A builder that has seen no chunk.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: Vec::new(), size: 0 }
    }

    /// Takes the next chunk: [`CHUNK_BYTES`] long, but for the last.
    pub fn push(&mut self, chunk: &[u8]) {
        debug_assert!(self.size.is_multiple_of(CHUNK_BYTES), "only the last chunk may be short");
        self.values.push(chunk_value(u32::try_from(self.values.len()).unwrap_or(u32::MAX), chunk));
        self.size += chunk.len() as u64;
    }

    /// The list, if the blob has one: at least two chunks were pushed.
    #[must_use]
    pub fn finish(self) -> Option<ChunkList> {
        (self.values.len() > 1).then(|| ChunkList::computed(self.values, self.size))
    }
}

/// The chaining value of a chunk that is not a whole blob.
fn chunk_value(index: u32, bytes: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(index) * CHUNK_BYTES).update(bytes).finalize_non_root()
}

/// Merges at least two values to the blob's name.
fn merge_root(values: &[ChainingValue]) -> BlobId {
    let (left, right) = halves(values);
    BlobId::from_bytes(*merge_subtrees_root(&merge(left), &merge(right), Mode::Hash).as_bytes())
}

/// Merges one subtree. The recursion is as deep as the tree: at most 18 for the largest blob.
fn merge(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [] => [0; VALUE_BYTES],
        [value] => *value,
        _ => {
            let (left, right) = halves(values);
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// BLAKE3's split: the left subtree has the largest power of two of chunks that leaves at least one.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().div_ceil(2).next_power_of_two().min(values.len()))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "patterns of bytes, and ranges of a few MiB")]
mod tests {
    use super::*;
    use crate::BlobHasher;

    #[test]
    fn ranges_tile_the_blob() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 7, BLOB_BYTES_MAX]
        {
            let count = chunk_count(size);
            assert_eq!(u64::from(count), size.div_ceil(CHUNK_BYTES));
            if count > 0 {
                assert_eq!(chunk_range(size, count - 1).end, size);
                assert!(chunk_len(size, count - 1) > 0);
            }
            assert_eq!(chunk_len(size, count), 0);
        }
        assert_eq!(chunk_range(u64::MAX, u32::MAX).start, u64::from(u32::MAX) * CHUNK_BYTES);
    }

    #[test]
    fn a_list_is_believed_only_if_it_merges_to_the_name() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 5).map(|i| (i % 251) as u8).collect();
        let mut hasher = BlobHasher::new();
        hasher.update(&bytes);
        let hashed = hasher.finalize();
        let list = hashed.chunks.unwrap();
        let raw = list.to_bytes();
        assert_eq!(ChunkList::verify(&raw, &hashed.blob, hashed.size), Ok(list.clone()));
        let refusal = |raw: &[u8], size| ChunkList::verify(raw, &hashed.blob, size).unwrap_err();
        assert!(matches!(refusal(&raw[..96], hashed.size), ChunkError::ListLength { expected: 128, .. }));
        assert!(matches!(refusal(&raw[..127], hashed.size), ChunkError::ListLength { .. }));
        assert!(matches!(refusal(&raw, 4 * CHUNK_BYTES + 1), ChunkError::ListLength { .. }));
        assert!(matches!(refusal(&raw, CHUNK_BYTES), ChunkError::NoList { .. }));
        assert!(matches!(refusal(&raw, BLOB_BYTES_MAX + 1), ChunkError::BlobTooLarge { .. }));
        for at in 0..raw.len() {
            let mut wrong = raw.clone();
            wrong[at] ^= 1;
            assert!(matches!(refusal(&wrong, hashed.size), ChunkError::OtherBlob { .. }));
        }
    }

    #[test]
    fn a_builder_agrees_with_the_hasher() {
        for size in [CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 5 * CHUNK_BYTES - 1] {
            let bytes: Vec<u8> = (0..size).map(|i| ((i * 13) >> 4) as u8).collect();
            let (mut hasher, mut builder) = (BlobHasher::new(), ChunkListBuilder::new());
            hasher.update(&bytes);
            bytes.chunks(CHUNK_BYTES as usize).for_each(|chunk| builder.push(chunk));
            assert_eq!(builder.finish(), hasher.finalize().chunks);
        }
    }

    #[test]
    fn a_chunk_verifies_only_at_its_own_place() {
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES + 9).map(|i| (i % 251) as u8).collect();
        let mut hasher = BlobHasher::new();
        hasher.update(&bytes);
        let list = hasher.finalize().chunks.unwrap();
        let chunk = |index| {
            let range = chunk_range(list.size(), index);
            &bytes[range.start as usize..range.end as usize]
        };
        for index in 0..list.len() {
            assert_eq!(list.check(index, chunk(index)), Ok(()));
        }
        let blob = *list.blob();
        assert_eq!(list.check(0, chunk(1)), Err(ChunkError::ChunkContent { blob, index: 0 }));
        assert_eq!(list.check(3, chunk(2)), Err(ChunkError::NoSuchChunk { blob, index: 3 }));
        assert!(matches!(
            list.check(2, &chunk(2)[1..]),
            Err(ChunkError::ChunkLength { expected: 9, got: 8, .. })
        ));
    }
}
