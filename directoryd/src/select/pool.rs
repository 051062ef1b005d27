//! Some relays of a catalog, laid out so that a request meets at once those that hold what it wants: an urn of all that hold
//! everything, one for each 256th of the blob ids, one for each blob that is held by name.

use std::collections::HashMap;

use odi_manifest::BlobId;
use odi_wire::message::{CatalogInventory, IdRanges};

use super::urn::{Ball, Kept, Row, Urn};
use super::{Entrant, Wanted, among_neighbours};
use crate::network::Network;

/// The blob ids are laid out in so many parts, by their first byte.
const PARTS: usize = 256;

/// Relays, and in which urn they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    whole: Urn,
    /// Of those that do not hold everything; empty, or [`PARTS`] of them.
    parts: Vec<Urn>,
    named: HashMap<BlobId, Urn>,
}

impl Pool {
    /// Lays out those of the entrants that are named by their positions; `places` has a number of its own for each entrant.
    pub(super) fn of(entrants: &[Entrant<'_>], places: &[u64], members: impl Iterator<Item = usize>) -> Self {
        let layout = Layout::of(entrants, places, members);
        let whole = layout.urn(layout.whole.iter().copied(), &layout.near_whole);
        let mut parts = Vec::new();
        if layout.parts.iter().any(|part| !part.is_empty()) {
            parts = layout.parts.iter().map(|part| layout.beside_whole(part)).collect();
        }
        let named = layout.named.iter().map(|(blob, relays)| (**blob, layout.beside_whole(relays))).collect();
        Self { whole, parts, named }
    }

    /// The relays that may have what is wanted, in the order of the client whose secret number `key` is; at the end those that
    /// are so light beside others that no order of the first ones has them. Some come more than once.
    pub(super) fn row(&self, wanted: &Wanted<'_>, key: u64) -> impl Iterator<Item = super::urn::Drawn> {
        let urns = self.urns(wanted);
        Row::of(urns, key).chain(urns.into_iter().flatten().flat_map(Urn::seated))
    }

    /// How many of the clients nearest to those that have what is wanted stay with them.
    pub(super) fn kept(&self, wanted: &Wanted<'_>) -> Kept {
        self.urns(wanted).into_iter().flatten().fold(Kept::default(), |sum, urn| sum.and(urn.kept))
    }

    fn urns(&self, wanted: &Wanted<'_>) -> [Option<&Urn>; 3] {
        match wanted {
            Wanted::Whole => [Some(&self.whole), None, None],
            Wanted::Blob { blob, .. } => {
                [Some(&self.whole), self.parts.get(part_of(blob)), self.named.get(blob)]
            }
        }
    }
}

/// What a pool is made from.
struct Layout<'a> {
    entrants: &'a [Entrant<'a>],
    /// Of each entrant.
    places: &'a [u64],
    /// Positions of those that hold everything.
    whole: Vec<usize>,
    /// How many of them each network has.
    near_whole: HashMap<Network, u64>,
    /// By part, positions of those that hold some of it.
    parts: Vec<Vec<usize>>,
    named: HashMap<&'a BlobId, Vec<usize>>,
}

impl<'a> Layout<'a> {
    fn of(entrants: &'a [Entrant<'a>], places: &'a [u64], members: impl Iterator<Item = usize>) -> Self {
        let mut layout = Self {
            entrants,
            places,
            whole: Vec::new(),
            near_whole: HashMap::new(),
            parts: vec![Vec::new(); PARTS],
            named: HashMap::new(),
        };
        for at in members {
            if let Some(entrant) = entrants.get(at) {
                layout.enter(at, entrant);
            }
        }
        layout
    }

    fn enter(&mut self, at: usize, entrant: &'a Entrant<'a>) {
        let holding = entrant.holding;
        if is_whole(holding) {
            self.whole.push(at);
            *self.near_whole.entry(entrant.network).or_default() += 1;
            return;
        }
        for (first, last) in ranges(holding) {
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
            let weight = among_neighbours(entrant.share.weight, neighbours);
            Some(Ball { relay: u32::try_from(at).ok()?, place, weight, kept: entrant.share.kept() })
        };
        Urn::of(relays.filter_map(ball).collect())
    }
}

/// Which parts a relay holds some of, and whether anything by name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    parts: [u64; PARTS / 64],
    named: bool,
    is_whole: bool,
}

impl Held {
    /// What a relay says.
    pub(super) fn of(holding: &CatalogInventory) -> Self {
        let is_whole = is_whole(holding);
        let mut held = Self { named: !holding.plus.is_empty(), is_whole, ..Self::default() };
        for (first, last) in ranges(holding) {
            for part in usize::from(first >> 8)..=usize::from(last >> 8) {
                if let Some(word) = held.parts.get_mut(part / 64) {
                    *word |= 1 << (part % 64);
                }
            }
        }
        held
    }

    /// Whether it may have what is wanted.
    pub(super) fn may_have(&self, wanted: &Wanted<'_>) -> bool {
        match wanted {
            Wanted::Whole => self.is_whole,
            Wanted::Blob { blob, .. } => {
                let part = part_of(blob);
                self.named || self.parts.get(part / 64).is_some_and(|word| word & (1 << (part % 64)) != 0)
            }
        }
    }
}

/// Whether a relay holds everything, but for what it excepts by name.
pub(super) fn is_whole(holding: &CatalogInventory) -> bool {
    holding.full.is_some() && holding.ranges == IdRanges::all()
}

/// What is in range at a head that is full.
fn ranges(holding: &CatalogInventory) -> impl Iterator<Item = (u16, u16)> {
    let ranges = if holding.full.is_some() { holding.ranges.as_slice() } else { &[] };
    ranges.iter().copied()
}

fn part_of(blob: &BlobId) -> usize {
    let [first, ..] = blob.as_bytes();
    usize::from(*first)
}
