//! Everything that a new head names, made durable before the head exists: diffs, nodes, chunk lists, kept bytes.
//!
//! All of it lies under names that follow from its content or from the new head's id, so a publish that ends here has
//! changed nothing that a follower looks at, and the next one overwrites it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use odi_manifest::{BlobId, Head, TrustRoot, Unverified};

use super::compare::Changes;
use super::failure::Failure;
use super::kept_blobs::{self, NewBlob};
use super::next_manifest::NextManifest;
use super::odi_folder::OdiFolder;
use super::scan::{Problem, Problems, Stamp, Why};
use super::survey::{Survey, Surveyed};
use super::tree_disk::{Batch, DiskError, TreeDisk};

/// What was staged.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Whether a full file is among it.
    pub(crate) full: bool,
    /// Paths whose former bytes were overwritten in place, so that nobody can fetch them any more.
    pub(crate) lost: Vec<String>,
}

/// Stages a head with its manifest and the tree's new bytes.
pub(crate) fn stage(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    trust: &TrustRoot,
    head: &Unverified<Head>,
    manifest: &NextManifest,
    survey: &mut Survey,
    changes: &Changes,
) -> Result<Staged, Failure> {
    let lost = drop_overwritten(disk, odi, changes)?;
    keep_new(disk, odi, survey, changes)?;
    let mut batch = Batch::new(disk);
    let mut seen = BTreeSet::new();
    for put in &changes.put {
        let Some(file) = survey.files.get(put.file) else { continue };
        if let Some(chunks) = file.chunks.as_ref().filter(|_| seen.insert(file.blob)) {
            batch.stage(odi.chunks(&file.blob), &chunks.to_bytes())?;
        }
    }
    let gone = changes.gone(&survey.files);
    if !gone.is_empty() {
        batch.stage(odi.replaced(head.claims().seq), &kept_blobs::encode_replaced(&gone))?;
    }
    let full = manifest.stage(&mut batch, odi, trust, head)?;
    batch.commit()?;
    Ok(Staged { full, lost })
}

fn drop_overwritten(disk: &dyn TreeDisk, odi: &OdiFolder, changes: &Changes) -> Result<Vec<String>, Failure> {
    let mut lost = Vec::new();
    for dropped in &changes.dropped {
        if kept_blobs::drop_overwritten(disk, odi, &dropped.blob, &dropped.path)? {
            lost.push(dropped.path.to_string());
        }
    }
    Ok(lost)
}

fn keep_new(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    survey: &mut Survey,
    changes: &Changes,
) -> Result<(), Failure> {
    let mut folders = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for put in &changes.put {
        let Some(file) = survey.files.get_mut(put.file).filter(|file| !file.elsewhere) else { continue };
        let kept = odi.blob(&file.blob);
        let folder = kept.parent().unwrap_or(&kept).to_path_buf();
        if folders.insert(folder.clone()) {
            disk.make_folder(&folder).map_err(DiskError::at("make folder", &folder))?;
        }
        if seen.insert(file.blob) {
            let new =
                NewBlob { blob: file.blob, path: &file.path, size: file.stamp.size, replaces: put.replaces };
            kept_blobs::keep(disk, odi, &new)?;
        }
        problems.extend(check_again(odi.tree(), file));
    }
    Ok(Problems::none(problems)?)
}

/// A second name changes a file's change time, so the stamp is taken anew; nothing else may have changed since the
/// file was hashed.
fn check_again(tree: &Path, file: &mut Surveyed) -> Option<Problem> {
    let path = file.path.as_str();
    let now = match fs::metadata(tree.join(path)) {
        Ok(metadata) => Stamp::of(&metadata),
        Err(error) => return Some(Problem::reading(path.as_ref(), error)),
    };
    let same = Stamp { ctime_ns: now.ctime_ns, ..file.stamp } == now;
    file.stamp = now;
    (!same).then(|| Problem::new(path.as_ref(), Why::Changed))
}

/// These blobs' chunk lists and kept bytes are needed no more.
pub(crate) fn forget(disk: &dyn TreeDisk, odi: &OdiFolder, blobs: &BTreeSet<BlobId>) -> Result<(), Failure> {
    for blob in blobs {
        for path in [odi.blob(blob), odi.chunks(blob)] {
            disk.remove(&path).map_err(DiskError::at("remove", &path))?;
        }
    }
    Ok(())
}
