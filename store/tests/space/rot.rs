//! Rot: found by readers, scrub and rebuild, never served, and put right.

use std::sync::Arc;

use odi_fixtures::noise;
use odi_manifest::{BlobId, CHUNK_BYTES, ChunkListBuilder, NodeId};
use odi_store::{Event, ReadError, RealDisk, Store, StoreError};

use crate::rig::{CHUNK, damage, open, put, read, small_packs};

#[test]
fn a_flipped_byte_is_never_served_and_can_be_put_right() {
    for size in [3000, CHUNK, 6 * CHUNK + 5] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let bytes = noise(size, 3);
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
    let small = noise(5000, 1);
    let large = noise(9 * CHUNK, 2);
    let listed = noise(2 * CHUNK, 3);
    let headless = noise(7000, 4);
    for bytes in [&small, &large, &listed, &headless] {
        put(&store, bytes);
    }
    (10..40).for_each(|seed| _ = put(&store, &noise(30_000, seed)));
    let list = store.chunk_list(&BlobId::of(&listed)).unwrap().to_bytes();
    let node = noise(8000, 5);
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
    let all: Vec<Vec<u8>> = (0..40).map(|seed| noise(seed * 30_000 + 1, seed as u64)).collect();
    let blobs: Vec<BlobId> = all.iter().map(|bytes| put(&store, bytes)).collect();
    let half = noise(8 * CHUNK, 99);
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
    let node = noise(500, 5);
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
