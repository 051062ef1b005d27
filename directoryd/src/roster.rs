//! The relays that this directory knows: a state machine over plain data, with the time passed in.
//!
//! ```text
//! register -> unproven --challenge answered--> its trial (see `trial`): untested, probation, ready, quarantined
//!                 |  (gives up after a few)
//!                 v
//!              dropped
//! ```
//!
//! Invariants
//! - Nothing is redirected to, and nothing but a capped challenge is sent to, a URL whose owner has not proved the
//!   relay's two keys.
//! - Generations of registrations and of inventories rise strictly: a replayed statement changes nothing.
//! - A re-registration waits beside the proved one and replaces it only once it is proved itself.
//! - Registering again counts like registering: it resets no wait, and no host gets more challenges for it.
//! - Nothing is kept of an inventory whose relay is unproven or that names URLs which it has not proved.
//! - Memory is bounded by [`RosterLimits`], whoever registers.

mod decision;
mod lapse;
mod limits;
mod member;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::client::Family;
use odi_wire::message::{CatalogInventory, Inventory, PublicUrl};

pub use decision::{Decision, Verdict, WHY_BYTES_MAX};
pub use lapse::{Due, Lapsed, Room};
pub use limits::RosterLimits;
pub use member::{Announcement, Came, Looks, Member, Pending, Registration, Standing};
pub use trial::{Action, Event, Seen, Stage, Trial};

use lapse::Round;

use crate::backoff::backoff;
use crate::network::Network;
use crate::select::Why;
use crate::throttle::{Pace, Throttle};

/// How many challenges each host may get, by its name as URLs have it.
type Hosts = Throttle<String>;

/// How many hosts are told apart.
const HOSTS_MAX: usize = 50_000;

/// Why a statement of a relay is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterRefusal {
    /// The generation is not above the last one seen.
    #[error("the statement's generation is not above {known}")]
    StaleGeneration {
        /// The last generation seen.
        known: u64,
    },
    /// The roster has no room for another relay.
    #[error("this directory knows as many relays as it can")]
    Full,
    /// Too many relays of that network are registered.
    #[error("too many relays of that network are registered")]
    NetworkFull,
    /// It names URLs for which no challenge was answered.
    #[error("the inventory names a URL that the relay has not proved")]
    UnprovenUrls,
    /// It said farewell, and only its own word takes that back.
    #[error("the relay has left; only its own word brings it back")]
    Left,
    /// The operator wants it no more.
    #[error("this directory's operator has removed the relay")]
    Removed,
    /// Too many relays wait for their challenge.
    #[error("too many relays of that network wait for their challenge")]
    TooManyUnproven,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// This directory has no registration of the relay.
    Unknown,
    /// The relay has to prove its URLs first; nothing of the announcement is kept.
    Unproven,
    /// The relay stands here, until then.
    Lease {
        /// Where it stands.
        standing: Standing,
        /// Until when it counts as alive without another inventory.
        until: Timestamp,
    },
}

/// The catalogs by which a directory judges relays. What they say of others' it cannot see.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Its own, for the self-test.
    pub selftest: Option<CatalogId>,
    /// Those that it follows, for probes.
    pub followed: BTreeSet<CatalogId>,
}

/// All relays that the directory knows.
#[derive(Debug)]
pub struct Roster {
    limits: RosterLimits,
    examined: Examined,
    /// What the operator has decided, also about relays that are not here.
    decisions: BTreeMap<PublicKey, Decision>,
    members: BTreeMap<PublicKey, Member>,
    hosts: Hosts,
    /// Whose turn came last.
    last: Option<PublicKey>,
    revision: u64,
    changes: u64,
}

impl Roster {
    /// An empty roster.
    #[must_use]
    pub fn new(limits: RosterLimits, examined: Examined) -> Self {
        let pace = Pace { burst: limits.host_challenges, per_minute: limits.host_challenges_per_minute };
        let hosts = Throttle::new(pace, HOSTS_MAX);
        Self {
            limits,
            examined,
            decisions: BTreeMap::new(),
            members: BTreeMap::new(),
            hosts,
            last: None,
            revision: 1,
            changes: 1,
        }
    }

    /// What the operator has decided about every relay, here or not.
    #[must_use]
    pub const fn decisions(&self) -> &BTreeMap<PublicKey, Decision> {
        &self.decisions
    }

    /// Takes what the operator has decided about a relay; nothing is as if nothing had ever been. Whether the relay is here.
    pub fn decide(&mut self, relay: &PublicKey, decision: Option<Decision>) -> bool {
        self.revision += 1;
        self.changes += 1;
        match decision.clone() {
            Some(decision) => _ = self.decisions.insert(*relay, decision),
            None => _ = self.decisions.remove(relay),
        }
        if decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Removed) {
            return self.members.remove(relay).is_some();
        }
        let member = self.members.get_mut(relay);
        member.map(|member| member.decide(decision)).is_some()
    }

    /// Relays are judged by these catalogs from now on, beside the self-test's.
    pub fn follow(&mut self, catalogs: BTreeSet<CatalogId>) {
        self.examined.followed = catalogs;
    }

    /// Puts back a registration that was proved before a restart. It has no lease until the relay announces itself.
    pub fn restore(&mut self, registration: Registration, network: Network, stage: Stage, now: Timestamp) {
        let relay = registration.relay;
        self.changes += 1;
        let mut member = Member::restored(registration, network, stage, now);
        member.decide(self.decisions.get(&relay).cloned());
        self.members.insert(relay, member);
    }

    /// A relay that was put back had said farewell before the restart.
    pub fn had_left(&mut self, relay: &PublicKey) {
        if let Some(member) = self.members.get_mut(relay) {
            member.had_left();
        }
    }

    /// Takes a registration, whose signature, audience, time and URLs the caller has checked. The relay is challenged
    /// next.
    ///
    /// # Errors
    /// It is a replay, or a limit is reached.
    pub fn register(
        &mut self,
        registration: Registration,
        network: Network,
        now: Timestamp,
    ) -> Result<Standing, RosterRefusal> {
        let decision = self.decisions.get(&registration.relay).cloned();
        if decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Removed) {
            return Err(RosterRefusal::Removed);
        }
        if let Some(member) = self.members.get(&registration.relay) {
            let known = member.generation();
            if registration.generation <= known {
                return Err(RosterRefusal::StaleGeneration { known });
            }
            if !member.waits_from(network) {
                self.admits_waiting(network)?;
            }
        }
        if let Some(member) = self.members.get_mut(&registration.relay) {
            member.propose(registration, network);
            return Ok(member.standing(now));
        }
        self.admits(network)?;
        let relay = registration.relay;
        let mut member = Member::new(registration, network, now);
        member.decide(decision);
        let standing = member.standing(now);
        self.members.insert(relay, member);
        Ok(standing)
    }

    fn admits(&self, network: Network) -> Result<(), RosterRefusal> {
        let of_network = || self.members.values().filter(move |member| member.network() == network);
        if self.members.len() >= self.limits.relays {
            return Err(RosterRefusal::Full);
        }
        if of_network().count() >= self.limits.relays_per_network {
            return Err(RosterRefusal::NetworkFull);
        }
        self.admits_waiting(network)
    }

    /// Whether one more registration of a network may wait for its challenge.
    fn admits_waiting(&self, network: Network) -> Result<(), RosterRefusal> {
        let waiting = self.members.values().filter(|member| member.waits_from(network)).count();
        if waiting >= self.limits.unproven_per_network { Err(RosterRefusal::TooManyUnproven) } else { Ok(()) }
    }

    /// The challenge of that generation was answered with both keys. Whether it still was the one in question.
    pub fn proved(&mut self, relay: &PublicKey, generation: u64, now: Timestamp) -> bool {
        self.changes += 1;
        self.members.get_mut(relay).is_some_and(|member| member.proved(generation, now, &self.limits))
    }

    /// The challenge of that generation was not answered, or wrongly, or could not be sent.
    pub fn challenge_failed(&mut self, relay: &PublicKey, generation: u64, why: &str, now: Timestamp) {
        if let Some(member) = self.members.get_mut(relay) {
            member.challenge_failed(generation, why, now, &self.limits);
        }
    }

    /// Takes an inventory, whose signature and expiry the caller has checked.
    ///
    /// # Errors
    /// It is a replay, names URLs that the relay has not proved, or was passed on although the relay has left.
    pub fn announce(
        &mut self,
        relay: &PublicKey,
        announcement: Announcement,
        came: Came,
        now: Timestamp,
    ) -> Result<Announced, RosterRefusal> {
        let lease = self.limits.lease;
        let Some(member) = self.members.get_mut(relay) else { return Ok(Announced::Unknown) };
        let before = member.is_alive(now).then(|| member.announced().map(|said| Arc::clone(&said.inventory)));
        let after = Arc::clone(&announcement.inventory);
        let Some(until) = member.announce(announcement, came, lease, now)? else {
            return Ok(Announced::Unproven);
        };
        let before = before.flatten();
        if !before.as_ref().is_some_and(|before| fill_alike(before, &after)) {
            self.revision += 1;
        }
        if !before.is_some_and(|before| serve_alike(&before, &after)) {
            self.changes += 1;
        }
        Ok(Announced::Lease { standing: member.standing(now), until })
    }

    /// The stage that an event would bring a relay to, if that has to be durable before it counts.
    #[must_use]
    pub fn would_write(
        &self,
        relay: &PublicKey,
        event: Event<'_>,
        now: Timestamp,
    ) -> Option<(&Member, Stage)> {
        let member = self.members.get(relay)?;
        let (trial, action) = member.after(event, now, &self.limits);
        (action == Some(Action::Write)).then(|| (member, trial.stage()))
    }

    /// Something happened in a relay's trial. [`Action::Write`] if its stage is another one now.
    pub fn on(&mut self, relay: &PublicKey, event: Event<'_>, now: Timestamp) -> Option<Action> {
        let before = self.draw_of(relay, now);
        let action = self.members.get_mut(relay)?.on(event, now, &self.limits);
        // Most probes of most relays find what the last one found.
        self.changes += u64::from(self.draw_of(relay, now) != before);
        if action == Some(Action::Write) {
            self.revision += 1;
        }
        action
    }

    /// A client asked again for what it was just sent to a relay for. Whether that may have made a probe due: nobody is sent elsewhere
    /// for it before that has failed.
    pub fn doubt(&mut self, relay: &PublicKey, now: Timestamp) -> bool {
        let member = self.members.get_mut(relay).filter(|member| !member.trial().is_doubted());
        member.is_some_and(|member| {
            member.on(Event::Doubted, now, &self.limits);
            member.trial().is_doubted()
        })
    }

    /// What a relay counts for among those that take clients, if it does.
    fn draw_of(&self, relay: &PublicKey, now: Timestamp) -> Option<(u64, u64)> {
        let member = self.member(relay).filter(|member| self.shut_out(member, now).is_none())?;
        member.weight().zip(member.full_weight())
    }

    /// One of a relay's URLs answered the directory over a family of addresses, or did not.
    pub fn reached(&mut self, relay: &PublicKey, url: &PublicUrl, family: Family, answered: bool) {
        let is_news = self.members.get_mut(relay).is_some_and(|member| member.reached(url, family, answered));
        self.changes += u64::from(is_news);
    }

    /// Another relay got the right bytes there.
    pub fn seen_elsewhere(&mut self, relay: &PublicKey) {
        if let Some(member) = self.members.get_mut(relay) {
            member.seen_elsewhere();
        }
    }

    /// Nobody is to know when a relay is looked at next: after a look that matched, so much of its rest is enough.
    pub fn rest(&mut self, relay: &PublicKey, draw: u32, now: Timestamp) {
        if let Some(member) = self.members.get_mut(relay) {
            member.rest(draw, now, &self.limits);
        }
    }

    /// The relay says goodbye: its lease ends now. Whether it was known.
    ///
    /// # Errors
    /// It is a replay.
    pub fn leave(&mut self, relay: &PublicKey, generation: u64) -> Result<bool, RosterRefusal> {
        self.revision += 1;
        self.changes += 1;
        self.members.get_mut(relay).map_or(Ok(false), |member| member.leave(generation).map(|()| true))
    }

    /// Drops what never proved itself and what has been silent for long.
    pub fn sweep(&mut self, now: Timestamp) -> Vec<Lapsed> {
        let lapsed = lapse::sweep(&mut self.members, &self.limits, now);
        self.changes += lapsed.len() as u64;
        lapsed
    }

    /// The challenges, self-tests and probes to send now, as far as there is room for them. Each is marked as under way,
    /// so that none is handed out twice.
    pub fn due(&mut self, room: Room, now: Timestamp) -> Vec<Due> {
        let round =
            Round { hosts: &mut self.hosts, examined: &self.examined, limits: &self.limits, room, now };
        round.due(&mut self.members, &mut self.last)
    }

    /// The relays with a running lease that have proved themselves.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| member.is_proved() && member.is_alive(now))
    }

    /// The living relays whose self-test has passed and that were not caught lying since: whose word on what they hold
    /// counts here and is passed on.
    pub fn passed(&self, now: Timestamp) -> impl Iterator<Item = &Member> {
        self.live(now).filter(|member| member.has_passed())
    }

    /// The relays that may be redirected to.
    pub fn selectable(&self, now: Timestamp) -> impl Iterator<Item = &Member> {
        self.members().filter(move |member| self.shut_out(member, now).is_none())
    }

    /// Why nobody may be redirected to a relay, if so: it has to be proved, alive, tested and probed lately, and to give something.
    #[must_use]
    pub fn shut_out(&self, member: &Member, now: Timestamp) -> Option<Why> {
        if member.is_barred() {
            return Some(Why::Barred);
        }
        match member.standing(now) {
            Standing::Unproven => Some(Why::Unproven),
            Standing::Quarantined => Some(Why::Quarantined),
            _ if !member.is_alive(now) => Some(Why::Silent),
            _ if !member.trial().has_passed() => Some(Why::Untested),
            _ if !member.trial().is_selectable(now, &self.limits) => Some(Why::Unprobed),
            _ if member.weight().is_none() => Some(Why::Spent),
            Standing::Probation | Standing::Ready => None,
        }
    }

    /// One relay.
    #[must_use]
    pub fn member(&self, relay: &PublicKey) -> Option<&Member> {
        self.members.get(relay)
    }

    /// All relays, by key.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// Rises whenever a relay comes or goes, or fills something else than before.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Rises whenever it may follow that clients are to be sent elsewhere.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The bounds that this roster keeps.
    #[must_use]
    pub const fn limits(&self) -> &RosterLimits {
        &self.limits
    }
}

/// Whether two inventories of a relay are one to those who share the fetching with it.
fn fill_alike(a: &Inventory, b: &Inventory) -> bool {
    let fills = |said: &Inventory| -> Vec<_> {
        said.catalogs.iter().map(|catalog| (catalog.cat, catalog.fills.clone())).collect()
    };
    a.urls == b.urls && a.rate() == b.rate() && fills(a) == fills(b)
}

/// Whether two inventories of a relay are one to clients: what it has given them is another each time, and leads nobody elsewhere.
fn serve_alike(a: &Inventory, b: &Inventory) -> bool {
    let alike = |a: &CatalogInventory, b: &CatalogInventory| {
        (a.cat, a.full) == (b.cat, b.full)
            && a.served == b.served
            && a.ranges == b.ranges
            && a.plus == b.plus
            && a.minus == b.minus
    };
    a.urls == b.urls
        && a.caps == b.caps
        && a.catalogs.len() == b.catalogs.len()
        && a.catalogs.iter().zip(&b.catalogs).all(|(a, b)| alike(a, b))
}

#[cfg(test)]
mod tests;
