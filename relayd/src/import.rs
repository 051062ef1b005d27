//! `odi-relayd import FOLDER`: what an existing mirror on this machine has already is taken in, so that nothing is downloaded twice.
//!
//! Names do not matter: a file is taken if some served head of a followed catalog names its very content and the store lacks it.
//! Sizes sort out most files unread. It can be broken off and begun again; the relay is stopped meanwhile, since a store has one
//! owner.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{BlobId, Clock, NodesError};
use odi_store::{
    Disk, IngestBuffer, IngestError, Ledger, LedgerError, RealDisk, Store, StoreError, StoreOptions, Ticket,
    ledger_folder,
};
use odi_wire::sync::{FollowedCatalog, SyncError};
use serde::Serialize;

use crate::config::Config;

/// How long a relay that is about to end may take to let go of the store.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Files between two lines of progress.
const PROGRESS_EVERY: u64 = 1000;

/// Why nothing more is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store cannot be opened or written.
    #[error("the store of this relay cannot be used; the relay must be stopped meanwhile")]
    Store(#[from] StoreError),
    /// The trust records cannot be read.
    #[error("the ledger cannot be opened")]
    Ledger(#[from] LedgerError),
    /// A catalog cannot be opened.
    #[error("a catalog cannot be opened")]
    Catalog(#[from] SyncError),
    /// A catalog's manifest cannot be read.
    #[error("a manifest cannot be read; start the relay once, so that it mends it")]
    Manifest(#[from] NodesError),
    /// There is nothing to compare files with.
    #[error(
        "no catalog is known yet; start the relay once, until its status shows the catalogs, and stop it"
    )]
    NoCatalogs,
    /// The folder itself cannot be read. (A file in it that cannot is passed over.)
    #[error("cannot read {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Files that were seen.
    pub files: u64,
    /// Files of a size that something missing has, and that were read.
    pub compared: u64,
    /// Blobs taken in, and their bytes.
    pub blobs: u64,
    /// See `blobs`.
    pub bytes: u64,
    /// Files that could not be read, or changed meanwhile.
    pub unreadable: u64,
    /// Blobs that are still missing.
    pub missing: u64,
    /// Whether the disk budget ended it.
    pub full: bool,
}

/// Takes in what a folder has.
///
/// # Errors
/// [`ImportError`]; what was taken in before stays.
pub fn import(config: &Config, folder: &Path, clock: Arc<dyn Clock>) -> Result<Imported, ImportError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let now = clock.now();
    let options = StoreOptions { budget_bytes: config.disk.0, clock, ..StoreOptions::default() };
    let store = Store::open_after(&disk, &config.data_dir.join("store"), &options, LOCK_PATIENCE)?;
    let ledger = Arc::new(Ledger::open(disk, &ledger_folder(&config.data_dir))?);
    let mut catalogs = Vec::new();
    for id in ledger.catalogs() {
        catalogs.push(FollowedCatalog::open(id, store.clone(), Arc::clone(&ledger), now)?);
    }
    let mut import = Import { store, missing: HashMap::new(), last: None, done: Imported::default() };
    import.list_missing(&catalogs)?;
    if catalogs.iter().all(|catalog| catalog.state().newest().is_none()) {
        return Err(ImportError::NoCatalogs);
    }
    import.walk(folder)?;
    import.finish()
}

struct Import {
    store: Store,
    /// What is missing, by size: 32 bytes per blob and a little.
    missing: HashMap<u64, HashSet<BlobId>>,
    last: Option<Ticket>,
    done: Imported,
}

impl Import {
    fn list_missing(&mut self, catalogs: &[Arc<FollowedCatalog>]) -> Result<(), ImportError> {
        for catalog in catalogs {
            let (state, nodes) = (catalog.state(), catalog.nodes());
            for head in state.retained() {
                for item in head.tree.iter(&nodes, None) {
                    let (path, entry) = item?;
                    let withdrawn = state.revokes(path.as_str(), &entry, head.seq()).is_some();
                    if !withdrawn && !self.store.contains(&entry.blob) {
                        self.missing.entry(entry.size).or_default().insert(entry.blob);
                    }
                }
            }
        }
        Ok(())
    }

    /// Every file below a folder. Links are passed over: what they lead to is met where it is, or lies outside.
    fn walk(&mut self, folder: &Path) -> Result<(), ImportError> {
        let unreadable = |source| ImportError::Folder { path: folder.to_owned(), source };
        let mut buffer = IngestBuffer::default();
        let mut folders = vec![folder.to_owned()];
        std::fs::read_dir(folder).map_err(unreadable)?;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                self.done.unreadable += 1;
                continue;
            };
            for entry in entries.flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    self.look_at(&entry.path(), &mut buffer)?;
                }
                if self.done.full || self.missing.is_empty() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn look_at(&mut self, path: &Path, buffer: &mut IngestBuffer) -> Result<(), ImportError> {
        self.done.files += 1;
        if self.done.files.is_multiple_of(PROGRESS_EVERY) {
            tracing::info!(
                files = self.done.files,
                blobs = self.done.blobs,
                bytes = self.done.bytes,
                "importing"
            );
        }
        let Ok(size) = std::fs::symlink_metadata(path).map(|metadata| metadata.len()) else { return Ok(()) };
        let Some(wanted) = self.missing.get_mut(&size) else { return Ok(()) };
        self.done.compared += 1;
        let Some((mut file, blob)) = File::open(path).ok().and_then(named) else {
            self.done.unreadable += 1;
            return Ok(());
        };
        if !wanted.contains(&blob) {
            return Ok(());
        }
        match self.store.ingest_file_nowait(&mut file, size, Some(&blob), buffer) {
            Ok((_, ticket)) => {
                self.last = Some(ticket);
                self.done.blobs += 1;
                self.done.bytes += size;
            }
            Err(IngestError::Store(StoreError::Full { .. })) => {
                self.done.full = true;
                return Ok(());
            }
            Err(IngestError::Store(error)) => return Err(error.into()),
            // Purged, or it changed between the two looks: neither is this file's to give.
            Err(_) => {
                self.done.unreadable += 1;
                return Ok(());
            }
        }
        wanted.remove(&blob);
        if wanted.is_empty() {
            self.missing.remove(&size);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        if let Some(ticket) = self.last.take() {
            ticket.wait()?;
        }
        self.store.flush()?;
        self.done.missing = self.missing.values().map(|blobs| blobs.len() as u64).sum();
        Ok(self.done)
    }
}

/// The file, at its beginning again, and its name by content.
fn named(mut file: File) -> Option<(File, BlobId)> {
    let mut hasher = blake3::Hasher::new();
    let mut some = vec![0; 256 << 10];
    loop {
        match file.read(&mut some).ok()? {
            0 => break,
            read => _ = hasher.update(some.get(..read)?),
        }
    }
    io::Seek::rewind(&mut file).ok()?;
    Some((file, BlobId::from_bytes(*hasher.finalize().as_bytes())))
}
