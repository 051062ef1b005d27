//! What goes in comes out, whole or in pieces, before and after the store is opened again.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::io::Cursor;
use std::sync::Arc;

use odi_fixtures::noise;
use odi_manifest::{BlobId, CHUNK_BYTES, ChunkListBuilder};
use odi_store::{Ingested, PartialError, RealDisk, Store, StoreOptions};

const CHUNK: usize = 256 << 10;

fn open(dir: &std::path::Path) -> Store {
    Store::open(Arc::new(RealDisk), dir, StoreOptions::default()).unwrap()
}

fn read(store: &Store, blob: &BlobId) -> Option<Vec<u8>> {
    let reader = store.open_blob(blob).unwrap()?;
    let mut bytes = Vec::new();
    for chunk in 0..reader.chunk_count() {
        bytes.extend_from_slice(&reader.chunk(chunk).unwrap());
    }
    assert_eq!(bytes.len() as u64, reader.size());
    Some(bytes)
}

#[test]
fn blobs_of_every_boundary_size_come_back_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 17 * CHUNK + 3, 40 * CHUNK];
    let blobs: Vec<Vec<u8>> =
        sizes.iter().enumerate().map(|(seed, size)| noise(*size, seed as u64)).collect();
    let store = open(dir.path());
    for bytes in &blobs {
        let blob = BlobId::of(bytes);
        assert_eq!(store.contains(&blob), bytes.is_empty());
        store.ingest(&blob, bytes).unwrap();
        assert_eq!(store.ingest(&blob, bytes).unwrap(), Ingested::Known);
        assert_eq!(read(&store, &blob).as_ref(), Some(bytes));
    }
    drop(store);
    let store = open(dir.path());
    for bytes in &blobs {
        let blob = BlobId::of(bytes);
        assert_eq!(store.blob_size(&blob), Some(bytes.len() as u64));
        assert_eq!(read(&store, &blob).as_ref(), Some(bytes));
        assert_eq!(store.chunk_list(&blob).is_some(), bytes.len() > CHUNK);
    }
    assert_eq!(read(&store, &BlobId::of(b"absent")), None);
}

#[test]
fn files_are_hashed_as_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [0, 10, CHUNK + 1, 16 * CHUNK, 16 * CHUNK + 1, 33 * CHUNK + 9] {
        let bytes = noise(size, size as u64);
        let blob = store.ingest_file(&mut Cursor::new(&bytes), size as u64, None).unwrap();
        assert_eq!(blob, BlobId::of(&bytes));
        assert_eq!(read(&store, &blob).as_ref(), Some(&bytes));
        let wrong = BlobId::of(b"wrong");
        assert!(store.ingest_file(&mut Cursor::new(&bytes), size as u64, Some(&wrong)).is_err());
        assert!(store.ingest_file(&mut Cursor::new(&bytes), size as u64 + 1, None).is_err());
    }
}

#[test]
fn wrong_bytes_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let wrong = BlobId::of(b"wrong");
    assert!(store.ingest(&wrong, b"right").is_err());
    assert!(store.ingest(&wrong, &noise(CHUNK + 5, 1)).is_err());
    assert!(!store.contains(&wrong));
}

#[test]
fn a_partial_blob_takes_chunks_in_any_order_and_goes_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(9 * CHUNK + 77, 5);
    let size = bytes.len() as u64;
    let mut builder = ChunkListBuilder::new();
    bytes.chunks(CHUNK).for_each(|chunk| builder.push(chunk));
    let list = builder.finish().unwrap();
    let blob = *list.blob();
    let chunk = |index: u32| bytes.chunks(CHUNK).nth(index as usize).unwrap();
    {
        let store = open(dir.path());
        let partial = store.begin(&blob, size).unwrap();
        assert!(matches!(partial.put_chunk(0, chunk(0)), Err(PartialError::ListFirst(_))));
        partial.set_list(list.clone()).unwrap();
        for index in [9, 0, 5, 4] {
            assert!(!partial.put_chunk(index, chunk(index)).unwrap().complete);
            assert_eq!(partial.chunk(index).unwrap().unwrap(), chunk(index));
        }
        assert!(matches!(partial.put_chunk(1, chunk(2)), Err(PartialError::Content(_))));
        assert_eq!(partial.missing(), [1..4, 6..9]);
        assert_eq!(store.begin(&blob, size).unwrap().missing(), [1..4, 6..9]);
        drop(partial);
        assert_eq!(store.begin(&blob, size).unwrap().missing(), [1..4, 6..9]);
        // A lie about the size has a state of its own.
        assert_eq!(store.begin(&blob, size + 1).unwrap().missing().into_iter().flatten().count(), 10);
    }
    let store = open(dir.path());
    let partial = store.begin(&blob, size).unwrap();
    assert_eq!(partial.missing(), [1..4, 6..9]);
    assert_eq!(partial.list().as_deref(), Some(&list));
    assert!(!store.contains(&blob));
    let missing: Vec<u32> = partial.missing().into_iter().flatten().collect();
    for (position, index) in missing.iter().enumerate() {
        let complete = partial.put_chunk(*index, chunk(*index)).unwrap().complete;
        assert_eq!(complete, position + 1 == missing.len());
    }
    assert_eq!(read(&store, &blob).as_ref(), Some(&bytes));
    assert!(matches!(store.begin(&blob, size + 1), Err(PartialError::Size { .. })));
    assert!(store.begin(&blob, size).unwrap().is_complete());
}

#[test]
fn a_blob_brought_by_many_at_once_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes = noise(3 * CHUNK, 8);
    let blob = BlobId::of(&bytes);
    let new = std::thread::scope(|scope| {
        let brought: Vec<_> = (0..8).map(|_| scope.spawn(|| store.ingest(&blob, &bytes).unwrap())).collect();
        brought
            .into_iter()
            .filter(|_| true)
            .map(|thread| thread.join().unwrap())
            .filter(|it| *it == Ingested::New)
            .count()
    });
    assert_eq!(new, 1);
    drop(store);
    let stored: u64 = std::fs::read_dir(dir.path().join("packs"))
        .unwrap()
        .map(|f| f.unwrap().metadata().unwrap().len())
        .sum();
    assert!(stored < 4 * CHUNK_BYTES, "{stored} bytes in packs");
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(Arc::new(RealDisk), dir.path(), StoreOptions::default());
    assert!(matches!(second, Err(odi_store::StoreError::Locked { .. })));
    drop(store);
    open(dir.path());
}

#[test]
fn an_owned_thread_reads_for_those_who_must_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes = noise(2 * CHUNK + 1, 3);
    let blob = BlobId::of(&bytes);
    store.ingest(&blob, &bytes).unwrap();
    let reader = store.open_blob(&blob).unwrap().unwrap();
    assert!(reader.cached(2).is_none());
    let (send, receive) = std::sync::mpsc::channel();
    reader.fetch(2, move |read| send.send(read).unwrap());
    assert_eq!(receive.recv().unwrap().unwrap(), &bytes[2 * CHUNK..]);
    assert_eq!(reader.try_chunk_now(2).unwrap().unwrap(), &bytes[2 * CHUNK..]);
    assert_eq!(reader.cached(2).unwrap(), &bytes[2 * CHUNK..], "it was asked for again");
}

#[test]
fn what_is_asked_for_again_stays_in_memory_whatever_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    // Each of the cache's 16 parts has room for two chunks.
    let options = StoreOptions { cache_bytes: 32 * (CHUNK as u64 + 1000), ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let (hot, large) = (noise(CHUNK, 1), noise(200 * CHUNK, 2));
    let [hot, large] = [hot, large].map(|bytes| {
        let blob = BlobId::of(&bytes);
        store.ingest(&blob, &bytes).unwrap();
        store.open_blob(&blob).unwrap().unwrap()
    });
    hot.chunk(0).unwrap();
    assert!(hot.cached(0).is_none(), "once is not again");
    hot.chunk(0).unwrap();
    assert!(hot.cached(0).is_some());
    for chunk in 0..large.chunk_count() {
        large.chunk(chunk).unwrap();
    }
    assert!((0..large.chunk_count()).all(|chunk| large.cached(chunk).is_none()));
    assert!(hot.cached(0).is_some());
    assert_eq!(store.stats().unwrap().cached_bytes, CHUNK as u64 + 128);
}

#[test]
fn a_chunk_in_use_is_shared_and_no_longer_than_that() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { cache_bytes: 0, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk), dir.path(), options).unwrap();
    let bytes = noise(3 * CHUNK, 4);
    let blob = BlobId::of(&bytes);
    store.ingest(&blob, &bytes).unwrap();
    let [one, other] = [(); 2].map(|()| store.open_blob(&blob).unwrap().unwrap());
    let sent = one.chunk(1).unwrap();
    let shared = other.chunk(1).unwrap();
    assert_eq!(shared.as_ptr(), sent.as_ptr(), "one buffer for all who send it now");
    assert_ne!(other.chunk(2).unwrap().as_ptr(), sent.as_ptr());
    drop(sent);
    assert_eq!(other.cached(1).unwrap(), &bytes[CHUNK..2 * CHUNK]);
    store.purge(&blob).unwrap();
    assert!(one.cached(1).is_none() && one.chunk(1).is_err(), "a purge ends it for those who come now");
    assert_eq!(shared, &bytes[CHUNK..2 * CHUNK]);
    drop(shared);
}
