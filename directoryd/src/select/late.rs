//! Whoever is ahead of its share is passed over for a while, if others that are as near are not (consistent hashing with bounded
//! loads, Mirrokni, Thorup and Zadimoghaddam 2016): a client keeps its relay unless that was just sent more than it can give
//! beside the others, or would be by this very file. Of a few that all are, the one comes first that would be done the soonest.

use super::{Choice, Nearness};

/// How many of those that are as near are looked at.
struct Patience {
    /// Relays, while all of them are late.
    looks: usize,
    /// Of so many proposals: light relays come seldom, and the same ones again and again.
    proposals: usize,
}

/// Where the best is late by minutes.
const SHORT: Patience = Patience { looks: 8, proposals: 24 };
/// Where it is late by more than [`LONG_SECONDS`]: some microseconds are nothing beside such a file.
const LONG: Patience = Patience { looks: 32, proposals: 96 };
/// See [`LONG`].
const LONG_SECONDS: u64 = 600;

/// The choices so far, best first.
#[derive(Debug)]
pub(super) struct Found<'a> {
    most: usize,
    /// Of vicinities that are done with.
    sorted: Vec<Choice<'a>>,
    /// Of the one that is looked at, as they came, and how late each is.
    near: Vec<(u64, Choice<'a>)>,
    /// How many of those are not.
    ready: usize,
    /// How late the best of them is.
    least: u64,
    /// How many relays of it were proposed.
    proposed: usize,
}

impl<'a> Found<'a> {
    /// None yet, of so many at most.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, sorted: Vec::new(), near: Vec::new(), ready: 0, least: u64::MAX, proposed: 0 }
    }

    /// Whether as many as were wanted were found in vicinities that are done with.
    pub(super) const fn is_complete(&self) -> bool {
        self.sorted.len() >= self.most
    }

    /// Whether a relay that is so near is still looked at. Nearer ones are behind us then.
    pub(super) fn has_room(&mut self, nearness: Nearness) -> bool {
        if self.near.last().is_some_and(|(_, choice)| choice.nearness != nearness) {
            self.turn();
        }
        let wanted = self.most.saturating_sub(self.sorted.len());
        let late = self.near.len().saturating_sub(self.ready);
        self.proposed = self.proposed.saturating_add(1);
        let patience = if self.least > LONG_SECONDS { LONG } else { SHORT };
        let goes_on = late < patience.looks && self.proposed < patience.proposals;
        self.ready < wanted && (self.near.len() < wanted || goes_on)
    }

    /// Takes one that qualifies.
    pub(super) fn add(&mut self, choice: Choice<'a>, late: u64) {
        self.ready += usize::from(late == 0);
        self.least = self.least.min(late);
        self.near.push((late, choice));
    }

    /// Whoever comes now stands behind all that have come.
    pub(super) fn turn(&mut self) {
        self.near.sort_by_key(|(late, _)| *late);
        self.sorted.extend(self.near.drain(..).map(|(_, choice)| choice));
        (self.ready, self.least, self.proposed) = (0, u64::MAX, 0);
    }

    /// All of them, as many as were wanted.
    pub(super) fn into_choices(mut self) -> Vec<Choice<'a>> {
        self.turn();
        self.sorted.truncate(self.most);
        self.sorted
    }
}
