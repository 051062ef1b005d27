//! A copy of what a directory cannot get again, and how it comes back: a folder with the files as they lie in the data folder, and
//! `backup.json`, which names each with its hash and is written last.
//!
//! The store is not in it: it fills itself again. Copied while the directory runs, a copy is consistent because every file but the
//! statistics is replaced whole, and because of a catalog's ledger the mark is copied first: what a mark names was there before it.
//! The statistics are copied as one transaction shows them. Blocking.

mod restoring;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use odi_manifest::{BlobId, PublicKey, Timestamp};
use odi_store::{RealDisk, Store, StoreError, StoreOptions};
use odi_wire::{chain, identity_key, private_file};
use serde::{Deserialize, Serialize};

use crate::statistics::{Archive, ArchiveError};

pub use restoring::{RESTORED, restore};

/// The list of what there is.
const LIST: &str = "backup.json";
/// Larger files than this are not a directory's.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// A list longer than this, of over a million files, is not ours.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// Where a running directory lays out a copy for whoever asked for it.
const LAID_OUT: &str = "backup";
/// What is no part of a copy, of what lies at the top of a data folder.
const LEFT_OUT: [&str; 5] = ["store", STATISTICS, LAID_OUT, RESTORED, restoring::STAGED];
const STATISTICS: &str = "statistics.redb";

/// Why there is no copy, or nothing comes of one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be read or written.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was to be done.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something is in the way.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// There is no whole copy.
    #[error("{} is not whole: {what}", path.display())]
    NotWhole {
        /// Of which folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is a directory already.
    #[error("{} has a directory already; move it away first", .0.display())]
    Occupied(PathBuf),
    /// The data folder is in use, or its store does not open.
    #[error("the data folder cannot be taken")]
    Store(#[from] StoreError),
    /// The statistics cannot be copied.
    #[error("the statistics cannot be copied")]
    Statistics(#[from] ArchiveError),
}

/// What a copy has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    v: u8,
    /// Of which directory.
    pub directory: PublicKey,
    /// When it was begun.
    pub at: Timestamp,
    files: Vec<Copied>,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Copied {
    path: String,
    size: u64,
    blake3: BlobId,
}

impl Backup {
    /// How many files it has.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }
}

/// Copies the data folder of a directory that runs in this process.
pub(crate) fn lay_out(
    data_dir: &Path,
    directory: PublicKey,
    statistics: &Archive,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    let to = data_dir.join(LAID_OUT);
    match fs::remove_dir_all(&to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &to)(error)),
        _ => copy(data_dir, &to, directory, statistics, now),
    }
}

/// Takes what a running directory has laid out.
///
/// # Errors
/// It is not whole, or `to` is in use.
pub fn collect(data_dir: &Path, to: &Path) -> Result<Backup, BackupError> {
    let from = data_dir.join(LAID_OUT);
    make_empty(to)?;
    let backup = verified(&from)?;
    for file in &backup.files {
        take(&from.join(&file.path), &to.join(&file.path))?;
    }
    write_list(to, &backup)?;
    fs::remove_dir_all(&from).map_err(failed("remove", &from))?;
    Ok(backup)
}

/// Copies the data folder of a directory that does not run, and keeps it from being started meanwhile.
///
/// # Errors
/// It runs, something cannot be read or written, or `to` is in use.
pub fn back_up_stopped(data_dir: &Path, to: &Path, now: Timestamp) -> Result<Backup, BackupError> {
    let store = Store::open(Arc::new(RealDisk), &data_dir.join("store"), StoreOptions::default())?;
    let not_whole = |what: String| BackupError::NotWhole { path: data_dir.to_owned(), what };
    let identity = identity_key::kept(data_dir).map_err(|error| not_whole(chain::of(&error)))?;
    let identity = identity.ok_or_else(|| not_whole("it has no identity".to_owned()))?;
    let backup = copy(data_dir, to, identity.public_key(), &Archive::open(data_dir)?, now);
    drop(store);
    backup
}

fn copy(
    data_dir: &Path,
    to: &Path,
    directory: PublicKey,
    statistics: &Archive,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    make_empty(to)?;
    let mut paths = Vec::new();
    list(data_dir, Path::new(""), &mut paths)?;
    // What a mark names was there before it.
    paths.sort_by_key(|path| (path.extension().is_none_or(|extension| extension != "mark"), path.clone()));
    let mut files = Vec::new();
    for path in paths {
        let Some(text) = path.to_str().map(str::to_owned) else { continue };
        match take(&data_dir.join(&path), &to.join(&path)) {
            // It was swept meanwhile.
            Err(BackupError::File { source, verb: "read", .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            taken => {
                let (size, blake3) = taken?;
                files.push(Copied { path: text, size, blake3 });
            }
        }
    }
    let counted = to.join(STATISTICS);
    statistics.copy_to(&counted)?;
    let (size, blake3) = hashed(&counted)?;
    files.push(Copied { path: STATISTICS.to_owned(), size, blake3 });
    let backup = Backup { v: 1, directory, at: now, files };
    write_list(to, &backup)?;
    Ok(backup)
}

fn list(data_dir: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), BackupError> {
    let whole = data_dir.join(folder);
    for entry in fs::read_dir(&whole).map_err(failed("list", &whole))? {
        let entry = entry.map_err(failed("list", &whole))?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let at_top = folder.as_os_str().is_empty();
        let is_leftover = text.ends_with(".new") || text.ends_with(".damaged") || text == "tmp";
        if is_leftover || at_top && LEFT_OUT.contains(&text.as_ref()) {
            continue;
        }
        let path = folder.join(&name);
        let kind = entry.file_type().map_err(failed("list", &path))?;
        if kind.is_dir() {
            list(data_dir, &path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

/// Copies one file; durable once this returns. Its size and hash.
fn take(from: &Path, to: &Path) -> Result<(u64, BlobId), BackupError> {
    let size = fs::metadata(from).map_err(failed("read", from))?.len();
    // The statistics may be larger, and were copied whole by whoever laid them out.
    if size > FILE_BYTES_MAX && !from.ends_with(STATISTICS) {
        return Err(failed("read", from)(io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = fs::read(from).map_err(failed("read", from))?;
    if let Some(folder) = to.parent() {
        private_file::create_folder(folder).map_err(failed("make", folder))?;
    }
    private_file::replace(to, &bytes).map_err(failed("write", to))?;
    Ok((bytes.len() as u64, BlobId::of(&bytes)))
}

fn hashed(path: &Path) -> Result<(u64, BlobId), BackupError> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    Ok((bytes.len() as u64, BlobId::of(&bytes)))
}

fn make_empty(folder: &Path) -> Result<(), BackupError> {
    private_file::create_folder(folder).map_err(failed("make", folder))?;
    let mut entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    if entries.next().is_some() { Err(BackupError::NotEmpty(folder.to_owned())) } else { Ok(()) }
}

fn write_list(folder: &Path, backup: &Backup) -> Result<(), BackupError> {
    let path = folder.join(LIST);
    let text = serde_json::to_vec_pretty(backup).map_err(io::Error::other).map_err(failed("write", &path))?;
    private_file::replace(&path, &text).map_err(failed("write", &path))
}

/// A copy that has everything that its list names, as that names it.
fn verified(folder: &Path) -> Result<Backup, BackupError> {
    let not_whole = |what: String| BackupError::NotWhole { path: folder.to_owned(), what };
    let list = folder.join(LIST);
    let text = match fs::metadata(&list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_whole(format!("it has no {LIST}")));
        }
        Ok(known) if known.len() > LIST_BYTES_MAX => {
            return Err(not_whole("its list is too long".to_owned()));
        }
        _ => fs::read(&list).map_err(failed("read", &list))?,
    };
    let backup: Backup = serde_json::from_slice(&text).map_err(|error| not_whole(error.to_string()))?;
    if backup.v != 1 {
        return Err(not_whole(format!("it is of version {}", backup.v)));
    }
    for file in &backup.files {
        let stays_inside =
            Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        let top = Path::new(&file.path).components().next().map(Component::as_os_str);
        let is_ours = top.is_some_and(|top| top == STATISTICS || LEFT_OUT.iter().all(|out| top != *out));
        if !stays_inside || !is_ours {
            return Err(not_whole(format!("it names `{}`", file.path)));
        }
        if hashed(&folder.join(&file.path))? != (file.size, file.blake3) {
            return Err(not_whole(format!("`{}` is damaged", file.path)));
        }
    }
    Ok(backup)
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::File { verb, path, source }
}
