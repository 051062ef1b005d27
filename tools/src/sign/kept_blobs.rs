//! `.odi/blobs/ab/HEX`: second names of the tree's bytes, so that they stay fetchable after their path changes.
//!
//! Every blob gets its second name in the publish that first names it, while its bytes are certainly there. A
//! replacement by rename (rsync, apt-ftparchive, most tools) then leaves the old inode under `.odi/blobs/`. A tool that
//! rewrites a file *in place* would change both names, so a path that has changed once, and will likely change
//! again, gets a copy instead of a hard link; and a link that shares its inode with a rewritten file is removed,
//! because its name has become a lie. A power cut may take a new link away again; then the bytes are still at their path. Nobody trusts these files: who fetches one checks every chunk.
//!
//! `.odi/replaced/SEQ` lists the blobs that head SEQ no longer names. Once that head is older than the retention
//! time and no present path names them again, both are removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use odi_manifest::{ArtifactPath, BlobId};

use super::odi_folder::OdiFolder;
use super::tree_disk::{DiskError, TEMPORARY_SUFFIX, TreeDisk};

/// Larger files are hard-linked even if their path has changed before: copying them costs more than the risk.
const COPY_BYTES_MAX: u64 = 64 << 20;

/// A blob that a publish names for the first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewBlob<'a> {
    /// The blob.
    pub blob: BlobId,
    /// Where its bytes lie now.
    pub path: &'a ArtifactPath,
    /// How many they are.
    pub size: u64,
    /// Whether the path held something else before.
    pub replaces: bool,
}

/// Gives a blob's bytes their second name.
///
/// # Errors
/// When neither a link nor a copy can be made.
pub(super) fn keep(disk: &dyn TreeDisk, odi: &OdiFolder, new: &NewBlob<'_>) -> Result<(), DiskError> {
    let source = odi.tree().join(new.path.as_str());
    let kept = odi.blob(&new.blob);
    if same_inode(&source, &kept) && !(new.replaces && new.size <= COPY_BYTES_MAX) {
        return Ok(());
    }
    let temporary = with_suffix(&kept);
    disk.remove(&temporary).map_err(DiskError::at("remove", &temporary))?;
    let linked = !(new.replaces && new.size <= COPY_BYTES_MAX) && link(disk, &source, &temporary)?;
    if !linked {
        disk.copy(&source, &temporary).map_err(DiskError::at("copy to", &temporary))?;
        disk.sync(&temporary).map_err(DiskError::at("sync", &temporary))?;
    }
    disk.rename(&temporary, &kept).map_err(DiskError::at("rename to", &kept))
}

/// `false` where the file system cannot link and a copy must do.
fn link(disk: &dyn TreeDisk, from: &Path, to: &Path) -> Result<bool, DiskError> {
    match disk.link(from, to) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::CrossesDevices
            | io::ErrorKind::TooManyLinks
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::Unsupported => Ok(false),
            _ => Err(DiskError::at("link to", to)(error)),
        },
    }
}

/// Removes the second name of bytes that were overwritten in place. Returns whether it did.
///
/// # Errors
/// When the name cannot be removed.
pub(super) fn drop_overwritten(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    former: &BlobId,
    path: &ArtifactPath,
) -> Result<bool, DiskError> {
    let kept = odi.blob(former);
    if !same_inode(&odi.tree().join(path.as_str()), &kept) {
        return Ok(false);
    }
    disk.remove(&kept).map_err(DiskError::at("remove", &kept))?;
    Ok(true)
}

fn same_inode(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::symlink_metadata(b)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// The text of `.odi/replaced/SEQ`: one blob id per line, ascending.
#[must_use]
pub(super) fn encode_replaced(blobs: &BTreeSet<BlobId>) -> Vec<u8> {
    blobs.iter().flat_map(|blob| format!("{blob}\n").into_bytes()).collect()
}

/// Reads such a text; lines that are no blob id are skipped, since nothing but a removal depends on them.
#[must_use]
pub(super) fn decode_replaced(text: &str) -> BTreeSet<BlobId> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
