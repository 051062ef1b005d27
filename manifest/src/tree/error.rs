//! What is wrong with a node, with its place in a tree, or with what a tree was asked to do.

use std::error::Error;

use crate::cbor::CborError;
use crate::entry::EntryError;
use crate::{NodeId, PathError};

/// A node that no manifest may hold, by itself or at the place where it was found. FORMAT.md § Tree lists the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// More bytes than any node has.
    #[error("has {0} bytes")]
    TooLarge(usize),
    /// Not the profile's CBOR, or not a node.
    #[error("is malformed")]
    Cbor(#[from] CborError),
    /// A version of the format that is unknown here.
    #[error("is of version {0}")]
    Version(u64),
    /// A level that no tree has.
    #[error("claims level {0}")]
    Level(u64),
    /// A path that breaks a rule.
    #[error("holds a wrong path")]
    Path(#[from] PathError),
    /// An entry out of its bounds.
    #[error("holds a wrong entry")]
    Entry(#[from] EntryError),
    /// Paths not strictly ascending.
    #[error("has entry {0} out of order")]
    Order(usize),
    /// A shared prefix that is longer than the former path, or could be longer than it is.
    #[error("gives entry {0} a wrong shared prefix")]
    SharedPrefix(usize),
    /// Nothing in a node that is not the empty manifest.
    #[error("is empty")]
    Empty,
    /// Sums that no manifest reaches.
    #[error("has sums that overflow")]
    Overflow,
    /// Bytes that hash to another name.
    #[error("was asked for, but the bytes are those of {0}")]
    OtherNode(NodeId),
    /// Its parent, or the level below the root, says another level.
    #[error("has level {got} where level {expected} belongs")]
    PlaceLevel {
        /// One below its parent's.
        expected: u8,
        /// The node's own.
        got: u8,
    },
    /// Its first path is not the one its parent names.
    #[error("begins with another path than its parent says")]
    PlaceFirst,
    /// It reaches into the range of the next node.
    #[error("reaches into the next node's range")]
    PlaceRange,
    /// Its number of entries or their bytes are not what its parent says.
    #[error("has other sums than its parent says")]
    PlaceSums,
    /// The cut rule ends it earlier.
    #[error("should have been cut after entry {0}")]
    CutInside(usize),
    /// The cut rule ends it later, and it is not the last of its level.
    #[error("ends where the cut rule does not")]
    CutMissing,
    /// An inner root with one child: the child is the root.
    #[error("is a root with a single child")]
    LoneChild,
    /// One path is another's folder.
    #[error("has `{0}` both as a file and as a folder")]
    FileAndFolder(String),
}

impl NodeError {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too-large",
            Self::Cbor(error) => error.reason.name(),
            Self::Version(_) => "version",
            Self::Level(_) => "level",
            Self::Path(error) => error.reason.name(),
            Self::Entry(error) => error.name(),
            Self::Order(_) => "order",
            Self::SharedPrefix(_) => "shared-prefix",
            Self::Empty => "empty",
            Self::Overflow => "overflow",
            Self::OtherNode(_) => "other-node",
            Self::PlaceLevel { .. } => "place-level",
            Self::PlaceFirst => "place-first",
            Self::PlaceRange => "place-range",
            Self::PlaceSums => "place-sums",
            Self::CutInside(_) => "cut-inside",
            Self::CutMissing => "cut-missing",
            Self::LoneChild => "lone-child",
            Self::FileAndFolder(_) => "file-and-folder",
        }
    }
}

/// A node that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// Nobody here holds it.
    #[error("node {0} is missing")]
    Missing(NodeId),
    /// It is there, and wrong.
    #[error("node {id} is invalid")]
    Invalid {
        /// The node.
        id: NodeId,
        /// What is wrong with it.
        #[source]
        reason: NodeError,
    },
    /// Whatever holds the nodes failed.
    #[error("cannot reach node {id}")]
    Backend {
        /// The node.
        id: NodeId,
        /// The failure.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A tree that cannot be built or changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A node could not be read or written.
    #[error("the tree is unusable")]
    Nodes(#[from] NodesError),
    /// Input that is not strictly ascending by path.
    #[error("`{0}` is out of order")]
    Unsorted(String),
    /// A path that would be a file and a folder at once.
    #[error("`{file}` cannot be a file, because `{path}` makes it a folder")]
    FileAndFolder {
        /// The shorter path.
        file: String,
        /// The path below it.
        path: String,
    },
    /// An entry out of its bounds.
    #[error("`{path}` has a wrong entry")]
    Entry {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: EntryError,
    },
    /// More levels than any tree may have.
    #[error("the tree would be deeper than {} levels", crate::TREE_LEVELS_MAX)]
    TooDeep,
    /// Sums that no manifest reaches.
    #[error("the artifacts' sizes overflow")]
    Overflow,
}
