//! Why the ledger did not take or give something.

use std::io;
use std::path::PathBuf;

use odi_manifest::{
    CatalogId, EquivocationError, HeadId, Mark, RecordError, RetireError, RevId, RevocationError, RootRefusal,
};

/// A refusal of the ledger, or a failure of its disk. The state that readers see has not changed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk failed. What was to be written may or may not be there after a restart; neither does harm.
    #[error("the ledger could not {operation} {}", path.display())]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A file is not what was written. Roots cannot be replaced by anything, so the ledger does not open.
    #[error("the ledger's file {} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No root of this catalog is held.
    #[error("no root of catalog {0} is held")]
    UnknownCatalog(CatalogId),
    /// The root does not continue, or begin, the catalog's chain.
    #[error("the root is refused")]
    Root(#[from] RootRefusal),
    /// The mark would not grow.
    #[error(
        "head {} of epoch {} does not stand above head {} of epoch {}, which was adopted before",
        offered.seq, offered.epoch, held.seq, held.epoch
    )]
    GoesBack {
        /// What was adopted before.
        held: Mark,
        /// What was to be adopted.
        offered: Mark,
    },
    /// The judgement is about another head.
    #[error("the head that was judged is not the one to adopt")]
    OtherHead,
    /// A revocation list that the head, or the rule that lists grow, needs.
    #[error("the revocation list {0} is not held")]
    MissingList(RevId),
    /// The new list lacks what the former one revokes.
    #[error("the revocation list {new} lacks an entry of {former}")]
    RevocationLost {
        /// The list that must be continued.
        former: RevId,
        /// The list that does not.
        new: RevId,
    },
    /// Not a revocation list.
    #[error("the revocation list is refused")]
    List(#[from] RevocationError),
    /// A head that leads back to the line that is held must be handed in as well.
    #[error("head {head} at {seq} is needed to leave the line that is held")]
    NeedsAncestor {
        /// Its sequence number.
        seq: u64,
        /// Its id.
        head: HeadId,
    },
    /// No head of the line names this one.
    #[error("no head of the line names {head} at {seq}")]
    NotNamed {
        /// Its sequence number.
        seq: u64,
        /// Its id.
        head: HeadId,
    },
    /// Not a proof of anything.
    #[error("the proof of equivocation is refused")]
    Equivocation(#[from] EquivocationError),
    /// Not a self-revocation that counts here.
    #[error("the self-revocation is refused")]
    Retire(#[from] RetireError),
    /// Not a readable record.
    #[error("the record is refused")]
    Record(#[from] RecordError),
}
