//! Further holders for what many want at once: named blobs beside the parts, in room of their own, so that no copy of anything
//! else makes way for them.

use std::collections::HashMap;

use odi_manifest::{BlobId, PublicKey};
use odi_wire::message::{ASSIGNED_BLOBS_MAX, AssignedCatalog};

use crate::heat::Hot;

use super::Bearer;

/// Adds each hot blob to as many relays as it is to have beside those that hold it anyway: those that draw it highest, of
/// those that want its catalog and have room. The hottest come first.
pub(super) fn add(
    placed: &mut HashMap<PublicKey, Vec<AssignedCatalog>>,
    bearers: &[&Bearer<'_>],
    hot: &[Hot],
) {
    let mut left: HashMap<PublicKey, u64> =
        bearers.iter().map(|bearer| (bearer.relay, bearer.hot_room)).collect();
    for Hot { catalog, blob, size, further } in hot {
        let mut drawn: Vec<([u8; 32], &&Bearer<'_>)> = bearers
            .iter()
            .filter(|bearer| bearer.wanted.iter().any(|offer| offer.id == *catalog))
            .map(|bearer| (draw(&bearer.relay, blob), bearer))
            .collect();
        drawn.sort_by_key(|(draw, bearer)| (std::cmp::Reverse(*draw), bearer.relay));
        let mut added = 0;
        for (_, bearer) in drawn {
            if added == *further {
                break;
            }
            let Some(room) = left.get_mut(&bearer.relay).filter(|room| **room >= *size) else { continue };
            let catalogs = placed.entry(bearer.relay).or_default();
            if catalogs.iter().any(|assigned| assigned.cat == *catalog && assigned.ranges.contains(blob)) {
                continue;
            }
            let Some(offer) = bearer.wanted.iter().find(|offer| offer.id == *catalog) else { continue };
            let at = catalogs.iter().position(|assigned| assigned.cat == *catalog).unwrap_or_else(|| {
                catalogs.push(AssignedCatalog {
                    cat: offer.id,
                    name: offer.name.clone(),
                    ranges: odi_wire::message::IdRanges::none(),
                    plus: Vec::new(),
                });
                catalogs.len() - 1
            });
            let Some(assigned) = catalogs.get_mut(at).filter(|all| all.plus.len() < ASSIGNED_BLOBS_MAX)
            else {
                continue;
            };
            assigned.plus.push(*blob);
            *room -= size;
            added += 1;
        }
    }
    for assigned in placed.values_mut().flatten() {
        assigned.plus.sort_unstable();
        assigned.plus.dedup();
    }
}

fn draw(relay: &PublicKey, blob: &BlobId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("ODI 2026-11 further holders v1");
    hasher.update(relay.as_bytes()).update(blob.as_bytes());
    *hasher.finalize().as_bytes()
}
