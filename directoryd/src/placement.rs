//! Which relays are asked to hold what: pure, over everything that a directory knows of relays and catalogs at once.
//!
//! A catalog's blob ids are cut into [`PARTS`] equal parts. Small catalogs go whole; of a large one each relay gets as many parts as
//! fit, those that it draws highest by rendezvous hashing, so that what it holds follows from its key and its room alone
//! and a relay that comes or goes moves nothing of the others'. Then [`floor`] trades the few parts that have drawn too few relays
//! for parts that have drawn more than enough.
//!
//! Invariants
//! - No relay is asked for more than its room.
//! - Every part has as many copies in different networks as was asked for, if the relays' rooms and networks allow it.
//! - The same relays and catalogs give the same placement, in whatever order they come.

mod floor;
mod further;
mod parts;
mod room;

use std::collections::HashMap;

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::{ASSIGNED_CATALOGS_MAX, AssignedCatalog};

use crate::heat::Hot;
use crate::network::Network;

use floor::{Holder, raise};
use parts::Draw;
pub use parts::PARTS;
pub use room::{hot_room, room};

/// A catalog to be held.
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

/// A relay that may hold something.
#[derive(Clone, Debug)]
pub struct Bearer<'a> {
    /// Its key.
    pub relay: PublicKey,
    /// From where it registered: what fails there, fails together.
    pub network: Network,
    /// How many bytes it may be asked to hold.
    pub room: u64,
    /// How many more it may be asked to hold of what is hot.
    pub hot_room: u64,
    /// The catalogs that it wants.
    pub wanted: Vec<&'a Offer>,
}

/// One catalog, and the relays that hold some of it.
struct Share<'a> {
    offer: &'a Offer,
    relays: Vec<PublicKey>,
    /// In the same order.
    holders: Vec<Holder>,
}

impl<'a> Share<'a> {
    const fn of(offer: &'a Offer) -> Self {
        Self { offer, relays: Vec::new(), holders: Vec::new() }
    }
}

/// What each relay is asked to hold, ascending by catalog; `copies` of everything where that is possible, more where
/// there is room, and further ones of what is hot.
#[must_use]
pub fn place(bearers: &[Bearer<'_>], copies: usize, hot: &[Hot]) -> HashMap<PublicKey, Vec<AssignedCatalog>> {
    let mut bearers: Vec<&Bearer<'_>> = bearers.iter().collect();
    bearers.sort_by_key(|bearer| bearer.relay);
    let mut shares: HashMap<CatalogId, Share<'_>> = HashMap::new();
    for bearer in &bearers {
        for (offer, count) in divide(bearer) {
            let share = shares.entry(offer.id).or_insert_with(|| Share::of(offer));
            share.relays.push(bearer.relay);
            share.holders.push(Holder::drawn(bearer.network, Draw::of(&bearer.relay, &offer.id), count));
        }
    }
    let mut placed: HashMap<PublicKey, Vec<AssignedCatalog>> =
        bearers.iter().map(|bearer| (bearer.relay, Vec::new())).collect();
    for Share { offer, relays, mut holders } in shares.into_values() {
        raise(&mut holders, copies);
        for (relay, holder) in relays.iter().zip(holders) {
            let assigned = AssignedCatalog {
                cat: offer.id,
                name: offer.name.clone(),
                ranges: holder.parts.ranges(),
                plus: Vec::new(),
            };
            placed.entry(*relay).or_default().push(assigned);
        }
    }
    further::add(&mut placed, &bearers, hot);
    placed.values_mut().for_each(|catalogs| catalogs.sort_by_key(|catalog| catalog.cat));
    placed
}

/// Divides a relay's room among the catalogs that it wants, in parts: each gets an equal share, and what a small catalog leaves goes
/// to the larger ones. Catalogs of which not a part fits are left out.
fn divide<'a>(bearer: &Bearer<'a>) -> Vec<(&'a Offer, usize)> {
    let mut by_size = bearer.wanted.clone();
    by_size.sort_by_key(|offer| (offer.bytes, offer.id));
    by_size.truncate(ASSIGNED_CATALOGS_MAX);
    let mut left = bearer.room;
    let count = by_size.len() as u64;
    let mut divided = Vec::with_capacity(by_size.len());
    for (offer, others) in by_size.into_iter().zip((1..=count).rev()) {
        let parts = parts_within(offer.bytes, left / others);
        if parts > 0 {
            left = left.saturating_sub(parts::bytes_of(offer.bytes, parts));
            divided.push((offer, parts));
        }
    }
    divided
}

/// How many parts of a catalog fit in so many bytes.
fn parts_within(catalog_bytes: u64, room: u64) -> usize {
    if catalog_bytes <= room {
        return PARTS;
    }
    let parts = u128::from(room) * PARTS as u128 / u128::from(catalog_bytes);
    usize::try_from(parts).unwrap_or(PARTS).min(PARTS)
}

#[cfg(test)]
mod tests;
