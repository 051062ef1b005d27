//! What each relay is asked to hold: pure, and simple. Whole catalogs where they fit, ranges of the larger ones, never more
//! than the relay offers, and little of that before it has shown itself.
//!
//! A relay's ranges of a catalog begin where its key and the catalog say, so that relays hold different parts, and growing
//! moves nothing. How many copies there are of what is nobody's concern here yet.

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::{ASSIGNED_CATALOGS_MAX, AssignedCatalog, ID_SPACE, IdRanges, assignable_bytes};

use crate::roster::Stage;

/// Of the disk that a relay offers, the part that is assigned while it is on probation, in percent.
const PROBATION_PERCENT: u64 = 10;
/// On probation, so much is assigned at least if the relay has it: many catalogs are smaller.
const PROBATION_BYTES_MIN: u64 = 1 << 30;
/// A catalog is assigned in so many equal parts, so that few of its heads change what is assigned.
const PARTS: u32 = 256;

/// A catalog as assignments see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The catalog.
    pub id: CatalogId,
    /// This directory's name for it.
    pub name: String,
    /// Tags of its newest head.
    pub tags: Vec<String>,
    /// All bytes of its newest manifest.
    pub bytes: u64,
}

/// How many bytes a relay that offers so much disk may be assigned; none before it is tested.
#[must_use]
pub fn room(disk: u64, stage: Stage) -> u64 {
    let most = assignable_bytes(disk);
    match stage {
        Stage::Ready => most,
        Stage::Probation { .. } => most.min((disk / 100 * PROBATION_PERCENT).max(PROBATION_BYTES_MIN)),
        Stage::Untested | Stage::Quarantined { .. } => 0,
    }
}

/// Divides the room among the catalogs that a relay wants: each gets an equal part, and what a small one leaves goes to the
/// larger ones. Ascending by catalog.
#[must_use]
pub fn assign(relay: &PublicKey, wanted: &[&Offer], room: u64) -> Vec<AssignedCatalog> {
    let mut by_size: Vec<&&Offer> = wanted.iter().collect();
    by_size.sort_by_key(|offer| (offer.bytes, offer.id));
    by_size.truncate(ASSIGNED_CATALOGS_MAX);
    let mut left = room;
    let mut assigned = Vec::with_capacity(by_size.len());
    let count = by_size.len() as u64;
    for (offer, others) in by_size.into_iter().zip((1..=count).rev()) {
        let ranges = part(relay, offer, left / others);
        left = left.saturating_sub(ranges.expected_bytes(offer.bytes));
        if !ranges.is_empty() {
            assigned.push(AssignedCatalog {
                cat: offer.id,
                name: offer.name.clone(),
                ranges,
                plus: Vec::new(),
            });
        }
    }
    assigned.sort_by_key(|catalog| catalog.cat);
    assigned
}

/// As many of a catalog's parts as fit in so many bytes.
fn part(relay: &PublicKey, offer: &Offer, bytes: u64) -> IdRanges {
    if offer.bytes <= bytes {
        return IdRanges::all();
    }
    let parts = u128::from(bytes) * u128::from(PARTS) / u128::from(offer.bytes);
    let width = u32::try_from(parts).unwrap_or(0) * (ID_SPACE / PARTS);
    let mut hasher = blake3::Hasher::new_derive_key("ODI 2026-11 assignment v1");
    hasher.update(relay.as_bytes()).update(offer.id.as_bytes());
    let [high, low, ..] = *hasher.finalize().as_bytes();
    let start = u16::from_be_bytes([high, low]);
    IdRanges::from_start(start, width)
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn relay(n: u8) -> PublicKey {
        SigningKey::from_seed(&[n; 32]).public_key()
    }

    fn offer(n: u8, bytes: u64) -> Offer {
        Offer { id: CatalogId::from_bytes([n; 32]), name: format!("c{n}"), tags: vec![], bytes }
    }

    #[test]
    fn nothing_before_the_test_little_on_probation_and_never_the_whole_disk() {
        let tb = 1_000_000_000_000;
        assert_eq!(room(tb, Stage::Untested), 0);
        assert_eq!(room(tb, Stage::Probation { matched: 9 }), tb / 10);
        assert_eq!(room(tb, Stage::Ready), tb / 100 * 85);
        let gb = 1_000_000_000;
        assert_eq!(
            room(gb, Stage::Probation { matched: 0 }),
            room(gb, Stage::Ready),
            "a small disk is small anyway"
        );
    }

    #[test]
    fn small_catalogs_go_whole_and_the_large_one_takes_the_rest() {
        let (small, medium, large) = (offer(1, 10), offer(2, 200), offer(3, 10_000));
        let assigned = assign(&relay(1), &[&large, &small, &medium], 1000);
        assert_eq!(assigned.len(), 3);
        assert!(assigned[..2].iter().all(|catalog| catalog.ranges == IdRanges::all()));
        let held = assigned[2].ranges.expected_bytes(large.bytes);
        assert!((700..=790).contains(&held), "{held}");
    }

    #[test]
    fn relays_hold_different_parts_and_growing_moves_nothing() {
        let large = offer(3, 1 << 40);
        let of = |n, room| assign(&relay(n), &[&large], room).remove(0).ranges;
        assert_ne!(of(1, 1 << 36), of(2, 1 << 36));
        let (less, more) = (of(1, 1 << 36), of(1, 1 << 37));
        assert_eq!((less.share(), more.share()), (ID_SPACE / 16, ID_SPACE / 8));
        let within = |(lo, hi): &(u16, u16)| more.as_slice().iter().any(|(from, to)| from <= lo && hi <= to);
        assert!(less.as_slice().iter().all(within));
    }

    proptest! {
        #[test]
        fn never_more_than_the_room(
            sizes in prop::collection::vec(0u64..1 << 50, 0..40),
            room in 0u64..1 << 50,
            key: u8,
        ) {
            let offers: Vec<Offer> = (0..).zip(&sizes).map(|(n, bytes)| offer(n, *bytes)).collect();
            let wanted: Vec<&Offer> = offers.iter().collect();
            let assigned = assign(&relay(key), &wanted, room);
            prop_assert!(assigned.is_sorted_by(|a, b| a.cat < b.cat));
            let held: u64 = assigned
                .iter()
                .map(|catalog| {
                    let offer = offers.iter().find(|offer| offer.id == catalog.cat).unwrap();
                    catalog.ranges.expected_bytes(offer.bytes)
                })
                .sum();
            prop_assert!(held <= room, "{held} of {room}");
        }
    }
}
