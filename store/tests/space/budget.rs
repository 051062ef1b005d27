//! The disk budget: never gone over, whatever writes at once, and who goes first where room is needed.

use std::collections::BTreeSet;
use std::sync::Arc;

use odi_fixtures::noise;
use odi_manifest::{BlobId, ChunkListBuilder, NodeId};
use odi_store::{IngestError, Keep, Live, PinName, RealDisk, Store, StoreError, StoreOptions};

use crate::rig::{CHUNK, Only, packs, put};

#[test]
fn the_budget_holds_and_eviction_makes_room_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 24 << 20, pack_bytes: 2 << 20, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let mut blobs = Vec::new();
    let full = loop {
        let bytes = noise(CHUNK, blobs.len() as u64);
        match store.ingest(&BlobId::of(&bytes), &bytes) {
            Ok(_) => blobs.push(BlobId::of(&bytes)),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, IngestError::Store(StoreError::Full { .. })), "{full}");
    assert!(store.usage().0 <= 24 << 20);
    let floor: BTreeSet<BlobId> = blobs.iter().copied().take(10).collect();
    let keep = |blob: &BlobId| if floor.contains(blob) { Keep::Floor } else { Keep::Spare };
    let evicted = store.evict(12 << 20, &keep).unwrap();
    assert!(evicted.evicted >= 40 && evicted.freed_bytes > 0, "{evicted:?}");
    assert!(floor.iter().all(|blob| store.contains(blob)));
    let bytes = noise(4 * CHUNK, 7777);
    store.ingest(&BlobId::of(&bytes), &bytes).unwrap();
    assert!(store.usage().0 <= 24 << 20);
}

/// Fills a store to its budget from many threads at once, by whole blobs and by chunks; returns what is there.
fn fill_up(store: &Store, over: &(impl Fn() + Sync)) -> Vec<BlobId> {
    let fills = |thread: usize| {
        let mut here = Vec::new();
        for seed in 0.. {
            let bytes = noise(CHUNK * (1 + seed % 3), (thread * 1_000_000 + seed) as u64);
            let blob = BlobId::of(&bytes);
            let taken = if thread.is_multiple_of(2) {
                store.ingest(&blob, &bytes).is_ok()
            } else {
                by_chunks(store, &blob, &bytes)
            };
            over();
            if !taken {
                return here;
            }
            here.push(blob);
        }
        here
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || fills(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn by_chunks(store: &Store, blob: &BlobId, bytes: &[u8]) -> bool {
    let Ok(partial) = store.begin(blob, bytes.len() as u64) else { return false };
    let mut builder = ChunkListBuilder::new();
    bytes.chunks(CHUNK).for_each(|chunk| builder.push(chunk));
    let listed = builder.finish().is_none_or(|list| partial.set_list(list).is_ok());
    listed && (0..).zip(bytes.chunks(CHUNK)).all(|(chunk, bytes)| partial.put_chunk(chunk, bytes).is_ok())
}

#[test]
fn concurrent_writes_and_reclaims_at_the_budget_never_go_over_it() {
    const BUDGET: u64 = 40 << 20;
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: BUDGET, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let over = || {
        let files = packs(dir.path()).into_iter().chain([dir.path().join("index.redb")]);
        // One that compaction removes meanwhile takes nothing.
        let taken: u64 = files.filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum();
        assert!(taken <= BUDGET && store.usage().0 <= BUDGET, "{taken} and {:?}", store.usage());
    };
    let mut held = BTreeSet::new();
    for round in 0..6 {
        let stop = std::sync::atomic::AtomicBool::new(false);
        held.extend(std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    over();
                }
            });
            let filled = fill_up(&store, &over);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            filled
        }));
        held.retain(|blob| store.contains(blob));
        assert!(store.usage().1 < 4 * CHUNK as u64, "{:?} is not full", store.usage());
        // A fifth stays: so little goes from each pack that only copying frees room.
        let live = Only(
            held.iter()
                .copied()
                .enumerate()
                .filter(|(n, _)| n % 5 != round % 5)
                .map(|(_, blob)| blob)
                .collect(),
            BTreeSet::new(),
        );
        let reclaimed = store.reclaim(&live, BUDGET / 10).unwrap();
        over();
        assert!(reclaimed.evicted > 0 && store.usage().1 >= BUDGET / 10, "{reclaimed:?} {:?}", store.usage());
    }
}

/// Named with how dear it is.
struct Ranked(Vec<(BlobId, Keep)>);

impl Live for Ranked {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
        self.0.iter().for_each(|(blob, keep)| mark(blob, *keep));
    }

    fn nodes(&self, _: &mut dyn FnMut(&NodeId)) {}
}

#[test]
fn where_room_is_needed_last_copies_go_last_and_what_is_pinned_or_asked_for_never() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 64 << 20, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let keeps = [Keep::LastCopy, Keep::Spare, Keep::Floor, Keep::Former];
    let all: Vec<(BlobId, Keep)> =
        (0..160).map(|seed| (put(&store, &noise(CHUNK, seed as u64)), keeps[seed % 4])).collect();
    let unnamed = put(&store, &noise(CHUNK, 999));
    store.pin(&PinName::new("kept").unwrap(), &[all[1].0]).unwrap();
    let live = Ranked(all.clone());
    let held = |keep: Keep| all.iter().filter(|(blob, as_)| *as_ == keep && store.contains(blob)).count();
    let counts = || (held(Keep::Spare), held(Keep::Former), held(Keep::LastCopy), held(Keep::Floor));

    assert_eq!(
        store.reclaim(&live, 0).unwrap().evicted,
        1,
        "nobody named it, and nothing else is in the way"
    );
    assert!(!store.contains(&unnamed));
    let free = store.usage().1;
    store.reclaim(&live, free + (5 << 20)).unwrap();
    let (spare, former, last, floor) = counts();
    assert!(spare < 40 && (former, last, floor) == (40, 40, 40), "{:?}", counts());
    store.reclaim(&live, free + (15 << 20)).unwrap();
    let (spare, former, last, floor) = counts();
    assert!((spare, last, floor) == (1, 40, 40) && former < 40, "{:?}", counts());
    store.reclaim(&live, u64::MAX / 2).unwrap();
    assert_eq!(counts(), (1, 0, 0, 40));
    assert!(store.contains(&all[1].0), "it is pinned");
}

#[test]
fn a_store_that_is_full_of_content_takes_trees_and_tombstones() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 32 << 20, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let held = fill_up(&store, &|| ());
    let nodes: Vec<Vec<u8>> = (0..50).map(|seed| noise(9000, 1000 + seed)).collect();
    let ids: Vec<NodeId> = nodes.iter().map(|node| NodeId::of(node)).collect();
    store.put_nodes(ids.iter().zip(nodes.iter().map(Vec::as_slice))).unwrap();
    store.purge(&held[0]).unwrap();
    let bytes = noise(CHUNK, 5);
    let full = store.ingest(&BlobId::of(&bytes), &bytes);
    assert!(matches!(full, Err(IngestError::Store(StoreError::Full { .. }))), "{full:?}");
    assert!(store.usage().0 <= 32 << 20);
}
