//! `Assign`: what its assigner asks a relay to hold.

use odi_manifest::{BlobId, BrokenRule, CatalogId, PublicKey, Record, RecordKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::IdRanges;
use super::statement::Statement;

/// How many catalogs one assignment may name.
pub const ASSIGNED_CATALOGS_MAX: usize = 256;

/// How many hot blobs it may name per catalog.
pub const ASSIGNED_BLOBS_MAX: usize = 1024;

/// Of the disk that a relay offers, the part that is assigned, in percent: the rest is for misses, trees and compaction.
const ASSIGNED_PERCENT: u64 = 85;

/// How much of a disk may be assigned. A directory that thought otherwise than the relay would assign what is cut, or less
/// than there is room for.
#[must_use]
pub const fn assignable_bytes(disk_bytes: u64) -> u64 {
    disk_bytes / 100 * ASSIGNED_PERCENT
}

/// The longest catalog name in bytes.
pub const CATALOG_NAME_BYTES_MAX: usize = 63;

/// `Assign {v, dir, exp, gen, relay, catalogs}`, type `odi/assign/1`, signed by the directory.
///
/// It can ask only for content of catalogs that the relay follows itself, under heads that it verified itself, and
/// never for more than the relay's operator allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// 1.
    pub v: u8,
    /// The directory's key, which signs this.
    pub dir: PublicKey,
    /// The relay it is meant for.
    pub relay: PublicKey,
    /// Strictly rises whenever the content changes.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// From when on a relay that hears nothing may give the space to others.
    pub exp: Timestamp,
    /// What to hold, ascending by catalog.
    pub catalogs: Vec<AssignedCatalog>,
}

/// What to hold of one catalog: `{cat, name, plus, ranges}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignedCatalog {
    /// The catalog.
    pub cat: CatalogId,
    /// The directory's name for it.
    pub name: String,
    /// The blobs to hold.
    pub ranges: IdRanges,
    /// Hot blobs to hold beside those, ascending.
    pub plus: Vec<BlobId>,
}

impl AssignedCatalog {
    /// Whether a blob is asked for.
    #[must_use]
    pub fn wants(&self, blob: &BlobId) -> bool {
        self.ranges.contains(blob) || self.plus.binary_search(blob).is_ok()
    }
}

impl Record for Assign {
    const KIND: RecordKind = RecordKind::Assign;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "`v` is 1")?;
        BrokenRule::unless(self.catalogs.len() <= ASSIGNED_CATALOGS_MAX, "at most 256 catalogs")?;
        BrokenRule::unless(self.catalogs.is_sorted_by(|a, b| a.cat < b.cat), "catalogs ascend")?;
        self.catalogs.iter().try_for_each(|catalog| {
            let named = (1..=CATALOG_NAME_BYTES_MAX).contains(&catalog.name.len());
            BrokenRule::unless(named, "a catalog's name has 1 to 63 bytes")?;
            BrokenRule::unless(catalog.plus.len() <= ASSIGNED_BLOBS_MAX, "`plus` has at most 1024 blobs")?;
            BrokenRule::unless(catalog.plus.is_sorted_by(|a, b| a < b), "`plus` ascends")
        })
    }
}

impl Statement for Assign {
    fn author(&self) -> &PublicKey {
        &self.dir
    }
}
