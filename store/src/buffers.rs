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
