//! The disk as a seam: the few verbs that packs, the redb index and the ledger need, and nothing else.
//!
//! Everything durable goes through [`Disk`], so that one faulty disk can crash all of it at once (P6). Nothing is
//! durable before [`DiskFile::sync`]; a created, renamed or removed name is durable only after [`Disk::sync_dir`]
//! of its folder. [`RealDisk`] is the only user of `std::fs`.

mod real;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;

pub use real::RealDisk;

/// What [`Disk::open`] does about a file that is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Open what exists, for reading and writing; `NotFound` otherwise.
    Existing,
    /// Open what exists, or create it empty.
    Create,
    /// Create it empty; `AlreadyExists` otherwise.
    New,
}

/// Names and folders.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for positioned reads and writes.
    ///
    /// # Errors
    /// Whatever the file system says, and what [`OpenMode`] demands.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// The names of the plain files in a folder, in no order.
    ///
    /// # Errors
    /// `NotFound` if the folder is not there.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Creates a folder and its parents; it may be there already.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn create_dir(&self, folder: &Path) -> io::Result<()>;

    /// Renames a file over whatever bears the new name. Open files follow.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name. Whoever has the file open may go on reading it.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// Whatever the file system says; afterwards nothing is known about the names.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;
}

/// One open file, without a cursor. Closing is dropping.
pub trait DiskFile: Debug + Send + Sync {
    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads at an offset; fewer bytes than asked only at the end of the file.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// As [`read_at`](Self::read_at), but may return fewer bytes, and never waits for a device.
    ///
    /// # Errors
    /// `WouldBlock` if the bytes are not in memory, or if this disk cannot tell.
    fn read_at_nowait(&self, _offset: u64, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Writes the parts one after the other from an offset; all of them, or an error and any mixture of old and new.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// Cuts or extends the file; new bytes are zero.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Makes every completed write, and the length, durable (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the file system says; afterwards nothing is known about the writes since the last success.
    fn sync(&self) -> io::Result<()>;

    /// Takes an exclusive lock for as long as this file is open; `false` if someone else has it.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Fills `into` from an offset.
///
/// # Errors
/// `UnexpectedEof` if the file ends before, else what the disk says.
pub(crate) fn read_exact_at(file: &dyn DiskFile, offset: u64, into: &mut [u8]) -> io::Result<()> {
    if file.read_at(offset, into)? == into.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
