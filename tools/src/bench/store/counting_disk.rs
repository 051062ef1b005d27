//! The real disk, with its syncs counted and, if wanted, made as slow as a disk that means them.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use odi_store::{Disk, DiskFile, OpenMode, RealDisk};

#[derive(Clone, Debug, Default)]
pub(super) struct CountingDisk {
    counts: Arc<Counts>,
    sync_takes: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    syncs: AtomicU64,
    writes: AtomicU64,
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn DiskFile>,
    disk: CountingDisk,
}

impl CountingDisk {
    pub(super) fn new(sync_takes: Duration) -> Self {
        Self { sync_takes, ..Self::default() }
    }

    pub(super) fn syncs(&self) -> u64 {
        self.counts.syncs.load(Ordering::Relaxed)
    }

    pub(super) fn writes(&self) -> u64 {
        self.counts.writes.load(Ordering::Relaxed)
    }

    fn count_sync(&self) {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.sync_takes);
    }
}

impl Disk for CountingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile { file: RealDisk.open(path, mode)?, disk: self.clone() }))
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
        self.count_sync();
        RealDisk.sync_dir(folder)
    }
}

impl DiskFile for CountingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.disk.counts.writes.fetch_add(1, Ordering::Relaxed);
        self.file.write_at(offset, parts)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.count_sync();
        self.file.sync()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
