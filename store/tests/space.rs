//! Purge, reclaim, eviction, compaction, budget, scrub and rebuild: space comes back, what is needed stays, what is
//! dead stays dead.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odi_manifest::{BlobId, CHUNK_BYTES, ChunkListBuilder, NodeId};
use odi_store::{
    Event, IngestError, Keep, Live, PinName, ReadError, RealDisk, Store, StoreError, StoreOptions,
};

const CHUNK: usize = 256 << 10;

fn pattern(size: usize, seed: u64) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

fn small_packs() -> StoreOptions {
    StoreOptions { pack_bytes: 2 << 20, ..StoreOptions::default() }
}

fn open(dir: &Path) -> Store {
    Store::open(Arc::new(RealDisk), dir, small_packs()).unwrap()
}

fn put(store: &Store, bytes: &[u8]) -> BlobId {
    let blob = BlobId::of(bytes);
    store.ingest(&blob, bytes).unwrap();
    blob
}

fn read(store: &Store, blob: &BlobId) -> Option<Vec<u8>> {
    let reader = store.open_blob(blob).unwrap()?;
    let chunks = (0..reader.chunk_count()).map(|chunk| reader.chunk(chunk).unwrap());
    Some(chunks.flatten().collect())
}

fn packs(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn on_disk(dir: &Path, needle: &[u8]) -> bool {
    packs(dir).iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

/// Flips one byte of every copy of `needle` in the packs.
fn damage(dir: &Path, needle: &[u8]) -> usize {
    let mut found = 0;
    for path in packs(dir) {
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        for at in (0..=bytes.len().saturating_sub(needle.len())).filter(|at| bytes[*at..].starts_with(needle))
        {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[bytes[at] ^ 1]).unwrap();
            found += 1;
        }
    }
    found
}

struct Only(BTreeSet<BlobId>, BTreeSet<NodeId>);

impl Live for Only {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
        self.0.iter().for_each(|blob| mark(blob, Keep::Floor));
    }

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        self.1.iter().for_each(mark);
    }
}

#[test]
fn reclaim_frees_what_nobody_needs_and_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let sizes = [500, 40_000, CHUNK, CHUNK + 1, 5 * CHUNK];
    let all: Vec<Vec<u8>> = (0..60).map(|seed| pattern(sizes[seed % 5], seed as u64)).collect();
    let blobs: Vec<BlobId> = all.iter().map(|bytes| put(&store, bytes)).collect();
    let nodes: Vec<Vec<u8>> = (0..20).map(|seed| pattern(9000, 1000 + seed)).collect();
    let ids: Vec<NodeId> = nodes.iter().map(|node| NodeId::of(node)).collect();
    store.put_nodes(ids.iter().zip(nodes.iter().map(Vec::as_slice))).unwrap();
    let pin = PinName::new("hot").unwrap();
    store.pin(&pin, &blobs[1..2]).unwrap();
    let reader = store.open_blob(&blobs[4]).unwrap().unwrap();
    let live = Only(blobs.iter().copied().step_by(6).collect(), ids.iter().copied().take(1).collect());
    let before = store.stats().unwrap();

    let reclaimed = store.reclaim(&live, 0).unwrap();

    assert_eq!(reclaimed.evicted, 60 - 10 - 2 + 19, "ten are live, one is pinned, one is open");
    let after = store.stats().unwrap();
    assert!(after.pack_bytes < before.pack_bytes / 2, "{before:?} {after:?}");
    assert!(after.live_bytes * 2 >= after.pack_bytes - (2 << 20), "{after:?}");
    assert_eq!(reader.chunk(4).unwrap(), all[4][4 * CHUNK..]);
    drop(reader);
    for (index, (blob, bytes)) in blobs.iter().zip(&all).enumerate() {
        let kept = index % 6 == 0 || index == 1 || index == 4;
        assert_eq!(read(&store, blob).as_ref(), kept.then_some(bytes), "{index}");
    }
    assert_eq!(store.node(&ids[0]).unwrap().unwrap(), nodes[0]);
    assert_eq!(store.node(&ids[1]).unwrap(), None);
    store.unpin(&pin).unwrap();
    assert_eq!(store.reclaim(&live, 0).unwrap().evicted, 2);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.stats().unwrap().blobs, 10);
    assert_eq!(read(&store, &blobs[6]).as_ref(), Some(&all[6]));
}

/// Needs nothing, and puts a tree together while it is asked.
struct Gathers<'s>(&'s Store);

impl Live for Gathers<'_> {
    fn blobs(&self, _: &mut dyn FnMut(&BlobId, Keep)) {}

    fn nodes(&self, _: &mut dyn FnMut(&NodeId)) {
        drop(self.0.hold_nodes());
    }
}

#[test]
fn a_reclaim_takes_no_nodes_while_or_after_a_tree_is_put_together_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let node = pattern(8000, 5);
    let id = NodeId::of(&node);
    store.put_nodes([(&id, node.as_slice())]).unwrap();
    let blob = put(&store, &pattern(500, 6));
    let nothing = Only(BTreeSet::new(), BTreeSet::new());
    let hold = store.hold_nodes();
    assert_eq!(store.reclaim(&nothing, 0).unwrap().evicted, 1, "the blob");
    assert!(!store.contains(&blob) && store.has_node(&id).unwrap());
    drop(hold);
    assert_eq!(
        store.reclaim(&Gathers(&store), 0).unwrap().evicted,
        0,
        "its marks may be older than the tree"
    );
    assert!(store.has_node(&id).unwrap());
    assert_eq!(store.reclaim(&nothing, 0).unwrap().evicted, 1);
    assert!(!store.has_node(&id).unwrap());
}

#[test]
fn reclaim_runs_beside_ingest_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<Vec<u8>> =
        (0..400u16).map(|seed| pattern(20_000 + usize::from(seed), seed.into())).collect();
    all.iter().for_each(|bytes| _ = put(&store, bytes));
    let nothing = Only(BTreeSet::new(), BTreeSet::new());
    std::thread::scope(|scope| {
        let reclaims = scope.spawn(|| (0..6).for_each(|_| _ = store.reclaim(&nothing, 0).unwrap()));
        // Each is acknowledged, and open from then on: it must be readable until we are done.
        let mut open = Vec::new();
        for bytes in &all {
            let blob = BlobId::of(bytes);
            loop {
                store.ingest(&blob, bytes).unwrap();
                if let Some(reader) = store.open_blob(&blob).unwrap() {
                    open.push((reader, bytes));
                    break;
                }
            }
        }
        reclaims.join().unwrap();
        store.reclaim(&nothing, 0).unwrap();
        for (reader, bytes) in open {
            assert_eq!(reader.chunk(0).unwrap(), bytes);
        }
    });
}

#[test]
fn the_budget_holds_and_eviction_makes_room_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 24 << 20, pack_bytes: 2 << 20, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let mut blobs = Vec::new();
    let full = loop {
        let bytes = pattern(CHUNK, blobs.len() as u64);
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
    let bytes = pattern(4 * CHUNK, 7777);
    store.ingest(&BlobId::of(&bytes), &bytes).unwrap();
    assert!(store.usage().0 <= 24 << 20);
}

/// Fills a store to its budget from many threads at once, by whole blobs and by chunks; returns what is there.
fn fill_up(store: &Store, over: &(impl Fn() + Sync)) -> Vec<BlobId> {
    let fills = |thread: usize| {
        let mut here = Vec::new();
        for seed in 0.. {
            let bytes = pattern(CHUNK * (1 + seed % 3), (thread * 1_000_000 + seed) as u64);
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
        (0..160).map(|seed| (put(&store, &pattern(CHUNK, seed as u64)), keeps[seed % 4])).collect();
    let unnamed = put(&store, &pattern(CHUNK, 999));
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
    let nodes: Vec<Vec<u8>> = (0..50).map(|seed| pattern(9000, 1000 + seed)).collect();
    let ids: Vec<NodeId> = nodes.iter().map(|node| NodeId::of(node)).collect();
    store.put_nodes(ids.iter().zip(nodes.iter().map(Vec::as_slice))).unwrap();
    store.purge(&held[0]).unwrap();
    let bytes = pattern(CHUNK, 5);
    let full = store.ingest(&BlobId::of(&bytes), &bytes);
    assert!(matches!(full, Err(IngestError::Store(StoreError::Full { .. }))), "{full:?}");
    assert!(store.usage().0 <= 32 << 20);
}

#[test]
fn a_purged_blob_stays_dead_through_reopening_compaction_and_rebuild_until_it_is_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes = pattern(3 * CHUNK, 1);
    let blob = put(&store, &bytes);
    let kept = put(&store, b"kept");
    let reader = store.open_blob(&blob).unwrap().unwrap();
    let partial = store.begin(&blob, bytes.len() as u64).unwrap();
    reader.chunk(0).unwrap();
    store.purge(&blob).unwrap();
    assert!(matches!(reader.chunk(0), Err(ReadError::Gone { .. })));
    assert!(reader.cached(0).is_none());
    assert!(partial.chunk(0).is_err());
    let dead = |store: &Store| {
        assert!(!store.contains(&blob) && store.is_dead(&blob).unwrap());
        assert!(matches!(store.ingest(&blob, &bytes), Err(IngestError::Dead(_))));
        assert!(store.begin(&blob, bytes.len() as u64).is_err());
        assert_eq!(read(store, &kept).unwrap(), b"kept");
    };
    dead(&store);
    drop((reader, partial, store));
    let rebuild = || Store::rebuild(Arc::new(RealDisk), dir.path(), &small_packs()).unwrap();
    rebuild();
    let store = open(dir.path());
    dead(&store);
    store.compact().unwrap();
    dead(&store);
    drop(store);
    rebuild();
    let store = open(dir.path());
    dead(&store);
    store.lift(&blob).unwrap();
    put(&store, &bytes);
    drop(store);
    rebuild();
    assert_eq!(read(&open(dir.path()), &blob), Some(bytes));
}

#[test]
fn purged_bytes_leave_the_disk_however_much_else_their_pack_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<Vec<u8>> = (0..40).map(|seed| pattern(30_000, seed)).collect();
    let blobs: Vec<BlobId> = all.iter().map(|bytes| put(&store, bytes)).collect();
    // Not whole: its rows are of another kind.
    let part = pattern(3 * CHUNK, 99);
    let partial_id = BlobId::of(&part);
    let partial = store.begin(&partial_id, part.len() as u64).unwrap();
    let mut list = ChunkListBuilder::new();
    part.chunks(CHUNK).for_each(|chunk| list.push(chunk));
    partial.set_list(list.finish().unwrap()).unwrap();
    partial.put_chunk(1, &part[CHUNK..2 * CHUNK]).unwrap();
    partial.flush().unwrap();
    drop(partial);
    let needles = [&all[7][100..164], &part[CHUNK + 9..CHUNK + 73]];
    assert!(needles.iter().all(|needle| on_disk(dir.path(), needle)));
    assert_eq!(store.expunge().unwrap().packs, 0, "nothing is purged");

    store.purge(&blobs[7]).unwrap();
    store.purge(&partial_id).unwrap();
    assert_eq!(store.stats().unwrap().blobs, 39);
    // As if it had stopped before it came to that.
    drop(store);
    let store = open(dir.path());
    assert!(store.expunge().unwrap().packs > 0);
    assert!(!needles.iter().any(|needle| on_disk(dir.path(), needle)));
    assert_eq!(store.expunge().unwrap().packs, 0, "and it is over");
    for (index, (blob, bytes)) in blobs.iter().zip(&all).enumerate() {
        assert_eq!(read(&store, blob).as_ref(), (index != 7).then_some(bytes), "{index}");
    }

    // Evicted before it is purged: no row says where its bytes lie.
    let live = Only(blobs.iter().copied().filter(|blob| *blob != blobs[9]).collect(), BTreeSet::new());
    assert_eq!(store.reclaim(&live, 0).unwrap().evicted, 1);
    let needle = &all[9][100..164];
    assert!(on_disk(dir.path(), needle));
    store.purge(&blobs[9]).unwrap();
    store.scrub(u64::MAX).unwrap();
    store.expunge().unwrap();
    assert!(!on_disk(dir.path(), needle));
    drop(store);

    // An index that is built anew knows of no stains.
    let store = open(dir.path());
    store.purge(&blobs[11]).unwrap();
    drop(store);
    Store::rebuild(Arc::new(RealDisk), dir.path(), &small_packs()).unwrap();
    let store = open(dir.path());
    store.expunge().unwrap();
    assert!(!on_disk(dir.path(), &all[11][100..164]));
    assert_eq!(store.stats().unwrap().blobs, 37);
    assert_eq!(read(&store, &blobs[12]).as_ref(), Some(&all[12]));
}

#[test]
fn a_flipped_byte_is_never_served_and_can_be_put_right() {
    for size in [3000, CHUNK, 6 * CHUNK + 5] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let bytes = pattern(size, 3);
        let blob = put(&store, &bytes);
        drop(store);
        let damaged = (size - 1) / CHUNK;
        let needle = &bytes[damaged * CHUNK..];
        assert_eq!(damage(dir.path(), &needle[..needle.len().min(64)]), 1);
        let store = open(dir.path());
        let reader = store.open_blob(&blob).unwrap().unwrap();
        for chunk in 0..reader.chunk_count() {
            match reader.chunk(chunk) {
                Ok(read) => assert_eq!(read, bytes[chunk as usize * CHUNK..][..read.len()]),
                Err(error) => {
                    assert!(matches!(error, ReadError::Damaged { .. }) && chunk as usize == damaged)
                }
            }
        }
        let size = bytes.len() as u64;
        store.flush().unwrap();
        let lost = u32::try_from(damaged).unwrap();
        assert_eq!(store.take_events(), [Event::ChunkLost { blob, size, chunk: Some(lost) }]);
        assert!(!store.contains(&blob));
        let partial = store.begin(&blob, size).unwrap();
        assert_eq!(partial.missing().len(), 1);
        assert!(partial.put_chunk(lost, needle).unwrap().complete);
        assert_eq!(read(&store, &blob).as_ref(), Some(&bytes));
        // The good copy also wins over the damaged one when the index is built anew.
        drop((reader, partial, store));
        Store::rebuild(Arc::new(RealDisk), dir.path(), &small_packs()).unwrap();
        assert_eq!(read(&open(dir.path()), &blob), Some(bytes));
    }
}

#[test]
fn scrub_finds_rot_in_chunks_lists_nodes_and_headers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let small = pattern(5000, 1);
    let large = pattern(9 * CHUNK, 2);
    let listed = pattern(2 * CHUNK, 3);
    let headless = pattern(7000, 4);
    for bytes in [&small, &large, &listed, &headless] {
        put(&store, bytes);
    }
    (10..40).for_each(|seed| _ = put(&store, &pattern(30_000, seed)));
    let list = store.chunk_list(&BlobId::of(&listed)).unwrap().to_bytes();
    let node = pattern(8000, 5);
    store.put_nodes([(&NodeId::of(&node), node.as_slice())]).unwrap();
    let whole = store.scrub(u64::MAX).unwrap();
    assert!(whole.wrapped && whole.bad == 0 && whole.good == 1 + 10 + 3 + 1 + 30 + 1, "{whole:?}");
    drop(store);
    for needle in [&small[..64], &large[CHUNK * 3..][..64], &list[..], &node[..64]] {
        assert_eq!(damage(dir.path(), needle), 1);
    }
    // The id within a header: its record can no longer be found by scanning.
    assert_eq!(damage(dir.path(), BlobId::of(&headless).as_bytes()), 1);
    let store = open(dir.path());
    let (mut bad, mut rounds) = (0, 0);
    loop {
        let report = store.scrub(300_000).unwrap();
        bad += report.bad;
        rounds += 1;
        if report.wrapped {
            break;
        }
    }
    assert!(rounds > 5, "{rounds}");
    assert_eq!(bad, 5);
    let events = store.take_events();
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(events.contains(&Event::NodeLost { node: NodeId::of(&node) }));
    assert!(events.contains(&Event::ChunkLost {
        blob: BlobId::of(&listed),
        size: 2 * CHUNK_BYTES,
        chunk: None
    }));
    assert!(!store.contains(&BlobId::of(&small)) && !store.contains(&BlobId::of(&headless)));
    assert_eq!(store.begin(&BlobId::of(&large), 9 * CHUNK_BYTES).unwrap().missing().len(), 1);
}

#[test]
fn a_rebuilt_index_says_what_the_old_one_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<Vec<u8>> = (0..40).map(|seed| pattern(seed * 30_000 + 1, seed as u64)).collect();
    let blobs: Vec<BlobId> = all.iter().map(|bytes| put(&store, bytes)).collect();
    let half = pattern(8 * CHUNK, 99);
    let hashed = {
        let mut builder = ChunkListBuilder::new();
        half.chunks(CHUNK).for_each(|chunk| builder.push(chunk));
        builder.finish().unwrap()
    };
    let partial = store.begin(hashed.blob(), 8 * CHUNK_BYTES).unwrap();
    partial.set_list(hashed.clone()).unwrap();
    for chunk in [6, 2, 3] {
        partial.put_chunk(chunk, &half[chunk as usize * CHUNK..][..CHUNK]).unwrap();
    }
    partial.flush().unwrap();
    let missing = partial.missing();
    let node = pattern(500, 5);
    store.put_nodes([(&NodeId::of(&node), node.as_slice())]).unwrap();
    let before = store.stats().unwrap();
    drop((partial, store));

    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let refused = Store::open(Arc::new(RealDisk), dir.path(), small_packs());
    assert!(matches!(refused, Err(StoreError::NoIndex { .. })));
    let rebuilt = Store::rebuild(Arc::new(RealDisk), dir.path(), &small_packs()).unwrap();
    assert_eq!((rebuilt.packs, rebuilt.unreadable), (before.packs, 0));

    let store = open(dir.path());
    let after = store.stats().unwrap();
    assert_eq!(
        (after.blobs, after.partial, after.nodes, after.packs, after.pack_bytes, after.live_bytes),
        (before.blobs, before.partial, before.nodes, before.packs, before.pack_bytes, before.live_bytes)
    );
    for (blob, bytes) in blobs.iter().zip(&all) {
        assert_eq!(read(&store, blob).as_ref(), Some(bytes));
    }
    assert_eq!(store.begin(hashed.blob(), 8 * CHUNK_BYTES).unwrap().missing(), missing);
    assert_eq!(store.node(&NodeId::of(&node)).unwrap().unwrap(), node);
}
