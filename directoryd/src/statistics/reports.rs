//! What relays say that they gave: counters that only rise while a relay runs, in every inventory.
//!
//! The difference to what it said last is counted, so that no announcement need arrive and none counts twice. It is a claim: it is held to
//! what a network card could have sent meanwhile, shown beside what this directory knows itself, and used for nothing. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::Sent;

use super::tally::Tally;

/// How many counters of relays are remembered.
const HEARD_MAX: usize = 65_536;
/// After how long a silent one is forgotten; its next word is the first again.
pub(super) const SILENCE: Duration = Duration::from_secs(7 * 86_400);
/// No relay sends more than this: 100 Gbit/s.
const BYTES_A_SECOND_MAX: u64 = 12_500_000_000;
/// Nor begins more answers than this.
const BODIES_A_SECOND_MAX: u64 = 100_000;

/// What a relay said last of a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The relay.
    pub relay: PublicKey,
    /// The catalog.
    pub catalog: CatalogId,
    /// What it said.
    pub sent: Sent,
    /// When that came.
    pub at: Timestamp,
}

/// All of that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reports {
    heard: BTreeMap<(PublicKey, CatalogId), (Sent, Timestamp)>,
    changed: BTreeSet<(PublicKey, CatalogId)>,
}

impl Reports {
    /// What a relay has given since it said so last. The first word only says from where to count.
    pub fn hear(
        &mut self,
        relay: PublicKey,
        catalog: CatalogId,
        sent: Sent,
        now: Timestamp,
    ) -> Option<Tally> {
        let key = (relay, catalog);
        // Whether it is forgotten already must not hang on when that was done last.
        let known = self.heard.get(&key).copied().filter(|(_, at)| now.since(*at) <= SILENCE);
        let Some((former, at)) = known else {
            if self.heard.len() < HEARD_MAX || self.heard.contains_key(&key) {
                self.heard.insert(key, (sent, now));
                self.changed.insert(key);
            }
            return None;
        };
        // After a restart it counts from nothing again.
        let goes_on = sent.since == former.since;
        let base = if goes_on { former } else { Sent { bodies: 0, bytes: 0, ..sent } };
        if goes_on && (sent.bodies < former.bodies || sent.bytes < former.bytes) || sent.since < former.since
        {
            return None;
        }
        self.heard.insert(key, (sent, now));
        self.changed.insert(key);
        let seconds = now.since(at).as_secs().max(1);
        let downloads = (sent.bodies - base.bodies).min(seconds.saturating_mul(BODIES_A_SECOND_MAX));
        let bytes = (sent.bytes - base.bytes).min(seconds.saturating_mul(BYTES_A_SECOND_MAX));
        (downloads > 0 || bytes > 0).then_some(Tally { downloads, bytes })
    }

    /// Forgets whoever has been silent for long.
    pub fn forget_silent(&mut self, now: Timestamp) {
        self.heard.retain(|_, (_, at)| now.since(*at) <= SILENCE);
    }

    /// What is new since this was asked last.
    pub fn take_changed(&mut self) -> Vec<Heard> {
        let changed = std::mem::take(&mut self.changed);
        let heard = changed.into_iter().filter_map(|(relay, catalog)| {
            let (sent, at) = *self.heard.get(&(relay, catalog))?;
            Some(Heard { relay, catalog, sent, at })
        });
        heard.collect()
    }

    /// Says again what could not be written.
    pub fn repeat(&mut self, heard: &[Heard]) {
        self.changed.extend(heard.iter().map(|heard| (heard.relay, heard.catalog)));
    }

    /// Puts back what was kept.
    pub fn restore(&mut self, kept: Vec<Heard>) {
        let kept = kept.into_iter().take(HEARD_MAX);
        self.heard.extend(kept.map(|heard| ((heard.relay, heard.catalog), (heard.sent, heard.at))));
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    const CATALOG: CatalogId = CatalogId::from_bytes([1; 32]);

    fn sent(since: u64, bodies: u64, bytes: u64) -> Sent {
        Sent { since: Timestamp(since), bodies, bytes }
    }

    #[test]
    fn differences_are_counted_once_over_restarts_and_replays() {
        let relay = SigningKey::from_seed(&[1; 32]).public_key();
        let mut reports = Reports::default();
        let mut hear = |said, at| {
            let tally = reports.hear(relay, CATALOG, said, Timestamp(at));
            tally.map(|tally| (tally.downloads, tally.bytes))
        };
        assert_eq!(hear(sent(100, 50, 5000), 1000), None, "what was before is nobody's to count");
        assert_eq!(hear(sent(100, 53, 5600), 1020), Some((3, 600)));
        assert_eq!(hear(sent(100, 53, 5600), 1040), None);
        assert_eq!(hear(sent(100, 51, 5600), 1060), None, "counters only rise");
        assert_eq!(hear(sent(1050, 2, 20), 1080), Some((2, 20)), "it was started anew");
        assert_eq!(hear(sent(100, 99, 9999), 1100), None, "from before that");
    }

    #[test]
    fn nobody_has_sent_more_than_a_network_card_can() {
        let relay = SigningKey::from_seed(&[1; 32]).public_key();
        let mut reports = Reports::default();
        reports.hear(relay, CATALOG, sent(1, 0, 0), Timestamp(1000));
        let tally = reports.hear(relay, CATALOG, sent(1, u64::MAX, u64::MAX), Timestamp(1020)).unwrap();
        assert_eq!(tally, Tally { downloads: 20 * BODIES_A_SECOND_MAX, bytes: 20 * BYTES_A_SECOND_MAX });
    }

    #[test]
    fn relays_are_remembered_up_to_a_bound_and_not_for_ever() {
        let mut reports = Reports::default();
        for n in 0..u32::try_from(HEARD_MAX).unwrap() + 10 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            let relay = SigningKey::from_seed(&[1; 32]).public_key();
            reports.hear(relay, CatalogId::from_bytes(id), sent(1, 1, 1), Timestamp(1000));
        }
        assert_eq!(reports.heard.len(), HEARD_MAX);
        reports.forget_silent(Timestamp(1000).plus(SILENCE));
        assert_eq!(reports.heard.len(), HEARD_MAX);
        reports.forget_silent(Timestamp(1001).plus(SILENCE));
        assert!(reports.heard.is_empty());
    }
}
