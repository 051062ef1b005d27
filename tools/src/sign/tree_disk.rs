//! The few verbs with which `odi-sign` changes a tree's `.odi/` folder.
//!
//! Everything that a publish writes goes through [`TreeDisk`], so that a test can end it after any one of them and see
//! what a maintainer's crash would leave. [`Batch`] is the one place that knows the order of write, sync and rename:
//! a file appears under its name only when its bytes are durable.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many files are synced one by one before one sync of the whole file system is cheaper.
const SYNC_EACH_MAX: usize = 16;

/// What a publish may do to files.
pub trait TreeDisk: Sync {
    /// Makes a folder and those above it; no error if it is there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Writes a whole file, replacing it in place. Not durable yet.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's bytes, or a folder's names, durable.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Makes everything on the file system of this folder durable.
    fn sync_all(&self, folder: &Path) -> io::Result<()>;
    /// Gives a file another name, atomically, replacing what was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Copies a file's bytes to a new file, sharing blocks where the file system can.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; no error if it is gone.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTreeDisk;

impl TreeDisk for RealTreeDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = fs::File::create(path)?;
        file.write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(folder)?)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        // A symbolic link inside the tree stands for the file it leads to.
        let flags = rustix::fs::AtFlags::SYMLINK_FOLLOW;
        Ok(rustix::fs::linkat(rustix::fs::CWD, from, rustix::fs::CWD, to, flags)?)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        // `io::copy` between files uses the kernel's copy_file_range, which shares blocks on btrfs and xfs.
        let mut source = fs::File::open(from)?;
        let mut target = fs::File::create(to)?;
        io::copy(&mut source, &mut target).map(|_| ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// A write, a link or a removal that the disk refused.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {}", path.display())]
pub struct DiskError {
    /// What was attempted: "write", "rename" and so on.
    pub verb: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl DiskError {
    /// For `map_err`: names the verb and the path.
    pub fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { verb, path: path.to_path_buf(), source }
    }
}

/// Files that appear together: written under temporary names, made durable, then renamed one after the other.
///
/// Nothing appears before [`Batch::commit`]; a crash before it leaves only `*.tmp` files, which the next publish
/// sweeps. A crash inside it leaves a prefix of the files, each whole.
pub(super) struct Batch<'a> {
    disk: &'a dyn TreeDisk,
    files: Vec<(PathBuf, PathBuf)>,
    staged: BTreeSet<PathBuf>,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub(super) fn new(disk: &'a dyn TreeDisk) -> Self {
        Self { disk, files: Vec::new(), staged: BTreeSet::new() }
    }

    /// Writes the bytes beside `path`, to appear there at the commit. Of a path staged twice the later bytes appear.
    ///
    /// # Errors
    /// When the folder or the temporary file cannot be written.
    pub(super) fn stage(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), DiskError> {
        if let Some(folder) = path.parent() {
            self.disk.make_folder(folder).map_err(DiskError::at("make folder", folder))?;
        }
        let temporary = temporary_name(&path);
        self.disk.write(&temporary, bytes).map_err(DiskError::at("write", &temporary))?;
        if self.staged.insert(path.clone()) {
            self.files.push((temporary, path));
        }
        Ok(())
    }

    /// Makes every staged byte durable, lets the files appear in the order they were staged, and makes their
    /// names durable.
    ///
    /// # Errors
    /// When a sync or a rename fails; files before the failure have appeared.
    pub(super) fn commit(self) -> Result<(), DiskError> {
        let Some((_, first)) = self.files.first() else { return Ok(()) };
        let top = first.parent().unwrap_or(first).to_path_buf();
        if self.files.len() <= SYNC_EACH_MAX {
            for (temporary, _) in &self.files {
                self.disk.sync(temporary).map_err(DiskError::at("sync", temporary))?;
            }
        } else {
            self.disk.sync_all(&top).map_err(DiskError::at("sync", &top))?;
        }
        let mut folders = Vec::new();
        for (temporary, path) in &self.files {
            self.disk.rename(temporary, path).map_err(DiskError::at("rename to", path))?;
            let folder = path.parent().unwrap_or(path);
            if !folders.contains(&folder) && folders.len() <= SYNC_EACH_MAX {
                folders.push(folder);
            }
        }
        if folders.len() > SYNC_EACH_MAX {
            return self.disk.sync_all(&top).map_err(DiskError::at("sync", &top));
        }
        folders.iter().try_for_each(|folder| self.disk.sync(folder).map_err(DiskError::at("sync", folder)))
    }
}

/// Writes one file so that it is either the old one or the new one, whatever happens.
///
/// # Errors
/// When a step of the batch fails; the former file is then still there.
pub(super) fn replace(disk: &dyn TreeDisk, path: PathBuf, bytes: &[u8]) -> Result<(), DiskError> {
    let mut batch = Batch::new(disk);
    batch.stage(path, bytes)?;
    batch.commit()
}

/// The name under which a file is written before it appears.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(TEMPORARY_SUFFIX);
    path.with_file_name(name)
}

/// What the names of unfinished files end with.
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";
