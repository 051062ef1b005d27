//! What fails together: relays of one party, in one network, in one country.
//!
//! A party is all relays that share a network or an operator's name, and those that share one with them: whoever counts copies by
//! parties counts neither an operator nor a network twice. A name is only a claim: who borrows another's is counted with
//! them, and whoever borrows many can bring the spread down to networks, not below, and gains nothing by it.

use std::collections::HashMap;
use std::hash::Hash;

use super::Bearer;

/// How a relay stands to others: equal numbers are the same domain. Each level lies within the one before, but countries.
pub(super) type Domains = [u32; LEVELS];

/// Levels at which copies are counted.
pub(super) const LEVELS: usize = 4;
/// Relays of one operator, or in one network.
pub(super) const PARTY: usize = 0;
/// Relays in one network: where there are fewer parties than copies.
pub(super) const NETWORK: usize = 1;
/// A relay: where there are fewer networks than copies.
pub(super) const RELAY: usize = 2;
/// Relays in one country; those of which nobody knows where they are count as in one.
pub(super) const COUNTRY: usize = 3;

/// The domains of each bearer, in the same order.
pub(super) fn domains(bearers: &[&Bearer<'_>]) -> Vec<Domains> {
    let (mut networks, mut operators, mut countries) =
        (Numbers::default(), Numbers::default(), Numbers::default());
    let numbered: Vec<(u32, Option<u32>, u32)> = bearers
        .iter()
        .map(|bearer| {
            let operator = bearer.operator.map(|operator| operators.of(operator));
            (networks.of(bearer.network), operator, countries.of(bearer.country))
        })
        .collect();
    let mut parties = Parties::of(networks.0.len());
    let mut first: HashMap<u32, u32> = HashMap::new();
    for (network, operator, _) in &numbered {
        if let Some(operator) = operator {
            parties.join(*first.entry(*operator).or_insert(*network), *network);
        }
    }
    (0..)
        .zip(numbered)
        .map(|(relay, (network, _, country))| [parties.root(network), network, relay, country])
        .collect()
}

/// Numbers for whatever is met, from 0 on.
struct Numbers<T>(HashMap<T, u32>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Numbers<T> {
    fn of(&mut self, met: T) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(met).or_insert(next)
    }
}

/// Networks that operators link: each names another of its party, or itself.
struct Parties(Vec<u32>);

impl Parties {
    fn of(networks: usize) -> Self {
        Self((0..).take(networks).collect())
    }

    fn root(&mut self, network: u32) -> u32 {
        let mut at = network;
        loop {
            let above = self.above(at);
            if above == at {
                return at;
            }
            // The way to the root is halved for the next who goes it.
            let next = self.above(above);
            if let Some(link) = self.0.get_mut(at as usize) {
                *link = next;
            }
            at = next;
        }
    }

    fn above(&self, network: u32) -> u32 {
        self.0.get(network as usize).copied().unwrap_or(network)
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(link) = self.0.get_mut(one as usize) {
            *link = other;
        }
    }
}
