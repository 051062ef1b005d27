//! Purge: what is dead stays dead, and its bytes leave the disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use odi_fixtures::noise;
use odi_manifest::{BlobId, ChunkListBuilder};
use odi_store::{IngestError, ReadError, RealDisk, Store};

use crate::rig::{CHUNK, Only, on_disk, open, put, read, small_packs};

#[test]
fn a_purged_blob_stays_dead_through_reopening_compaction_and_rebuild_until_it_is_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes = noise(3 * CHUNK, 1);
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
    let all: Vec<Vec<u8>> = (0..40).map(|seed| noise(30_000, seed)).collect();
    let blobs: Vec<BlobId> = all.iter().map(|bytes| put(&store, bytes)).collect();
    // Not whole: its rows are of another kind.
    let part = noise(3 * CHUNK, 99);
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
