//! How a whole fetch ends, and what it learned about its sources.

use odi_manifest::{BlobId, Sha256};
use odi_store::{IngestError, PartialError, ReadError, StoreError};

use super::{Party, SourceFault};

/// Why a blob, or a part of it, was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Every source failed. Others, or the same later, may not.
    #[error("none of {asked} sources has blob {blob}")]
    NoSource {
        /// The blob.
        blob: BlobId,
        /// How many sources were asked; the report says what each did.
        asked: usize,
    },
    /// No source has it, and two independent ones agree against the catalog: its entry is bad.
    #[error("two independent sources disagree with the catalog about blob {blob}")]
    BadEntry {
        /// The blob.
        blob: BlobId,
    },
    /// The bytes are the blob's and the entry's SHA-256 is not theirs: the entry is bad.
    #[error("blob {blob} has SHA-256 {got}, and the catalog says {expected}")]
    OtherSha256 {
        /// The blob.
        blob: BlobId,
        /// What the entry says.
        expected: Sha256,
        /// What it is.
        got: Sha256,
    },
    /// It went while it was being fetched: purged, evicted, or rotten on disk.
    #[error("chunks of blob {blob} went while it was fetched")]
    Vanished {
        /// The blob.
        blob: BlobId,
    },
    /// The store did not take a chunk.
    #[error("cannot store a chunk")]
    Partial(#[from] PartialError),
    /// The store did not take a whole blob.
    #[error("cannot store a blob")]
    Ingest(#[from] IngestError),
    /// A blob without a chunk list could not be set aside until it had verified.
    #[error("cannot set a blob aside in the store's folder")]
    Spool(#[source] std::io::Error),
    /// A blob without a chunk list that is too large to be set aside.
    #[error("blob {blob} of {size} bytes has no chunk list anywhere, and is too large to do without")]
    NoList {
        /// The blob.
        blob: BlobId,
        /// Its size.
        size: u64,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The store could not read back what it had taken.
    #[error("cannot read a chunk back")]
    Read(#[from] ReadError),
}

impl FetchError {
    /// Whether the catalog's entry is to blame, so that asking again is of no use.
    #[must_use]
    pub const fn condemns_entry(&self) -> bool {
        matches!(self, Self::BadEntry { .. } | Self::OtherSha256 { .. })
    }
}

/// What a fetch learned about the sources that it was given, by their position in that list.
#[derive(Debug, Default)]
pub struct Report {
    /// Verified bytes that each source gave.
    pub delivered: Vec<u64>,
    /// Bytes that each source sent, whatever became of them.
    pub received: Vec<u64>,
    /// What went wrong, in order.
    pub faults: Vec<(usize, SourceFault)>,
    /// Who had a wrong chunk that another party then had right. Only these are liars.
    pub guilty: Vec<Party>,
}

impl Report {
    pub(crate) fn new(sources: usize) -> Self {
        Self { delivered: vec![0; sources], received: vec![0; sources], ..Self::default() }
    }

    pub(crate) fn credit(&mut self, source: usize, bytes: u64) {
        if let Some(delivered) = self.delivered.get_mut(source) {
            *delivered += bytes;
        }
    }

    pub(crate) fn received(&mut self, source: usize, bytes: u64) {
        if let Some(received) = self.received.get_mut(source) {
            *received += bytes;
        }
    }
}

/// The end of a fetch: its result, and what was learned on the way whatever the result.
#[derive(Debug)]
pub struct Fetched<T> {
    /// What was fetched.
    pub result: Result<T, FetchError>,
    /// What was learned about the sources.
    pub report: Report,
}
