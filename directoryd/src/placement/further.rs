//! Further holders for what many want at once: named blobs beside the parts, in room of their own, so that no copy of anything
//! else makes way for them.

use std::collections::{BinaryHeap, HashMap, HashSet};

use odi_manifest::{BlobId, CatalogId, PublicKey};
use odi_wire::message::{ASSIGNED_BLOBS_MAX, AssignedCatalog, IdRanges};

use crate::heat::Hot;
use crate::select::mixed;

use super::{Bearer, Offer};

/// Adds each hot blob to as many relays as it is to have beside those that hold it anyway: those that draw it highest, of
/// those that want its catalog and have room. The hottest come first.
pub(super) fn add(
    placed: &mut HashMap<PublicKey, Vec<AssignedCatalog>>,
    bearers: &[&Bearer<'_>],
    hot: &[Hot],
) {
    let mut takers: Vec<Taker> = bearers.iter().map(|bearer| Taker::of(bearer, placed)).collect();
    let mut wanting: HashMap<CatalogId, Vec<(usize, &Offer)>> = HashMap::new();
    let warm: HashSet<CatalogId> = hot.iter().map(|hot| hot.catalog).collect();
    for (at, (bearer, taker)) in bearers.iter().zip(&takers).enumerate().filter(|_| !warm.is_empty()) {
        // Whoever holds a catalog as a whole would be asked in vain for each blob of it.
        let lacking =
            bearer.wanted.iter().filter(|offer| warm.contains(&offer.id) && !taker.holds_all(&offer.id));
        lacking.for_each(|offer| wanting.entry(offer.id).or_default().push((at, offer)));
    }
    for Hot { catalog, blob, size, further } in hot {
        let Some(wanting) = wanting.get(catalog) else { continue };
        let number = number_of(blob.as_bytes());
        let draw =
            |(nth, (at, _)): (usize, &(usize, &Offer))| Some((mixed(takers.get(*at)?.place ^ number), nth));
        // Mostly a few of all are wanted, so that sorting all would be in vain.
        let mut drawn: BinaryHeap<(u64, usize)> = wanting.iter().enumerate().filter_map(draw).collect();
        let mut added = 0;
        while added < *further {
            let Some((_, nth)) = drawn.pop() else { break };
            let Some((at, offer)) = wanting.get(nth) else { continue };
            let takes = |taker: &mut Taker| taker.take(offer, blob, *size);
            added += usize::from(takers.get_mut(*at).is_some_and(takes));
        }
    }
    for taker in takers {
        placed.insert(taker.relay, taker.catalogs);
    }
}

/// A relay, and what it is asked to hold so far.
struct Taker {
    relay: PublicKey,
    /// A number of its own.
    place: u64,
    room: u64,
    catalogs: Vec<AssignedCatalog>,
}

impl Taker {
    fn of(bearer: &Bearer<'_>, placed: &mut HashMap<PublicKey, Vec<AssignedCatalog>>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("ODI 2026-11 further holders v1");
        hasher.update(bearer.relay.as_bytes());
        let place = number_of(hasher.finalize().as_bytes());
        let catalogs = placed.remove(&bearer.relay).unwrap_or_default();
        Self { relay: bearer.relay, place, room: bearer.hot_room, catalogs }
    }

    fn holds_all(&self, catalog: &CatalogId) -> bool {
        let assigned = self.catalogs.iter().find(|assigned| assigned.cat == *catalog);
        assigned.is_some_and(|assigned| assigned.ranges == IdRanges::all())
    }

    /// Takes a blob, unless it holds it anyway or has no room for it; whether it does.
    fn take(&mut self, offer: &Offer, blob: &BlobId, size: u64) -> bool {
        if self.room < size {
            return false;
        }
        let at = self.catalogs.iter().position(|assigned| assigned.cat == offer.id).unwrap_or_else(|| {
            let (ranges, plus) = (IdRanges::none(), Vec::new());
            self.catalogs.push(AssignedCatalog { cat: offer.id, name: offer.name.clone(), ranges, plus });
            self.catalogs.len() - 1
        });
        let Some(assigned) = self.catalogs.get_mut(at) else { return false };
        let has = |blob| assigned.ranges.contains(blob) || assigned.plus.binary_search(blob).is_ok();
        if assigned.plus.len() >= ASSIGNED_BLOBS_MAX || has(blob) {
            return false;
        }
        let place = assigned.plus.partition_point(|other| other < blob);
        assigned.plus.insert(place, *blob);
        self.room -= size;
        true
    }
}

fn number_of(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
