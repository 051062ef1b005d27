//! What a publish may throw away once its head is in place.
//!
//! Two full files are kept, the diffs that lead on from the older one, and a mebibyte of older diffs. Replaced bytes go when the head that
//! replaced them is older than the retention time. Nothing here is needed by a head that a follower may still be
//! at for long, and a crash in the middle leaves files that the next run finds again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odi_manifest::{Head, HeadId, Timestamp, TrustRoot, Verified};
use odi_wire::layout::LayoutPath;

use super::compare::without_present;
use super::failure::Failure;
use super::history::{ancestor, head_at};
use super::kept_blobs::decode_replaced;
use super::odi_folder::{OdiFolder, ReadError, read_bounded};
use super::stage::forget;
use super::survey::Surveyed;
use super::tree_disk::{DiskError, TEMPORARY_SUFFIX, TreeDisk};

const FULL_FILES_KEPT: usize = 2;
/// A small catalog writes a full file every few heads; its diffs are kept for longer, because a follower that comes
/// back after a week, or a directory that is pushed to, steps along them.
const EXTRA_HEADS_MAX: usize = 1024;
const EXTRA_BYTES_MAX: u64 = 1 << 20;
const REPLACED_BYTES_MAX: u64 = 1 << 30;

/// Removes full files beyond the newest two, and diffs that are too old.
pub(crate) fn drop_old_manifests(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    trust: &TrustRoot,
    newest: &Verified<Head>,
) -> Result<(), Failure> {
    let mut fulls: BTreeSet<HeadId> = BTreeSet::new();
    for name in names(&odi.path().join("full"))? {
        fulls.extend(name.parse::<HeadId>().ok());
    }
    if fulls.len() <= FULL_FILES_KEPT {
        return Ok(());
    }
    let (kept, reachable) = walk_back(odi, trust, newest, &fulls)?;
    for full in fulls.iter().filter(|full| !kept.contains(full)) {
        remove(disk, &odi.full(*full))?;
    }
    for name in names(&odi.path().join("diffs"))? {
        if let Ok(LayoutPath::Diff { from, to }) = format!("diffs/{name}").parse()
            && !reachable.contains(&to)
        {
            remove(disk, &odi.diff(from, to))?;
        }
    }
    Ok(())
}

/// From the newest head back to the second full file, and on while the diffs are few: the full files met, and the
/// heads to which diffs stay.
fn walk_back(
    odi: &OdiFolder,
    trust: &TrustRoot,
    newest: &Verified<Head>,
    fulls: &BTreeSet<HeadId>,
) -> Result<(Vec<HeadId>, BTreeSet<HeadId>), Failure> {
    let (mut kept, mut reachable) = (Vec::new(), BTreeSet::new());
    let (mut at, mut extra_heads, mut extra_bytes) = (newest.clone(), 0, 0);
    loop {
        if kept.len() >= FULL_FILES_KEPT {
            let diff = at.prev.and_then(|prev| fs::metadata(odi.diff(prev, at.id())).ok());
            let Some(diff) = diff else { break };
            extra_heads += 1;
            extra_bytes += diff.len();
            if extra_heads > EXTRA_HEADS_MAX || extra_bytes > EXTRA_BYTES_MAX {
                break;
            }
        } else if fulls.contains(&at.id()) {
            kept.push(at.id());
        }
        reachable.insert(at.id());
        let before = trust.ancestor(at.seq.saturating_sub(1));
        if before == 0 {
            break;
        }
        at = ancestor(odi, trust, &at, before)?;
    }
    Ok((kept, reachable))
}

/// Removes the bytes and chunk lists of blobs that were replaced long enough ago and are in no present file.
pub(crate) fn drop_replaced(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    files: &[Surveyed],
    keep: Duration,
    now: Timestamp,
) -> Result<(), Failure> {
    let folder = odi.path().join("replaced");
    let mut lists: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for name in names(&folder)? {
        if let Ok(seq) = name.parse() {
            lists.insert(seq, folder.join(name));
        }
    }
    for (seq, list) in lists {
        let Some(head) = head_at(odi, seq)? else { continue };
        if now.since(head.claims().created) < keep {
            break;
        }
        let text = read_bounded(&list, REPLACED_BYTES_MAX)?.unwrap_or_default();
        let blobs = decode_replaced(&String::from_utf8_lossy(&text));
        forget(disk, odi, &without_present(blobs, files))?;
        remove(disk, &list)?;
    }
    Ok(())
}

/// Removes what an interrupted run left half-written.
pub(crate) fn sweep_temporaries(disk: &dyn TreeDisk, odi: &OdiFolder) -> Result<(), Failure> {
    for folder in ["", "roots", "heads", "rev", "diffs", "full", "replaced"] {
        let folder = odi.path().join(folder);
        for name in names(&folder)?.iter().filter(|name| name.ends_with(TEMPORARY_SUFFIX)) {
            remove(disk, &folder.join(name))?;
        }
    }
    Ok(())
}

fn remove(disk: &dyn TreeDisk, path: &Path) -> Result<(), DiskError> {
    disk.remove(path).map_err(DiskError::at("remove", path))
}

/// The names in a folder, none if it is not there.
fn names(folder: &Path) -> Result<Vec<String>, ReadError> {
    let failed = |source| ReadError { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    entries.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
}
