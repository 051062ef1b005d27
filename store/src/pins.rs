//! Pins: named sets of blobs that stay whatever reclaim and eviction find.

use odi_manifest::BlobId;

use crate::change::Change;
use crate::error::StoreError;
use crate::store::Store;

/// A pin's name is at most this long.
pub const PIN_NAME_BYTES_MAX: usize = 128;

/// The name of a pin: 1 to 128 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinName(String);

/// A text that names no pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is named by 1 to 128 printable ASCII characters")]
pub struct PinNameError;

impl PinName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`PinNameError`].
    pub fn new(name: &str) -> Result<Self, PinNameError> {
        let fits = (1..=PIN_NAME_BYTES_MAX).contains(&name.len());
        let printable = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if fits && printable { Ok(Self(name.to_owned())) } else { Err(PinNameError) }
    }

    /// The index key of one blob under this pin.
    pub(crate) fn key(&self, blob: &BlobId) -> Vec<u8> {
        [self.0.as_bytes(), &[0], blob.as_bytes()].concat()
    }

    /// The index keys of this pin: from, and up to.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        ([self.0.as_bytes(), &[0]].concat(), [self.0.as_bytes(), &[1]].concat())
    }
}

impl Store {
    /// Adds blobs to a pin; they need not be here yet. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn pin(&self, name: &PinName, blobs: &[BlobId]) -> Result<(), StoreError> {
        let queue = &self.shared().queue;
        let changes =
            blobs.chunks(1 << 12).map(|blobs| Change::Pin { name: name.clone(), blobs: blobs.to_vec() });
        queue.wait(queue.push(changes, 0)?)
    }

    /// Ends a pin. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn unpin(&self, name: &PinName) -> Result<(), StoreError> {
        let queue = &self.shared().queue;
        queue.wait(queue.push([Change::Unpin { name: name.clone() }].into_iter(), 0)?)
    }
}
