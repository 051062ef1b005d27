//! Making roots without knowing their wire form: keys by role, numbers filled in.

use std::collections::BTreeSet;

use super::{Floor, KeyEntry, RoleEntry, Roles, Root, Witness, default_witness_quorum};
use crate::clock::Timestamp;
use crate::extensions::Extensions;
use crate::ids::{CatalogId, RootId};
use crate::key::PublicKey;
use crate::record::{RecordError, Unverified};
use crate::verify::{RoleName, Verified};

/// A root in the making. The result of [`build`](Self::build) waits for signatures.
#[derive(Clone, Debug)]
pub struct RootBuilder {
    version: u64,
    prev: Option<RootId>,
    name: String,
    created: Timestamp,
    expires: Timestamp,
    root: (u32, BTreeSet<PublicKey>),
    release: (u32, BTreeSet<PublicKey>),
    revoke: Option<(u32, BTreeSet<PublicKey>)>,
    witnesses: Vec<Witness>,
    quorum: Option<u32>,
    epoch: u64,
    floor: Option<Floor>,
    moved: Option<CatalogId>,
    x: Extensions,
}

impl RootBuilder {
    /// The first root of a new catalog. Root and release keys must follow.
    #[must_use]
    pub fn first(name: &str, created: Timestamp, expires: Timestamp) -> Self {
        Self {
            version: 1,
            prev: None,
            name: name.to_owned(),
            created,
            expires,
            root: (1, BTreeSet::new()),
            release: (1, BTreeSet::new()),
            revoke: None,
            witnesses: Vec::new(),
            quorum: None,
            epoch: 1,
            floor: None,
            moved: None,
            x: Extensions::default(),
        }
    }

    /// The root after `former`: the same but for version, forerunner and times.
    #[must_use]
    pub fn after(former: &Verified<Root>, created: Timestamp, expires: Timestamp) -> Self {
        let role = |name| {
            former.role(name).map(|role| {
                let threshold = u32::try_from(role.threshold()).expect("at most 32 keys");
                (threshold, role.keys().iter().copied().collect::<BTreeSet<_>>())
            })
        };
        Self {
            version: former.version.saturating_add(1),
            prev: Some(former.id()),
            name: former.name.clone(),
            created,
            expires,
            root: role(RoleName::Root).expect("every root defines its root role"),
            release: role(RoleName::Release).expect("every root defines its release role"),
            revoke: role(RoleName::Revoke),
            witnesses: former.witnesses.clone(),
            quorum: Some(former.witness_quorum),
            epoch: former.epoch,
            floor: None,
            moved: former.moved,
            x: former.x.clone(),
        }
    }

    /// Sets the catalog's own name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the keys that may replace the root.
    #[must_use]
    pub fn root_keys(mut self, threshold: u32, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.root = (threshold, keys.into_iter().collect());
        self
    }

    /// Sets the keys that may sign heads. Removing one, or raising the threshold, needs a [`new_epoch`](Self::new_epoch).
    #[must_use]
    pub fn release_keys(mut self, threshold: u32, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.release = (threshold, keys.into_iter().collect());
        self
    }

    /// Sets the keys that may sign heads which only revoke; no keys, no such role.
    #[must_use]
    pub fn revoke_keys(mut self, threshold: u32, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let keys: BTreeSet<PublicKey> = keys.into_iter().collect();
        self.revoke = (!keys.is_empty()).then_some((threshold, keys));
        self
    }

    /// Sets the directories whose cosignatures count, and how many make a head fresh
    /// ([`default_witness_quorum`] if `None`).
    #[must_use]
    pub fn witnesses(mut self, witnesses: impl IntoIterator<Item = Witness>, quorum: Option<u32>) -> Self {
        self.witnesses = witnesses.into_iter().collect();
        self.quorum = quorum;
        self
    }

    /// Opens the next epoch above `floor`: every head of former epochs above it falls away.
    #[must_use]
    pub const fn new_epoch(mut self, floor: Floor) -> Self {
        if self.floor.is_none() {
            self.epoch = self.epoch.saturating_add(1);
        }
        self.floor = Some(floor);
        self
    }

    /// Tells people where the catalog went on.
    #[must_use]
    pub const fn moved(mut self, successor: CatalogId) -> Self {
        self.moved = Some(successor);
        self
    }

    /// Sets an extension.
    #[must_use]
    pub fn extension(mut self, name: &str, value: Vec<u8>) -> Self {
        self.x.set(name, value);
        self
    }

    /// The root, which now waits for signatures of its own root keys, and of the former root's.
    ///
    /// # Errors
    /// The root would break a rule: no keys, a threshold out of range, a bad name, ...
    pub fn build(self) -> Result<Unverified<Root>, RecordError> {
        let revoke = self.revoke.clone();
        let roles = [Some(&self.root), Some(&self.release), revoke.as_ref()];
        let keys: BTreeSet<PublicKey> =
            roles.into_iter().flatten().flat_map(|(_, keys)| keys).copied().collect();
        let entry = |(threshold, members): &(u32, BTreeSet<PublicKey>)| {
            let indices = (0..).zip(&keys).filter(|(_, key)| members.contains(key)).map(|(index, _)| index);
            RoleEntry(*threshold, indices.collect())
        };
        let mut witnesses = self.witnesses;
        witnesses.sort_by_key(|witness| witness.key);
        let count = u32::try_from(witnesses.len()).unwrap_or(u32::MAX);
        Unverified::draft(Root {
            v: 1,
            x: self.x,
            created: self.created,
            witness_quorum: self.quorum.unwrap_or_else(|| default_witness_quorum(count)),
            expires: self.expires,
            version: self.version,
            witnesses,
            roles: Roles {
                root: entry(&self.root),
                revoke: revoke.as_ref().map(entry),
                release: entry(&self.release),
            },
            keys: keys.iter().copied().map(KeyEntry::ed25519).collect(),
            name: self.name,
            prev: self.prev,
            epoch: self.epoch,
            floor: self.floor,
            moved: self.moved,
        })
    }
}
