//! A disk that is full, or refuses a write in passing: a refusal to the caller, and nothing else lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use odi_fixtures::{Aftermath, FaultKind, FaultyDisk, Unsynced};
use odi_manifest::BlobId;
use odi_store::{Disk, IngestError, Store, StoreError, StoreOptions};

fn open(disk: &FaultyDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new("/store"), StoreOptions::default()).unwrap()
}

#[test]
fn a_refused_write_costs_its_caller_only() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let (kept, other) = (BlobId::of(b"kept"), BlobId::of(b"other"));
    store.ingest(&kept, b"kept").unwrap();
    disk.fail_at(disk.operations(), FaultKind::Torn, Aftermath::Recovers);
    let refused = store.ingest(&other, b"other");
    assert!(matches!(refused, Err(IngestError::Store(StoreError::Disk { .. }))), "{refused:?}");
    assert!(store.failure().is_none());
    assert!(!store.contains(&other));
    store.ingest(&other, b"other").unwrap();
    drop(store);
    disk.crash(Unsynced::Lost);
    let store = open(&disk);
    assert!(store.contains(&kept) && store.contains(&other));
}

#[test]
fn a_failed_commit_stops_writing_and_says_why_until_the_store_is_opened_again() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let (kept, other) = (BlobId::of(b"kept"), BlobId::of(b"other"));
    store.ingest(&kept, b"kept").unwrap();
    let ticket = store.ingest_nowait(&other, b"other").unwrap();
    disk.fail_at(disk.operations(), FaultKind::Failed, Aftermath::Recovers);
    assert!(matches!(ticket.wait(), Err(StoreError::Stopped { .. })));
    assert!(matches!(store.failure(), Some(StoreError::Disk { operation: "sync", .. })));
    assert!(store.ingest(&other, b"other").is_err());
    let reader = store.open_blob(&kept).unwrap().unwrap();
    assert_eq!(reader.chunk(0).unwrap(), b"kept".as_slice());
    drop((reader, store));
    let store = open(&disk);
    assert!(store.contains(&kept) && !store.contains(&other), "what was cut back is not adopted");
    store.ingest(&other, b"other").unwrap();
}

#[test]
fn packs_that_cannot_be_begun_leave_no_files() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    for turn in 0..5 {
        // Creating the file works; writing its header does not.
        disk.fail_at(disk.operations() + 1, FaultKind::Failed, Aftermath::Recovers);
        assert!(store.ingest(&BlobId::of(b"blob"), b"blob").is_err(), "{turn}");
        assert_eq!(disk.list(Path::new("/store/packs")).unwrap(), [""; 0]);
    }
    store.ingest(&BlobId::of(b"blob"), b"blob").unwrap();
}
