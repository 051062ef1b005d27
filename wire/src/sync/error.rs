//! How following a catalog goes wrong, in words that say which: wrong key, expired, rolled back, divergent.
//!
//! Whatever happens, the former state stays and keeps being served.

use odi_manifest::cbor::CborError;
use odi_manifest::{
    ApplyError, CatalogId, DiffError, Equivocation, EquivocationError, FullError, HeadRefusal, NodesError,
    RecordError, RevId, RevocationError, RootRefusal, TreeError,
};
use odi_store::{LedgerError, StoreError};

use crate::fetch::SourceFault;
use crate::layout::LayoutPath;

/// Why a catalog did not move on.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The source did not give an item that it must have.
    #[error("cannot get `{item}`")]
    Source {
        /// What was asked for.
        item: LayoutPath,
        /// What the source did.
        source: SourceFault,
    },
    /// The source has something else under that name.
    #[error("`{item}` is malformed")]
    Record {
        /// What was asked for.
        item: LayoutPath,
        /// What is wrong with it.
        source: Box<RecordError>,
    },
    /// A root does not continue the catalog's roots.
    #[error("root {version} is refused")]
    Root {
        /// Its version.
        version: u64,
        /// Why.
        source: Box<RootRefusal>,
    },
    /// A head must not be followed.
    #[error("the head is refused")]
    Head(#[source] Box<HeadRefusal>),
    /// The release keys signed two heads of one number. The held one stays, and the proof is kept.
    #[error(
        "the catalog's release keys signed two heads with sequence number {seq}; the one that is held stays"
    )]
    Equivocation {
        /// The number.
        seq: u64,
        /// The proof.
        proof: Box<Equivocation>,
    },
    /// What a directory testifies of the catalog is none.
    #[error("`{}` is malformed", LayoutPath::Testimony)]
    Testimony(#[source] CborError),
    /// What a directory gave as proof that the release keys contradict themselves proves nothing.
    #[error("`{item}` proves nothing")]
    Proof {
        /// What was asked for.
        item: LayoutPath,
        /// Why.
        source: Box<EquivocationError>,
    },
    /// The revocation list that the head names is not to be believed.
    #[error("revocation list {id} is refused")]
    Revocations {
        /// The list.
        id: RevId,
        /// Why.
        source: Box<RevocationError>,
    },
    /// A push, on its own, lacks something that is not here yet.
    #[error("`{item}` is needed, and the push does not bring it")]
    Lacking {
        /// What.
        item: LayoutPath,
    },
    /// Neither diffs nor nodes of this source lead to the tree that the head names.
    #[error("no way to the tree of the new head was found")]
    NoTree {
        /// What was tried, in order.
        tried: Vec<TreeFault>,
    },
    /// The head's tree has other sums than the head says, which its signers should not have signed.
    #[error(
        "the head says {said} artifacts of {said_bytes} bytes in all, and its tree has {has} of {has_bytes}"
    )]
    Sums {
        /// Artifacts that the head says.
        said: u64,
        /// Bytes that it says.
        said_bytes: u64,
        /// Artifacts in the tree.
        has: u64,
        /// Their bytes.
        has_bytes: u64,
    },
    /// The head says more than this client takes of the catalog.
    #[error("the head says {entries} artifacts of {bytes} bytes, more than is taken of this catalog")]
    TooLarge {
        /// Artifacts that it says.
        entries: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Our own record of the catalog does not take it, or could not be written or read.
    #[error("the ledger of catalog {catalog} refused or failed")]
    Ledger {
        /// The catalog.
        catalog: CatalogId,
        /// What failed.
        source: Box<LedgerError>,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A tree that is held could not be read.
    #[error("the tree that is held cannot be read")]
    Nodes(#[from] NodesError),
}

/// Why one way to a tree did not lead there.
#[derive(Debug, thiserror::Error)]
pub enum TreeFault {
    /// The source does not have this item, or not in a usable way.
    #[error("`{item}` did not come")]
    Source {
        /// What was asked for.
        item: LayoutPath,
        /// What the source did.
        source: SourceFault,
    },
    /// A diff that is malformed or of other heads.
    #[error("`{item}` is malformed")]
    Diff {
        /// Which diff.
        item: LayoutPath,
        /// What is wrong with it.
        source: Box<DiffError>,
    },
    /// A diff that does not lead to the tree it should.
    #[error("`{item}` leads elsewhere")]
    Apply {
        /// Which diff.
        item: LayoutPath,
        /// How.
        source: Box<ApplyError>,
    },
    /// A diff between other heads than its name says.
    #[error("`{item}` is the diff of other heads")]
    OtherDiff {
        /// Which diff.
        item: LayoutPath,
    },
    /// A stream of nodes that is not the tree's.
    #[error("`{item}` is not the tree")]
    Full {
        /// Which tree.
        item: LayoutPath,
        /// Where it goes wrong.
        source: Box<FullError>,
    },
}

impl TreeFault {
    /// Whether the source gave wrong data, rather than none: it is condemned, the catalog is not.
    #[must_use]
    pub fn condemns_source(&self) -> bool {
        match self {
            Self::Source { .. } => false,
            Self::Diff { .. } | Self::OtherDiff { .. } => true,
            // Nodes that are not here, or cannot be kept, are our own trouble.
            Self::Apply { source, .. } => !matches!(**source, ApplyError::Tree(TreeError::Nodes(_))),
            Self::Full { source, .. } => !matches!(**source, FullError::Nodes(_)),
        }
    }
}

impl From<HeadRefusal> for SyncError {
    fn from(refusal: HeadRefusal) -> Self {
        Self::Head(Box::new(refusal))
    }
}
