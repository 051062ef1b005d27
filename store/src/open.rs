//! Opening: the lock, the header, the index, and recovery of what a crash left (FORMAT.md § Recovery).

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use odi_manifest::{CHUNK_BYTES, HotPaths, Node};

use crate::budget::Budget;
use crate::cache::Cache;
use crate::change::Change;
use crate::chunks::Chunks;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::StoreError;
use crate::index::{Guard, Index, Mode};
use crate::options::StoreOptions;
use crate::pack::{Appender, OpenPack, PACK_HEADER_BYTES, PackId, Scan, Shelf};
use crate::queue::{BatchLimits, Queue};
use crate::row::{Hour, PackRow};
use crate::rows::Rows;
use crate::store::Shared;

const HEADER_BYTES: usize = 96;
const MAGIC: &[u8; 8] = b"ODIstore";
const VERSION: u32 = 1;
/// Changes that recovery applies at once.
const RECOVERY_CHANGES: usize = 64 << 10;

/// A store folder that is ours: locked, and its header read.
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) lock: Box<dyn DiskFile>,
    pub(crate) shelf: Arc<Shelf>,
}

/// Takes the folder for this process, creating it with `salt` if it is new.
pub(crate) fn claim(disk: Arc<dyn Disk>, folder: &Path, salt: u64) -> Result<Folder, StoreError> {
    let packs = folder.join("packs");
    disk.create_dir(&packs).map_err(|error| StoreError::disk("create", &packs, error))?;
    let path = folder.join("lock");
    let lock = disk.open(&path, OpenMode::Create).map_err(|error| StoreError::disk("open", &path, error))?;
    if !lock.try_lock().map_err(|error| StoreError::disk("lock", &path, error))? {
        return Err(StoreError::Locked { path: folder.to_owned() });
    }
    let salt = header(&*disk, folder, salt)?;
    // A former process may have failed between a rename and this; what it renamed must not be lost under us.
    disk.sync_dir(folder).map_err(|error| StoreError::disk("sync", folder, error))?;
    let shelf = Arc::new(Shelf::new(Arc::clone(&disk), packs, salt));
    Ok(Folder { disk, lock, shelf })
}

/// Whether a process has the store of this folder open. Changes nothing.
///
/// # Errors
/// The disk does not say.
pub fn is_in_use(disk: &dyn Disk, folder: &Path) -> Result<bool, StoreError> {
    let path = folder.join("lock");
    let lock = match disk.open(&path, OpenMode::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|error| StoreError::disk("open", &path, error))?,
    };
    lock.try_lock().map(|ours| !ours).map_err(|error| StoreError::disk("lock", &path, error))
}

pub(crate) fn open(disk: Arc<dyn Disk>, folder: &Path, options: StoreOptions) -> Result<Shared, StoreError> {
    let Folder { disk, lock, shelf, .. } = claim(disk, folder, options.salt)?;
    let length = Arc::new(AtomicU64::new(0));
    let pack_bytes = options.sealed_at();
    let index = open_index(&*disk, folder, &shelf, options.index_cache_bytes, Arc::clone(&length))?;
    let budget = Arc::new(Budget::new(options.budget_bytes, pack_bytes, length));
    let hour = Hour::of(options.clock.now());
    let tails = recover(&index, &shelf, &budget, hour, pack_bytes)?;
    let limits = BatchLimits {
        interval: options.commit_interval,
        bytes: options.batch_bytes,
        changes: options.batch_records,
    };
    let queue = Arc::new(Queue::new(limits));
    let meta = index.meta()?;
    let appender = Appender::new(
        Arc::clone(&shelf),
        Arc::clone(&queue),
        Arc::clone(&budget),
        pack_bytes,
        meta.pack.max(tails.next),
        tails.open,
    );
    let decoded = Cache::watching(options.node_cache_bytes, |node: &Arc<Node>| node.take_followed());
    Ok(Shared {
        folder: folder.to_owned(),
        rows: Rows::new(options.row_cache_bytes),
        chunks: Chunks::new(options.cache_bytes),
        reading: Arc::default(),
        options,
        index,
        shelf,
        queue,
        appender,
        budget,
        flights: Default::default(),
        partials: Default::default(),
        leases: Default::default(),
        nodes: Default::default(),
        decoded,
        hot_paths: HotPaths::new(),
        marking: Default::default(),
        compacting: Default::default(),
        events: Default::default(),
        generation: AtomicU64::new(meta.generation),
        _lock: lock,
    })
}

/// Reads the store's header, or writes it; returns the salt.
fn header(disk: &dyn Disk, folder: &Path, salt: u64) -> Result<u64, StoreError> {
    let path = folder.join("store.odi");
    match disk.open(&path, OpenMode::Existing) {
        Ok(file) => {
            let mut bytes = [0; HEADER_BYTES];
            let read = file.read_at(0, &mut bytes).map_err(|error| StoreError::disk("read", &path, error))?;
            if read == HEADER_BYTES && bytes == encode_header(salt_of(&bytes)) {
                return Ok(salt_of(&bytes));
            }
            Err(StoreError::Foreign { path })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_header(disk, folder, &path, salt)
                .map_err(|error| StoreError::disk("create", &path, error))?;
            Ok(salt)
        }
        Err(error) => Err(StoreError::disk("open", &path, error)),
    }
}

fn write_header(disk: &dyn Disk, folder: &Path, path: &Path, salt: u64) -> io::Result<()> {
    let new = folder.join("store.new");
    let file = disk.open(&new, OpenMode::Create)?;
    file.set_size(0)?;
    file.write_at(0, &[IoSlice::new(&encode_header(salt))])?;
    file.sync()?;
    disk.rename(&new, path)?;
    disk.sync_dir(folder)
}

fn encode_header(salt: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&u32::try_from(CHUNK_BYTES).expect("256 KiB").to_le_bytes());
    bytes[16..24].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..92]);
    bytes[92..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn salt_of(bytes: &[u8; HEADER_BYTES]) -> u64 {
    u64::from_le_bytes(bytes[16..24].try_into().expect("8 bytes"))
}

/// Opens the index, or builds an empty one aside and renames it into place.
fn open_index(
    disk: &dyn Disk,
    folder: &Path,
    shelf: &Shelf,
    cache_bytes: u64,
    length: Arc<AtomicU64>,
) -> Result<Index, StoreError> {
    let path = folder.join("index.redb");
    match Index::open(disk, &path, OpenMode::Existing, cache_bytes, Arc::clone(&length)) {
        Err(StoreError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    // Packs that hold nothing were made before a crash that came before the first commit.
    for pack in shelf.list()? {
        let size = shelf.file(pack).and_then(|file| file.size());
        if size.map_err(|error| StoreError::disk("open", &shelf.path(pack), error))?
            > u64::from(PACK_HEADER_BYTES)
        {
            return Err(StoreError::NoIndex { path: folder.to_owned() });
        }
    }
    new_index(disk, folder, cache_bytes, length, |_| Ok(()))
}

/// Builds an index as `index.new` and puts it in the place of `index.redb`.
pub(crate) fn new_index(
    disk: &dyn Disk,
    folder: &Path,
    cache_bytes: u64,
    length: Arc<AtomicU64>,
    fill: impl FnOnce(&Index) -> Result<(), StoreError>,
) -> Result<Index, StoreError> {
    let (new, path) = (folder.join("index.new"), folder.join("index.redb"));
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::disk("remove", &new, error));
        }
        _ => {}
    }
    let index = Index::open(disk, &new, OpenMode::New, cache_bytes, length)?;
    fill(&index)?;
    disk.rename(&new, &path).map_err(|error| StoreError::disk("rename", &new, error))?;
    disk.sync_dir(folder).map_err(|error| StoreError::disk("sync", folder, error))?;
    Ok(index)
}

/// What recovery found at the ends of the packs.
struct Tails {
    open: Vec<OpenPack>,
    /// Above every pack there is.
    next: PackId,
}

/// Adopts what was written after the last commit, cuts what does not check, and removes left-overs.
fn recover(
    index: &Index,
    shelf: &Shelf,
    budget: &Budget,
    hour: Hour,
    pack_bytes: u64,
) -> Result<Tails, StoreError> {
    let meta = index.meta()?;
    let mut rows: HashMap<PackId, PackRow> = index.packs()?.into_iter().collect();
    let guard = Guard { hour, ..Guard::default() };
    let mut tails = Tails { open: Vec::new(), next: PackId(1) };
    let mut changes = Vec::new();
    for pack in shelf.list()? {
        tails.next = tails.next.max(PackId(pack.0 + 1));
        let row = match rows.remove(&pack) {
            Some(row) if row.sealed => {
                budget.found(row.end);
                continue;
            }
            Some(row) => row,
            None if pack < meta.pack => {
                shelf.remove(pack).map_err(|error| StoreError::disk("remove", &shelf.path(pack), error))?;
                continue;
            }
            None => PackRow { end: u64::from(PACK_HEADER_BYTES), ..PackRow::default() },
        };
        let Some(open) = recover_pack(shelf, pack, row, &mut changes)? else { continue };
        budget.found(open.tail);
        if open.tail >= pack_bytes || tails.open.len() == 2 {
            changes.push(Change::Seal { pack, end: open.tail });
        } else {
            tails.open.push(open);
        }
        if changes.len() >= RECOVERY_CHANGES {
            index.commit(&std::mem::take(&mut changes), Mode::Recovery, &guard)?;
        }
    }
    if !rows.is_empty() {
        tracing::error!(
            packs = rows.len(),
            "packs are missing; what they held is found missing when it is read"
        );
    }
    if !changes.is_empty() {
        shelf.sync_folder()?;
        index.commit(&changes, Mode::Recovery, &guard)?;
    }
    Ok(tails)
}

/// Scans one pack past its committed end. `None` if it was new and held nothing.
fn recover_pack(
    shelf: &Shelf,
    pack: PackId,
    row: PackRow,
    changes: &mut Vec<Change>,
) -> Result<Option<OpenPack>, StoreError> {
    let failed = |error| StoreError::disk("recover", &shelf.path(pack), error);
    let file = shelf.file(pack).map_err(failed)?;
    if !crate::pack::header_checks(&*file, pack, shelf.salt()).map_err(failed)? {
        if row.end > u64::from(PACK_HEADER_BYTES) {
            return Err(StoreError::PackHeader { path: shelf.path(pack) });
        }
        shelf.remove(pack).map_err(failed)?;
        return Ok(None);
    }
    let mut scan = Scan::new(Arc::clone(&file), shelf.salt(), row.end, false).map_err(failed)?;
    while let Some(scanned) = scan.next().map_err(failed)? {
        let at = crate::pack::Location { pack, offset: scanned.offset };
        changes.push(Change::Record { header: scanned.header, at, source: None });
    }
    let tail = scan.position();
    if scan.size() < row.end {
        tracing::error!(pack = pack.0, "a pack is shorter than what was committed");
        changes.push(Change::Seal { pack, end: row.end });
        return Ok(None);
    }
    if scan.size() > tail {
        file.set_size(tail).map_err(failed)?;
    }
    // Even if nothing was found: a former process may have cut this pack after a failed sync and stopped, and what it
    // cut must not come back behind records that are acknowledged from now on.
    file.sync().map_err(failed)?;
    Ok(Some(OpenPack { id: pack, file, tail }))
}
