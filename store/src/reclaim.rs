//! Taking space back: mark what is needed, evict the rest, compact packs that are less than half needed. Where that is not
//! room enough, packs are compacted that give back less, and what is needed least is evicted too.
//!
//! All of it runs beside ingest and reads. The writer alone evicts, and passes over what was marked meanwhile, what
//! is new, and what somebody reads or fills.

use odi_manifest::{BlobId, NodeId};

use crate::change::Change;
use crate::error::StoreError;
use crate::eviction::{Candidate, Keep, Tally};
use crate::index::KEYS_PER_STEP;
use crate::kept::Kept;
use crate::marking::Turn;
use crate::row::{BlobRow, Ordinal};
use crate::store::Store;

/// Says what is needed, one id at a time; ids that are not here do no harm.
pub trait Live {
    /// Names every blob that is needed, and how dearly it is kept. Of one that is named more than once the dearest word counts.
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep));
    /// Names every tree node that is needed.
    fn nodes(&self, mark: &mut dyn FnMut(&NodeId));
}

/// What a reclaim or an eviction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Blobs and nodes whose rows went.
    pub evicted: u64,
    /// Bytes of packs that were removed.
    pub freed_bytes: u64,
    /// Bytes that were copied to other packs first.
    pub moved_bytes: u64,
    /// Packs removed.
    pub packs: u64,
}

impl Store {
    /// Evicts what is neither needed, pinned, open nor new, and compacts. While fewer than `need` bytes could be written it goes on:
    /// with packs that give back less, and with what is needed but no [`Keep::Floor`], in eviction order. Nodes stay if a
    /// [`NodeHold`](crate::NodeHold) lived at any time meanwhile.
    ///
    /// # Errors
    /// The store cannot read or write. What was evicted before stays evicted.
    pub fn reclaim(&self, live: &dyn Live, need: u64) -> Result<Reclaimed, StoreError> {
        let shared = self.shared();
        let turn = shared.marking.start(shared.index.meta()?.ordinal, false);
        let kept = self.mark_live(live)?;
        self.sweep(&turn)?;
        let mut reclaimed = self.compact()?;
        if shared.budget.free() < need {
            reclaimed += self.compact_for(need)?;
        }
        if shared.budget.free() < need {
            self.evict_ranked(&kept, need - shared.budget.free())?;
            reclaimed += self.compact_for(need)?;
        }
        Ok(Reclaimed { evicted: turn.evicted(), ..reclaimed })
    }

    /// Evicts what is marked and least dear.
    fn evict_ranked(&self, kept: &Kept, need: u64) -> Result<(), StoreError> {
        let shared = self.shared();
        let spare = |blob: &BlobId, row: &BlobRow| {
            let keep = kept.of(row.ordinal).filter(|keep| *keep != Keep::Floor)?;
            (!shared.leases.holds(blob)).then(|| candidate(blob, row, keep))
        };
        let mut tally = Tally::default();
        self.each_row(|blob, row| {
            spare(blob, row).iter().for_each(|candidate| tally.add(candidate));
            Ok(())
        })?;
        let mut line = tally.line(need);
        let mut gone = Vec::new();
        self.each_row(|blob, row| {
            if spare(blob, row).is_some_and(|candidate| line.takes(&candidate)) {
                shared.marking.unmark(row.ordinal);
                gone.push(*blob);
            }
            self.evict_when_full(&mut gone, KEYS_PER_STEP)
        })?;
        self.evict_when_full(&mut gone, 1)?;
        self.flush()
    }

    /// Evicts spare blobs in eviction order until `need` bytes more could be written, and compacts. Pinned and open
    /// blobs stay, as do nodes.
    ///
    /// # Errors
    /// The store cannot read or write.
    pub fn evict(&self, need: u64, keep: &dyn Fn(&BlobId) -> Keep) -> Result<Reclaimed, StoreError> {
        let shared = self.shared();
        let turn = shared.marking.start(shared.index.meta()?.ordinal, true);
        let mut pinned = std::collections::HashSet::new();
        shared.index.pinned(|blob| _ = pinned.insert(blob))?;
        let spare =
            |blob: &BlobId| !pinned.contains(blob) && keep(blob) == Keep::Spare && !shared.leases.holds(blob);
        let mut tally = Tally::default();
        self.each_row(|blob, row| {
            if spare(blob) {
                tally.add(&candidate(blob, row, Keep::Spare));
            }
            Ok(())
        })?;
        let mut line = tally.line(need);
        let mut gone = Vec::new();
        self.each_row(|blob, row| {
            if spare(blob) && line.takes(&candidate(blob, row, Keep::Spare)) {
                shared.marking.unmark(row.ordinal);
                gone.push(*blob);
            }
            self.evict_when_full(&mut gone, KEYS_PER_STEP)
        })?;
        self.evict_when_full(&mut gone, 1)?;
        self.flush()?;
        let evicted = turn.evicted();
        drop(turn);
        Ok(Reclaimed { evicted, ..self.compact()? })
    }

    fn mark_live(&self, live: &dyn Live) -> Result<Kept, StoreError> {
        let (index, marking) = (&self.shared().index, &self.shared().marking);
        let mut kept = Kept::new(index.meta()?.ordinal);
        let mut failed = Ok(());
        let mut batches: [Vec<BlobId>; Kept::KEEPS.len()] = Default::default();
        let mut mark = |keep: Keep, blobs: &[BlobId]| {
            index.ordinals(blobs, |ordinal| {
                marking.mark(ordinal);
                kept.raise(ordinal, keep);
            })
        };
        let mut mark_blob = |blob: &BlobId, keep: Keep| {
            let Some(batch) = batches.get_mut(keep as usize) else { return };
            batch.push(*blob);
            if batch.len() == KEYS_PER_STEP && failed.is_ok() {
                failed = mark(keep, &std::mem::take(batch));
            }
        };
        live.blobs(&mut mark_blob);
        index.pinned(|blob| mark_blob(&blob, Keep::Floor))?;
        failed?;
        for (keep, batch) in Kept::KEEPS.into_iter().zip(&batches) {
            mark(keep, batch)?;
        }
        let mut failed = Ok(());
        live.nodes(&mut |node| match index.node(node) {
            Ok(row) => row.into_iter().for_each(|row| marking.mark(row.ordinal)),
            Err(error) => failed = Err(error),
        });
        failed.map(|()| kept)
    }

    fn sweep(&self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let marking = &self.shared().marking;
        let mut gone = Vec::new();
        self.each_row(|blob, row| {
            if !marking.keeps(row.ordinal) {
                gone.push(*blob);
            }
            self.evict_when_full(&mut gone, KEYS_PER_STEP)
        })?;
        self.evict_when_full(&mut gone, 1)?;
        let mut after = None;
        loop {
            let step = self.shared().index.nodes_after(after)?;
            let Some((last, _)) = step.last() else { break };
            after = Some(*last);
            let idle = |ordinal: Ordinal| !marking.keeps_node(ordinal);
            let nodes = step.iter().filter(|(_, row)| idle(row.ordinal)).map(|(node, _)| *node).collect();
            self.push([Change::Evict { blobs: Vec::new(), nodes }])?;
        }
        self.flush()?;
        tracing::debug!(evicted = turn.evicted(), "swept");
        Ok(())
    }

    /// Visits every row, complete and partial, in steps.
    pub(crate) fn each_row(
        &self,
        mut each: impl FnMut(&BlobId, &BlobRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let index = &self.shared().index;
        let mut after = None;
        loop {
            let step = index.blobs_after(after)?;
            let Some((last, _)) = step.last() else { break };
            after = Some(*last);
            step.iter().try_for_each(|(blob, row)| each(blob, row))?;
        }
        let mut after = None;
        loop {
            let step = index.partial_after(after)?;
            let Some((last, row)) = step.last() else { break };
            after = Some((*last, row.size));
            step.iter().try_for_each(|(blob, row)| each(blob, row))?;
        }
        Ok(())
    }

    fn evict_when_full(&self, gone: &mut Vec<BlobId>, full: usize) -> Result<(), StoreError> {
        if gone.len() >= full {
            self.push([Change::Evict { blobs: std::mem::take(gone), nodes: Vec::new() }])?;
        }
        Ok(())
    }

    pub(crate) fn push<const N: usize>(&self, changes: [Change; N]) -> Result<crate::queue::Seq, StoreError> {
        self.shared().queue.push(changes.into_iter(), 0)
    }
}

fn candidate(blob: &BlobId, row: &BlobRow, keep: Keep) -> Candidate {
    let bytes = row.records().map(|(_, bytes)| bytes).sum();
    Candidate { blob: *blob, keep, bytes, last_use: row.last_use }
}

impl std::ops::AddAssign for Reclaimed {
    fn add_assign(&mut self, other: Self) {
        self.evicted += other.evicted;
        self.freed_bytes += other.freed_bytes;
        self.moved_bytes += other.moved_bytes;
        self.packs += other.packs;
    }
}
