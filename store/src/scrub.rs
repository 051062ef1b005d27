//! Re-reading what is at rest, so that rot is found while another copy is still to be had.
//!
//! Goes through the packs record by record from where it last stopped; whoever calls decides how many bytes at a
//! time, and thereby the rate. Every needed record is checked against its CRC and hashed as if it were served.

use std::sync::Arc;

use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, NodeId};

use crate::change::Change;
use crate::chunks::Miss;
use crate::compact::LastRow;
use crate::error::StoreError;
use crate::pack::{Location, PACK_HEADER_BYTES, PackId, Scan, Scanned};
use crate::record::Body;
use crate::store::Store;

/// What one call looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Bytes read.
    pub bytes: u64,
    /// Records that are needed and verified.
    pub good: u64,
    /// Records that are needed and did not verify; they have been dropped, and events tell of them.
    pub bad: u64,
    /// Stretches of packs that hold no readable record.
    pub unreadable: u64,
    /// The end was reached; the next call begins at the first pack.
    pub wrapped: bool,
}

impl Store {
    /// Checks about `max_bytes` of packs.
    ///
    /// # Errors
    /// The store cannot read or write.
    pub fn scrub(&self, max_bytes: u64) -> Result<ScrubReport, StoreError> {
        let shared = self.shared();
        self.flush()?;
        let mut report = ScrubReport::default();
        let start = shared.index.meta()?.scrub;
        let mut at = start;
        for (pack, row) in shared.index.packs()?.into_iter().filter(|(pack, _)| *pack >= start.pack) {
            let from = if pack == start.pack { start.offset } else { PACK_HEADER_BYTES };
            at = self.scrub_pack(pack, from, row.end, max_bytes, &mut report)?;
            if u64::from(at.offset) < row.end {
                break;
            }
            at = Location { pack: PackId(pack.0 + 1), offset: PACK_HEADER_BYTES };
        }
        if report.bytes < max_bytes {
            (report.wrapped, at) = (true, Location::NONE);
        }
        self.push([Change::Scrubbed { at }])?;
        self.flush()?;
        Ok(report)
    }

    fn scrub_pack(
        &self,
        pack: PackId,
        from: u32,
        end: u64,
        max_bytes: u64,
        report: &mut ScrubReport,
    ) -> Result<Location, StoreError> {
        let shared = self.shared();
        let failed = |error| StoreError::disk("scrub", &shared.shelf.path(pack), error);
        let here = |offset: u64| Location { pack, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        let file = match shared.shelf.file(pack) {
            Ok(file) => file,
            // Compaction took it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(here(end)),
            Err(error) => return Err(failed(error)),
        };
        let from = u64::from(from.max(PACK_HEADER_BYTES));
        let mut scan = Scan::new(file, shared.shelf.salt(), from, true).map_err(failed)?;
        let mut rows = LastRow::default();
        let mut stained = false;
        while scan.position() < end && report.bytes < max_bytes {
            let before = scan.position();
            let Some(scanned) = scan.next().map_err(failed)? else { break };
            report.bytes += scan.position() - before;
            let at = Location { pack, offset: scanned.offset };
            if !self.refers(&mut rows, &scanned.header, at)? {
                stained |= self.is_purged(scanned.header.body)?;
                continue;
            }
            if self.verifies(&scanned, report) {
                report.good += 1;
            } else {
                report.bad += 1;
                self.drop_reference(scanned.header.body, at)?;
            }
        }
        if stained {
            self.push([Change::Stain { pack }])?;
        }
        report.unreadable += scan.bad;
        if scan.bad > 0 {
            report.bad += self.drop_unreadable(pack, from, scan.position().min(end))?;
        }
        let done = report.bytes < max_bytes || scan.position() >= end;
        Ok(here(if done { end } else { scan.position() }))
    }

    /// Whether this is a copy of a purged blob's bytes: of one that had been evicted, or written twice, when it was purged.
    fn is_purged(&self, body: Body) -> Result<bool, StoreError> {
        match body {
            Body::Data { blob, .. } | Body::List { blob, .. } => self.is_dead(&blob),
            Body::Node { .. } | Body::Tombstone { .. } | Body::Recipe { .. } => Ok(false),
        }
    }

    fn verifies(&self, scanned: &Scanned, report: &mut ScrubReport) -> bool {
        match scanned.header.body {
            Body::Data { blob, size, chunk } => match self.list_of(&blob, size, report) {
                Some(list) => list.check(chunk, &scanned.payload).is_ok(),
                None => size > CHUNK_BYTES || BlobId::of(&scanned.payload) == blob,
            },
            Body::List { blob, size } => ChunkList::verify(&scanned.payload, &blob, size).is_ok(),
            Body::Node { node, .. } => NodeId::of(&scanned.payload) == node,
            Body::Tombstone { .. } | Body::Recipe { .. } => true,
        }
    }

    /// The verified list that a chunk is checked against, if there is one.
    fn list_of(&self, blob: &BlobId, size: u64, report: &mut ScrubReport) -> Option<Arc<ChunkList>> {
        if size <= CHUNK_BYTES {
            return None;
        }
        let shared = self.shared();
        if let Some(list) = shared.rows.lists.get(blob).filter(|list| list.size() == size) {
            return Some(list);
        }
        let at = LastRow::default().row(self, *blob, size).ok().flatten()?.list?;
        match shared.read_list(blob, size, at) {
            Ok(list) => Some(list),
            Err(Miss::Damaged | Miss::NotNow) => {
                report.bad += 1;
                shared.drop_chunk(blob, size, None, at, true);
                None
            }
            Err(Miss::Disk(_)) => None,
        }
    }

    /// Drops what rows say lies in a damaged stretch and can no longer be read as a record.
    fn drop_unreadable(&self, pack: PackId, from: u64, to: u64) -> Result<u64, StoreError> {
        let shared = self.shared();
        let mut dropped = 0;
        self.each_reference(pack, |body, at| {
            if (from..to).contains(&u64::from(at.offset)) {
                let file = shared.shelf.file(pack);
                let scan =
                    file.and_then(|file| Scan::new(file, shared.shelf.salt(), at.offset.into(), false));
                let found = scan.and_then(|mut scan| scan.next());
                let found =
                    found.map_err(|error| StoreError::disk("scrub", &shared.shelf.path(pack), error))?;
                if found.is_none() {
                    dropped += 1;
                    self.drop_reference(body, at)?;
                }
            }
            Ok(())
        })?;
        Ok(dropped)
    }
}
