//! Why a root or a head is not followed: closed lists, in words that a person can act on.

use crate::clock::Timestamp;
use crate::ids::{CatalogId, HeadId};
use crate::verify::VerifyError;

/// A root that does not continue, or begin, the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootRefusal {
    /// Not root 1 of this catalog.
    #[error("the first root belongs to catalog {found}, not to {expected}")]
    WrongCatalog {
        /// The catalog that was asked for.
        expected: CatalogId,
        /// The catalog whose root this is.
        found: CatalogId,
    },
    /// A version was skipped, or repeated.
    #[error("root {found} where root {expected} must come next")]
    NotTheNext {
        /// The version that must come.
        expected: u64,
        /// The version that came.
        found: u64,
    },
    /// The root keys signed two roots of this version. Catalog and root keys cannot be trusted any further.
    #[error("the root keys have signed two different roots of version {version}")]
    Forked {
        /// The version.
        version: u64,
    },
    /// Made after another root than the newest one held.
    #[error("root {version} does not follow the root that is held: its `prev` names another")]
    WrongPrevious {
        /// Its version.
        version: u64,
    },
    /// The former root's keys did not agree to it.
    #[error("the former root's keys did not sign the next root")]
    OldKeys(#[source] VerifyError),
    /// Its own keys did not agree to it.
    #[error("the root's own keys did not sign it")]
    NewKeys(#[source] VerifyError),
    /// An epoch below the former root's, or more than one above it.
    #[error("the epoch goes from {from} to {to}; it may stay or grow by one")]
    EpochJump {
        /// The former root's.
        from: u64,
        /// This root's.
        to: u64,
    },
    /// A new epoch that does not say where it sets in.
    #[error("the root opens an epoch and names no floor")]
    EpochWithoutFloor,
    /// A floor in a root that opens no epoch.
    #[error("the root names a floor and opens no epoch")]
    FloorWithoutEpoch,
    /// Release keys lose power, so heads may have to fall, and no epoch opens.
    #[error("the root removes a release key or raises their threshold, and opens no epoch")]
    EpochNeeded,
    /// A floor at a sequence number that an earlier floor has cut off.
    #[error("the floor stands at sequence number {seq}, which an earlier epoch has cut off")]
    FloorOffTheLine {
        /// Where it stands.
        seq: u64,
    },
    /// A new epoch that begins within numbers that were given away before.
    #[error("the new epoch begins at sequence number {next}, not above {used}, where the former one began")]
    SequenceReused {
        /// Where it would begin.
        next: u64,
        /// Where the former epoch began.
        used: u64,
    },
    /// A root that says the catalog has moved to itself.
    #[error("the root says that the catalog has moved to itself")]
    MovedToItself,
    /// More roots than a catalog can have.
    #[error("a catalog has at most 1024 roots")]
    TooMany,
}

impl RootRefusal {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WrongCatalog { .. } => "wrong-catalog",
            Self::NotTheNext { .. } => "not-the-next",
            Self::Forked { .. } => "forked",
            Self::WrongPrevious { .. } => "wrong-previous",
            Self::OldKeys(_) => "old-keys",
            Self::NewKeys(_) => "new-keys",
            Self::EpochJump { .. } => "epoch-jump",
            Self::EpochWithoutFloor => "epoch-without-floor",
            Self::FloorWithoutEpoch => "floor-without-epoch",
            Self::EpochNeeded => "epoch-needed",
            Self::FloorOffTheLine { .. } => "floor-off-the-line",
            Self::SequenceReused { .. } => "sequence-reused",
            Self::MovedToItself => "moved-to-itself",
            Self::TooMany => "too-many",
        }
    }
}

/// A head that is not verified, or not adopted. Whatever was held before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadRefusal {
    /// It speaks of another catalog.
    #[error("the head belongs to catalog {found}, not to {expected}")]
    WrongCatalog {
        /// The catalog that was asked for.
        expected: CatalogId,
        /// The catalog it speaks of.
        found: CatalogId,
    },
    /// It was made under a root that is not known yet: fetch the roots, then ask again.
    #[error("the head was made under root {wanted}, and roots are known up to {known}")]
    UnknownRoot {
        /// The root it names.
        wanted: u64,
        /// The newest root known.
        known: u64,
    },
    /// Its epoch is not that of its root.
    #[error("the head says epoch {found}, and root {version} says {expected}")]
    EpochMismatch {
        /// The root it names.
        version: u64,
        /// That root's epoch.
        expected: u64,
        /// What the head says.
        found: u64,
    },
    /// It belongs to an epoch that a newer root has closed.
    #[error("the head belongs to epoch {found}, which the root of epoch {present} has closed")]
    FormerEpoch {
        /// The head's.
        found: u64,
        /// The newest root's.
        present: u64,
    },
    /// The keys that must sign it did not.
    #[error("the head is not signed by the keys that the catalog's root names")]
    WrongKeys(#[source] VerifyError),
    /// The newest root has expired, and with it the power to bring anything new.
    #[error("the catalog's root expired at {expired}")]
    RootExpired {
        /// When.
        expired: Timestamp,
    },
    /// Too old to be newly adopted.
    #[error("the head expired at {expired}")]
    Expired {
        /// When.
        expired: Timestamp,
    },
    /// Older than what is held.
    #[error("rollback: head {found} is older than head {held}, which is held")]
    Rollback {
        /// The sequence number held.
        held: u64,
        /// The sequence number offered.
        found: u64,
    },
    /// A number that its place in the chain does not allow.
    #[error("sequence jump: a head numbered {found} stands where only {expected} can")]
    SequenceJump {
        /// What its place demands.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// It descends from another head than the one held at that number.
    #[error("divergent: at sequence number {seq} it descends from {theirs}, and {held} is held")]
    Divergent {
        /// Where the lines part, at the latest.
        seq: u64,
        /// What is held there.
        held: HeadId,
        /// What it descends from there.
        theirs: HeadId,
    },
    /// An ancestor that was handed in is not a head of this catalog and line.
    #[error("the ancestor {head} is not a head of this catalog")]
    ForeignAncestor {
        /// Which.
        head: HeadId,
    },
    /// Signed by revoke keys, and changes more than a revocation may.
    #[error("the head is signed by revoke keys alone and changes more than the revocation list")]
    RevokeChangesMore,
    /// The revocation list lost something.
    #[error("the head's revocation list lacks what the former one revokes")]
    RevocationLost,
    /// More ancestors to look at than anyone honest needs.
    #[error("no descent was found within {0} heads")]
    TooFar(usize),
}

impl HeadRefusal {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WrongCatalog { .. } => "wrong-catalog",
            Self::UnknownRoot { .. } => "unknown-root",
            Self::EpochMismatch { .. } => "epoch-mismatch",
            Self::FormerEpoch { .. } => "former-epoch",
            Self::WrongKeys(_) => "wrong-keys",
            Self::RootExpired { .. } => "root-expired",
            Self::Expired { .. } => "expired",
            Self::Rollback { .. } => "rollback",
            Self::SequenceJump { .. } => "sequence-jump",
            Self::Divergent { .. } => "divergent",
            Self::ForeignAncestor { .. } => "foreign-ancestor",
            Self::RevokeChangesMore => "revoke-changes-more",
            Self::RevocationLost => "revocation-lost",
            Self::TooFar(_) => "too-far",
        }
    }
}
