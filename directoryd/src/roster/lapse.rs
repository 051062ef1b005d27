//! What time does to a roster: challenges and probes fall due, silent relays are forgotten.

use std::collections::BTreeMap;

use odi_manifest::{PublicKey, Timestamp};

use super::{Action, Event, Examined, Hosts, Member, Registration, RosterLimits};

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

pub(super) fn due(
    members: &mut BTreeMap<PublicKey, Member>,
    hosts: &mut Hosts,
    examined: &Examined,
    limits: &RosterLimits,
    now: Timestamp,
) -> Vec<Due> {
    let mut due = Vec::new();
    for member in members.values_mut() {
        if due.len() >= limits.due_at_once {
            break;
        }
        if let Some(registration) =
            member.take_challenge(limits, now, |host| hosts.take(host.to_owned(), now))
        {
            due.push(Due::Challenge(Box::new(registration)));
        }
        let look = Event::Look(member.seen(examined, now));
        match member.on(look, now, limits) {
            Some(Action::Test) => due.push(Due::Test(member.relay())),
            Some(Action::Probe) => due.push(Due::Probe(member.relay())),
            Some(Action::Write) | None => {}
        }
    }
    due
}

pub(super) fn sweep(
    members: &mut BTreeMap<PublicKey, Member>,
    limits: &RosterLimits,
    now: Timestamp,
) -> Vec<Lapsed> {
    let mut lapsed = Vec::new();
    members.retain(|relay, member| {
        let drop = member.has_lapsed(limits, now);
        if drop {
            lapsed.push(Lapsed { relay: *relay, was_proved: member.is_proved() });
        }
        member.drop_given_up();
        !drop
    });
    lapsed
}
