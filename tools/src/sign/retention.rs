//! What a publish may throw away once its head is in place.
//!
//! Two full files are kept, and the diffs that lead on from the older one. Replaced bytes go when the head that
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
const REPLACED_BYTES_MAX: u64 = 1 << 30;

/// Removes full files beyond the newest two, and every diff that leads to a head at or before the older of them.
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
    // Walk back from the newest head until the kept full files have been met: what comes after them stays.
    let mut kept = Vec::new();
    let mut reachable = BTreeSet::new();
    let mut at = newest.clone();
    loop {
        if fulls.contains(&at.id()) {
            kept.push(at.id());
        }
        if kept.len() >= FULL_FILES_KEPT {
            break;
        }
        reachable.insert(at.id());
        let before = trust.ancestor(at.seq.saturating_sub(1));
        if before == 0 {
            break;
        }
        at = ancestor(odi, trust, &at, before)?;
    }
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
