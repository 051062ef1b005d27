//! The writer thread: takes batches, makes packs durable, commits the index, tells everybody (FORMAT.md § Commit).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::change::Change;
use crate::error::StoreError;
use crate::index::{Guard, Mode, Outcome};
use crate::pack::{PACK_HEADER_BYTES, PackId};
use crate::queue::{Batch, Seq};
use crate::store::Shared;

pub(crate) fn spawn(shared: Arc<Shared>) -> JoinHandle<()> {
    let builder = std::thread::Builder::new().name("odi-store-writer".to_owned());
    builder.spawn(move || run(&shared)).expect("a thread can be started")
}

fn run(shared: &Shared) {
    let committed = shared.index.meta().map(|meta| meta.pack);
    let Ok(mut next_pack) = committed.map_err(|error| shared.queue.fail(error)) else { return };
    while let Some(batch) = shared.queue.take() {
        let packs: BTreeSet<PackId> = batch.changes.iter().filter_map(written_pack).collect();
        if let Err(error) = sync(shared, &packs, next_pack) {
            stop(shared, error);
            cut_back(shared, &packs);
            return;
        }
        match commit(shared, &batch) {
            Ok(outcome) => publish(shared, outcome, batch.last),
            // The index may or may not have reached the disk: the packs must stay as they are.
            Err(error) => return stop(shared, error),
        }
        next_pack = packs.last().map_or(next_pack, |last| next_pack.max(PackId(last.0 + 1)));
    }
}

fn stop(shared: &Shared, error: StoreError) {
    tracing::error!(%error, "the store stops taking writes");
    shared.queue.fail(error);
}

/// Makes the packs that a batch touches durable, and their names if they are new.
fn sync(shared: &Shared, packs: &BTreeSet<PackId>, next_pack: PackId) -> Result<(), StoreError> {
    for pack in packs {
        shared.shelf.sync(*pack)?;
    }
    if packs.last().is_some_and(|last| *last >= next_pack) { shared.shelf.sync_folder() } else { Ok(()) }
}

/// Makes the rows that refer to them durable.
fn commit(shared: &Shared, batch: &Batch) -> Result<Outcome, StoreError> {
    let keeps_blob = |blob: &_, ordinal| shared.marking.keeps(ordinal) || shared.leases.holds(blob);
    let keeps_node = |ordinal| shared.marking.keeps_node(ordinal);
    let guard = Guard { hour: shared.hour(), keeps_blob: &keeps_blob, keeps_node: &keeps_node };
    shared.index.commit(&batch.changes, Mode::Live, &guard)
}

fn written_pack(change: &Change) -> Option<PackId> {
    match change {
        Change::Record { at, .. } => Some(at.pack),
        _ => None,
    }
}

/// Tells everybody about a commit: rows first, then those who wait.
fn publish(shared: &Shared, outcome: Outcome, last: Seq) {
    let blobs: Vec<_> = outcome.published.iter().map(|(blob, _)| *blob).collect();
    shared.rows.publish(outcome.published);
    shared.nodes.landed(&outcome.nodes, last);
    for blob in &blobs {
        shared.flights.landed(blob, last);
    }
    shared.marking.evicted(outcome.evicted);
    for (reply, complete) in outcome.confirmations {
        // Whoever asked may have gone.
        let _ = reply.send(complete);
    }
    for (pack, row) in outcome.removed {
        match shared.shelf.remove(pack) {
            Ok(()) => shared.budget.release(row.end),
            Err(error) => tracing::warn!(%error, pack = pack.0, "an empty pack stays until the next start"),
        }
    }
    for event in outcome.events {
        shared.events.push(event);
    }
    shared.queue.committed(last);
}

/// After a failed sync: takes back what only the page cache may hold, so that nobody adopts it later.
fn cut_back(shared: &Shared, packs: &BTreeSet<PackId>) {
    shared.appender.abandon();
    let Ok(rows) = shared.index.packs() else { return };
    for pack in packs {
        let row = rows.iter().find(|(id, _)| id == pack);
        let end = row.map_or_else(|| PACK_HEADER_BYTES.into(), |(_, row)| row.end);
        let cut = shared.shelf.file(*pack).and_then(|file| file.set_size(end).and_then(|()| file.sync()));
        if cut.is_err() {
            tracing::warn!(pack = pack.0, "cannot cut a pack back to its committed end");
        }
    }
}
