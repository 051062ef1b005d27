//! A head: the signed statement "catalog C, sequence S, has manifest root R" (FORMAT.md § Head).
//!
//! Heads of one catalog form a chain by `prev`, with `skip` as a second, logarithmic way back. Here stand the rules
//! of one head alone; who may sign it is [`TrustRoot`](crate::TrustRoot)'s, which one to follow is
//! [`judge`](crate::judge)'s.

mod builder;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::envelope::RecordKind;
use crate::extensions::Extensions;
use crate::ids::{CatalogId, HeadId, NodeId, RevId};
use crate::pin::Pin;
use crate::record::{BrokenRule, Record, Unverified};
use crate::text_rules::{check_label, check_tag, check_title, check_url};
use crate::verify::Verified;

pub use builder::HeadBuilder;

/// The most divergent heads that one head voids.
pub const VOID_MAX: usize = 32;
/// The most labels of a head.
pub const LABELS_MAX: usize = 64;
/// The most tags of a catalog.
pub const TAGS_MAX: usize = 32;
/// The most origins of a catalog.
pub const ORIGINS_MAX: usize = 16;

/// A signed head. Keys stand in (length, bytes) order of their names on the wire; the payload has at most 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How many artifacts the manifest has.
    #[serde(rename = "n")]
    pub entries: u64,
    /// The record's version, 1.
    pub v: u8,
    /// Extensions.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    pub x: Extensions,
    /// When it was made.
    #[serde(rename = "ct")]
    pub created: Timestamp,
    /// The sum of the artifacts' sizes, in bytes.
    #[serde(rename = "sz")]
    pub bytes: u64,
    /// Which catalog it speaks of.
    #[serde(rename = "cat")]
    pub catalog: CatalogId,
    /// From when on it is not newly adopted.
    #[serde(rename = "exp")]
    pub expires: Timestamp,
    /// Where the artifacts can be fetched, as base URLs; hints.
    #[serde(rename = "org")]
    pub origins: Vec<String>,
    /// The revocation list in force.
    #[serde(rename = "rev", default, skip_serializing_if = "Option::is_none")]
    pub revocations: Option<RevId>,
    /// Its place in the catalog's history, from 1.
    pub seq: u64,
    /// What the catalog says about itself.
    pub meta: HeadMeta,
    /// The former head; absent at sequence 1 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<HeadId>,
    /// Which root it was made under.
    #[serde(rename = "rver")]
    pub root_version: u64,
    /// The ancestor at [`skip_target`] of its sequence number, wherever that says there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<HeadId>,
    /// The manifest's root node.
    pub tree: NodeId,
    /// Divergent heads whose holders may move over to this one, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<HeadId>,
    /// The epoch of the root it was made under.
    pub epoch: u64,
    /// Names of sequence numbers, ascending by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// What a catalog says about itself, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadMeta {
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Words by which relays choose catalogs, ascending, such as `ecosystem:python`.
    pub tags: Vec<String>,
    /// Its title, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A name of a sequence number: `[label, seq]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(String, u64)", into = "(String, u64)")]
pub struct Label {
    /// The name, `[A-Za-z][A-Za-z0-9._-]{0,62}`.
    pub name: String,
    /// What it names.
    pub seq: u64,
}

impl From<(String, u64)> for Label {
    fn from((name, seq): (String, u64)) -> Self {
        Self { name, seq }
    }
}

impl From<Label> for (String, u64) {
    fn from(label: Label) -> Self {
        (label.name, label.seq)
    }
}

/// Where a head's `skip` points: `seq` without its lowest set bit. `None` where `prev` does as well (odd numbers) or
/// nothing lies there (powers of two).
#[must_use]
pub const fn skip_target(seq: u64) -> Option<u64> {
    let target = seq & seq.wrapping_sub(1);
    if target == 0 || seq % 2 == 1 { None } else { Some(target) }
}

impl Head {
    fn check_place(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.seq >= 1, "a head's sequence number is 0")?;
        BrokenRule::unless(self.root_version >= 1, "a head's root version is 0")?;
        BrokenRule::unless(self.epoch >= 1, "a head's epoch is 0")?;
        let first = self.seq == 1;
        BrokenRule::unless(
            self.prev.is_none() == first,
            "`prev` is absent at sequence number 1, and only there",
        )?;
        let skips = skip_target(self.seq).is_some();
        BrokenRule::unless(
            self.skip.is_some() == skips,
            "`skip` is present exactly where the sequence number is even and not a power of two",
        )
    }

    fn check_texts(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.origins.len() <= ORIGINS_MAX, "more than 16 origins")?;
        self.origins.iter().chain(&self.meta.home).try_for_each(|url| check_url(url))?;
        self.meta.title.iter().try_for_each(|title| check_title(title))?;
        BrokenRule::unless(self.meta.tags.len() <= TAGS_MAX, "more than 32 tags")?;
        BrokenRule::unless(is_ascending(&self.meta.tags), "tags out of order, or one of them twice")?;
        self.meta.tags.iter().try_for_each(|tag| check_tag(tag))?;
        BrokenRule::unless(self.labels.len() <= LABELS_MAX, "more than 64 labels")?;
        let distinct = self.labels.windows(2).all(|pair| matches!(pair, [a, b] if a.name < b.name));
        BrokenRule::unless(distinct, "labels out of order, or one of them twice")?;
        self.labels.iter().try_for_each(|label| {
            check_label(&label.name)?;
            let past = (1..=self.seq).contains(&label.seq);
            BrokenRule::unless(past, "a label names a sequence number that is not there yet")
        })
    }
}

fn is_ascending<T: Ord>(items: &[T]) -> bool {
    items.windows(2).all(|pair| matches!(pair, [a, b] if a < b))
}

impl Record for Head {
    const KIND: RecordKind = RecordKind::Head;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "a head's record version is not 1")?;
        BrokenRule::unless(self.created < self.expires, "a head expires before it was made")?;
        self.check_place()?;
        BrokenRule::unless(self.void.len() <= VOID_MAX, "more than 32 voided heads")?;
        BrokenRule::unless(is_ascending(&self.void), "voided heads out of order, or one of them twice")?;
        self.check_texts()?;
        self.x.check()
    }
}

impl Unverified<Head> {
    /// The head's name.
    #[must_use]
    pub fn id(&self) -> HeadId {
        HeadId::of(self.payload())
    }
}

impl Verified<Head> {
    /// The head's name.
    #[must_use]
    pub fn id(&self) -> HeadId {
        HeadId::of(self.payload())
    }

    /// The URL segment that names this head.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of(self.seq, &self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_drop_the_lowest_bit() {
        let targets: Vec<_> = (1..=12).map(skip_target).collect();
        let (some, none) = (Some, None);
        assert_eq!(
            targets,
            [none, none, none, none, none, some(4), none, none, none, some(8), none, some(8)]
        );
        assert_eq!(skip_target(0), None);
        assert_eq!(skip_target(u64::MAX - 1), Some(u64::MAX - 3));
    }
}
