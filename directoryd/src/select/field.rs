//! The relays of one catalog, laid out so that a request meets at once those that hold what it wants: an urn of all that hold
//! everything, one for each 256th of the blob ids, one for each blob that is held by name.
//!
//! It only proposes. Whoever is drawn is judged by what the roster knows of it now, so that a field which is a moment old may
//! miss a newcomer and never sends anybody to a relay that has gone.

use std::collections::HashMap;

use odi_manifest::{BlobId, PublicKey};
use odi_wire::message::{CatalogInventory, IdRanges};

use super::urn::{Ball, Drawn, Row, Urn};
use super::{Wanted, among_neighbours};
use crate::network::Network;

/// The blob ids are laid out in so many parts, by their first byte.
const PARTS: usize = 256;

/// A relay that follows the catalog and takes clients.
#[derive(Clone, Copy, Debug)]
pub struct Entrant<'a> {
    /// Its key.
    pub relay: PublicKey,
    /// From where it registered.
    pub network: Network,
    /// Its share beside others': any unit, at least 1.
    pub weight: u64,
    /// What it says that it holds.
    pub holding: &'a CatalogInventory,
}

/// The relays of one catalog.
#[derive(Clone, Debug, Default)]
pub struct Field {
    relays: Vec<PublicKey>,
    whole: Urn,
    /// Of those that do not hold everything; empty, or [`PARTS`] of them.
    parts: Vec<Urn>,
    named: HashMap<BlobId, Urn>,
}

/// A relay whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) relay: PublicKey,
    pub(super) weight: u64,
}

impl Field {
    /// Lays out the relays. `seed` is the directory's own secret: without it nobody can grind a key for a place.
    #[must_use]
    pub fn of<'a>(entrants: impl IntoIterator<Item = Entrant<'a>>, seed: &[u8; 32]) -> Self {
        let entrants: Vec<Entrant<'a>> = entrants.into_iter().collect();
        let layout = Layout::of(&entrants, seed);
        let whole = layout.urn(layout.whole.iter().copied(), &layout.near_whole);
        let mut parts = Vec::new();
        if layout.parts.iter().any(|part| !part.is_empty()) {
            parts = layout.parts.iter().map(|part| layout.beside_whole(part)).collect();
        }
        let named = layout.named.iter().map(|(blob, relays)| (**blob, layout.beside_whole(relays))).collect();
        Self { relays: entrants.iter().map(|entrant| entrant.relay).collect(), whole, parts, named }
    }

    /// Every relay that may have what is wanted, in the order of the client whose secret number `key` is; at the end those that are
    /// so light beside others that no order of the first ones has them. Some come more than once.
    pub(super) fn row(&self, wanted: &Wanted<'_>, key: u64) -> impl Iterator<Item = Proposed> {
        let urns = self.urns(wanted);
        let seated = urns.into_iter().flat_map(Urn::seated);
        Row::of(urns, key).chain(seated).filter_map(|Drawn { relay, weight }| {
            let relay = *self.relays.get(usize::try_from(relay).ok()?)?;
            Some(Proposed { relay, weight })
        })
    }

    fn urns(&self, wanted: &Wanted<'_>) -> [&Urn; 3] {
        const NOBODY: &Urn = &Urn::EMPTY;
        match wanted {
            Wanted::Whole => [&self.whole, NOBODY, NOBODY],
            Wanted::Blob { blob, .. } => {
                let part = self.parts.get(part_of(blob)).unwrap_or(NOBODY);
                [&self.whole, part, self.named.get(blob).unwrap_or(NOBODY)]
            }
        }
    }
}

/// What a field is made from.
struct Layout<'a> {
    entrants: &'a [Entrant<'a>],
    /// Of each entrant.
    places: Vec<u64>,
    /// Positions of those that hold everything.
    whole: Vec<usize>,
    /// How many of them each network has.
    near_whole: HashMap<Network, u64>,
    /// By part, positions of those that hold some of it.
    parts: Vec<Vec<usize>>,
    named: HashMap<&'a BlobId, Vec<usize>>,
}

impl<'a> Layout<'a> {
    fn of(entrants: &'a [Entrant<'a>], seed: &[u8; 32]) -> Self {
        let places = entrants.iter().map(|entrant| place(&entrant.relay, seed)).collect();
        let mut layout = Self {
            entrants,
            places,
            whole: Vec::new(),
            near_whole: HashMap::new(),
            parts: vec![Vec::new(); PARTS],
            named: HashMap::new(),
        };
        for (at, entrant) in entrants.iter().enumerate() {
            layout.enter(at, entrant);
        }
        layout
    }

    fn enter(&mut self, at: usize, entrant: &'a Entrant<'a>) {
        let holding = entrant.holding;
        let ranges = if holding.full.is_some() { holding.ranges.as_slice() } else { &[] };
        if holding.full.is_some() && holding.ranges == IdRanges::all() {
            self.whole.push(at);
            *self.near_whole.entry(entrant.network).or_default() += 1;
            return;
        }
        for (first, last) in ranges {
            for part in usize::from(first >> 8)..=usize::from(last >> 8) {
                if let Some(part) = self.parts.get_mut(part).filter(|part| part.last() != Some(&at)) {
                    part.push(at);
                }
            }
        }
        for blob in holding.plus.iter().filter(|blob| !holding.ranges.contains(blob)) {
            self.named.entry(blob).or_default().push(at);
        }
    }

    /// An urn of relays that are drawn beside those that hold everything.
    fn beside_whole(&self, relays: &[usize]) -> Urn {
        let mut near = HashMap::new();
        for entrant in relays.iter().filter_map(|at| self.entrants.get(*at)) {
            let whole = self.near_whole.get(&entrant.network).copied().unwrap_or(0);
            *near.entry(entrant.network).or_insert(whole) += 1;
        }
        self.urn(relays.iter().copied(), &near)
    }

    fn urn(&self, relays: impl Iterator<Item = usize>, near: &HashMap<Network, u64>) -> Urn {
        let ball = |at: usize| {
            let (entrant, place) = (self.entrants.get(at)?, *self.places.get(at)?);
            let neighbours = near.get(&entrant.network).copied().unwrap_or(1);
            let weight = among_neighbours(entrant.weight, neighbours);
            Some(Ball { relay: u32::try_from(at).ok()?, place, weight })
        };
        Urn::of(relays.filter_map(ball).collect())
    }
}

fn part_of(blob: &BlobId) -> usize {
    let [first, ..] = blob.as_bytes();
    usize::from(*first)
}

fn place(relay: &PublicKey, seed: &[u8; 32]) -> u64 {
    let hash = blake3::keyed_hash(seed, relay.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
