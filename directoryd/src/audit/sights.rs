//! What it means that somebody saw something at a relay: pure.
//!
//! Invariants
//! - What this directory sees itself decides. The word of one vantage point alone never shuts a relay out, however often it is said.
//! - A vantage point whose word nobody confirms loses its voice, and not whom it spoke of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use odi_manifest::{PublicKey, Timestamp};

use crate::network::Network;

/// How many vantage points have to see wrong bytes where this directory sees none.
const CONFIRMING: usize = 2;
/// Of how many relays a vantage point may say what nobody confirms, before it is asked no more.
const UNCONFIRMED_MAX: usize = 2;
/// For how long that is held against it.
const HELD_FOR: Duration = Duration::from_secs(86_400);
/// How many vantage points that is remembered of.
const REMEMBERED_MAX: usize = 1024;

/// What somebody saw at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    /// What was signed.
    Right,
    /// Something else.
    Wrong,
    /// No usable answer.
    Nothing,
}

/// What one vantage point saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) by: PublicKey,
    /// Where it is; two of one network count once. Unknown in a laboratory, where all are of one.
    pub(crate) network: Option<Network>,
    pub(crate) saw: Saw,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing speaks against it.
    Clear,
    /// One vantage point speaks against it.
    Doubtful,
    /// It lies.
    Lies,
}

/// Judges what was seen at one place by this directory and by vantage points.
pub(crate) fn judge(own: Saw, others: &[Sight]) -> Judgement {
    let wrong = || others.iter().filter(|sight| sight.saw == Saw::Wrong);
    let who: BTreeSet<PublicKey> = wrong().map(|sight| sight.by).collect();
    let networks: BTreeSet<[u8; 7]> = wrong().filter_map(|sight| Some(sight.network?.to_bytes())).collect();
    let unknown: BTreeSet<PublicKey> =
        wrong().filter(|sight| sight.network.is_none()).map(|sight| sight.by).collect();
    let apart = who.len().min(networks.len() + unknown.len());
    match (own, apart) {
        (Saw::Wrong, _) => Judgement::Lies,
        (_, apart) if apart >= CONFIRMING => Judgement::Lies,
        (_, 0) => Judgement::Clear,
        _ => Judgement::Doubtful,
    }
}

/// Vantage points that said what nobody confirmed, and of whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unconfirmed(BTreeMap<PublicKey, BTreeMap<PublicKey, Timestamp>>);

impl Unconfirmed {
    /// A vantage point alone spoke against a relay.
    pub(crate) fn note(&mut self, by: PublicKey, relay: PublicKey, now: Timestamp) {
        self.0.retain(|_, told| {
            told.retain(|_, at| now.since(*at) < HELD_FOR);
            !told.is_empty()
        });
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&by) {
            return;
        }
        let told = self.0.entry(by).or_default();
        if told.len() < UNCONFIRMED_MAX || told.contains_key(&relay) {
            told.insert(relay, now);
        }
    }

    /// Whether a vantage point is still asked.
    pub(crate) fn has_voice(&self, by: &PublicKey, now: Timestamp) -> bool {
        let told = self.0.get(by).into_iter().flat_map(BTreeMap::values);
        told.filter(|at| now.since(**at) < HELD_FOR).count() < UNCONFIRMED_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use odi_manifest::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).public_key()
    }

    fn sight(by: u8, network: Option<u8>, saw: Saw) -> Sight {
        let network = network.map(|n| Network::of(IpAddr::V4(Ipv4Addr::new(10, 0, n, 1))));
        Sight { by: key(by), network, saw }
    }

    #[test]
    fn two_vantage_points_of_two_networks_or_the_directory_itself() {
        use Saw::{Nothing, Right, Wrong};
        let (first, second) = (sight(1, Some(1), Wrong), sight(2, Some(2), Wrong));
        let neighbour = sight(3, Some(1), Wrong);
        for (own, others, judgement) in [
            (Wrong, vec![], Judgement::Lies),
            (Wrong, vec![sight(1, Some(1), Right)], Judgement::Lies),
            (Right, vec![first, second], Judgement::Lies),
            (Nothing, vec![first, second], Judgement::Lies),
            (Right, vec![first], Judgement::Doubtful),
            (Right, vec![first, first], Judgement::Doubtful),
            (Right, vec![first, neighbour], Judgement::Doubtful),
            (Right, vec![first, sight(2, Some(2), Nothing)], Judgement::Doubtful),
            (Right, vec![sight(1, None, Wrong), sight(2, None, Wrong)], Judgement::Lies),
            (Right, vec![sight(1, Some(1), Nothing)], Judgement::Clear),
            (Nothing, vec![], Judgement::Clear),
        ] {
            assert_eq!(judge(own, &others), judgement, "{own:?} {others:?}");
        }
    }

    #[test]
    fn who_says_of_two_relays_what_nobody_confirms_is_asked_no_more_for_a_day() {
        let at = |seconds: u64| Timestamp(1_000_000 + seconds);
        let mut unconfirmed = Unconfirmed::default();
        for second in 0..9 {
            unconfirmed.note(key(1), key(7), at(second));
        }
        assert!(unconfirmed.has_voice(&key(1), at(9)), "that relay may well lie to it alone");
        unconfirmed.note(key(1), key(8), at(10));
        assert!(!unconfirmed.has_voice(&key(1), at(11)));
        assert!(unconfirmed.has_voice(&key(2), at(11)));
        assert!(unconfirmed.has_voice(&key(1), at(10 + 86_400)));
    }

    fn any_saw() -> impl Strategy<Value = Saw> {
        prop_oneof![Just(Saw::Right), Just(Saw::Wrong), Just(Saw::Nothing)]
    }

    proptest! {
        /// One vantage point, and any number in its network, never shut a relay out that the directory finds honest.
        #[test]
        fn one_network_alone_never_convicts(bys in prop::collection::vec((0_u8..9, any_saw()), 0..12), own in any_saw()) {
            let sights: Vec<Sight> = bys.into_iter().map(|(by, saw)| sight(by, Some(1), saw)).collect();
            prop_assert_eq!(judge(own, &sights) == Judgement::Lies, own == Saw::Wrong);
        }

        /// The order of sights, and more of what is right, change nothing.
        #[test]
        fn only_what_is_wrong_counts(bys in prop::collection::vec((0_u8..9, 0_u8..4, any_saw()), 0..9), own in any_saw()) {
            let sights: Vec<Sight> = bys.into_iter().map(|(by, net, saw)| sight(by, Some(net), saw)).collect();
            let judged = judge(own, &sights);
            let mut others: Vec<Sight> = sights.iter().rev().copied().collect();
            others.push(sight(100, Some(100), Saw::Right));
            prop_assert_eq!(judge(own, &others), judged);
        }
    }
}
