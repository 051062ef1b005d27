//! Which blobs other relays keep, so that this one may do without: what is nobody else's goes last when room is needed.
//!
//! Pure. Relays decide alone and at once, so two that know of each other must not both rely on the other: for every prefix of
//! ids there is an order of relays that all agree on, and only the word of one that comes earlier in it counts here. Of those who hold
//! a blob, the earliest keeps it. All doubt makes a last copy: of a claim that cannot be judged nothing is believed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use odi_manifest::{BlobId, HeadId, PublicKey, Timestamp};
use odi_wire::message::{ID_SPACE, prefix_of};

use crate::peers::Peer;

/// What relays that come earlier say that they hold of one catalog.
#[derive(Debug, Default)]
pub struct Copies {
    /// By the head at which they hold their ranges.
    at: BTreeMap<HeadId, Ranges>,
    /// Named one by one.
    plus: HashSet<BlobId>,
}

#[derive(Debug)]
struct Ranges {
    /// How many of them speak for each prefix.
    covered: Vec<u16>,
    /// How many of those lack a blob.
    minus: HashMap<BlobId, u16>,
}

impl Copies {
    /// Counts the claims of those whose word still holds.
    #[must_use]
    pub fn new(peers: &[Arc<Peer>], me: &PublicKey, now: Timestamp) -> Self {
        let mut copies = Self::default();
        for peer in peers.iter().filter(|peer| peer.expires > now && peer.key != *me) {
            let earlier = |blob: &BlobId| comes_earlier(&peer.key, me, prefix_of(blob));
            copies.plus.extend(peer.inventory.plus.iter().copied().filter(earlier));
            let Some(full) = peer.inventory.full else { continue };
            let ranges = copies.at.entry(full).or_insert_with(Ranges::none);
            for (low, high) in peer.inventory.ranges.as_slice() {
                for prefix in (*low..=*high).filter(|prefix| comes_earlier(&peer.key, me, *prefix)) {
                    if let Some(count) = ranges.covered.get_mut(usize::from(prefix)) {
                        *count = count.saturating_add(1);
                    }
                }
            }
            let lacks = peer
                .inventory
                .minus
                .iter()
                .filter(|blob| earlier(blob) && peer.inventory.ranges.contains(blob));
            lacks.for_each(|blob| *ranges.minus.entry(*blob).or_default() += 1);
        }
        copies
    }

    /// The heads at which anybody holds anything.
    pub fn heads(&self) -> impl Iterator<Item = &HeadId> {
        self.at.keys()
    }

    /// Whether a relay that comes earlier says that it holds a blob; `names` tells whether the manifest of a head does name it.
    #[must_use]
    pub fn kept_elsewhere(&self, blob: &BlobId, names: impl Fn(&HeadId) -> bool) -> bool {
        self.plus.contains(blob) || self.at.iter().any(|(head, ranges)| ranges.hold(blob) && names(head))
    }
}

impl Ranges {
    fn none() -> Self {
        Self { covered: vec![0; ID_SPACE as usize], minus: HashMap::new() }
    }

    fn hold(&self, blob: &BlobId) -> bool {
        let covered = self.covered.get(usize::from(prefix_of(blob))).copied().unwrap_or(0);
        covered > self.minus.get(blob).copied().unwrap_or(0)
    }
}

/// Whether one relay comes earlier than another for a prefix: the order begins at another key for each.
fn comes_earlier(one: &PublicKey, other: &PublicKey, prefix: u16) -> bool {
    let place = |key: &PublicKey| {
        let [high, low, ..] = *key.as_bytes();
        (u16::from_be_bytes([high, low]).wrapping_sub(prefix), *key)
    };
    place(one) < place(other)
}

#[cfg(test)]
mod tests {
    use odi_manifest::{CatalogId, SigningKey};
    use odi_wire::message::{CatalogInventory, IdRanges, PublicUrl};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn key(number: u8) -> PublicKey {
        SigningKey::from_seed(&[number; 32]).public_key()
    }

    fn head(number: u8) -> HeadId {
        HeadId::from_bytes([number; 32])
    }

    fn blob(number: u32) -> BlobId {
        BlobId::of(&number.to_le_bytes())
    }

    fn peer(number: u8, full: Option<u8>, ranges: IdRanges) -> Peer {
        let inventory = CatalogInventory {
            cat: CatalogId::from_bytes([9; 32]),
            served: Vec::new(),
            full: full.map(head),
            fills: IdRanges::none(),
            ranges,
            plus: Vec::new(),
            minus: Vec::new(),
            sent: None,
        };
        let url = PublicUrl::parse("http://127.0.0.1:8500").unwrap();
        Peer {
            key: key(number),
            url,
            other_urls: Vec::new(),
            expires: NOW.plus(std::time::Duration::from_secs(1)),
            rate: 1,
            bans_me: false,
            inventory,
        }
    }

    /// Whether one of two relays that hold everything relies on the other.
    fn relies(me: u8, other: u8, number: u32) -> bool {
        let copies = Copies::new(&[Arc::new(peer(other, Some(1), IdRanges::all()))], &key(me), NOW);
        copies.kept_elsewhere(&blob(number), |_| true)
    }

    #[test]
    fn of_two_who_hold_a_blob_exactly_one_relies_on_the_other() {
        let one: Vec<bool> = (0..400).map(|number| relies(1, 2, number)).collect();
        let other: Vec<bool> = (0..400).map(|number| relies(2, 1, number)).collect();
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        let share = one.iter().filter(|relies| **relies).count();
        assert!((1..400).contains(&share), "{share} of 400");
    }

    #[test]
    fn what_was_not_named_then_or_is_lacking_or_is_over_is_not_kept() {
        let me = key(1);
        let earlier = (0..).find(|number| relies(1, 2, *number)).unwrap();
        let mut other = peer(2, Some(1), IdRanges::all());
        let kept = |other: &Peer, names: bool| {
            Copies::new(&[Arc::new(other.clone())], &me, NOW).kept_elsewhere(&blob(earlier), |_| names)
        };
        assert!(kept(&other, true) && !kept(&other, false));
        other.inventory.minus = vec![blob(earlier)];
        assert!(!kept(&other, true));
        other.inventory.plus = vec![blob(earlier)];
        assert!(kept(&other, false), "it says so by name");
        other.expires = NOW;
        assert!(!kept(&other, true));
        let silent = peer(2, None, IdRanges::all());
        assert!(!kept(&silent, true));
    }

    proptest! {
        /// Relays that all see the same claims and drop whatever they may leave at least one copy.
        #[test]
        fn whoever_drops_what_others_keep_leaves_a_copy(
            holders in prop::collection::btree_set(0_u8..12, 1..6),
            number: u32,
        ) {
            let blob = blob(number);
            let peers: Vec<Arc<Peer>> =
                holders.iter().map(|holder| Arc::new(peer(*holder, Some(1), IdRanges::all()))).collect();
            let keeps = |holder: &&u8| {
                !Copies::new(&peers, &key(**holder), NOW).kept_elsewhere(&blob, |_| true)
            };
            prop_assert_eq!(holders.iter().filter(keeps).count(), 1);
        }
    }
}
