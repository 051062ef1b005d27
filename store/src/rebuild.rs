//! A new index from the packs alone (FORMAT.md § Rebuild).
//!
//! Tombstones first, because packs are not in the order of time: a revoked blob must stay dead wherever its bytes lie.

use std::path::Path;
use std::sync::Arc;

use crate::change::Change;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::index::{Guard, Index, Mode};
use crate::open::{Folder, claim, new_index};
use crate::options::StoreOptions;
use crate::pack::{Location, PACK_HEADER_BYTES, PackId, Scan, Shelf};
use crate::record::Body;
use crate::row::Hour;
use crate::store::Store;

/// Changes applied at once.
const CHANGES: usize = 64 << 10;

/// What a rebuild found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Packs read.
    pub packs: u64,
    /// Bytes of all packs.
    pub bytes: u64,
    /// Records that checked.
    pub records: u64,
    /// Stretches that hold no readable record: damage, or what a crash left.
    pub unreadable: u64,
}

impl Store {
    /// Builds the index of the store in a folder anew and puts it in the place of the old one. Nobody may have the
    /// store open. Pins are lost; ordinals and last use start afresh.
    ///
    /// # Errors
    /// The folder is in use or no store, or the disk fails; then the old index is still there.
    pub fn rebuild(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: &StoreOptions,
    ) -> Result<Rebuilt, StoreError> {
        let Folder { disk, lock, shelf } = claim(disk, folder, options.salt)?;
        let hour = Hour::of(options.clock.now());
        let mut rebuilt = Rebuilt::default();
        new_index(&*disk, folder, options.index_cache_bytes, Arc::default(), |index| {
            let packs = shelf.list()?;
            for pack in &packs {
                scan(&shelf, index, *pack, hour, Pass::Tombstones)?;
            }
            for pack in packs {
                let found = scan(&shelf, index, pack, hour, Pass::All)?;
                rebuilt.packs += 1;
                rebuilt.bytes += found.bytes;
                rebuilt.records += found.records;
                rebuilt.unreadable += found.unreadable;
            }
            Ok(())
        })?;
        drop(lock);
        Ok(rebuilt)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Tombstones,
    All,
}

fn scan(shelf: &Shelf, index: &Index, pack: PackId, hour: Hour, pass: Pass) -> Result<Rebuilt, StoreError> {
    let failed = |error| StoreError::disk("scan", &shelf.path(pack), error);
    let guard = Guard { hour, ..Guard::default() };
    let file = shelf.file(pack).map_err(failed)?;
    let mut scan = Scan::new(file, shelf.salt(), PACK_HEADER_BYTES.into(), true).map_err(failed)?;
    let mut found = Rebuilt { packs: 1, bytes: scan.size(), ..Rebuilt::default() };
    let mut changes = Vec::new();
    while let Some(scanned) = scan.next().map_err(failed)? {
        found.records += 1;
        let tombstone = matches!(scanned.header.body, Body::Tombstone { .. });
        if tombstone == (pass == Pass::Tombstones) {
            let at = Location { pack, offset: scanned.offset };
            changes.push(Change::Record { header: scanned.header, at, source: None });
        }
        if changes.len() == CHANGES {
            index.commit(&std::mem::take(&mut changes), Mode::Rebuild, &guard)?;
        }
    }
    if pass == Pass::All {
        // Nothing is appended behind what may be damaged.
        changes.push(Change::Seal { pack, end: scan.size() });
    }
    if !changes.is_empty() {
        index.commit(&changes, Mode::Rebuild, &guard)?;
    }
    found.unreadable = scan.bad;
    Ok(found)
}
