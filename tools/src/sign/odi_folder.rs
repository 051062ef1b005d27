//! Where things lie in a tree's `.odi/` folder.
//!
//! The layout (wire/PROTOCOL.md § Layout) is `odi-wire`'s ([`LayoutPath`]); beside it lie a few files that only `odi-sign` reads:
//! `lock`, `pending` (a head that is signed or waits for signatures, and is not yet `head`), `pending-root`, `draft`
//! (what `init` said the first head should say), `voided`
//! (heads of ours that the next head gives up), `marker` (what `import` last heeded) and `replaced/SEQ`. Nothing here is private.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use odi_manifest::{BlobId, HeadId, RevId};
use odi_wire::layout::LayoutPath;

/// The paths of one tree.
#[derive(Clone, Debug)]
pub struct OdiFolder {
    tree: PathBuf,
    folder: PathBuf,
}

impl OdiFolder {
    /// The `.odi/` folder of a tree, whether it exists or not.
    #[must_use]
    pub fn of(tree: &Path) -> Self {
        Self { tree: tree.to_path_buf(), folder: tree.join(".odi") }
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// An item of the layout.
    #[must_use]
    pub fn item(&self, item: LayoutPath) -> PathBuf {
        self.folder.join(item.to_string())
    }

    /// The newest head.
    #[must_use]
    pub fn head(&self) -> PathBuf {
        self.item(LayoutPath::Head)
    }

    /// A root of trust by version.
    #[must_use]
    pub fn root(&self, version: u64) -> PathBuf {
        self.item(LayoutPath::Root(version))
    }

    /// A head by sequence number.
    #[must_use]
    pub fn head_at(&self, seq: u64) -> PathBuf {
        self.item(LayoutPath::HeadAt(seq))
    }

    /// A revocation list.
    #[must_use]
    pub fn revocations(&self, id: RevId) -> PathBuf {
        self.item(LayoutPath::Revocations(id))
    }

    /// The operations between two heads.
    #[must_use]
    pub fn diff(&self, from: HeadId, to: HeadId) -> PathBuf {
        self.item(LayoutPath::Diff { from, to })
    }

    /// All nodes of a head.
    #[must_use]
    pub fn full(&self, head: HeadId) -> PathBuf {
        self.item(LayoutPath::Full(head))
    }

    /// The chunk list of a blob.
    #[must_use]
    pub fn chunks(&self, blob: &BlobId) -> PathBuf {
        self.item(LayoutPath::Chunks(*blob))
    }

    /// The second name of a blob's bytes.
    #[must_use]
    pub fn blob(&self, blob: &BlobId) -> PathBuf {
        self.item(LayoutPath::Blob(*blob))
    }

    /// A signed or waiting head that is not `head` yet.
    #[must_use]
    pub fn pending(&self) -> PathBuf {
        self.folder.join("pending")
    }

    /// A root of trust that waits for signatures.
    #[must_use]
    pub fn pending_root(&self) -> PathBuf {
        self.folder.join("pending-root")
    }

    /// Heads of ours that were given up, for the next head to void.
    #[must_use]
    pub fn voided(&self) -> PathBuf {
        self.folder.join("voided")
    }

    /// What `init` said the first head should say.
    #[must_use]
    pub fn draft(&self) -> PathBuf {
        self.folder.join("draft")
    }

    /// What a job's marker looked like when `import` last heeded it.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.folder.join("marker")
    }

    /// The blobs that a head no longer names.
    #[must_use]
    pub fn replaced(&self, seq: u64) -> PathBuf {
        self.folder.join("replaced").join(seq.to_string())
    }
}

/// A file that should be readable and is not, or is far too long.
#[derive(Debug, thiserror::Error)]
#[error("read {}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Reads a whole file of at most `bytes_max` bytes; `None` if it is not there.
///
/// # Errors
/// When it cannot be read or is longer.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let failed = |source| ReadError { path: path.to_path_buf(), source };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(failed(io::Error::other(format!("longer than {bytes_max} bytes"))));
    }
    Ok(Some(bytes))
}
