//! One relay: its proved registration, the one that waits beside it, its lease and its trial.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::client::Family;
use odi_wire::message::{
    CatalogInventory, CatalogPattern, DerivedKey, IdRanges, Inventory, PublicUrl, RATE_UNNAMED, RelayPlace,
};
use serde::{Deserialize, Serialize};

use super::{
    Action, Decision, Event, Examined, RosterLimits, RosterRefusal, Seen, Stage, Trial, Verdict, backoff,
};
use crate::network::Network;
use crate::select::{Reach, Ways};

/// No relay counts for more than one that offers 10 Gbit/s: what it says of itself is only a claim.
const WEIGHT_MAX: u64 = 1_250_000_000;

/// A relay's registration after every check that needs no network.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The relay's key.
    pub relay: PublicKey,
    /// Strictly rising.
    pub generation: u64,
    /// Where clients reach it: scheme and authority.
    pub urls: Vec<PublicUrl>,
    /// What this directory signs its requests to the relay with. The pre-shared key itself is not kept.
    pub request_key: DerivedKey,
    /// What the relay's answers to challenges are keyed with.
    pub answer_key: DerivedKey,
    /// Patterns of catalog names that it wants.
    pub catalogs: Vec<CatalogPattern>,
    /// Tags of catalogs that it wants.
    pub tags: Vec<String>,
    /// Bytes of disk that it offers.
    pub disk: u64,
    /// Bytes per second that it offers; 0 says nothing.
    pub rate: u64,
    /// Where it says that it stands.
    pub place: Option<RelayPlace>,
}

/// An inventory after every check that needs no roster.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// What the relay says that it holds: as large as its catalogs, and so shared.
    pub inventory: Arc<Inventory>,
    /// The envelope as it came, for others to verify.
    pub envelope: Bytes,
}

/// How an inventory came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// From the relay itself.
    Directly,
    /// Through another directory, which may have held it back for as long as it liked.
    PassedOn,
}

/// Where a relay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its URLs have not proved both keys.
    Unproven,
    /// Proved; it is tested, or has a small share, or too many probes have failed since.
    Probation,
    /// It takes traffic.
    Ready,
    /// It gave wrong bytes.
    Quarantined,
}

/// A registration whose challenge has not been answered.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What was registered.
    pub registration: Registration,
    from: Network,
    given_up: bool,
}

/// What looks at a relay came to, since it joined, moved or lied, or the directory started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// The right bytes came.
    pub matched: u64,
    /// No usable answer.
    pub failed: u64,
    /// The right bytes came to another relay.
    pub elsewhere: u64,
}

impl Looks {
    const fn none() -> Self {
        Self { matched: 0, failed: 0, elsewhere: 0 }
    }

    fn count(&mut self, event: Event<'_>) {
        match event {
            Event::ProbeMatched => self.matched = self.matched.saturating_add(1),
            Event::ProbeFailed(_) => self.failed = self.failed.saturating_add(1),
            Event::Lied(_) | Event::Moved => *self = Self::none(),
            _ => {}
        }
    }
}

/// One relay.
#[derive(Clone, Debug)]
pub struct Member {
    relay: PublicKey,
    network: Network,
    registered: Timestamp,
    proved: Option<Registration>,
    pending: Option<Pending>,
    /// Challenges that failed since one was answered, and when the next may go out: registering again changes neither.
    challenge_failures: u32,
    challenge_next: Timestamp,
    announced: Option<Announcement>,
    /// Kept beside `announced`, because leaving ends that and must not be undone by a replay.
    inventory_generation: u64,
    /// When it was last heard of: when it announced itself, or made what was passed on.
    heard: Timestamp,
    /// It said farewell, and has not come back by itself.
    left: bool,
    lease_until: Timestamp,
    trial: Trial,
    /// Over which families its URLs answered last.
    reach: Reach,
    looks: Looks,
    /// What the operator says.
    decision: Option<Decision>,
    /// Why the last challenge failed.
    unproved: Option<String>,
    /// The same of the operator's decision.
    barred: Option<String>,
}

impl Member {
    pub(super) fn new(registration: Registration, network: Network, now: Timestamp) -> Self {
        let relay = registration.relay;
        let pending = Pending { registration, from: network, given_up: false };
        Self { pending: Some(pending), ..Self::bare(relay, network, now) }
    }

    pub(super) fn restored(
        registration: Registration,
        network: Network,
        stage: Stage,
        now: Timestamp,
    ) -> Self {
        let relay = registration.relay;
        Self { proved: Some(registration), trial: Trial::at(stage), ..Self::bare(relay, network, now) }
    }

    const fn bare(relay: PublicKey, network: Network, registered: Timestamp) -> Self {
        Self {
            relay,
            network,
            registered,
            proved: None,
            pending: None,
            challenge_failures: 0,
            challenge_next: Timestamp(0),
            announced: None,
            inventory_generation: 0,
            heard: Timestamp(0),
            left: false,
            lease_until: Timestamp(0),
            trial: Trial::at(Stage::Untested),
            reach: Reach::NOTHING,
            looks: Looks::none(),
            decision: None,
            unproved: None,
            barred: None,
        }
    }

    /// The relay's key.
    #[must_use]
    pub const fn relay(&self) -> PublicKey {
        self.relay
    }

    /// From where it registered.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The highest generation of its registrations.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let generations = [
            self.proved.as_ref().map(|registration| registration.generation),
            self.pending.as_ref().map(|pending| pending.registration.generation),
        ];
        generations.into_iter().flatten().max().unwrap_or(0)
    }

    /// The proved registration.
    #[must_use]
    pub const fn registration(&self) -> Option<&Registration> {
        self.proved.as_ref()
    }

    /// The registration that waits for its challenge.
    #[must_use]
    pub const fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Whether a registration that came from that network waits for its challenge.
    pub(super) fn waits_from(&self, network: Network) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.from == network)
    }

    /// Its URLs: the proved ones, or else those it claims.
    #[must_use]
    pub fn urls(&self) -> &[PublicUrl] {
        let claimed = || self.pending.as_ref().map(|pending| &pending.registration);
        self.proved.as_ref().or_else(claimed).map_or(&[], |registration| &registration.urls)
    }

    /// Whether a challenge was ever answered.
    #[must_use]
    pub const fn is_proved(&self) -> bool {
        self.proved.is_some()
    }

    /// Whether its lease runs.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.lease_until
    }

    /// Whether what it holds is still left to it: it may be silent for so long. After a start of the directory nobody has been
    /// heard of yet; whoever says farewell is counted on no more.
    #[must_use]
    pub fn is_counted_on(&self, started: Timestamp, silent: Duration, now: Timestamp) -> bool {
        !self.left && now.since(self.lease_until.max(started)) <= silent
    }

    /// Until when it counts as alive.
    #[must_use]
    pub const fn lease_until(&self) -> Timestamp {
        self.lease_until
    }

    /// Whether it said farewell, and has not come back by itself.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.left
    }

    pub(super) const fn had_left(&mut self) {
        self.left = true;
    }

    /// The generation of its last statement about what it holds.
    #[must_use]
    pub const fn inventory_generation(&self) -> u64 {
        self.inventory_generation
    }

    /// For how long it has not been heard of, if others may have heard of it meanwhile: of a relay that is proved, wanted here
    /// and has not left.
    #[must_use]
    pub fn silent_for(&self, now: Timestamp) -> Option<Duration> {
        (self.is_proved() && !self.left && !self.is_barred()).then(|| now.since(self.heard))
    }

    /// What it has shown.
    #[must_use]
    pub const fn trial(&self) -> &Trial {
        &self.trial
    }

    /// What looks at it came to.
    #[must_use]
    pub const fn looks(&self) -> Looks {
        self.looks
    }

    pub(super) const fn seen_elsewhere(&mut self) {
        self.looks.elsewhere = self.looks.elsewhere.saturating_add(1);
    }

    /// It is left alone for that much of the rest that its trial has after a look that matched.
    pub(super) fn rest(&mut self, draw: u32, now: Timestamp, limits: &RosterLimits) {
        self.trial.rest(draw, now, limits);
    }

    /// Why it is not ready, for its operator.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        let waits = || {
            let waits = self.is_proved() && self.trial.stage() == Stage::Untested;
            waits.then_some("its self-test begins once it says that it holds the catalog odi-selftest")
        };
        self.barred.as_deref().or(self.unproved.as_deref()).or_else(|| self.trial.reason()).or_else(waits)
    }

    /// Over which families its URLs answered last.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// How clients reach it.
    #[must_use]
    pub fn ways(&self) -> Ways {
        Ways::of(self.registration().map_or(&[], |registration| &registration.urls), &self.reach)
    }

    /// One of its URLs answered over a family, or did not. Whether that is news.
    pub(super) fn reached(&mut self, url: &PublicUrl, family: Family, answered: bool) -> bool {
        let is_its_own = self.registration().is_some_and(|registration| registration.urls.contains(url));
        is_its_own && self.reach.note(url, family, answered)
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.trial.standing(now) {
            _ if self.is_barred() => Standing::Quarantined,
            Standing::Quarantined => Standing::Quarantined,
            _ if !self.is_proved() => Standing::Unproven,
            standing => standing,
        }
    }

    /// Lets something happen to its trial.
    pub(super) fn on(&mut self, event: Event<'_>, now: Timestamp, limits: &RosterLimits) -> Option<Action> {
        let (trial, action) = self.after(event, now, limits);
        self.trial = trial;
        self.looks.count(event);
        action
    }

    /// Its trial after an event, as far as the operator leaves that to it.
    pub(super) fn after(
        &self,
        event: Event<'_>,
        now: Timestamp,
        limits: &RosterLimits,
    ) -> (Trial, Option<Action>) {
        let (trial, action) = self.trial.clone().on(event, now, limits);
        let is_approved = self.decision.as_ref().is_some_and(|said| said.verdict == Verdict::Approved);
        if is_approved && let Some(vouched) = trial.vouched_for() {
            return (vouched, Some(Action::Write));
        }
        (trial, action)
    }

    pub(super) fn decide(&mut self, decision: Option<Decision>) {
        self.barred = decision.as_ref().and_then(Decision::words);
        self.decision = decision;
    }

    /// What the operator has decided about it.
    #[must_use]
    pub const fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Whether the operator has shut it out.
    #[must_use]
    pub const fn is_barred(&self) -> bool {
        self.barred.is_some()
    }

    /// Whether something may be assigned to it, and its word counts: its self-test has passed, and the operator has not shut it out.
    #[must_use]
    pub const fn has_passed(&self) -> bool {
        self.trial.has_passed() && !self.is_barred()
    }

    /// What can be looked at now.
    pub(super) fn seen(&self, examined: &Examined, now: Timestamp) -> Seen {
        let said = self.announced.as_ref().map(|said| said.inventory.catalogs.as_slice()).unwrap_or_default();
        let is_whole = |holding: &CatalogInventory| {
            holding.full.is_some() && holding.minus.is_empty() && holding.ranges == IdRanges::all()
        };
        Seen {
            alive: self.is_proved() && self.is_alive(now) && !self.is_barred(),
            test: said.iter().any(|holding| examined.selftest == Some(holding.cat) && is_whole(holding)),
            probe: said
                .iter()
                .any(|holding| holding.full.is_some() && examined.followed.contains(&holding.cat)),
        }
    }

    /// What it says that it holds of a catalog.
    #[must_use]
    pub fn holding(&self, catalog: &CatalogId) -> Option<&CatalogInventory> {
        self.announced.as_ref()?.inventory.catalog(catalog)
    }

    /// Its last inventory.
    #[must_use]
    pub const fn announced(&self) -> Option<&Announcement> {
        self.announced.as_ref()
    }

    /// Its share of clients beside others': what it says that it gives now, else what it registered, as far as its trial
    /// lets it. `None` if it takes no new ones.
    #[must_use]
    pub fn weight(&self) -> Option<u64> {
        self.full_weight().map(|full| self.trial.weight(full))
    }

    /// What its share would be if it had nothing more to show.
    #[must_use]
    pub fn full_weight(&self) -> Option<u64> {
        let registered = self.proved.as_ref().map(|registration| registration.rate).filter(|rate| *rate > 0);
        let said = self.announced.as_ref().and_then(|announced| announced.inventory.rate());
        let rate = said.or(registered).unwrap_or(RATE_UNNAMED);
        (rate > 0).then(|| rate.min(WEIGHT_MAX))
    }

    pub(super) fn propose(&mut self, registration: Registration, from: Network) {
        self.pending = Some(Pending { registration, from, given_up: false });
    }

    pub(super) fn proved(&mut self, generation: u64, now: Timestamp, limits: &RosterLimits) -> bool {
        match self.pending.take() {
            Some(pending) if pending.registration.generation == generation => {
                let moved =
                    self.proved.as_ref().is_none_or(|former| former.urls != pending.registration.urls);
                if moved {
                    self.on(Event::Moved, now, limits);
                }
                self.challenge_failures = 0;
                self.challenge_next = now;
                self.reach.keep(&pending.registration.urls);
                self.proved = Some(pending.registration);
                if self.announced.as_ref().is_some_and(|said| !self.has_proved(&said.inventory.urls)) {
                    // Others would be told of URLs that it has given up.
                    self.announced = None;
                }
                self.unproved = None;
                true
            }
            other => {
                // An older one was answered: nothing speaks against asking for the newer one now.
                self.challenge_next = now;
                self.pending = other;
                false
            }
        }
    }

    pub(super) fn challenge_failed(
        &mut self,
        generation: u64,
        why: &str,
        now: Timestamp,
        limits: &RosterLimits,
    ) {
        self.challenge_failures = self.challenge_failures.saturating_add(1);
        self.challenge_next = now.plus(backoff(limits.retry, limits.retry_max, self.challenge_failures));
        let Some(pending) = &mut self.pending else { return };
        if pending.registration.generation == generation {
            pending.given_up = self.challenge_failures >= limits.challenges;
            self.unproved = Some(why.to_owned());
        }
    }

    fn has_proved(&self, urls: &[PublicUrl]) -> bool {
        self.proved.as_ref().is_some_and(|proved| urls.iter().all(|url| proved.urls.contains(url)))
    }

    /// Takes an inventory; `None` if nothing is kept of it, because the relay has not proved the URLs that it names yet.
    pub(super) fn announce(
        &mut self,
        announcement: Announcement,
        came: Came,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, RosterRefusal> {
        if !self.is_proved() {
            return Ok(None);
        }
        if self.left && came == Came::PassedOn {
            return Err(RosterRefusal::Left);
        }
        if !self.has_proved(&announcement.inventory.urls) {
            return Err(RosterRefusal::UnprovenUrls);
        }
        self.rises(announcement.inventory.generation)?;
        self.inventory_generation = announcement.inventory.generation;
        let (made, expires) = (announcement.inventory.t, announcement.inventory.exp);
        self.heard = match came {
            Came::Directly => now,
            // Whoever held it back gains nothing by that.
            Came::PassedOn => made.min(now).max(self.heard),
        };
        self.left = false;
        self.lease_until = self.heard.plus(lease).min(expires);
        self.announced = Some(announcement);
        self.trial.heard(now);
        Ok(Some(self.lease_until))
    }

    /// See [`Trial::keep_to`].
    pub(super) fn keep_to(&mut self, now: Timestamp, limits: &RosterLimits) {
        self.heard = self.heard.min(now);
        self.lease_until = self.lease_until.min(now.plus(limits.lease));
        self.challenge_next = self.challenge_next.min(now.plus(limits.retry_max.max(limits.under_way)));
        self.trial.keep_to(now, limits);
    }

    pub(super) fn leave(&mut self, generation: u64) -> Result<(), RosterRefusal> {
        self.rises(generation)?;
        self.inventory_generation = generation;
        self.lease_until = Timestamp(0);
        self.left = true;
        self.announced = None;
        Ok(())
    }

    const fn rises(&self, generation: u64) -> Result<(), RosterRefusal> {
        let known = self.inventory_generation;
        if generation > known { Ok(()) } else { Err(RosterRefusal::StaleGeneration { known }) }
    }

    /// Takes the pending registration if its challenge is to be sent now, and marks that as under way. `admit` says for
    /// a host that it gets another challenge, or how long it is spared.
    pub(super) fn take_challenge(
        &mut self,
        limits: &RosterLimits,
        now: Timestamp,
        mut admit: impl FnMut(&str) -> Result<(), Duration>,
    ) -> Option<Registration> {
        let pending = self.pending.as_ref().filter(|pending| !pending.given_up)?;
        if self.challenge_next > now {
            return None;
        }
        for url in &pending.registration.urls {
            if let Err(wait) = admit(url.to_url().host_str().unwrap_or_default()) {
                self.challenge_next = now.plus(wait);
                self.unproved = Some("too many challenges go to that host; this one waits".to_owned());
                return None;
            }
        }
        self.challenge_next = now.plus(limits.under_way);
        Some(pending.registration.clone())
    }

    /// Whether it is to be forgotten.
    pub(super) fn has_lapsed(&self, limits: &RosterLimits, now: Timestamp) -> bool {
        let silent_since = self.lease_until.max(self.registered);
        match (&self.proved, &self.pending) {
            (None, Some(pending)) => pending.given_up,
            (None, None) => true,
            (Some(_), _) => now.since(silent_since) > limits.forget,
        }
    }

    pub(super) fn drop_given_up(&mut self) {
        if self.pending.as_ref().is_some_and(|pending| pending.given_up) {
            self.pending = None;
            self.unproved = None;
            // The next registration gets one challenge, after the longest wait.
            self.challenge_failures = self.challenge_failures.saturating_sub(1);
        }
    }
}
