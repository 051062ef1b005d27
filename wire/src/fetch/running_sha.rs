//! The SHA-256 of a blob whose chunks mostly arrive in order: what came in order need not be read again.

use odi_manifest::Sha256;
use sha2::Digest;

/// SHA-256 over chunks 0 up to and without [`next_index`](Self::next_index).
#[derive(Debug, Default)]
pub(crate) struct RunningSha {
    hasher: sha2::Sha256,
    next: u32,
}

impl RunningSha {
    /// Takes a chunk if it is the next one; any other is read back at the end.
    pub(crate) fn offer(&mut self, index: u32, bytes: &[u8]) {
        if index == self.next {
            self.hasher.update(bytes);
            self.next += 1;
        }
    }

    /// The first chunk that it still lacks.
    pub(crate) const fn next_index(&self) -> u32 {
        self.next
    }

    /// The SHA-256 of the chunks so far.
    pub(crate) fn value(&self) -> Sha256 {
        Sha256::from_bytes(self.hasher.clone().finalize().into())
    }
}
