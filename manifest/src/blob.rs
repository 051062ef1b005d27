//! Hashing a blob once for everything that an entry says about it: BLAKE3, its chunk list, SHA-256 and size.

use blake3::hazmat::{ChainingValue, HasherExt};
use sha2::Digest;

use crate::chunk::ChunkList;
use crate::{BlobId, CHUNK_BYTES, Sha256};

/// Bytes handed to both hash functions in turn: large enough for BLAKE3's widest vectors, small enough that the
/// second function finds them in the cache.
const PIECE_BYTES: usize = 64 * 1024;

/// What one pass over a blob yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedBlob {
    /// The blob's name.
    pub blob: BlobId,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Its chunk list, iff it has more than one chunk.
    pub chunks: Option<ChunkList>,
}

/// Hashes a blob as it streams by, in pieces of any length.
#[derive(Clone, Debug)]
pub struct BlobHasher {
    /// Hashes the present chunk, which is finalized only once more bytes follow: a sole chunk is the tree's root.
    chunk: blake3::Hasher,
    values: Vec<ChainingValue>,
    sha256: sha2::Sha256,
    size: u64,
}

impl Default for BlobHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl BlobHasher {
    /// A hasher that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { chunk: blake3::Hasher::new(), values: Vec::new(), sha256: sha2::Sha256::new(), size: 0 }
    }

    /// How many bytes have been seen.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes of the blob.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = CHUNK_BYTES - self.chunk.count();
            if room == 0 {
                self.next_chunk();
                continue;
            }
            let most = usize::try_from(room).map_or(PIECE_BYTES, |room| room.min(PIECE_BYTES));
            let (piece, rest) = bytes.split_at(most.min(bytes.len()));
            self.chunk.update(piece);
            self.sha256.update(piece);
            self.size += piece.len() as u64;
            bytes = rest;
        }
    }

    fn next_chunk(&mut self) {
        self.values.push(self.chunk.finalize_non_root());
        // Not `reset`, which forgets how many bytes there were but not the offset they began at.
        self.chunk = blake3::Hasher::new();
        self.chunk.set_input_offset(self.size);
    }

    /// What was seen.
    #[must_use]
    pub fn finalize(mut self) -> HashedBlob {
        let sha256 = Sha256::from_bytes(self.sha256.finalize().into());
        if self.values.is_empty() {
            let blob = BlobId::from_bytes(*self.chunk.finalize().as_bytes());
            return HashedBlob { blob, sha256, size: self.size, chunks: None };
        }
        self.values.push(self.chunk.finalize_non_root());
        let chunks = ChunkList::computed(self.values, self.size);
        HashedBlob { blob: *chunks.blob(), sha256, size: self.size, chunks: Some(chunks) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(size: u64) -> Vec<u8> {
        (0..size).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn agrees_with_whole_hashes_at_every_boundary() {
        const C: u64 = CHUNK_BYTES;
        for chunks in 0..=9 {
            for size in [(chunks * C).saturating_sub(1), chunks * C, chunks * C + 1] {
                let bytes = pattern(size);
                let mut hasher = BlobHasher::new();
                hasher.update(&bytes);
                let hashed = hasher.finalize();
                assert_eq!(hashed.blob, BlobId::of(&bytes), "{size}");
                assert_eq!(hashed.sha256, Sha256::of(&bytes), "{size}");
                assert_eq!(hashed.size, size);
                assert_eq!(hashed.chunks.is_some(), size > C, "{size}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_do_not_matter(size in 0u64..700_000, cuts in prop::collection::vec(1usize..200_000, 1..12)) {
            let bytes = pattern(size);
            let mut hasher = BlobHasher::new();
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                hasher.update(piece);
                rest = more;
            }
            let hashed = hasher.finalize();
            prop_assert_eq!(hashed.blob, BlobId::of(&bytes));
            prop_assert_eq!(hashed.sha256, Sha256::of(&bytes));
        }
    }
}
