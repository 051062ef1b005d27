//! What other directories hold against relays: pure. A list counts once, for what is new in it, and orders nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{PublicKey, Timestamp, Verified};
use odi_wire::message::{Audit, DeniedRelay, Deny};

/// Who dates a decision further ahead than this says nothing.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// How many audits of one directory are kept, the newest.
const AUDITS_MAX: usize = 64;
/// For how long they are.
const AUDITS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The newest list of each directory, and what each saw lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    lists: BTreeMap<PublicKey, List>,
    /// By directory, time and relay.
    audits: BTreeMap<PublicKey, BTreeMap<(Timestamp, PublicKey), Kept>>,
}

/// What a directory saw at a relay.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) audit: Arc<Audit>,
    /// As it came, to pass on.
    pub(crate) envelope: Bytes,
}

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
        let former = self.lists.get(&deny.dir);
        if former.is_some_and(|former| former.deny.generation >= deny.generation) {
            return None;
        }
        let decided = |denied: &DeniedRelay| (denied.relay, denied.at);
        let known: BTreeSet<_> =
            former.iter().flat_map(|former| former.deny.relays.iter().map(decided)).collect();
        let news = deny.relays.iter().filter(|denied| !known.contains(&decided(denied)));
        let news =
            news.filter(|denied| denied.at <= now.plus(AHEAD_MAX)).map(|denied| denied.relay).collect();
        self.lists.insert(deny.dir, List { deny: Arc::new((**deny).clone()), envelope });
        Some(news)
    }

    /// Takes what a directory saw at a relay. Whether that is news.
    pub(crate) fn take_audit(&mut self, audit: &Verified<Audit>, envelope: Bytes, now: Timestamp) -> bool {
        let is_timely = audit.t <= now.plus(AHEAD_MAX) && now.since(audit.t) < AUDITS_KEPT;
        let kept = self.audits.entry(audit.by).or_default();
        let key = (audit.t, audit.relay);
        let is_too_old =
            kept.len() >= AUDITS_MAX && kept.first_key_value().is_some_and(|(oldest, _)| key < *oldest);
        if !is_timely || is_too_old || kept.contains_key(&key) {
            return false;
        }
        kept.insert(key, Kept { audit: Arc::new((**audit).clone()), envelope });
        while kept.len() > AUDITS_MAX {
            kept.pop_first();
        }
        true
    }

    /// Forgets what was seen too long ago; of which directories that was.
    pub(crate) fn forget(&mut self, now: Timestamp) -> BTreeSet<PublicKey> {
        let mut whose = BTreeSet::new();
        self.audits.retain(|by, kept| {
            let before = kept.len();
            kept.retain(|(at, _), _| now.since(*at) < AUDITS_KEPT);
            whose.extend((kept.len() < before).then_some(*by));
            !kept.is_empty()
        });
        whose
    }

    /// What one directory saw, the last first.
    pub(crate) fn audits(&self, by: &PublicKey) -> impl Iterator<Item = &Kept> {
        self.audits.get(by).into_iter().flat_map(|kept| kept.values().rev())
    }

    /// What all others saw.
    pub(crate) fn audits_of_others<'a>(&'a self, by: &'a PublicKey) -> impl Iterator<Item = &'a Kept> {
        self.audits.iter().filter(move |(who, _)| *who != by).flat_map(|(_, kept)| kept.values().rev())
    }

    /// What was seen at one relay.
    pub(crate) fn audits_of<'a>(&'a self, relay: &'a PublicKey) -> impl Iterator<Item = &'a Kept> {
        self.audits.values().flat_map(BTreeMap::values).filter(move |kept| kept.audit.relay == *relay)
    }

    /// How many audits of each directory are kept.
    pub(crate) fn audit_counts(&self) -> impl Iterator<Item = (PublicKey, usize)> + '_ {
        self.audits.iter().map(|(by, kept)| (*by, kept.len()))
    }

    /// Which directories speak against a relay, and what they say.
    pub(crate) fn of<'a>(
        &'a self,
        relay: &'a PublicKey,
    ) -> impl Iterator<Item = (PublicKey, &'a DeniedRelay)> + 'a {
        self.lists.iter().filter_map(move |(by, list)| {
            let relays = &list.deny.relays;
            let at = relays.binary_search_by(|denied| denied.relay.cmp(relay)).ok()?;
            Some((*by, relays.get(at)?))
        })
    }

    /// How many relays each directory speaks against.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (PublicKey, usize)> + '_ {
        self.lists.iter().map(|(by, list)| (*by, list.deny.relays.len()))
    }

    /// The lists as they came, to pass on.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = &[u8]> {
        self.lists.values().map(|list| list.envelope.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::{BlobId, CatalogId, HeadId, SigningKey};
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

    fn seen(relay: u8, t: u64) -> (Verified<Audit>, Bytes) {
        let audit = Audit {
            v: 1,
            by: key(1),
            relay: key(relay),
            t: Timestamp(t),
            url: "http://r.example/@1-x/a".to_owned(),
            cat: CatalogId::from_bytes([1; 32]),
            head: HeadId::from_bytes([2; 32]),
            blob: BlobId::of(b"right"),
            off: 0,
            len: 5,
            got: BlobId::of(b"wrong"),
            own: true,
            seen: vec![],
        };
        let envelope = state(audit, &SigningKey::from_seed(&[1; 32])).unwrap();
        (open(&envelope).unwrap(), envelope.into())
    }

    #[test]
    fn an_audit_is_news_once_for_thirty_days_and_of_many_the_last_are_kept() {
        let mut all = Heard::default();
        let mut take = |relay, t| {
            let (audit, envelope) = seen(relay, t);
            all.take_audit(&audit, envelope, NOW)
        };
        assert!(take(7, NOW.0) && take(8, NOW.0) && take(7, NOW.0 - 5));
        assert!(!take(7, NOW.0), "again");
        assert!(!take(7, NOW.0 + 301), "of the future");
        assert!(!take(7, NOW.0 - 30 * 86_400), "of long ago");
        for n in 0..100 {
            take(9, NOW.0 - 1000 + n);
        }
        assert!(!take(9, NOW.0 - 5000), "older than those that are kept");
        assert_eq!(all.audits(&key(1)).count(), AUDITS_MAX);
        assert_eq!(all.audits(&key(1)).next().map(|kept| kept.audit.t), Some(NOW));
        assert_eq!((all.audits_of(&key(7)).count(), all.audits_of_others(&key(1)).count()), (2, 0));
        assert_eq!(all.audit_counts().collect::<Vec<_>>(), [(key(1), AUDITS_MAX)]);
        assert_eq!(all.forget(NOW), BTreeSet::new());
        let later = |seconds: u64| NOW.plus(Duration::from_secs(30 * 86_400 - 1 + seconds));
        assert_eq!((all.forget(later(0)), all.audits(&key(1)).count()), (BTreeSet::from([key(1)]), 2));
        assert_eq!((all.forget(later(1)), all.audit_counts().count()), (BTreeSet::from([key(1)]), 0));
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
