//! The least number of copies of every part, in different networks.
//!
//! A part that has too few is taken up by the relay that draws it highest of all that do not hold it, sit in another network than
//! its holders, and can spare a part in exchange: one whose copies stay enough, or at least more than the poor one's. Where nobody
//! can, relays that hold what a neighbour in their network holds too exchange that for what the network lacks, and it begins again.
//!
//! It ends, because each exchange brings one part nearer to the floor and none below it that was not poorer. It ends at the floor if
//! the room suffices: while some part has more than enough and another too few, some network has the one and not the other.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::network::Network;

use super::parts::{Draw, PARTS, Parts};

/// A relay, as far as one catalog goes.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    network: Network,
    draw: Draw,
    pub(super) parts: Parts,
}

impl Holder {
    /// One that holds the so many parts that it draws highest.
    pub(super) fn drawn(network: Network, draw: Draw, count: usize) -> Self {
        let parts = draw.highest(count);
        Self { network, draw, parts }
    }
}

/// Exchanges parts until every one has so many copies, or nothing can be spared.
pub(super) fn raise(holders: &mut [Holder], copies: usize) {
    if are_enough_whole(holders, copies) {
        return;
    }
    let mut state = Exchanges::of(holders);
    if !state.raise(copies) && state.spread() {
        state.raise(copies);
    }
}

/// Whether those that hold everything are copies enough: of a small catalog almost everybody does, and nothing need be counted.
fn are_enough_whole(holders: &[Holder], copies: usize) -> bool {
    let mut networks = HashSet::new();
    let whole = holders.iter().filter(|holder| holder.parts == Parts::ALL);
    whole.filter(|holder| networks.insert(holder.network)).take(copies).count() >= copies
}

/// The relays, and how many of which networks hold each part.
struct Exchanges<'a> {
    holders: &'a mut [Holder],
    /// The position of each holder's network among all.
    network_of: Vec<usize>,
    /// By network, for each part how many of its relays hold it.
    relays: Vec<[u16; PARTS]>,
    /// For each part, how many networks hold it.
    networks: [usize; PARTS],
}

impl<'a> Exchanges<'a> {
    fn of(holders: &'a mut [Holder]) -> Self {
        let mut positions: HashMap<Network, usize> = HashMap::new();
        let network_of: Vec<usize> = holders
            .iter()
            .map(|holder| {
                let next = positions.len();
                *positions.entry(holder.network).or_insert(next)
            })
            .collect();
        let relays = vec![[0; PARTS]; positions.len()];
        let mut state = Self { holders, network_of, relays, networks: [0; PARTS] };
        for at in 0..state.holders.len() {
            let parts = state.holders.get(at).map(|holder| holder.parts).unwrap_or_default();
            parts.iter().for_each(|part| state.count_in(at, part));
        }
        state
    }

    /// Networks that hold a part.
    fn copies(&self, part: u8) -> usize {
        self.networks.get(usize::from(part)).copied().unwrap_or(0)
    }

    /// Relays in a holder's network that hold a part, itself among them.
    fn near(&self, at: usize, part: u8) -> u16 {
        let network = self.network_of.get(at).and_then(|network| self.relays.get(*network));
        network.and_then(|parts| parts.get(usize::from(part))).copied().unwrap_or(0)
    }

    fn count_in(&mut self, at: usize, part: u8) {
        let is_first = self.near(at, part) == 0;
        if let Some(relays) = self.cell(at, part) {
            *relays = relays.saturating_add(1);
        }
        if let Some(networks) = self.networks.get_mut(usize::from(part)).filter(|_| is_first) {
            *networks += 1;
        }
    }

    fn count_out(&mut self, at: usize, part: u8) {
        let is_last = self.near(at, part) == 1;
        if let Some(relays) = self.cell(at, part) {
            *relays = relays.saturating_sub(1);
        }
        if let Some(networks) = self.networks.get_mut(usize::from(part)).filter(|_| is_last) {
            *networks -= 1;
        }
    }

    fn cell(&mut self, at: usize, part: u8) -> Option<&mut u16> {
        let network = self.network_of.get(at).and_then(|network| self.relays.get_mut(*network));
        network.and_then(|parts| parts.get_mut(usize::from(part)))
    }

    /// One relay gives up a part for another.
    fn exchange(&mut self, at: usize, given_up: u8, taken_up: u8) {
        if let Some(holder) = self.holders.get_mut(at) {
            holder.parts.remove(given_up);
            holder.parts.insert(taken_up);
        }
        self.count_out(at, given_up);
        self.count_in(at, taken_up);
    }

    /// Whether every part has so many copies in the end.
    fn raise(&mut self, copies: usize) -> bool {
        let mut hopeless = Parts::default();
        loop {
            let poorest = (0..=u8::MAX)
                .filter(|part| !hopeless.has(*part) && self.copies(*part) < copies)
                .min_by_key(|part| (self.copies(*part), *part));
            let Some(poor) = poorest else { return hopeless == Parts::default() };
            match self.taker(poor, copies) {
                Some((at, given_up)) => self.exchange(at, given_up, poor),
                None => hopeless.insert(poor),
            }
        }
    }

    /// Who takes up a poor part, and which it gives up for that.
    fn taker(&self, poor: u8, copies: usize) -> Option<(usize, u8)> {
        let could = self.holders.iter().enumerate().filter(|(at, _)| self.near(*at, poor) == 0);
        let mut by_draw: Vec<(Reverse<u32>, usize)> =
            could.map(|(at, holder)| (Reverse(holder.draw.for_part(poor)), at)).collect();
        by_draw.sort_unstable();
        by_draw.into_iter().find_map(|(_, at)| Some((at, self.spare(at, self.copies(poor), copies)?)))
    }

    /// Of the parts that a relay can do without, the one that it draws lowest.
    fn spare(&self, at: usize, of_poor: usize, copies: usize) -> Option<u8> {
        let holder = self.holders.get(at)?;
        let can = |part: &u8| {
            let of_part = self.copies(*part);
            self.near(at, *part) > 1 || of_part > copies || of_part > of_poor + 1
        };
        holder.parts.iter().filter(can).min_by_key(|part| (holder.draw.for_part(*part), *part))
    }

    /// Exchanges what neighbours hold twice for what their network lacks, the poorest first; whether anything was.
    fn spread(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.holders.len() {
            while let Some((given_up, taken_up)) = self.doubled(at) {
                self.exchange(at, given_up, taken_up);
                any = true;
            }
        }
        any
    }

    /// A part that a relay's neighbour holds too, and one that none of them holds.
    fn doubled(&self, at: usize) -> Option<(u8, u8)> {
        let holder = self.holders.get(at)?;
        let lacking = (0..=u8::MAX).filter(|part| self.near(at, *part) == 0);
        let lacking =
            lacking.min_by_key(|part| (self.copies(*part), Reverse(holder.draw.for_part(*part))))?;
        let doubled = holder.parts.iter().filter(|part| self.near(at, *part) > 1);
        let doubled = doubled.min_by_key(|part| (holder.draw.for_part(*part), *part))?;
        Some((doubled, lacking))
    }
}
