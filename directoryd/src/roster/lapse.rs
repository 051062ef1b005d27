//! What time does to a roster: challenges and probes fall due, silent relays are forgotten.

use std::collections::BTreeMap;
use std::ops::Bound;

use odi_manifest::{PublicKey, Timestamp};

use super::{Action, Event, Examined, Hosts, Member, Registration, RosterLimits, Seen};

/// Something to send to a relay now.
#[derive(Clone, Debug)]
pub enum Due {
    /// The challenge that proves a registration.
    Challenge(Box<Registration>),
    /// The self-test of a proved relay.
    Test(PublicKey),
    /// A probe of something that the relay says it holds.
    Probe(PublicKey),
}

/// A relay that was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapsed {
    /// Its key.
    pub relay: PublicKey,
    /// Whether it had been proved, so that its record lies on disk.
    pub was_proved: bool,
}

/// How many of each may be begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Challenges.
    pub challenges: usize,
    /// Self-tests.
    pub tests: usize,
    /// Probes.
    pub probes: usize,
}

/// One look at the roster.
pub(super) struct Round<'r> {
    pub(super) hosts: &'r mut Hosts,
    pub(super) examined: &'r Examined,
    pub(super) limits: &'r RosterLimits,
    pub(super) room: Room,
    pub(super) now: Timestamp,
}

impl Round<'_> {
    /// Hands out what is due: of the relays behind `last` first, so that none is passed over for ever because those before
    /// it always have something due. Leaves in `last` whose turn came last.
    pub(super) fn due(
        mut self,
        members: &mut BTreeMap<PublicKey, Member>,
        last: &mut Option<PublicKey>,
    ) -> Vec<Due> {
        let ranges = match *last {
            None => vec![(Bound::Unbounded, Bound::Unbounded)],
            Some(key) => {
                vec![(Bound::Excluded(key), Bound::Unbounded), (Bound::Unbounded, Bound::Included(key))]
            }
        };
        let mut due = Vec::new();
        for range in ranges {
            for (key, member) in members.range_mut(range) {
                if due.len() >= self.limits.due_at_once {
                    return due;
                }
                let before = due.len();
                self.look_at(member, &mut due);
                if due.len() > before {
                    *last = Some(*key);
                }
            }
        }
        due
    }

    fn look_at(&mut self, member: &mut Member, due: &mut Vec<Due>) {
        let (limits, now) = (self.limits, self.now);
        if self.room.challenges > 0
            && let Some(registration) =
                member.take_challenge(limits, now, |host| self.hosts.take(host.to_owned(), now))
        {
            self.room.challenges -= 1;
            due.push(Due::Challenge(Box::new(registration)));
        }
        // What the operator says of it may count for more than what it has shown.
        if member.decision().is_none() && !member.trial().may_ask(now, limits) {
            return;
        }
        let seen = member.seen(self.examined, now);
        // What there is no room for is as if it could not be looked at now.
        let seen = Seen {
            test: seen.test && self.room.tests > 0,
            probe: seen.probe && self.room.probes > 0,
            ..seen
        };
        match member.on(Event::Look(seen), now, limits) {
            Some(Action::Test) => {
                self.room.tests -= 1;
                due.push(Due::Test(member.relay()));
            }
            Some(Action::Probe) => {
                self.room.probes -= 1;
                due.push(Due::Probe(member.relay()));
            }
            Some(Action::Write) | None => {}
        }
    }
}

pub(super) fn sweep(
    members: &mut BTreeMap<PublicKey, Member>,
    limits: &RosterLimits,
    now: Timestamp,
) -> Vec<Lapsed> {
    let mut lapsed = Vec::new();
    members.retain(|relay, member| {
        member.keep_to(now, limits);
        let drop = member.has_lapsed(limits, now);
        if drop {
            lapsed.push(Lapsed { relay: *relay, was_proved: member.is_proved() });
        }
        member.drop_given_up();
        !drop
    });
    lapsed
}
