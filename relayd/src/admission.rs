//! What this relay accepts of an assignment, and of misses.
//!
//! Pure. A directory asks; the operator's words decide. Catalogs that are not wanted, ids that no adopted head names, and
//! bytes beyond the disk are refused, each with a reason that the status page shows (threat rows 23 and 24).

use odi_manifest::{BlobId, CatalogId};

use crate::holdings::LIST_MAX;
use crate::prefix::{self, PREFIXES, PrefixRange};

/// The share of the disk that assignments may fill, in percent: the rest is for misses, trees and compaction.
pub const ASSIGNED_PERCENT: u64 = 85;
/// The most ranges that an assignment may name for one catalog.
pub const RANGES_MAX: usize = 1024;

/// What a directory asks this relay to hold of one catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The catalog.
    pub catalog: CatalogId,
    /// Ranges of blob prefixes.
    pub ranges: Vec<PrefixRange>,
    /// Hot blobs beside them.
    pub plus: Vec<BlobId>,
}

/// A catalog that this relay follows, as far as admission cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The catalog.
    pub catalog: CatalogId,
    /// All bytes of its newest manifest.
    pub bytes: u64,
}

/// Why a part of an assignment was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// The catalog matches none of the operator's patterns, or no head of it could be verified.
    #[error("catalog {0} is not followed here")]
    NotFollowed(CatalogId),
    /// More ranges or ids than the protocol allows.
    #[error("the assignment of catalog {0} is larger than the protocol allows")]
    TooLong(CatalogId),
    /// It did not fit in the disk budget; the ranges were cut to what fits.
    #[error(
        "the assignment of catalog {catalog} was cut to {taken} of {asked} bytes: the disk budget is full"
    )]
    OverBudget {
        /// The catalog.
        catalog: CatalogId,
        /// Bytes asked for, by the catalog's size and the width of the ranges.
        asked: u64,
        /// Bytes taken.
        taken: u64,
    },
}

/// Judges an assignment: what is taken, in the order offered, and what was declined.
#[must_use]
pub fn admit(offers: &[Offer], followed: &[Followed], disk_bytes: u64) -> (Vec<Offer>, Vec<Declined>) {
    let mut room = disk_bytes / 100 * ASSIGNED_PERCENT;
    let mut taken: Vec<Offer> = Vec::new();
    let mut declined = Vec::new();
    for offer in offers {
        let catalog = offer.catalog;
        let Some(followed) = followed.iter().find(|followed| followed.catalog == catalog) else {
            declined.push(Declined::NotFollowed(catalog));
            continue;
        };
        if offer.ranges.len() > RANGES_MAX
            || offer.plus.len() > LIST_MAX
            || taken.iter().any(|t| t.catalog == catalog)
        {
            declined.push(Declined::TooLong(catalog));
            continue;
        }
        let mut offer = Offer { ranges: prefix::merged(offer.ranges.clone()), ..offer.clone() };
        let asked = share(followed.bytes, width(&offer.ranges));
        if asked > room {
            offer.ranges = cut(&offer.ranges, followed.bytes, room);
            let kept = share(followed.bytes, width(&offer.ranges));
            declined.push(Declined::OverBudget { catalog, asked, taken: kept });
            room = 0;
        } else {
            room -= asked;
        }
        taken.push(offer);
    }
    (taken, declined)
}

fn width(ranges: &[PrefixRange]) -> u64 {
    ranges.iter().map(|range| u64::from(range.width())).sum()
}

/// The expected bytes of `width` of the 65 536 prefixes: ids are uniform.
fn share(bytes: u64, width: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(width) / PREFIXES as u128).unwrap_or(u64::MAX)
}

/// The first prefixes of `ranges` whose expected bytes fit in `room`.
fn cut(ranges: &[PrefixRange], bytes: u64, room: u64) -> Vec<PrefixRange> {
    let affordable = u128::from(room) * PREFIXES as u128 / u128::from(bytes.max(1));
    let mut left = u32::try_from(affordable).unwrap_or(u32::MAX);
    let mut kept = Vec::new();
    for range in ranges {
        let take = left.min(range.width());
        if let Some(last) = take.checked_sub(1) {
            let hi = u16::try_from(u32::from(range.lo()) + last).unwrap_or(u16::MAX);
            kept.extend(PrefixRange::new(range.lo(), hi));
        }
        left -= take;
    }
    kept
}

/// The limits of filling a miss, outside the assignment, while a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissBudget {
    /// Fills at once.
    pub concurrent_max: usize,
    /// The largest blob, in bytes.
    pub blob_bytes_max: u64,
}

impl MissBudget {
    /// A fiftieth of the disk for one blob, at most 4 GiB: a stranger's request must not displace what was assigned.
    #[must_use]
    pub fn for_disk(disk_bytes: u64) -> Self {
        Self { concurrent_max: 16, blob_bytes_max: (disk_bytes / 50).min(4 << 30) }
    }

    /// Whether a miss of this size may start while so many are under way.
    #[must_use]
    pub const fn allows(&self, size: u64, under_way: usize) -> bool {
        size <= self.blob_bytes_max && under_way < self.concurrent_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(n: u8) -> CatalogId {
        CatalogId::from_bytes([n; 32])
    }

    fn whole(n: u8) -> Offer {
        Offer { catalog: catalog(n), ranges: vec![PrefixRange::ALL], plus: Vec::new() }
    }

    #[test]
    fn what_fits_is_taken_whole() {
        let followed =
            [Followed { catalog: catalog(1), bytes: 500 }, Followed { catalog: catalog(2), bytes: 300 }];
        let (taken, declined) = admit(&[whole(1), whole(2)], &followed, 1000);
        assert_eq!(taken, [whole(1), whole(2)]);
        assert_eq!(declined, []);
    }

    #[test]
    fn a_stranger_is_declined() {
        let (taken, declined) = admit(&[whole(9)], &[], 1 << 40);
        assert_eq!(taken, []);
        assert_eq!(declined, [Declined::NotFollowed(catalog(9))]);
    }

    #[test]
    fn the_disk_overrules_the_directory() {
        let followed = [Followed { catalog: catalog(1), bytes: 10 << 40 }];
        let (taken, declined) = admit(&[whole(1)], &followed, 1 << 30);
        let kept = share(10 << 40, width(&taken[0].ranges));
        assert!(kept <= (1 << 30) / 100 * ASSIGNED_PERCENT);
        assert!(kept > (1 << 29), "most of the budget is used, {kept}");
        assert!(matches!(declined[..], [Declined::OverBudget { .. }]));
        let (taken, _) = admit(&[whole(1)], &followed, 0);
        assert_eq!(taken[0].ranges, []);
    }

    #[test]
    fn lists_are_capped_and_a_catalog_counts_once() {
        let followed = [Followed { catalog: catalog(1), bytes: 1 }];
        let long = Offer { plus: vec![BlobId::of(b""); LIST_MAX + 1], ..whole(1) };
        assert_eq!(admit(&[long], &followed, 1000).1, [Declined::TooLong(catalog(1))]);
        let (taken, declined) = admit(&[whole(1), whole(1)], &followed, 1000);
        assert_eq!((taken.len(), declined.len()), (1, 1));
    }

    #[test]
    fn a_small_catalog_without_bytes_costs_nothing() {
        let followed = [Followed { catalog: catalog(1), bytes: 0 }];
        assert_eq!(admit(&[whole(1)], &followed, 0).0, [whole(1)]);
    }

    #[test]
    fn misses_have_a_small_budget() {
        let budget = MissBudget::for_disk(1 << 30);
        assert!(budget.allows(1 << 20, 0));
        assert!(!budget.allows(1 << 29, 0));
        assert!(!budget.allows(1, budget.concurrent_max));
    }
}
