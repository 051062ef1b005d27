//! Which relays' word is missed here, and what a peer's answer about them is worth: pure, over the roster's times.
//!
//! Invariants
//! - A peer is asked only for what did not come by itself, seldomer the longer a relay is silent.
//! - An answer counts as a whole or not at all, and only what was asked for is taken from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::cbor::CborError;
use odi_manifest::{PublicKey, Timestamp};
use odi_wire::message::{Inventory, PASSED_MAX, StatementError, Wanted, open, split_passed};

use crate::roster::Announcement;

/// After how long a silence others are asked: half a lease, in which an announcement did not come.
const MISSED_AFTER: Duration = Duration::from_secs(30);
/// Between two questions about the same relay: a quarter of its silence, within these.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// A relay of which this directory might have heard, and for how long it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) relay: PublicKey,
    /// The generation of its last statement that is known.
    pub(crate) generation: u64,
    pub(crate) silence: Duration,
}

/// When one peer was asked for which relays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(BTreeMap<PublicKey, Timestamp>);

impl Asked {
    /// For whom to ask now, those first that were asked for longest ago; noted as asked for.
    pub(crate) fn due(&mut self, silent: &[Silent], now: Timestamp) -> Wanted {
        let missed: Vec<&Silent> = silent.iter().filter(|silent| silent.silence >= MISSED_AFTER).collect();
        let known: BTreeSet<&PublicKey> = missed.iter().map(|missed| &missed.relay).collect();
        self.0.retain(|relay, _| known.contains(relay));
        let is_due = |missed: &&Silent| {
            let pause = (missed.silence / 4).clamp(AGAIN.0, AGAIN.1);
            self.0.get(&missed.relay).is_none_or(|asked| now.since(*asked) >= pause)
        };
        let mut due: Vec<&Silent> = missed.into_iter().filter(is_due).collect();
        due.sort_by_key(|missed| (self.0.get(&missed.relay).copied(), missed.relay));
        due.truncate(PASSED_MAX);
        self.0.extend(due.iter().map(|missed| (missed.relay, now)));
        let mut wanted: Wanted = due.into_iter().map(|missed| (missed.relay, missed.generation)).collect();
        wanted.sort_unstable();
        wanted
    }
}

/// Why an answer of a peer is worth nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassedFault {
    /// It is no list of envelopes, or too large.
    #[error("what it passes on does not read")]
    Malformed(#[from] CborError),
    /// Something in it is no statement, or a forged one.
    #[error("it passes on a statement that nobody made")]
    Forged(#[from] StatementError),
    /// A relay was not asked for, or is there twice.
    #[error("it passes on a statement of relay {0}, for which it was not asked")]
    Unasked(Box<PublicKey>),
    /// It is no newer than what was named.
    #[error("it passes on a statement of relay {relay} that is no newer than the one known")]
    Old {
        /// Of whom.
        relay: Box<PublicKey>,
    },
}

/// Reads an answer to what was wanted. What has expired on its way is left out. Verifies as many signatures as there are statements.
pub(crate) fn read(answer: &[u8], wanted: &Wanted, now: Timestamp) -> Result<Vec<Announcement>, PassedFault> {
    let mut known: BTreeMap<PublicKey, u64> = wanted.iter().copied().collect();
    let mut taken = Vec::new();
    for envelope in split_passed(answer)? {
        let inventory = open::<Inventory>(envelope)?;
        let relay = inventory.relay;
        let generation = known.remove(&relay).ok_or_else(|| PassedFault::Unasked(Box::new(relay)))?;
        if inventory.generation <= generation {
            return Err(PassedFault::Old { relay: Box::new(relay) });
        }
        if inventory.exp > now {
            let envelope = Bytes::copy_from_slice(envelope);
            taken.push(Announcement { inventory: Arc::new((*inventory).clone()), envelope });
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;
    use odi_wire::message::{INVENTORY_LIFE_MAX, encode_passed, state};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn signer(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn inventory(seed: u8, generation: u64) -> Inventory {
        Inventory {
            v: 1,
            relay: signer(seed).public_key(),
            generation,
            t: NOW,
            exp: NOW.plus(Duration::from_secs(60)),
            bans: vec![],
            urls: vec![],
            caps: vec![],
            catalogs: vec![],
        }
    }

    fn said(seed: u8, generation: u64) -> Vec<u8> {
        state(inventory(seed, generation), &signer(seed)).unwrap()
    }

    fn wanted(generations: &[(u8, u64)]) -> Wanted {
        generations.iter().map(|(seed, generation)| (signer(*seed).public_key(), *generation)).collect()
    }

    fn answered(envelopes: &[Vec<u8>], wanted: &Wanted) -> Result<Vec<u64>, String> {
        let answer = encode_passed(envelopes.iter().map(Vec::as_slice));
        let read = read(&answer, wanted, NOW).map_err(|fault| fault.to_string())?;
        Ok(read.iter().map(|announcement| announcement.inventory.generation).collect())
    }

    #[test]
    fn what_was_asked_for_and_is_newer_is_taken() {
        let wanted = wanted(&[(1, 7), (2, 0), (3, 9)]);
        assert_eq!(answered(&[], &wanted), Ok(vec![]));
        assert_eq!(answered(&[said(1, 8), said(2, 1)], &wanted), Ok(vec![8, 1]));
        let over = Inventory { t: NOW, ..inventory(1, 8) };
        let late = encode_passed([state(over, &signer(1)).unwrap().as_slice()]);
        assert!(read(&late, &wanted, NOW.plus(INVENTORY_LIFE_MAX)).unwrap().is_empty(), "expired on its way");
    }

    #[test]
    fn one_wrong_statement_makes_the_whole_answer_worthless() {
        let wanted = wanted(&[(1, 7), (2, 0)]);
        let forged = state(inventory(2, 5), &signer(9)).unwrap();
        let mut touched = said(2, 5);
        *touched.last_mut().unwrap() ^= 1;
        for (wrong, words) in [
            (said(2, 0), "no newer"),
            (said(3, 5), "not asked"),
            (said(1, 9), "not asked"),
            (forged, "nobody made"),
            (touched, "nobody made"),
            (b"junk".to_vec(), "nobody made"),
        ] {
            let fault = answered(&[said(1, 8), wrong], &wanted).unwrap_err();
            assert!(fault.contains(words), "{fault}");
        }
        assert!(read(b"junk", &wanted, NOW).is_err());
    }

    #[test]
    fn who_announces_itself_is_never_asked_for_and_the_dead_seldom() {
        let silent = |silence| Silent {
            relay: signer(1).public_key(),
            generation: 3,
            silence: Duration::from_secs(silence),
        };
        let mut asked = Asked::default();
        assert!(asked.due(&[silent(29)], NOW).is_empty());
        assert_eq!(asked.due(&[silent(30)], NOW), wanted(&[(1, 3)]));
        let mut questions = 0;
        for second in 1..=3600 {
            let now = NOW.plus(Duration::from_secs(second));
            questions += asked.due(&[silent(30 + second)], now).len();
        }
        assert!((60..=100).contains(&questions), "{questions} in an hour");
        assert!(asked.due(&[], NOW).is_empty());
        assert_eq!(asked.due(&[silent(30)], NOW), wanted(&[(1, 3)]), "it was back meanwhile");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// However many are missed, all are asked for in turn, and never more at once than one answer may have.
        #[test]
        fn all_get_their_turn(count in 1_usize..600) {
            let relay = |n: usize| signer_of(n).public_key();
            let silence = Duration::from_secs(40);
            let silent: Vec<Silent> =
                (0..count).map(|n| Silent { relay: relay(n), generation: 0, silence }).collect();
            let mut asked = Asked::default();
            let mut seen = BTreeSet::new();
            for _ in 0..count.div_ceil(PASSED_MAX) {
                let wanted = asked.due(&silent, NOW);
                prop_assert!(wanted.len() <= PASSED_MAX && wanted.is_sorted());
                seen.extend(wanted.iter().map(|(relay, _)| *relay));
            }
            prop_assert_eq!(seen.len(), count);
            prop_assert!(asked.due(&silent, NOW).is_empty());
        }
    }

    fn signer_of(n: usize) -> SigningKey {
        SigningKey::from_seed(blake3::hash(&n.to_le_bytes()).as_bytes())
    }
}
