//! What other directories hold against relays: pure. A list counts once, for what is new in it, and orders nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{PublicKey, Timestamp, Verified};
use odi_wire::message::{DeniedRelay, Deny};

/// Who dates a decision further ahead than this says nothing.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// The newest list of each directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(BTreeMap<PublicKey, List>);

#[derive(Clone, Debug)]
struct List {
    deny: Arc<Deny>,
    envelope: Bytes,
}

impl Heard {
    /// Takes a list that is newer than the one known; the relays of which it newly speaks. `None` if it is none.
    pub(crate) fn take(
        &mut self,
        deny: &Verified<Deny>,
        envelope: Bytes,
        now: Timestamp,
    ) -> Option<Vec<PublicKey>> {
        let former = self.0.get(&deny.dir);
        if former.is_some_and(|former| former.deny.generation >= deny.generation) {
            return None;
        }
        let decided = |denied: &DeniedRelay| (denied.relay, denied.at);
        let known: BTreeSet<_> =
            former.iter().flat_map(|former| former.deny.relays.iter().map(decided)).collect();
        let news = deny.relays.iter().filter(|denied| !known.contains(&decided(denied)));
        let news =
            news.filter(|denied| denied.at <= now.plus(AHEAD_MAX)).map(|denied| denied.relay).collect();
        self.0.insert(deny.dir, List { deny: Arc::new((**deny).clone()), envelope });
        Some(news)
    }

    /// Which directories speak against a relay, and what they say.
    pub(crate) fn of<'a>(
        &'a self,
        relay: &'a PublicKey,
    ) -> impl Iterator<Item = (PublicKey, &'a DeniedRelay)> + 'a {
        self.0.iter().filter_map(move |(by, list)| {
            let relays = &list.deny.relays;
            let at = relays.binary_search_by(|denied| denied.relay.cmp(relay)).ok()?;
            Some((*by, relays.get(at)?))
        })
    }

    /// How many relays each directory speaks against.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (PublicKey, usize)> + '_ {
        self.0.iter().map(|(by, list)| (*by, list.deny.relays.len()))
    }

    /// The lists as they came, to pass on.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = &[u8]> {
        self.0.values().map(|list| list.envelope.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;
    use odi_wire::message::{open, state};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).public_key()
    }

    /// The list of directory 1 that speaks of these relays, decided at these times.
    fn list(generation: u64, relays: &[(u8, u64)]) -> (Verified<Deny>, Bytes) {
        let denied = |(seed, at): &(u8, u64)| DeniedRelay {
            relay: key(*seed),
            at: Timestamp(*at),
            removed: false,
            why: None,
        };
        let mut relays: Vec<DeniedRelay> = relays.iter().map(denied).collect();
        relays.sort_by_key(|denied| denied.relay);
        relays.dedup_by_key(|denied| denied.relay);
        let deny = Deny { v: 1, dir: key(1), generation, t: NOW, relays };
        let envelope = state(deny, &SigningKey::from_seed(&[1; 32])).unwrap();
        (open(&envelope).unwrap(), envelope.into())
    }

    fn heard(heard: &mut Heard, generation: u64, relays: &[(u8, u64)]) -> Option<BTreeSet<PublicKey>> {
        let (deny, envelope) = list(generation, relays);
        Some(heard.take(&deny, envelope, NOW)?.into_iter().collect())
    }

    #[test]
    fn only_what_is_new_in_a_newer_list_counts() {
        let keys = |seeds: &[u8]| Some(seeds.iter().map(|seed| key(*seed)).collect::<BTreeSet<_>>());
        let mut all = Heard::default();
        assert_eq!(heard(&mut all, 5, &[(7, 10), (8, 10)]), keys(&[7, 8]));
        assert_eq!(heard(&mut all, 5, &[(9, 10)]), None, "replayed or divided");
        assert_eq!(heard(&mut all, 4, &[(9, 10)]), None, "older");
        assert_eq!(all.of(&key(9)).count(), 0);
        assert_eq!(heard(&mut all, 6, &[(7, 10), (8, 11)]), keys(&[8]), "decided anew");
        assert_eq!(heard(&mut all, 7, &[(7, 10)]), keys(&[]));
        assert_eq!(all.of(&key(8)).count(), 0, "let in again");
        assert_eq!(all.of(&key(7)).map(|(by, _)| by).collect::<Vec<_>>(), [key(1)]);
        assert_eq!(heard(&mut all, 8, &[(9, NOW.0 + 301)]), keys(&[]), "of the future");
        assert_eq!(all.envelopes().count(), 1);
    }

    proptest! {
        /// Whatever comes in whatever order, what is known is the list with the highest generation.
        #[test]
        fn the_newest_stands(lists in prop::collection::vec((0_u64..9, prop::collection::vec((2_u8..9, 0_u64..4), 0..5)), 1..12)) {
            let mut all = Heard::default();
            let mut newest: Option<(u64, usize)> = None;
            for (generation, relays) in lists {
                let taken = heard(&mut all, generation, &relays);
                let rises = newest.is_none_or(|(known, _)| generation > known);
                prop_assert_eq!(taken.is_some(), rises);
                if rises {
                    newest = Some((generation, list(generation, &relays).0.relays.len()));
                }
                prop_assert_eq!(all.counts().next().map(|(_, count)| count), newest.map(|(_, count)| count));
            }
        }
    }
}
