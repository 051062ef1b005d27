//! The least number of copies of every part, with different parties and in different networks, and in different countries where
//! that costs none of them.
//!
//! A part that has too few is taken up by the relay that draws it highest of all that do not hold it, belong to another party than
//! its holders, and can spare a part in exchange: one whose copies stay enough, or at least more than the poor one's. Where nobody
//! can, relays that hold what another of their party holds too exchange that for what the party lacks, and it begins again. If there
//! are fewer parties than copies, the same is done for networks, and then for relays, without taking anything from a party.
//!
//! It ends, because each exchange brings one part nearer to the floor and none below it that was not poorer. It ends at the floor if
//! the room suffices: while some part has more than enough and another too few, some party has the one and not the other.

mod countries;
mod tally;

use std::cmp::Reverse;
use std::collections::HashSet;

use super::domains::{COUNTRY, Domains, LEVELS, NETWORK, PARTY, RELAY};
use super::parts::{Draw, Parts};
use tally::Tally;

/// A relay, as far as one catalog goes.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    domains: Domains,
    draw: Draw,
    pub(super) parts: Parts,
}

impl Holder {
    /// One that holds these parts, which it draws highest.
    pub(super) const fn drawn(domains: Domains, draw: Draw, parts: Parts) -> Self {
        Self { domains, draw, parts }
    }
}

/// Exchanges parts until every one has so many copies, or nothing can be spared.
pub(super) fn raise(holders: &mut [Holder], copies: usize) {
    if are_enough_whole(holders, copies) {
        return;
    }
    let mut state = Exchanges::of(holders, copies);
    for level in [PARTY, NETWORK, RELAY] {
        if !state.raise(level, copies) && state.spread(level) {
            state.raise(level, copies);
        }
    }
    state.raise_countries();
}

/// Whether those that hold everything are copies enough: of a small catalog almost everybody does, and nothing need be counted.
fn are_enough_whole(holders: &[Holder], copies: usize) -> bool {
    let differing = |level: usize, most: usize, whole: bool| {
        let mut met = HashSet::new();
        let counted = holders.iter().filter(|holder| !whole || holder.parts == Parts::ALL);
        counted.filter(|holder| met.insert(holder.domains.get(level))).take(most).count()
    };
    differing(PARTY, copies, true) >= copies
        && differing(COUNTRY, copies, true) >= differing(COUNTRY, copies, false)
}

/// The relays, and how many of which domains hold each part.
struct Exchanges<'a> {
    holders: &'a mut [Holder],
    tallies: [Tally; LEVELS],
    /// Copies that no part is brought below.
    floor: usize,
}

impl<'a> Exchanges<'a> {
    fn of(holders: &'a mut [Holder], floor: usize) -> Self {
        let tallies = std::array::from_fn(|level| Tally::of(holders, level));
        Self { holders, tallies, floor }
    }

    /// Domains of a level that hold a part.
    fn copies(&self, level: usize, part: u8) -> usize {
        self.tallies.get(level).map_or(0, |tally| tally.copies(part))
    }

    /// Relays of a holder's domain that hold a part, itself among them.
    fn near(&self, level: usize, at: usize, part: u8) -> u16 {
        let holds = || u16::from(self.holders.get(at).is_some_and(|holder| holder.parts.has(part)));
        self.tallies.get(level).and_then(|tally| tally.near(at, part)).unwrap_or_else(holds)
    }

    /// One relay gives up a part for another.
    fn exchange(&mut self, at: usize, given_up: u8, taken_up: u8) {
        if let Some(holder) = self.holders.get_mut(at) {
            holder.parts.remove(given_up);
            holder.parts.insert(taken_up);
        }
        for tally in &mut self.tallies {
            tally.count_out(at, given_up);
            tally.count_in(at, taken_up);
        }
    }

    /// Whether every part has so many copies in the end.
    fn raise(&mut self, level: usize, copies: usize) -> bool {
        let mut hopeless = Parts::default();
        loop {
            let poorest = (0..=u8::MAX)
                .filter(|part| !hopeless.has(*part) && self.copies(level, *part) < copies)
                .min_by_key(|part| (self.copies(level, *part), *part));
            let Some(poor) = poorest else { return hopeless == Parts::default() };
            match self.taker(level, poor, copies) {
                Some((at, given_up)) => self.exchange(at, given_up, poor),
                None => hopeless.insert(poor),
            }
        }
    }

    /// Who takes up a poor part, and which it gives up for that.
    fn taker(&self, level: usize, poor: u8, copies: usize) -> Option<(usize, u8)> {
        let could = |at: &usize| self.near(level, *at, poor) == 0;
        let by_draw = self.by_draw(poor, could);
        let of_poor = self.copies(level, poor);
        by_draw.into_iter().find_map(|at| Some((at, self.spare(level, at, of_poor, copies)?)))
    }

    /// Some of the holders, those that draw a part highest first.
    fn by_draw(&self, part: u8, which: impl Fn(&usize) -> bool) -> Vec<usize> {
        let drawn = |at: usize| (self.holders.get(at).map(|holder| Reverse(holder.draw.for_part(part))), at);
        let mut by_draw: Vec<_> = (0..self.holders.len()).filter(which).map(drawn).collect();
        by_draw.sort_unstable();
        by_draw.into_iter().map(|(_, at)| at).collect()
    }

    /// Of the parts that a relay can do without, the one that it draws lowest.
    fn spare(&self, level: usize, at: usize, of_poor: usize, copies: usize) -> Option<u8> {
        let holder = self.holders.get(at)?;
        let can = |part: &u8| {
            let of_part = self.copies(level, *part);
            let is_spare = self.near(level, at, *part) > 1 || of_part > copies || of_part > of_poor + 1;
            is_spare && self.may_go(level, at, *part)
        };
        holder.parts.iter().filter(can).min_by_key(|part| (holder.draw.for_part(*part), *part))
    }

    /// Whether a relay can give up a part without taking a copy that is needed from a level that comes before this one.
    fn may_go(&self, level: usize, at: usize, part: u8) -> bool {
        (0..level).all(|level| self.near(level, at, part) > 1 || self.copies(level, part) > self.floor)
    }

    /// Exchanges what others of their domain hold too for what the domain lacks, the poorest first; whether anything was.
    fn spread(&mut self, level: usize) -> bool {
        let mut any = false;
        for at in 0..self.holders.len() {
            while let Some((given_up, taken_up)) = self.doubled(level, at) {
                self.exchange(at, given_up, taken_up);
                any = true;
            }
        }
        any
    }

    /// A part that another of a relay's domain holds too, and one that none of them holds.
    fn doubled(&self, level: usize, at: usize) -> Option<(u8, u8)> {
        let holder = self.holders.get(at)?;
        let lacking = (0..=u8::MAX).filter(|part| self.near(level, at, *part) == 0);
        let lacking =
            lacking.min_by_key(|part| (self.copies(level, *part), Reverse(holder.draw.for_part(*part))))?;
        let can = |part: &u8| self.near(level, at, *part) > 1 && self.may_go(level, at, *part);
        let doubled = holder.parts.iter().filter(can);
        let doubled = doubled.min_by_key(|part| (holder.draw.for_part(*part), *part))?;
        Some((doubled, lacking))
    }
}
