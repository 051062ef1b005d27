//! The folder of packs and the files of it that are open.
//!
//! At most [`OPEN_FILES_MAX`] stay open; who holds a file may go on reading it after it was closed or removed here.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PackId;
use crate::cache::Cache;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::StoreError;

const OPEN_FILES_MAX: u64 = 512;

#[derive(Debug)]
pub(crate) struct Shelf {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    salt: u64,
    open: Cache<PackId, Arc<dyn DiskFile>>,
}

impl Shelf {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: PathBuf, salt: u64) -> Self {
        Self { disk, folder, salt, open: Cache::new(OPEN_FILES_MAX) }
    }

    pub(crate) fn salt(&self) -> u64 {
        self.salt
    }

    pub(crate) fn path(&self, pack: PackId) -> PathBuf {
        self.folder.join(pack.file_name())
    }

    /// The packs that are there, ascending.
    pub(crate) fn list(&self) -> Result<Vec<PackId>, StoreError> {
        let names =
            self.disk.list(&self.folder).map_err(|error| StoreError::disk("list", &self.folder, error))?;
        let mut packs: Vec<PackId> = names.iter().filter_map(|name| PackId::from_file_name(name)).collect();
        packs.sort_unstable();
        Ok(packs)
    }

    /// Opens a pack, or finds it open.
    pub(crate) fn file(&self, pack: PackId) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.open.get(&pack) {
            return Ok(file);
        }
        let file: Arc<dyn DiskFile> = self.disk.open(&self.path(pack), OpenMode::Existing)?.into();
        self.open.insert(pack, Arc::clone(&file), 1);
        Ok(file)
    }

    /// Creates a pack with its header; the name is durable after [`sync_folder`](Self::sync_folder).
    pub(crate) fn create(&self, pack: PackId) -> io::Result<Arc<dyn DiskFile>> {
        let file: Arc<dyn DiskFile> = self.disk.open(&self.path(pack), OpenMode::New)?.into();
        if let Err(error) = file.write_at(0, &[IoSlice::new(&pack.header(self.salt))]) {
            // A full disk refuses every pack that is tried: none of them may stay behind.
            let _ = self.disk.remove(&self.path(pack));
            return Err(error);
        }
        self.open.insert(pack, Arc::clone(&file), 1);
        Ok(file)
    }

    /// Removes a pack that no row names any more.
    pub(crate) fn remove(&self, pack: PackId) -> io::Result<()> {
        self.open.remove(&pack);
        self.disk.remove(&self.path(pack))
    }

    pub(crate) fn sync(&self, pack: PackId) -> Result<(), StoreError> {
        let synced = self.file(pack).and_then(|file| file.sync());
        synced.map_err(|error| StoreError::disk("sync", &self.path(pack), error))
    }

    pub(crate) fn sync_folder(&self) -> Result<(), StoreError> {
        let synced = self.disk.sync_dir(&self.folder);
        synced.map_err(|error| StoreError::disk("sync", self.folder(), error))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}
