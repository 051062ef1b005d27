//! Two threads that write at once fill two packs; taking space back in the one leaves the other open.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

use odi_manifest::{BlobId, NodeId};
use odi_store::{Disk, DiskFile, Keep, Live, OpenMode, RealDisk, Store, StoreOptions};

/// A write that waits at its barrier twice: when it has begun, and before it goes on.
type Gate = Arc<Mutex<Option<Arc<Barrier>>>>;

/// The real disk; the next write to a pack waits if the gate is shut.
#[derive(Debug)]
struct GatedDisk(Gate);

#[derive(Debug)]
struct GatedFile {
    file: Box<dyn DiskFile>,
    gate: Option<Gate>,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let is_pack = path.extension().is_some_and(|extension| extension == "pack");
        let gate = is_pack.then(|| Arc::clone(&self.0));
        Ok(Box::new(GatedFile { file: RealDisk.open(path, mode)?, gate }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(folder)
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        RealDisk.create_dir(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_dir(folder)
    }
}

impl DiskFile for GatedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let shut = self.gate.as_ref().and_then(|gate| gate.lock().unwrap().take());
        if let Some(barrier) = shut {
            barrier.wait();
            barrier.wait();
        }
        self.file.write_at(offset, parts)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

/// Needs what lies in one pack and nothing of the other.
struct Only(Vec<BlobId>);

impl Live for Only {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
        self.0.iter().for_each(|blob| mark(blob, Keep::Floor));
    }

    fn nodes(&self, _: &mut dyn FnMut(&NodeId)) {}
}

fn put(store: &Store, bytes: &[u8]) -> BlobId {
    let blob = BlobId::of(bytes);
    store.ingest(&blob, bytes).unwrap();
    blob
}

#[test]
fn packs_do_not_become_many_and_small_however_often_space_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let store =
        Store::open(Arc::new(GatedDisk(Arc::clone(&gate))), dir.path(), StoreOptions::default()).unwrap();
    let mut kept = Vec::new();
    for round in 0..20u64 {
        let passing = [&round.to_be_bytes()[..], &[1; 9000]].concat();
        let staying = [&round.to_be_bytes()[..], &[2; 9000]].concat();
        let barrier = Arc::new(Barrier::new(2));
        *gate.lock().unwrap() = Some(Arc::clone(&barrier));
        std::thread::scope(|scope| {
            scope.spawn(|| put(&store, &passing));
            // The one pack is being written to: this goes to the other.
            barrier.wait();
            kept.push(put(&store, &staying));
            barrier.wait();
        });
        store.reclaim(&Only(kept.clone()), 0).unwrap();
    }
    assert!(kept.iter().all(|blob| store.open_blob(blob).unwrap().is_some()));
    let packs = std::fs::read_dir(dir.path().join("packs")).unwrap().count();
    assert!(packs <= 2, "{packs} packs for 180 kB");
}
