//! The trust root of one catalog: its chain of roots, and what they let a head say.
//!
//! It begins with a [`CatalogId`], which certifies root 1, and grows one root at a time. Invariants: versions are
//! consecutive, each root was signed by its own and its forerunner's root keys, and the lineage of sequence numbers is
//! what the floors left of it.

mod lineage;
mod refusal;
mod rotation;
mod self_revocation;

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::head::Head;
use crate::ids::{CatalogId, HeadId};
use crate::key::PublicKey;
use crate::record::Unverified;
use crate::root::{Floor, Root};
use crate::verify::{Role, RoleName, Verified, VerifyError, verify, verify_named};
use lineage::Lineage;

pub use refusal::{HeadRefusal, RootRefusal};
pub use self_revocation::{RetireError, SelfRevocation};

/// The most roots of one catalog, ever.
pub const ROOTS_MAX: usize = 1024;

/// A catalog's verified roots, first to newest.
#[derive(Clone, Debug)]
pub struct TrustRoot {
    catalog: CatalogId,
    newest: Verified<Root>,
    /// Root `i + 1`, as it was verified.
    roots: Vec<Verified<Root>>,
    lineage: Lineage,
    floor: Option<Floor>,
    /// Keys that took themselves out of service.
    dead: BTreeSet<PublicKey>,
}

impl TrustRoot {
    /// Begins with a catalog's first root.
    ///
    /// # Errors
    /// The root is not version 1, is not the one that the id names, or lacks its own root keys' signatures.
    pub fn begin(catalog: CatalogId, first: &Unverified<Root>) -> Result<Self, RootRefusal> {
        if first.claims().version != 1 {
            return Err(RootRefusal::NotTheNext { expected: 1, found: first.claims().version });
        }
        let found = CatalogId::of(first.payload());
        if found != catalog {
            return Err(RootRefusal::WrongCatalog { expected: catalog, found });
        }
        let newest = verify(first, &rotation::root_role(first.claims())).map_err(RootRefusal::NewKeys)?;
        Ok(Self {
            catalog,
            roots: vec![newest.clone()],
            newest,
            lineage: Lineage::begin(),
            floor: None,
            dead: BTreeSet::new(),
        })
    }

    /// Begins a new catalog with its first root, whose hash becomes the catalog's id.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn found(first: &Unverified<Root>) -> Result<Self, RootRefusal> {
        Self::begin(CatalogId::of(first.payload()), first)
    }

    /// The catalog.
    #[must_use]
    pub const fn catalog(&self) -> &CatalogId {
        &self.catalog
    }

    /// The newest root.
    #[must_use]
    pub const fn root(&self) -> &Verified<Root> {
        &self.newest
    }

    /// Every root, the first to the newest: root N at index N - 1.
    #[must_use]
    pub fn roots(&self) -> &[Verified<Root>] {
        &self.roots
    }

    /// The newest root's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.newest.epoch
    }

    /// Where the present epoch set in; `None` in the first.
    #[must_use]
    pub const fn floor(&self) -> Option<Floor> {
        self.floor
    }

    /// The largest sequence number, at or below this one, that a head in the line of the present epoch can have; 0 if
    /// there is none. It differs from `seq` only where an epoch left a gap.
    #[must_use]
    pub fn ancestor(&self, seq: u64) -> u64 {
        self.lineage.at_or_below(seq)
    }

    /// Who may sign heads now: a role of the newest root without the keys that revoked themselves.
    #[must_use]
    pub fn role(&self, name: RoleName) -> Option<Role> {
        self.newest
            .role(name)
            .map(|role| if name == RoleName::Root { role } else { role.without(&self.dead) })
    }

    /// Whether the newest root has expired; then nothing new is adopted under it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.newest.expires <= now
    }

    /// Verifies a head under the newest root: signed by a threshold of its release keys, or of its revoke keys, or
    /// named by its floor. Its dates and its place in the order are [`judge`](crate::judge)'s.
    ///
    /// # Errors
    /// It speaks of another catalog, an unknown root or another epoch, or lacks signatures.
    pub fn verify_head(&self, head: &Unverified<Head>) -> Result<Verified<Head>, HeadRefusal> {
        let claims = head.claims();
        if claims.catalog != self.catalog {
            return Err(HeadRefusal::WrongCatalog { expected: self.catalog, found: claims.catalog });
        }
        let known = self.newest.version;
        let made_under = claims.root_version.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let made_under = made_under.and_then(|index| self.roots.get(index));
        let root = made_under.ok_or(HeadRefusal::UnknownRoot { wanted: claims.root_version, known })?;
        if root.epoch != claims.epoch {
            let (version, expected) = (root.version, root.epoch);
            return Err(HeadRefusal::EpochMismatch { version, expected, found: claims.epoch });
        }
        if self.is_floor(claims.seq, &head.id()) {
            return verify_named(head, &head.id()).map_err(HeadRefusal::WrongKeys);
        }
        if claims.epoch != self.epoch() {
            return Err(HeadRefusal::FormerEpoch { found: claims.epoch, present: self.epoch() });
        }
        self.verify_signed(head).map_err(HeadRefusal::WrongKeys)
    }

    fn verify_signed(&self, head: &Unverified<Head>) -> Result<Verified<Head>, VerifyError> {
        let release = self.role(RoleName::Release).expect("every root defines its release role");
        verify(head, &release).or_else(|refused| {
            let revoke = self.role(RoleName::Revoke);
            revoke.and_then(|revoke| verify(head, &revoke).ok()).ok_or(refused)
        })
    }

    /// Whether this is the head that the present epoch's floor names.
    #[must_use]
    pub fn is_floor(&self, seq: u64, head: &HeadId) -> bool {
        self.floor.is_some_and(|floor| floor.seq == seq && floor.head == *head)
    }
}
