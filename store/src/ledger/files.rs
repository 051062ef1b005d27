//! The ledger's files: their names, and the one way in which they are written.
//!
//! `{catalog}.mark` at the top is the commit point; everything else of a catalog lies in the folder `{catalog}`. A
//! file is written under a name that no reader knows, synced, renamed, and the folder synced, so that under its real
//! name it is whole or absent. What lies under a temporary name is a crash's leftover and is never read.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odi_manifest::{CatalogId, HeadId, Mark, PublicKey, RevId};

use super::LedgerError;
use super::mark_file;
use crate::disk::{Disk, OpenMode, read_exact_at};

/// The largest file that the ledger reads.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

const TEMPORARY: &str = "tmp";
const MARK_SUFFIX: &str = ".mark";

pub(super) fn root_name(version: u64) -> String {
    format!("root-{version}")
}

pub(super) fn head_name(seq: u64, head: &HeadId) -> String {
    format!("head-{seq}-{head}")
}

/// The sequence number and id in the form of [`head_name`].
pub(super) fn parse_head_name(name: &str) -> Option<(u64, HeadId)> {
    let (seq, head) = name.strip_prefix("head-")?.split_once('-')?;
    Some((seq.parse().ok()?, head.parse().ok()?))
}

pub(super) fn list_name(list: &RevId) -> String {
    format!("rev-{list}")
}

pub(super) fn cosignature_name(witness: &PublicKey) -> String {
    format!("cosig-{}", witness.to_hex())
}

pub(super) fn retirement_name(key: &PublicKey) -> String {
    format!("retired-{}", key.to_hex())
}

/// The folder of the ledger on its disk.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl Files {
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, LedgerError> {
        let files = Self { disk, folder: folder.to_path_buf() };
        files.disk.create_dir(folder).map_err(failed("create", folder))?;
        if let Some(parent) = folder.parent() {
            files.disk.sync_dir(parent).map_err(failed("sync", parent))?;
        }
        Ok(files)
    }

    /// Every catalog that has begun.
    pub(super) fn catalogs(&self) -> Result<Vec<CatalogId>, LedgerError> {
        let names = self.disk.list(&self.folder).map_err(failed("list", &self.folder))?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(MARK_SUFFIX)?.parse().ok()).collect())
    }

    fn catalog_folder(&self, catalog: &CatalogId) -> PathBuf {
        self.folder.join(catalog.to_string())
    }

    pub(super) fn path(&self, catalog: &CatalogId, name: &str) -> PathBuf {
        self.catalog_folder(catalog).join(name)
    }

    pub(super) fn mark_path(&self, catalog: &CatalogId) -> PathBuf {
        self.folder.join(format!("{catalog}{MARK_SUFFIX}"))
    }

    /// Begins a catalog: its folder, its first root, and last the mark that says it is there.
    pub(super) fn begin(&self, catalog: &CatalogId, first_root: &[u8]) -> Result<(), LedgerError> {
        let folder = self.catalog_folder(catalog);
        self.disk.create_dir(&folder).map_err(failed("create", &folder))?;
        self.disk.sync_dir(&self.folder).map_err(failed("sync", &self.folder))?;
        // A catalog that was forgotten half-way may have left files.
        self.remove(catalog, &self.names(catalog)?)?;
        self.put(catalog, &root_name(1), first_root)?;
        self.put_mark(catalog, None)
    }

    /// Writes a file of a catalog, durably, in place of a former one.
    pub(super) fn put(&self, catalog: &CatalogId, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        self.replace(&self.catalog_folder(catalog), name, bytes)
    }

    /// Commits a mark.
    pub(super) fn put_mark(&self, catalog: &CatalogId, mark: Option<&Mark>) -> Result<(), LedgerError> {
        self.replace(&self.folder, &format!("{catalog}{MARK_SUFFIX}"), &mark_file::encode(mark))
    }

    fn replace(&self, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        let temporary = folder.join(TEMPORARY);
        let path = folder.join(name);
        self.write_synced(&temporary, bytes).map_err(failed("write", &path))?;
        self.disk.rename(&temporary, &path).map_err(failed("rename", &path))?;
        self.disk.sync_dir(folder).map_err(failed("sync", folder))
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::Create)?;
        file.set_size(0)?;
        file.write_at(0, &[IoSlice::new(bytes)])?;
        file.sync()
    }

    /// The names of a catalog's files, temporary ones left out.
    pub(super) fn names(&self, catalog: &CatalogId) -> Result<Vec<String>, LedgerError> {
        let folder = self.catalog_folder(catalog);
        let mut names = self.disk.list(&folder).map_err(failed("list", &folder))?;
        names.retain(|name| name != TEMPORARY);
        Ok(names)
    }

    /// Reads a file of a catalog; `None` if it is not there.
    pub(super) fn read(&self, catalog: &CatalogId, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.read_path(&self.path(catalog, name))
    }

    /// Reads a catalog's mark file; `None` if it is not there.
    pub(super) fn read_mark(&self, catalog: &CatalogId) -> Result<Option<Vec<u8>>, LedgerError> {
        self.read_path(&self.mark_path(catalog))
    }

    fn read_path(&self, path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.read_whole(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", path)(error)),
        }
    }

    fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path, OpenMode::Existing)?;
        let size = file.size()?;
        if size > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?];
        read_exact_at(&*file, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Removes files of a catalog that nothing refers to any more. Whatever stays is met again at the next start.
    pub(super) fn remove(&self, catalog: &CatalogId, names: &[String]) -> Result<(), LedgerError> {
        for name in names {
            let path = self.path(catalog, name);
            self.disk.remove(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    /// Removes a catalog: the mark first, so that a crash leaves either all of it or leftovers without a mark.
    pub(super) fn forget(&self, catalog: &CatalogId) -> Result<(), LedgerError> {
        let mark = self.mark_path(catalog);
        match self.disk.remove(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &mark)(error));
            }
            _ => self.disk.sync_dir(&self.folder).map_err(failed("sync", &self.folder))?,
        }
        match self.names(catalog) {
            Ok(names) => self.remove(catalog, &names),
            Err(LedgerError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Turns a disk's error into the ledger's.
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    let path = path.to_path_buf();
    move |source| LedgerError::Disk { operation, path, source }
}
