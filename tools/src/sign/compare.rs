//! From what the tree holds to the operations that lead from the former manifest to the next.
//!
//! Both sides are in path order, so one pass merges them. Unchanged bytes keep the published time whatever the file
//! says; changed bytes get the file's time or the former one plus a second, whichever is later, so that
//! If-Modified-Since by exact match is safe.

use std::collections::BTreeSet;

use odi_manifest::{ArtifactPath, BlobId, Entry, Ext, MTIME_MAX, Op};

use super::failure::Failure;
use super::survey::Surveyed;

/// What a publish changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Ascending by path, one per changed path.
    pub(crate) ops: Vec<Op>,
    /// Indices into the survey of the files that the `Put` operations came from, ascending.
    pub(crate) put: Vec<Put>,
    /// Blobs that a path held before and holds no more; other paths may still hold them.
    pub(crate) dropped: Vec<Dropped>,
    /// What lies elsewhere and stays as it is, though neither the tree nor a list names it.
    pub(crate) kept: Vec<Surveyed>,
    /// How many paths are new.
    pub(crate) added: u64,
    /// How many paths hold other bytes.
    pub(crate) changed: u64,
    /// How many paths are gone.
    pub(crate) removed: u64,
}

/// A file whose path is new or holds new bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put {
    /// Its index in the survey.
    pub(crate) file: usize,
    /// Whether the path held something else before.
    pub(crate) replaces: bool,
}

/// Bytes that a path held until now.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    /// The path.
    pub(crate) path: ArtifactPath,
    /// The bytes.
    pub(crate) blob: BlobId,
}

/// Merges the former manifest's entries with the tree's files. If these are `complete`, what lies elsewhere and is not
/// among them is gone too.
pub(crate) fn compare(
    former: impl Iterator<Item = Result<(ArtifactPath, Entry), Failure>>,
    files: &[Surveyed],
    complete: bool,
) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    let mut files = files.iter().enumerate().peekable();
    for entry in former {
        let (path, former) = entry?;
        while let Some((index, file)) = files.next_if(|(_, file)| file.path < path) {
            changes.add(index, file);
        }
        match files.next_if(|(_, file)| file.path == path) {
            Some((_, file)) if file.blob == former.blob && file.elsewhere == former.is_elsewhere() => {}
            Some((index, file)) => changes.replace(index, file, &former),
            None if former.is_elsewhere() && !complete => {
                changes.kept.push(Surveyed::elsewhere(path, &former));
            }
            None => changes.remove(path, former.blob),
        }
    }
    for (index, file) in files {
        changes.add(index, file);
    }
    Ok(changes)
}

impl Changes {
    fn add(&mut self, index: usize, file: &Surveyed) {
        self.added += 1;
        self.put.push(Put { file: index, replaces: false });
        self.ops.push(Op::Put(file.path.clone(), entry(file, 0)));
    }

    fn replace(&mut self, index: usize, file: &Surveyed, former: &Entry) {
        self.changed += 1;
        self.put.push(Put { file: index, replaces: true });
        self.dropped.push(Dropped { path: file.path.clone(), blob: former.blob });
        let next = entry(file, former.mtime.saturating_add(1));
        // The same bytes that came into the tree, or left it, are as old as they were.
        let mtime = if next.blob == former.blob { former.mtime } else { next.mtime };
        self.ops.push(Op::Put(file.path.clone(), Entry { mtime, ..next }));
    }

    fn remove(&mut self, path: ArtifactPath, blob: BlobId) {
        self.removed += 1;
        self.dropped.push(Dropped { path: path.clone(), blob });
        self.ops.push(Op::Remove(path));
    }

    /// Every difference in words, for a check that expects none.
    pub(crate) fn describe(&self) -> Vec<String> {
        let replaced: BTreeSet<&ArtifactPath> = self.dropped.iter().map(|dropped| &dropped.path).collect();
        let word = |op: &Op| match op {
            Op::Remove(_) => "signed, and not here",
            Op::Put(path, _) if replaced.contains(path) => "other bytes than those signed",
            Op::Put(..) => "here, and not signed",
        };
        self.ops.iter().map(|op| format!("{}: {}", op.path(), word(op))).collect()
    }

    /// The dropped blobs that no path of the tree holds any more.
    pub(crate) fn gone(&self, files: &[Surveyed]) -> BTreeSet<BlobId> {
        without_present(self.dropped.iter().map(|dropped| dropped.blob).collect(), files)
    }
}

/// These blobs but for those that a file of the tree holds.
pub(crate) fn without_present(mut blobs: BTreeSet<BlobId>, files: &[Surveyed]) -> BTreeSet<BlobId> {
    if !blobs.is_empty() {
        for file in files {
            blobs.remove(&file.blob);
        }
    }
    blobs
}

fn entry(file: &Surveyed, earliest: u64) -> Entry {
    let mtime = file.stamp.mtime_seconds().max(earliest).min(MTIME_MAX);
    let ext = file.elsewhere.then(Ext::elsewhere);
    Entry { size: file.stamp.size, blob: file.blob, sha256: file.sha256, mtime, ext }
}
