//! One publisher per tree at a time.
//!
//! The lock is an empty file, `.odi/lock`, held with the kernel's advisory lock: it is shared by every maintainer
//! who can write the tree, nothing in it is private, and it cannot outlive its process. That a web server hands out
//! an empty file under that name does no harm.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use super::scan::Stamp;

/// The tree is locked for as long as this lives.
#[derive(Debug)]
pub(super) struct TreeLock {
    file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another odi-sign is at work on {}; run this again when it is done", tree.display())]
    Busy {
        /// The tree.
        tree: PathBuf,
    },
    /// The lock file cannot be opened or locked.
    #[error("lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl TreeLock {
    /// Takes the lock, or says at once that another holds it.
    ///
    /// # Errors
    /// [`LockError::Busy`], or what the file system said.
    pub(super) fn take(tree: &Path) -> Result<Self, LockError> {
        let path = tree.join(".odi").join("lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|source| LockError::Io { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Busy { tree: tree.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    /// The time by the clock that stamps this tree's files, in nanoseconds since 1970: on a network file system that
    /// is the server's.
    ///
    /// # Errors
    /// When the lock file cannot be touched.
    pub(super) fn file_system_now(&self) -> io::Result<i64> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        rustix::fs::futimens(&self.file, &Timestamps { last_access: now, last_modification: now })?;
        Ok(Stamp::of(&self.file.metadata()?).ctime_ns)
    }
}

impl Drop for TreeLock {
    /// Unlocks by name: closing alone would leave the lock with a child process that was forked a moment ago and has
    /// not yet let go of its copy of the file.
    fn drop(&mut self) {
        let _closing_follows = self.file.unlock();
    }
}
