//! Revoked blobs: dead at once for every reader, and dead still after a rebuild, until they are lifted.

use odi_manifest::{BlobId, chunk_count};

use crate::error::StoreError;
use crate::pack::Record;
use crate::record::{Body, Header};
use crate::rows::Known;
use crate::store::Store;

impl Store {
    /// Makes a blob dead: it is not served and not taken in again, and its bytes go with the next
    /// [`expunge`](Self::expunge) or reclaim. Open readers fail from now on. Durable when it returns; doing it twice does
    /// no harm.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn purge(&self, blob: &BlobId) -> Result<(), StoreError> {
        let known = self.known(blob)?;
        if matches!(known, Known::Dead) {
            return Ok(());
        }
        self.shared().leases.kill(blob);
        self.write_tombstone(blob, false)?;
        if let Known::Complete(row) = known {
            self.shared().chunks.forget(blob, chunk_count(row.size));
        }
        Ok(())
    }

    /// Ends a purge, so that the blob can be taken in again. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn lift(&self, blob: &BlobId) -> Result<(), StoreError> {
        if !self.is_dead(blob)? {
            return Ok(());
        }
        self.write_tombstone(blob, true)?;
        self.shared().leases.revive(blob);
        Ok(())
    }

    fn write_tombstone(&self, blob: &BlobId, lifted: bool) -> Result<(), StoreError> {
        let shared = self.shared();
        let generation = shared.next_generation();
        let header = Header { body: Body::Tombstone { blob: *blob, generation, lifted }, moved: false };
        let appended = shared.appender.append(&[Record { header, payload: &[], source: None }])?;
        shared.queue.wait(appended.seq)
    }
}
