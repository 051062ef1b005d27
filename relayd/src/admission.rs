//! What this relay accepts of an assignment, and of misses.
//!
//! Pure. A directory asks; the operator's words decide. Catalogs that are not wanted, ids that no adopted head names, and
//! bytes beyond the disk are refused, each with a reason that the status page shows.

use odi_manifest::CatalogId;
use odi_wire::message::{AssignedCatalog, ID_SPACE, IdRanges, assignable_bytes};
use odi_wire::selftest::{SELFTEST_BYTES_MAX, SELFTEST_ENTRIES_MAX};

/// All of [`assignable_bytes`] may be filled, in the measure of [`refit`].
pub const FIT_WHOLE: u64 = 1000;

/// If more than this of the disk is free, in percent, what was given up for want of room is taken again.
const FIT_AGAIN_PERCENT: u64 = 25;

/// How much of what may be assigned is taken, in thousandths. Assignments are by ids, and what bytes the blobs behind them have is an
/// expectation: where they have more, the relay takes fewer of them until they fit, so that it can follow the next head.
#[must_use]
pub fn refit(former: u64, fits: bool, free_percent: u64) -> u64 {
    match fits {
        false => (former * 9 / 10).max(1),
        true if free_percent > FIT_AGAIN_PERCENT => (former * 10 / 9 + 1).min(FIT_WHOLE),
        true => former,
    }
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
pub fn admit(
    offers: &[AssignedCatalog],
    followed: &[Followed],
    disk_bytes: u64,
) -> (Vec<AssignedCatalog>, Vec<Declined>) {
    let mut room = assignable_bytes(disk_bytes);
    let mut taken = Vec::new();
    let mut declined = Vec::new();
    for offer in offers {
        let catalog = offer.cat;
        let Some(followed) = followed.iter().find(|followed| followed.catalog == catalog) else {
            declined.push(Declined::NotFollowed(catalog));
            continue;
        };
        let mut offer = offer.clone();
        let asked = offer.ranges.expected_bytes(followed.bytes);
        if asked > room {
            offer.ranges = cut(&offer.ranges, followed.bytes, room);
            let kept = offer.ranges.expected_bytes(followed.bytes);
            declined.push(Declined::OverBudget { catalog, asked, taken: kept });
            room = 0;
        } else {
            room -= asked;
        }
        taken.push(offer);
    }
    (taken, declined)
}

/// Whether a self-test catalog is as small as one may be: it is taken from every directory, and nobody asked for it.
#[must_use]
pub const fn admits_selftest(bytes: u64, entries: u64) -> bool {
    bytes <= SELFTEST_BYTES_MAX && entries <= SELFTEST_ENTRIES_MAX
}

/// The first prefixes of `ranges` whose expected bytes fit in `room`.
fn cut(ranges: &IdRanges, bytes: u64, room: u64) -> IdRanges {
    let affordable = u128::from(room) * u128::from(ID_SPACE) / u128::from(bytes.max(1));
    let prefixes = ranges.as_slice().iter().flat_map(|(lo, hi)| *lo..=*hi);
    IdRanges::from_prefixes(prefixes.take(usize::try_from(affordable).unwrap_or(usize::MAX)))
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

    fn whole(n: u8) -> AssignedCatalog {
        AssignedCatalog { cat: catalog(n), name: n.to_string(), ranges: IdRanges::all(), plus: Vec::new() }
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
        let kept = taken[0].ranges.expected_bytes(10 << 40);
        assert!(kept <= assignable_bytes(1 << 30));
        assert!(kept > (1 << 29), "most of the budget is used, {kept}");
        assert!(matches!(declined[..], [Declined::OverBudget { .. }]));
        let (taken, _) = admit(&[whole(1)], &followed, 0);
        assert!(taken[0].ranges.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_taken_in_part_until_there_is_room_again() {
        let shrunk = (0..3).fold(FIT_WHOLE, |fit, _| refit(fit, false, 0));
        assert_eq!(shrunk, 729);
        assert_eq!(refit(shrunk, true, 10), shrunk, "it fits, and not much more would");
        assert_eq!((0..10).fold(shrunk, |fit, _| refit(fit, true, 60)), FIT_WHOLE);
        assert_eq!((0..200).fold(shrunk, |fit, _| refit(fit, false, 0)), 1);
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
