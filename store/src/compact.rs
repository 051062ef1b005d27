//! Compaction: moves what is needed out of packs that are less than half needed, or that have purged bytes, and removes
//! them (FORMAT.md § Compaction). One runs at a time, so that no two empty the same pack.

use std::sync::PoisonError;

use odi_manifest::BlobId;

use crate::change::Change;
use crate::error::StoreError;
use crate::index::Lookup;
use crate::pack::{Location, PACK_HEADER_BYTES, PackId, Record, Scan, Scanned};
use crate::reclaim::Reclaimed;
use crate::record::{Body, Header};
use crate::row::{BlobRow, PackRow};
use crate::store::Store;

/// Bytes moved under one append.
const MOVE_BYTES: u64 = 4 << 20;
/// A pack that gives back less than this part of itself is never worth its copying.
const GIVES_BACK: u64 = 16;

impl Store {
    /// Compacts every pack that is less than half needed or has purged bytes. Open packs are sealed first if that holds
    /// of them.
    ///
    /// # Errors
    /// The store cannot read or write. Packs that were compacted before stay so.
    pub fn compact(&self) -> Result<Reclaimed, StoreError> {
        self.compact_where(|row| {
            row.stained || row.live * 2 < row.end && row.end > u64::from(PACK_HEADER_BYTES)
        })
    }

    /// Compacts the packs that have purged bytes, however much of them is needed; when it returns, those bytes are off
    /// the disk. Costs next to nothing if there are none.
    ///
    /// # Errors
    /// As [`compact`](Self::compact). What is left is found by the next call, also after a restart.
    pub fn expunge(&self) -> Result<Reclaimed, StoreError> {
        self.compact_where(|row| row.stained)
    }

    /// Compacts packs until `need` bytes more could be written, those first that give back most, down to those that are
    /// nearly all needed.
    pub(crate) fn compact_for(&self, need: u64) -> Result<Reclaimed, StoreError> {
        let budget = &self.shared().budget;
        let gives = |row: &PackRow| row.end > row.live && row.end - row.live >= row.end / GIVES_BACK;
        self.compact_while(gives, || budget.free() < need)
    }

    fn compact_where(&self, due: impl Fn(&PackRow) -> bool) -> Result<Reclaimed, StoreError> {
        self.compact_while(due, || true)
    }

    fn compact_while(
        &self,
        due: impl Fn(&PackRow) -> bool,
        goes_on: impl Fn() -> bool,
    ) -> Result<Reclaimed, StoreError> {
        let shared = self.shared();
        let _one_at_a_time = shared.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush()?;
        let open: Vec<PackId> = shared
            .index
            .packs()?
            .iter()
            .filter(|(_, row)| !row.sealed && due(row))
            .map(|(id, _)| *id)
            .collect();
        if !open.is_empty() {
            shared.appender.seal_open(&open)?;
            self.flush()?;
        }
        let mut reclaimed = Reclaimed::default();
        let mut packs: Vec<(PackId, PackRow)> =
            shared.index.packs()?.into_iter().filter(|(_, row)| row.sealed && due(row)).collect();
        // What is hardly needed costs least and gives most, also to those that come after it.
        packs.sort_by_key(|(pack, row)| (row.live * 1024 / row.end.max(1), *pack));
        for (pack, row) in packs {
            if !goes_on() {
                break;
            }
            if row.live > 0 {
                reclaimed.moved_bytes += self.evacuate(pack)?;
            }
            if self.remove(pack)? {
                reclaimed.freed_bytes += row.end;
                reclaimed.packs += 1;
            }
        }
        Ok(reclaimed)
    }

    /// Removes a pack that nothing refers to; what is still referred to after an evacuation is damaged and dropped.
    fn remove(&self, pack: PackId) -> Result<bool, StoreError> {
        for _ in 0..2 {
            self.push([Change::Remove { pack }])?;
            self.flush()?;
            if self.shared().index.packs()?.iter().all(|(id, _)| *id != pack) {
                return Ok(true);
            }
            self.drop_all_in(pack)?;
        }
        Ok(false)
    }

    /// Copies every record of a pack that a row refers to.
    fn evacuate(&self, pack: PackId) -> Result<u64, StoreError> {
        let shared = self.shared();
        let failed = |error| StoreError::disk("compact", &shared.shelf.path(pack), error);
        let file = shared.shelf.file(pack).map_err(failed)?;
        let from = u64::from(PACK_HEADER_BYTES);
        let mut scan = Scan::new(file, shared.shelf.salt(), from, true).map_err(failed)?;
        let (mut run, mut bytes, mut moved) = (Vec::new(), 0, 0);
        let mut rows = LastRow::default();
        while let Some(scanned) = scan.next().map_err(failed)? {
            let at = Location { pack, offset: scanned.offset };
            if !self.refers(&mut rows, &scanned.header, at)? {
                continue;
            }
            bytes += scanned.header.body.record_len();
            run.push(scanned);
            if bytes >= MOVE_BYTES {
                moved += self.move_run(pack, &mut run, &mut bytes)?;
            }
        }
        moved += self.move_run(pack, &mut run, &mut bytes)?;
        Ok(moved)
    }

    fn move_run(&self, pack: PackId, run: &mut Vec<Scanned>, bytes: &mut u64) -> Result<u64, StoreError> {
        let records: Vec<Record<'_>> = run
            .iter()
            .map(|scanned| Record {
                header: Header { moved: true, ..scanned.header },
                payload: &scanned.payload,
                source: Some(Location { pack, offset: scanned.offset }),
            })
            .collect();
        if !records.is_empty() {
            self.shared().appender.append(&records)?;
        }
        run.clear();
        Ok(std::mem::take(bytes))
    }

    /// Whether the index refers to a record.
    pub(crate) fn refers(
        &self,
        rows: &mut LastRow,
        header: &Header,
        at: Location,
    ) -> Result<bool, StoreError> {
        let index = &self.shared().index;
        Ok(match header.body {
            Body::Data { blob, size, chunk } => {
                rows.row(self, blob, size)?.is_some_and(|row| row.location(chunk) == Some(at))
            }
            Body::List { blob, size } => rows.row(self, blob, size)?.is_some_and(|row| row.list == Some(at)),
            Body::Node { node, .. } => index.node(&node)?.is_some_and(|row| row.at == at),
            Body::Tombstone { blob, .. } => index.tombstone(&blob)?.is_some_and(|row| row.at == at),
            Body::Recipe { .. } => false,
        })
    }

    /// Drops whatever rows still refer to a pack from which all that can be read has been moved.
    fn drop_all_in(&self, pack: PackId) -> Result<(), StoreError> {
        self.each_reference(pack, |body, at| self.drop_reference(body, at))
    }

    /// Drops a record that is damaged, from whatever row still refers to it there.
    pub(crate) fn drop_reference(&self, body: Body, at: Location) -> Result<(), StoreError> {
        let change = match body {
            Body::Data { blob, size, chunk } => Change::Drop { blob, size, chunk: Some(chunk), at },
            Body::List { blob, size } => Change::Drop { blob, size, chunk: None, at },
            Body::Node { node, .. } => Change::DropNode { node, at },
            Body::Tombstone { .. } | Body::Recipe { .. } => return Ok(()),
        };
        self.push([change]).map(|_| ())
    }

    /// Visits everything that rows say lies in a pack, tombstones aside. Walks the whole index: for damage only.
    pub(crate) fn each_reference(
        &self,
        pack: PackId,
        mut each: impl FnMut(Body, Location) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.each_row(|blob, row| {
            let (blob, size) = (*blob, row.size);
            if let Some(at) = row.list.filter(|at| at.pack == pack) {
                each(Body::List { blob, size }, at)?;
            }
            row.in_pack(pack).try_for_each(|(chunk, at)| each(Body::Data { blob, size, chunk }, at))
        })?;
        let mut after = None;
        loop {
            let step = self.shared().index.nodes_after(after)?;
            let Some((last, _)) = step.last() else { return Ok(()) };
            after = Some(*last);
            for (node, row) in step.into_iter().filter(|(_, row)| row.at.pack == pack) {
                each(Body::Node { node, length: row.length }, row.at)?;
            }
        }
    }
}

/// The row looked at last: the records of a blob mostly follow one another.
#[derive(Debug, Default)]
pub(crate) struct LastRow {
    last: Option<(BlobId, u64, Option<BlobRow>)>,
}

impl LastRow {
    pub(crate) fn row(
        &mut self,
        store: &Store,
        blob: BlobId,
        size: u64,
    ) -> Result<Option<&BlobRow>, StoreError> {
        if self.last.as_ref().is_none_or(|(id, of, _)| (*id, *of) != (blob, size)) {
            let index = &store.shared().index;
            let row = match index.lookup(&blob)? {
                Lookup::Complete(row) => Some(row).filter(|row| row.size == size),
                Lookup::Dead => None,
                Lookup::Absent => index.partial(&blob, size)?,
            };
            self.last = Some((blob, size, row));
        }
        Ok(self.last.as_ref().and_then(|(_, _, row)| row.as_ref()))
    }
}
