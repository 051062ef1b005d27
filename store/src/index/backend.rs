//! redb on our disk. It takes no locks: the store's own lock file keeps others out.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{DiskFile, read_exact_at};

#[derive(Debug)]
pub(super) struct Backend {
    file: Box<dyn DiskFile>,
    /// The file's length, for the budget and for redb, which asks often.
    length: Arc<AtomicU64>,
}

impl Backend {
    pub(super) fn new(file: Box<dyn DiskFile>, length: Arc<AtomicU64>) -> io::Result<Self> {
        length.store(file.size()?, Ordering::Relaxed);
        Ok(Self { file, length })
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.length.load(Ordering::Relaxed))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact_at(&*self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_size(len)?;
        self.length.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, &[IoSlice::new(data)])
    }
}
