//! Chunk buffers that are used again: a fresh 256 KiB vector per chunk doubles the cost of a read (page faults).

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::record::CHUNK_LEN;

/// Below this a vector of its own is cheaper than a place in a pool.
const SMALL_BYTES: usize = 16 << 10;
const MIDDLE_BYTES: usize = 64 << 10;
const LARGE_BYTES: usize = CHUNK_LEN;
/// Free buffers kept per size: at most 16 MiB in all.
const FREE_MAX: usize = 48;

/// Free buffers of two sizes.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    middle: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
}

/// A buffer that returns to its pool when its last reader is done.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    fn pool(&self, capacity: usize) -> Option<&Mutex<Vec<Vec<u8>>>> {
        match capacity {
            MIDDLE_BYTES => Some(&self.middle),
            LARGE_BYTES => Some(&self.large),
            _ => None,
        }
    }

    /// A buffer of `len` bytes with any content.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let capacity = capacity_for(len);
        let pool = self.pool(capacity);
        let free = pool.and_then(|pool| pool.lock().unwrap_or_else(PoisonError::into_inner).pop());
        Buffer { bytes: free.unwrap_or_else(|| vec![0; capacity]), len, home: Arc::clone(self) }
    }

    /// What a buffer of `len` bytes weighs in memory.
    pub(crate) fn weight(len: usize) -> u64 {
        capacity_for(len) as u64 + 128
    }
}

fn capacity_for(len: usize) -> usize {
    match len {
        0..=SMALL_BYTES => len,
        _ if len <= MIDDLE_BYTES => MIDDLE_BYTES,
        _ => LARGE_BYTES.max(len),
    }
}

impl Buffer {
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).expect("the buffer is at least as long as asked for")
    }

    /// What it weighs in memory.
    pub(crate) fn weight(&self) -> u64 {
        Buffers::weight(self.len)
    }

    /// Whether it is large enough to be used again, and so to be worth sharing.
    pub(crate) fn is_pooled(&self) -> bool {
        self.home.pool(self.bytes.len()).is_some()
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).expect("the buffer is at least as long as asked for")
    }
}

/// Room for a chunk that arrives piece by piece: a buffer of those that chunks are read into, which goes back among them when
/// its last reader is done. A vector that grew with the pieces would leave others of all its sizes behind in the allocator.
#[derive(Debug)]
pub struct ChunkRoom {
    buffer: Buffer,
    filled: usize,
}

impl ChunkRoom {
    /// Room for so many bytes, one chunk at most.
    pub(crate) fn new(buffers: &Arc<Buffers>, len: usize) -> Self {
        Self { buffer: buffers.take(len.min(CHUNK_LEN)), filled: 0 }
    }

    /// Takes as many of the bytes as there is room for, off their beginning.
    pub fn fill(&mut self, bytes: &mut Bytes) {
        let room = self.buffer.as_mut().get_mut(self.filled..).unwrap_or_default();
        let taken = bytes.split_to(room.len().min(bytes.len()));
        if let Some(room) = room.get_mut(..taken.len()) {
            room.copy_from_slice(&taken);
        }
        self.filled += taken.len();
    }

    /// How many bytes have come.
    #[must_use]
    pub const fn filled(&self) -> usize {
        self.filled
    }

    /// Whether no more are to come.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.filled == self.buffer.len
    }

    /// What has come.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.buffer.into_bytes().slice(..self.filled)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.home.pool(self.bytes.len()) {
            let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.len() < FREE_MAX {
                pool.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_that_arrive_in_pieces_use_one_buffer_after_the_other() {
        let buffers = Arc::<Buffers>::default();
        let mut places = std::collections::HashSet::new();
        for round in 0..100_u8 {
            let mut room = ChunkRoom::new(&buffers, CHUNK_LEN);
            places.insert(room.buffer.bytes.as_ptr());
            let mut rest = Bytes::from(vec![round; CHUNK_LEN + 3]);
            while !room.is_full() {
                let mut piece = rest.split_to(rest.len().min(7001));
                room.fill(&mut piece);
                assert!(piece.is_empty() || room.is_full(), "what there is room for is taken");
            }
            assert_eq!(room.filled(), CHUNK_LEN);
            assert!(room.into_bytes().iter().all(|byte| *byte == round));
        }
        assert_eq!(places.len(), 1, "each begins in the buffer that the former one gave back");
    }
}
