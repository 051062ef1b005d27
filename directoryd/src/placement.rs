//! Which relays are asked to hold what: pure, over everything that a directory knows of relays and catalogs at once.
//!
//! A catalog's blob ids are cut into [`PARTS`] equal parts. Small catalogs go whole; of a large one each relay gets as many parts as
//! fit, those that it draws highest by rendezvous hashing, so that what it holds follows from its key and its room alone
//! and a relay that comes or goes moves nothing of the others'. Then [`floor`] trades the few parts that have drawn too few relays
//! for parts that have drawn more than enough.
//!
//! Invariants
//! - No relay is asked for more than its room.
//! - Every part has as many copies with different parties ([`domains`]: operators, networks) as was asked for, if rooms and
//!   parties allow it; else in as many different networks, or at least on as many relays.
//! - Countries are spread over as far as that takes no copy from any of these.
//! - The same relays and catalogs give the same placement, in whatever order they come.

mod domains;
mod drawn;
mod floor;
mod further;
mod parts;
mod room;

use std::collections::HashMap;

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::{ASSIGNED_CATALOGS_MAX, AssignedCatalog, Country};

use crate::heat::Hot;
use crate::network::Network;

pub use drawn::Drawn;
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
    /// Who runs it, as they call themselves: what they break, breaks together.
    pub operator: Option<&'a str>,
    /// In which country it is, if that is known.
    pub country: Option<Country>,
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
    place_again(&mut Drawn::default(), bearers, copies, hot)
}

/// The same, sooner: with what was drawn for the placement before, and for the next.
#[must_use]
pub fn place_again(
    drawn: &mut Drawn,
    bearers: &[Bearer<'_>],
    copies: usize,
    hot: &[Hot],
) -> HashMap<PublicKey, Vec<AssignedCatalog>> {
    let mut bearers: Vec<&Bearer<'_>> = bearers.iter().collect();
    bearers.sort_by_key(|bearer| bearer.relay);
    let mut shares: HashMap<CatalogId, Share<'_>> = HashMap::new();
    let by_size = by_size(&bearers, copies);
    for (bearer, domains) in bearers.iter().zip(domains::domains(&bearers)) {
        for (offer, count) in divide(bearer, by_size) {
            let share = shares.entry(offer.id).or_insert_with(|| Share::of(offer));
            share.relays.push(bearer.relay);
            let draw = Draw::of(&bearer.relay, &offer.id);
            let parts = drawn.highest(&draw, count);
            share.holders.push(Holder::drawn(domains, draw, parts));
        }
    }
    drawn.end();
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

/// Of every relay's room, how many sixteenths are divided by size, so that the largest catalogs have their copies (and a quarter
/// more, because rooms do not fit exactly) before small ones are everywhere. Coarse, so that it changes seldom; never more
/// than half, so that what is small still goes whole.
fn by_size(bearers: &[&Bearer<'_>], copies: usize) -> u64 {
    let mut offers: HashMap<CatalogId, u64> = HashMap::new();
    for bearer in bearers {
        offers.extend(bearer.wanted.iter().map(|offer| (offer.id, offer.bytes)));
    }
    let needed: u128 = offers.values().map(|bytes| u128::from(*bytes)).sum::<u128>() * copies as u128;
    let rooms: u128 = bearers.iter().map(|bearer| u128::from(bearer.room)).sum();
    let sixteenths = (needed * 5 / 4 * 16).div_ceil(rooms.max(1));
    u64::try_from(sixteenths).unwrap_or(u64::MAX).min(8)
}

/// Divides a relay's room among the catalogs that it wants, in parts: some sixteenths of it by their sizes, and of the rest each
/// gets an equal share, and what a small catalog leaves goes to the larger ones. Catalogs of which not a part fits are left out.
fn divide<'a>(bearer: &Bearer<'a>, by_size: u64) -> Vec<(&'a Offer, usize)> {
    let mut wanted = bearer.wanted.clone();
    wanted.sort_by_key(|offer| (offer.bytes, offer.id));
    wanted.truncate(ASSIGNED_CATALOGS_MAX);
    let all: u128 = wanted.iter().map(|offer| u128::from(offer.bytes)).sum();
    let proportion = |offer: &Offer| {
        let share =
            u128::from(bearer.room) * u128::from(by_size) * u128::from(offer.bytes) / (all.max(1) * 16);
        u64::try_from(share).unwrap_or(u64::MAX).min(offer.bytes)
    };
    let set_aside: u64 = wanted.iter().map(|offer| proportion(offer)).sum();
    let mut left = bearer.room.saturating_sub(set_aside);
    let count = wanted.len() as u64;
    let mut divided = Vec::with_capacity(wanted.len());
    for (offer, others) in wanted.into_iter().zip((1..=count).rev()) {
        let own = proportion(offer);
        let parts = parts_within(offer.bytes, own + left / others);
        left = (left + own).saturating_sub(parts::bytes_of(offer.bytes, parts));
        if parts > 0 {
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
