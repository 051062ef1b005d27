//! What became of each relay: when it was found to be in which condition, and why.
//!
//! Pure, and beside the roster: that is looked at every few seconds, and what differs from the last look is a change. A change that is
//! undone between two looks is not there.
//!
//! Invariants
//! - Each relay has its last [`CHANGES_MAX`] changes, and no two in a row are of the same condition.
//! - A relay that the roster has forgotten is forgotten here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use odi_manifest::{PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::roster::{Member, Standing};

/// How many changes of each relay are remembered.
pub const CHANGES_MAX: usize = 32;
/// How many bytes of a reason.
pub const WHY_BYTES_MAX: usize = 160;

/// How a relay is, as this directory sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its URLs have not proved its keys.
    Unproven,
    /// It is tested, has a small share, or has failed too many probes since.
    Probation,
    /// It takes clients.
    Ready,
    /// It gave wrong bytes, or the operator has shut it out.
    Quarantined,
    /// Its lease has ended without a word.
    Silent,
    /// It said farewell.
    Left,
}

impl Condition {
    /// How a relay is now.
    #[must_use]
    pub fn of(member: &Member, now: Timestamp) -> Self {
        match member.standing(now) {
            Standing::Unproven => Self::Unproven,
            Standing::Quarantined => Self::Quarantined,
            _ if member.has_left() => Self::Left,
            _ if !member.is_alive(now) => Self::Silent,
            Standing::Probation => Self::Probation,
            Standing::Ready => Self::Ready,
        }
    }

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unproven => "has yet to prove its keys",
            Self::Probation => "on probation",
            Self::Ready => "ready",
            Self::Quarantined => "shut out",
            Self::Silent => "silent",
            Self::Left => "left",
        }
    }
}

/// Since when a relay was how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When that was found.
    pub at: Timestamp,
    /// How it is since.
    pub condition: Condition,
    /// What it was told then, if there was something to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The changes of one relay, the oldest first; none if it is forgotten.
pub type Kept = (PublicKey, Vec<Change>);

/// What became of all relays.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    of: BTreeMap<PublicKey, VecDeque<Change>>,
    /// Whose have not been written.
    unwritten: BTreeSet<PublicKey>,
}

impl Histories {
    /// Goes on with what was kept.
    #[must_use]
    pub fn restored(kept: Vec<Kept>) -> Self {
        let newest = |changes: Vec<Change>| {
            let surplus = changes.len().saturating_sub(CHANGES_MAX);
            changes.into_iter().skip(surplus).collect()
        };
        let of = kept.into_iter().map(|(relay, changes)| (relay, newest(changes))).collect();
        Self { of, unwritten: BTreeSet::new() }
    }

    /// The relays that are otherwise than when they were looked at last. Those that are not among these are forgotten.
    pub fn changed(&mut self, seen: &BTreeMap<PublicKey, Condition>) -> Vec<PublicKey> {
        let gone: Vec<PublicKey> =
            self.of.keys().filter(|relay| !seen.contains_key(relay)).copied().collect();
        for relay in gone {
            self.of.remove(&relay);
            self.unwritten.insert(relay);
        }
        let is_as_before = |relay: &PublicKey, condition| {
            self.of.get(relay).and_then(VecDeque::back).is_some_and(|last| last.condition == condition)
        };
        let changed = seen.iter().filter(|(relay, condition)| !is_as_before(relay, **condition));
        changed.map(|(relay, _)| *relay).collect()
    }

    /// Notes how a relay is from now on.
    pub fn note(&mut self, relay: PublicKey, condition: Condition, why: Option<&str>, now: Timestamp) {
        let changes = self.of.entry(relay).or_default();
        if changes.back().is_some_and(|last| last.condition == condition) {
            return;
        }
        if changes.len() >= CHANGES_MAX {
            changes.pop_front();
        }
        let why =
            why.filter(|_| !matches!(condition, Condition::Ready | Condition::Silent | Condition::Left));
        let why = why.map(|why| why.get(..why.floor_char_boundary(WHY_BYTES_MAX)).unwrap_or(why).to_owned());
        changes.push_back(Change { at: now, condition, why });
        self.unwritten.insert(relay);
    }

    /// What became of a relay, the last first.
    pub fn of(&self, relay: &PublicKey) -> impl Iterator<Item = &Change> {
        self.of.get(relay).into_iter().flatten().rev()
    }

    /// What has not been written yet.
    pub fn take_unwritten(&mut self) -> Vec<Kept> {
        let unwritten = std::mem::take(&mut self.unwritten);
        let kept = |relay| self.of.get(&relay).map(|changes| changes.iter().cloned().collect());
        unwritten.into_iter().map(|relay| (relay, kept(relay).unwrap_or_default())).collect()
    }

    /// Those could not be written.
    pub fn put_back(&mut self, unwritten: &[Kept]) {
        self.unwritten.extend(unwritten.iter().map(|(relay, _)| relay));
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    fn relay(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).public_key()
    }

    fn told(histories: &Histories, of: &PublicKey) -> Vec<(u64, Condition)> {
        histories.of(of).map(|change| (change.at.0, change.condition)).collect()
    }

    #[test]
    fn a_change_is_noted_once_and_the_last_comes_first() {
        use Condition::{Probation, Ready, Silent};
        let mut histories = Histories::default();
        let one = relay(1);
        for (at, condition) in [(1, Probation), (2, Probation), (3, Ready), (9, Silent), (11, Ready)] {
            let seen = BTreeMap::from([(one, condition)]);
            for relay in histories.changed(&seen) {
                histories.note(relay, condition, Some("no usable answer"), Timestamp(at));
            }
        }
        assert_eq!(told(&histories, &one), [(11, Ready), (9, Silent), (3, Ready), (1, Probation)]);
        let why: Vec<_> = histories.of(&one).map(|change| change.why.as_deref()).collect();
        assert_eq!(why, [None, None, None, Some("no usable answer")]);
        assert_eq!(told(&histories, &relay(2)), []);
    }

    #[test]
    fn the_oldest_go_and_reasons_are_cut() {
        let mut histories = Histories::default();
        let (one, why) = (relay(1), "é".repeat(WHY_BYTES_MAX));
        for at in 0..=CHANGES_MAX as u64 {
            let condition = if at % 2 == 0 { Condition::Probation } else { Condition::Quarantined };
            histories.note(one, condition, Some(&why), Timestamp(at));
        }
        assert_eq!(histories.of(&one).count(), CHANGES_MAX);
        assert_eq!(histories.of(&one).last().unwrap().at, Timestamp(1));
        assert!(histories.of(&one).all(|change| change.why.as_ref().unwrap().len() <= WHY_BYTES_MAX));
    }

    #[test]
    fn what_is_written_comes_back_and_who_is_forgotten_is_so_there() {
        let mut histories = Histories::default();
        let (one, two) = (relay(1), relay(2));
        histories.note(one, Condition::Ready, None, Timestamp(5));
        histories.note(two, Condition::Left, None, Timestamp(6));
        let kept = histories.take_unwritten();
        assert_eq!(kept.len(), 2);
        assert_eq!(histories.take_unwritten(), []);
        histories.put_back(&kept);
        assert_eq!(histories.take_unwritten(), kept);
        let mut restored = Histories::restored(kept);
        assert_eq!(told(&restored, &two), told(&histories, &two));
        assert_eq!(restored.changed(&BTreeMap::from([(one, Condition::Ready)])), []);
        assert_eq!(restored.take_unwritten(), [(two, Vec::new())]);
        assert_eq!(told(&restored, &two), []);
        restored.note(one, Condition::Silent, None, Timestamp(7));
        assert_eq!(restored.changed(&BTreeMap::new()), []);
        assert_eq!(told(&restored, &one), [], "though that has not been written yet");
        assert_eq!(restored.take_unwritten(), [(one, Vec::new())]);
    }
}
