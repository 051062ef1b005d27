//! The file that a job touches when it is done, and what it looked like when that was last heeded.
//!
//! The note of it lies in `.odi/marker`, so that a new process knows as much as the old one. The change time
//! is left out: a marker inside the tree is an artifact, and publishing gives it a second name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::odi_folder::{OdiFolder, ReadError, read_bounded};
use super::super::scan::Stamp;
use super::super::tree_disk::{RealTreeDisk, replace};

const NOTE_BYTES_MAX: u64 = 256;

/// A job's marker.
#[derive(Debug)]
pub(super) struct Marker {
    file: PathBuf,
    note: PathBuf,
}

impl Marker {
    /// A marker beside or in a tree; relative names are relative to the tree.
    pub(super) fn of(tree: &Path, file: &Path) -> Self {
        Self { file: tree.join(file), note: OdiFolder::of(tree).marker() }
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What it looks like, if it was touched since that was last heeded.
    pub(super) fn touched(&self) -> Result<Option<String>, Failure> {
        let metadata = match fs::metadata(&self.file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ReadError { path: self.file.clone(), source }.into()),
        };
        let Stamp { size, mtime_ns, inode, .. } = Stamp::of(&metadata);
        let stamp = format!("{size} {mtime_ns} {inode}\n");
        let heeded = read_bounded(&self.note, NOTE_BYTES_MAX)?;
        Ok((heeded.as_deref() != Some(stamp.as_bytes())).then_some(stamp))
    }

    /// Notes that what the marker said when it looked like this has been done.
    pub(super) fn heeded(&self, stamp: &str) -> Result<(), Failure> {
        Ok(replace(&RealTreeDisk, self.note.clone(), stamp.as_bytes())?)
    }
}
