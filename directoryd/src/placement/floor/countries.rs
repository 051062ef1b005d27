//! Copies in different countries: wished for, and never at the expense of a party's, a network's or a relay's.
//!
//! Where rooms are just enough for the floor nobody can spare anything, so two relays swap: one in a country that has none of a poor part
//! takes it from one whose country keeps another copy, and gives it something of its own that the other's party lacks. Each swap
//! puts one part into one country more and none into fewer that was not above the floor, so it ends.

use super::{COUNTRY, Exchanges, PARTY};
use crate::placement::parts::Parts;

/// Of those who could take a part, and of those who could give it, so many are looked at: the best by what they draw.
const TAKERS_MAX: usize = 64;
const GIVERS_MAX: usize = 16;

/// A swap of two parts between two relays.
struct Swap {
    taker: usize,
    giver: usize,
    /// What the taker gives for it.
    given: u8,
}

impl Exchanges<'_> {
    /// Brings every part into as many countries as it has copies, or as many as have relays, as far as that can be.
    pub(super) fn raise_countries(&mut self) {
        let mut countries: Vec<u32> =
            self.holders.iter().filter_map(|holder| holder.domains.get(COUNTRY).copied()).collect();
        countries.sort_unstable();
        countries.dedup();
        let wanted = self.floor.min(countries.len());
        if wanted < 2 || self.raise(COUNTRY, wanted) {
            return;
        }
        let mut hopeless = Parts::default();
        loop {
            let poorest = (0..=u8::MAX)
                .filter(|part| !hopeless.has(*part) && self.copies(COUNTRY, *part) < wanted)
                .min_by_key(|part| (self.copies(COUNTRY, *part), *part));
            let Some(poor) = poorest else { return };
            match self.swap(poor, wanted) {
                Some(Swap { taker, giver, given }) => {
                    self.exchange(taker, given, poor);
                    self.exchange(giver, poor, given);
                }
                None => hopeless.insert(poor),
            }
        }
    }

    fn swap(&self, poor: u8, wanted: usize) -> Option<Swap> {
        let takers =
            self.by_draw(poor, |at| self.near(COUNTRY, *at, poor) == 0 && self.near(PARTY, *at, poor) == 0);
        let holds = |at: &usize| self.holders.get(*at).is_some_and(|holder| holder.parts.has(poor));
        let mut givers = self.by_draw(poor, |at| holds(at) && self.near(COUNTRY, *at, poor) > 1);
        givers.reverse();
        givers.truncate(GIVERS_MAX);
        takers.into_iter().take(TAKERS_MAX).find_map(|taker| {
            let swap = |giver: &usize| {
                let given = self.given(taker, *giver, wanted)?;
                Some(Swap { taker, giver: *giver, given })
            };
            givers.iter().find_map(swap)
        })
    }

    /// What a relay can give to another, of what it draws lowest: something that the other's party lacks, and that is in no
    /// fewer countries then, or in enough.
    fn given(&self, taker: usize, giver: usize, wanted: usize) -> Option<u8> {
        let holder = self.holders.get(taker)?;
        let can = |part: &u8| {
            let stays = self.near(COUNTRY, taker, *part) > 1
                || self.near(COUNTRY, giver, *part) == 0
                || self.copies(COUNTRY, *part) > wanted;
            stays && self.near(PARTY, giver, *part) == 0
        };
        holder.parts.iter().filter(can).min_by_key(|part| (holder.draw.for_part(*part), *part))
    }
}
