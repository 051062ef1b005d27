//! The root of trust of a catalog: which keys may sign what (FORMAT.md § Root).
//!
//! Root 1 names the catalog by its hash. Every later root is bound to its forerunner by version, hash and both
//! thresholds; [`TrustRoot`](crate::TrustRoot) enforces that. Here stand the rules of one root alone.

mod builder;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::envelope::RecordKind;
use crate::extensions::Extensions;
use crate::ids::{CatalogId, HeadId, RootId};
use crate::key::PublicKey;
use crate::record::{BrokenRule, Record, Unverified};
use crate::text_rules::{check_catalog_name, check_title};
use crate::verify::{Role, RoleName, Verified};

pub use builder::RootBuilder;

/// The most keys, and the most witnesses, of a root.
pub const ROOT_KEYS_MAX: usize = 32;

/// The algorithm number of Ed25519 in a key entry; there is no other yet.
const ED25519: u8 = 1;

/// A signed root. Keys stand in (length, bytes) order of their names on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The record's version, 1.
    pub v: u8,
    /// Extensions.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    pub x: Extensions,
    /// When it was made.
    #[serde(rename = "ct")]
    pub created: Timestamp,
    /// How many witnesses make a head fresh; 0 is no freeze protection.
    #[serde(rename = "wq")]
    pub witness_quorum: u32,
    /// From when on nothing new is adopted under it.
    #[serde(rename = "exp")]
    pub expires: Timestamp,
    /// 1 for the first, then one more each.
    #[serde(rename = "ver")]
    pub version: u64,
    /// The directories whose cosignatures count, ascending by key.
    #[serde(rename = "wit")]
    pub witnesses: Vec<Witness>,
    /// Every key of every role, ascending, each once.
    pub keys: Vec<KeyEntry>,
    /// What the catalog calls itself; directories may call it otherwise.
    pub name: String,
    /// The former root; absent in the first alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<RootId>,
    /// Counts breaks with compromised heads, from 1.
    pub epoch: u64,
    /// Where this epoch sets in; present exactly in the root that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Where the catalog went on, for people; changes no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<CatalogId>,
    /// Which keys, and how many of them, each role needs.
    pub roles: Roles,
}

/// A key of a root: `[1, 32 bytes]`, 1 for Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyEntry(u8, PublicKey);

impl KeyEntry {
    /// An Ed25519 key.
    #[must_use]
    pub const fn ed25519(key: PublicKey) -> Self {
        Self(ED25519, key)
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.1
    }
}

/// The roles of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Who may replace the root.
    pub root: RoleEntry,
    /// Who may sign heads that change nothing but the revocation list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<RoleEntry>,
    /// Who may sign heads.
    pub release: RoleEntry,
}

/// A role of a root: `[threshold, [indices into keys, ascending]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleEntry(pub u32, pub Vec<u32>);

/// A witness of a root: `[key, name]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(PublicKey, String)", into = "(PublicKey, String)")]
pub struct Witness {
    /// The directory's identity.
    pub key: PublicKey,
    /// What to call it when talking to people.
    pub name: String,
}

impl From<(PublicKey, String)> for Witness {
    fn from((key, name): (PublicKey, String)) -> Self {
        Self { key, name }
    }
}

impl From<Witness> for (PublicKey, String) {
    fn from(witness: Witness) -> Self {
        (witness.key, witness.name)
    }
}

/// Where an epoch sets in: `[seq, head, next]`. Heads of former epochs above `seq` are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, HeadId, u64)", into = "(u64, HeadId, u64)")]
pub struct Floor {
    /// The last good head's sequence number; 0 if no head was good.
    pub seq: u64,
    /// The last good head; all zero if none was.
    pub head: HeadId,
    /// The sequence number of the epoch's first head, above every one seen before.
    pub next: u64,
}

impl From<(u64, HeadId, u64)> for Floor {
    fn from((seq, head, next): (u64, HeadId, u64)) -> Self {
        Self { seq, head, next }
    }
}

impl From<Floor> for (u64, HeadId, u64) {
    fn from(floor: Floor) -> Self {
        (floor.seq, floor.head, floor.next)
    }
}

impl Floor {
    /// The name that stands for "no head": where an epoch begins with nothing good before it.
    pub const NO_HEAD: HeadId = HeadId::from_bytes([0; 32]);
}

impl Root {
    /// A role with its keys; `None` for a role that this root does not define.
    #[must_use]
    pub fn role(&self, name: RoleName) -> Option<Role> {
        let entry = match name {
            RoleName::Root => &self.roles.root,
            RoleName::Release => &self.roles.release,
            RoleName::Revoke => self.roles.revoke.as_ref()?,
            RoleName::Witness | RoleName::Identity => return None,
        };
        self.resolve(name, entry).ok()
    }

    fn resolve(&self, name: RoleName, entry: &RoleEntry) -> Result<Role, BrokenRule> {
        let RoleEntry(threshold, indices) = entry;
        let ascending = indices.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        BrokenRule::unless(ascending, "the keys of a role are out of order, or one is listed twice")?;
        let keys = indices.iter().map(|index| {
            let entry = usize::try_from(*index).ok().and_then(|index| self.keys.get(index));
            entry.map(|entry| *entry.key()).ok_or(BrokenRule("a role names a key that is not listed"))
        });
        let threshold = usize::try_from(*threshold).unwrap_or(usize::MAX);
        Role::new(name, threshold, keys.collect::<Result<_, _>>()?)
    }

    fn check_keys(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless((1..=ROOT_KEYS_MAX).contains(&self.keys.len()), "not between 1 and 32 keys")?;
        let algorithms = self.keys.iter().all(|KeyEntry(algorithm, _)| *algorithm == ED25519);
        BrokenRule::unless(algorithms, "a key is of an unknown algorithm")?;
        let ascending = self.keys.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        BrokenRule::unless(ascending, "the keys are out of order, or one is listed twice")?;
        self.resolve(RoleName::Root, &self.roles.root)?;
        self.resolve(RoleName::Release, &self.roles.release)?;
        self.roles.revoke.iter().try_for_each(|entry| self.resolve(RoleName::Revoke, entry).map(|_| ()))
    }

    fn check_witnesses(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.witnesses.len() <= ROOT_KEYS_MAX, "more than 32 witnesses")?;
        let ascending = self.witnesses.windows(2).all(|pair| matches!(pair, [a, b] if a.key < b.key));
        BrokenRule::unless(ascending, "the witnesses are out of order, or one is listed twice")?;
        self.witnesses.iter().try_for_each(|witness| check_title(&witness.name))?;
        let reachable =
            usize::try_from(self.witness_quorum).is_ok_and(|quorum| quorum <= self.witnesses.len());
        BrokenRule::unless(reachable, "the witness quorum is larger than the number of witnesses")
    }

    fn check_place(&self) -> Result<(), BrokenRule> {
        let first = self.version == 1;
        BrokenRule::unless(self.version >= 1, "a root's version is 0")?;
        BrokenRule::unless(
            self.prev.is_none() == first,
            "`prev` is absent in the first root, and only there",
        )?;
        BrokenRule::unless(self.epoch >= 1, "a root's epoch is 0")?;
        BrokenRule::unless(!first || self.epoch == 1, "the first root's epoch is not 1")?;
        BrokenRule::unless(!first || self.floor.is_none(), "the first root has a floor")?;
        BrokenRule::unless(!first || self.moved.is_none(), "the first root has moved already")?;
        self.floor.iter().try_for_each(|floor| {
            BrokenRule::unless(
                floor.next > floor.seq.max(1),
                "a floor's next sequence number is not above it",
            )?;
            let none = floor.head == Floor::NO_HEAD;
            BrokenRule::unless((floor.seq == 0) == none, "a floor has a sequence number or a head, not both")
        })
    }
}

impl Record for Root {
    const KIND: RecordKind = RecordKind::Root;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "a root's record version is not 1")?;
        BrokenRule::unless(self.created < self.expires, "a root expires before it was made")?;
        check_catalog_name(&self.name)?;
        self.check_place()?;
        self.check_keys()?;
        self.check_witnesses()?;
        self.x.check()
    }
}

impl Unverified<Root> {
    /// The root's name.
    #[must_use]
    pub fn id(&self) -> RootId {
        RootId::of(self.payload())
    }
}

impl Verified<Root> {
    /// The root's name.
    #[must_use]
    pub fn id(&self) -> RootId {
        RootId::of(self.payload())
    }
}

/// How many witnesses to ask for by default: none of none, one of one or two, and a majority from three on, because
/// two majorities share a witness.
#[must_use]
pub const fn default_witness_quorum(witnesses: u32) -> u32 {
    match witnesses {
        0 => 0,
        1 | 2 => 1,
        more => more / 2 + 1,
    }
}
