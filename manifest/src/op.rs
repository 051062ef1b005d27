//! One change from a manifest to another.

use crate::{ArtifactPath, Entry};

/// A change of one path. A sequence of them ascends strictly by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The path has this entry, whether or not it was there before.
    Put(ArtifactPath, Entry),
    /// The path is gone.
    Remove(ArtifactPath),
}

impl Op {
    /// The path that changes.
    #[must_use]
    pub const fn path(&self) -> &ArtifactPath {
        match self {
            Self::Put(path, _) | Self::Remove(path) => path,
        }
    }
}
