//! The course of one stripe, or of one small blob: whom to ask, what to make of the answer, whom to ask then.
//!
//! The decisions are [`sourcing`](crate::sourcing)'s; this keeps what they need to know: who failed here, who said that
//! the bytes are coming, and since when nothing has come.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::CHUNK_BYTES;
use odi_wire::fetch::{
    FetchError, FetchLimits, Fetched, Fetcher, PULL_HOLD, Party, Pull, Report, Source as Place, SourceFault,
};
use odi_wire::route::pinned_path;
use tokio::time::Instant;

use super::origin_turns::Turn;
use super::ranks::Ranks;
use super::{Fill, Job};
use crate::peers::Peer;
use crate::sourcing::{HOLDERS_TRIED_MAX, Outlook, Step, better_first, patience};

/// How long a relay that is asked may be silent, beyond the time for which it may hold its answer.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How long the body of its answer may stall: it sends only what it has.
const STALL_MAX: Duration = Duration::from_secs(2);
/// The longest that a busy relay is left alone before it, or another, is asked again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// After so many answers in a row that it is busy, a home is given up for the next one.
const BUSY_MAX: u32 = 8;

/// See the module.
pub(super) struct Course<'f> {
    fill: &'f Fill,
    job: &'f Job,
    stripe: u32,
    peers: Vec<Arc<Peer>>,
    order: Vec<usize>,
    holders: Vec<usize>,
    tree: bool,
    homes_failed: usize,
    coming: u32,
    busy: u32,
    came_on: Instant,
    /// Who refused what it announced; that counts once somebody else had it.
    refused: Vec<Party>,
    asked: usize,
    origin_failed: bool,
    /// Who had other bytes than the catalog says.
    wrong: Vec<Party>,
}

impl<'f> Course<'f> {
    /// Everybody asks the home.
    pub(super) fn to_home(fill: &'f Fill, job: &'f Job, stripe: u32) -> Self {
        Self::new(fill, job, stripe, false)
    }

    /// What the home has is spread through a tree.
    pub(super) fn through_tree(fill: &'f Fill, job: &'f Job, stripe: u32) -> Self {
        Self::new(fill, job, stripe, true)
    }

    fn new(fill: &'f Fill, job: &'f Job, stripe: u32, tree: bool) -> Self {
        let (blob, head) = (&job.wanted.blob, job.head());
        let Ranks { peers, order } = Ranks::of(fill, job, stripe);
        let sources = fill.sources();
        let holds =
            |at: &usize| head.is_some_and(|head| peers.get(*at).is_some_and(|peer| peer.holds(blob, &head)));
        let holders: Vec<usize> = (0..peers.len()).filter(holds).collect();
        let service =
            |at: usize| peers.get(at).map(|peer| sources.service(peer.party().as_str())).unwrap_or_default();
        let mut holders = better_first(&holders, service, fill.draw());
        holders.truncate(HOLDERS_TRIED_MAX);
        drop(sources);
        Self {
            fill,
            job,
            stripe,
            peers,
            order,
            holders,
            tree,
            homes_failed: 0,
            coming: 0,
            busy: 0,
            came_on: Instant::now(),
            refused: Vec::new(),
            asked: 0,
            origin_failed: false,
            wrong: Vec::new(),
        }
    }

    /// Whom to ask now for a slice.
    pub(super) fn next(&self, slice: u32) -> Option<Step> {
        if self.origin_failed {
            return None;
        }
        let outlook = Outlook {
            me: self.peers.len(),
            order: &self.order,
            holders: &self.holders,
            homes_failed: self.homes_failed,
            asked_as_home: self.fill.flights.is_asked_for(&self.job.wanted.blob, self.stripe),
            coming: self.coming,
            tree: self.tree,
        };
        let step = outlook.next(slice);
        if step == Some(Step::Origin) {
            let rank = self.order.iter().position(|at| *at == self.peers.len());
            let (asked, homes_failed) = (outlook.asked_as_home, self.homes_failed);
            let (blob, stripe, known) = (&self.job.wanted.blob, self.stripe, self.order.len());
            tracing::debug!(%blob, stripe, rank, asked, homes_failed, known, "asks the origin");
        }
        step
    }

    /// Where a step goes; `of_home` is what a home is asked for.
    pub(super) fn places(&self, step: Step, of_home: Pull) -> Vec<Place> {
        let pull = match step {
            Step::Home(_) => of_home,
            _ if of_home == Pull::List => Pull::List,
            _ => Pull::Held,
        };
        match step.relay() {
            Some(relay) => {
                let path = pinned_path(&self.job.pin, self.job.path.as_str());
                let peer = self.peers.get(relay);
                peer.and_then(|peer| Some(Place::pull(peer.url.to_url().join(&path).ok()?, pull)))
                    .into_iter()
                    .collect()
            }
            None => self.job.at_origins(),
        }
    }

    /// Everybody who may have the blob whole, best first.
    pub(super) fn all_places(&self) -> Vec<Place> {
        let blob = &self.job.wanted.blob;
        let held = self.holders.iter().filter_map(|at| self.peers.get(*at));
        let held = held.map(|peer| Place::by_content(&peer.url.to_url(), blob));
        held.chain(self.places(Step::Origin, Pull::Home)).collect()
    }

    /// The fetcher for a step, under the limits of whom it asks.
    pub(super) fn fetcher(&self, step: Step) -> Fetcher {
        if step == Step::Origin {
            return self.fill.fetcher.clone();
        }
        let usual = self.fill.fetcher.limits();
        let limits = FetchLimits { reply: PULL_HOLD + SILENCE_MAX, stall: STALL_MAX, ..usual.clone() };
        Fetcher::new(Arc::clone(&self.fill.network), limits)
    }

    /// Waits until these places may be asked, if origins are among them.
    pub(super) async fn turn(&self, places: &[Place], is_stripe: bool) -> Option<Turn<'f>> {
        let to_origin = places.iter().any(|place| self.job.is_origin(&Party::of(&place.url)));
        if to_origin { Some(self.fill.origin_turns.take(is_stripe).await) } else { None }
    }

    /// Runs a fetch and notes how its sources served.
    pub(super) async fn measured<T, F>(&self, places: &[Place], fetch: impl FnOnce() -> F) -> Fetched<T>
    where
        F: Future<Output = Fetched<T>>,
    {
        let parties: Vec<Party> = places.iter().map(|place| Party::of(&place.url)).collect();
        let _turn = self.turn(places, self.job.wanted.size > CHUNK_BYTES).await;
        if let Some(first) = parties.first() {
            self.fill.sources().began(first.as_str());
        }
        let began = Instant::now();
        let fetched = fetch().await;
        let of = parties.first().map(Party::as_str);
        let bytes = fetched.report.delivered.iter().sum::<u64>();
        tracing::trace!(blob = %self.job.wanted.blob, stripe = self.stripe, of, bytes, took = ?began.elapsed(), "asked");
        let mut sources = self.fill.sources();
        for (position, party) in parties.iter().enumerate() {
            let of = |bytes: &[u64]| bytes.get(position).copied().unwrap_or(0);
            let (bytes, received) = (of(&fetched.report.delivered), of(&fetched.report.received));
            let failed = fetched.report.faults.iter().any(|(at, fault)| *at == position && is_failure(fault));
            if bytes > 0 || failed || position == 0 {
                sources.ended(party.as_str(), bytes, received, began.elapsed(), failed);
            }
        }
        fetched
    }

    /// Takes in how a step ended: with what was fetched, or with nothing, and then the next step is another or comes later.
    pub(super) async fn learn<T>(
        &mut self,
        step: Step,
        places: &[Place],
        fetched: Fetched<T>,
    ) -> Result<Option<T>, FetchError> {
        self.asked += places.len();
        self.convict(&fetched.report);
        if fetched.report.delivered.iter().any(|bytes| *bytes > 0) {
            self.came_on = Instant::now();
            (self.coming, self.busy) = (0, 0);
            let (mut sources, now) = (self.fill.sources(), self.fill.clock.now());
            self.refused.drain(..).for_each(|party| sources.refused(party.as_str(), now));
            for (place, _) in places.iter().zip(&fetched.report.delivered).filter(|(_, bytes)| **bytes > 0) {
                sources.acquit(&self.job.wanted.blob, Party::of(&place.url).as_str());
            }
        }
        match fetched.result {
            Ok(got) => return Ok(Some(got)),
            Err(FetchError::NoSource { .. }) => {}
            // What is wrong is not the source.
            Err(error) => return Err(error),
        }
        for party in disputing(&fetched.report, places) {
            self.fill.sources().accuse(&self.job.wanted.blob, party.as_str());
            self.wrong.push(party);
        }
        for (position, fault) in &fetched.report.faults {
            let place = places.get(*position).map(|place| place.url.as_str());
            tracing::debug!(?step, place, %fault, "in vain");
        }
        match (step.relay(), fetched.report.faults.last().map(|(_, fault)| fault)) {
            (None, _) => {
                self.note_drift(&self.wrong);
                self.origin_failed = true;
            }
            (Some(relay), Some(SourceFault::Coming)) => self.wait_for(step, relay),
            (Some(relay), Some(SourceFault::Busy { retry_after })) => {
                self.busy += 1;
                if self.busy >= BUSY_MAX {
                    self.was_refused(step, relay);
                } else {
                    let pause = retry_after.unwrap_or(BUSY_PAUSE).min(BUSY_PAUSE);
                    self.wait_for(step, relay);
                    tokio::time::sleep(pause).await;
                }
            }
            (Some(relay), None | Some(SourceFault::Absent(_))) => self.was_refused(step, relay),
            (Some(relay), Some(_)) => {
                if let Some(peer) = self.peers.get(relay) {
                    self.fill.sources().shun(peer.party().as_str(), self.fill.clock.now());
                }
                self.give_up(step, relay);
            }
        }
        Ok(None)
    }

    /// The bytes are on their way there. Holders have all of it or nothing; others are waited for, a home not for ever.
    fn wait_for(&mut self, step: Step, relay: usize) {
        self.coming += 1;
        let too_long = self.came_on.elapsed() > patience(self.fill.sources().median_stripe());
        let is_home = matches!(step, Step::Home(_));
        if is_home
            && too_long
            && let Some(peer) = self.peers.get(relay)
        {
            let (blob, stripe) = (&self.job.wanted.blob, self.stripe);
            tracing::debug!(%blob, stripe, home = %peer.url, "only ever says that the bytes are coming");
            self.fill.sources().shun(peer.party().as_str(), self.fill.clock.now());
        }
        if matches!(step, Step::Holder(_)) || (is_home && too_long) {
            self.give_up(step, relay);
        }
    }

    /// It said that it fills or holds this, and says now that it does not, or nothing of use for long.
    fn was_refused(&mut self, step: Step, relay: usize) {
        self.refused.extend(self.peers.get(relay).map(|peer| peer.party()));
        self.give_up(step, relay);
    }

    fn give_up(&mut self, step: Step, relay: usize) {
        self.holders.retain(|holder| *holder != relay);
        if matches!(step, Step::Holder(_)) {
            return;
        }
        self.order.retain(|ranked| *ranked != relay);
        (self.coming, self.busy) = (0, 0);
        if matches!(step, Step::Home(_)) {
            self.homes_failed += 1;
            self.came_on = Instant::now();
        }
    }

    /// How a course ends that found nobody.
    pub(super) fn in_vain(&self) -> FetchError {
        let blob = self.job.wanted.blob;
        if self.wrong.first().is_some_and(|first| self.wrong.iter().any(|party| party != first)) {
            return FetchError::BadEntry { blob };
        }
        FetchError::NoSource { blob, asked: self.asked }
    }

    /// Bans relays that had wrong bytes, now that another source had the right ones.
    pub(super) fn convict(&self, report: &Report) {
        for guilty in &report.guilty {
            self.fill.ban(self.job, guilty.as_str());
        }
    }

    /// Notes that the origin itself has other bytes than were signed.
    pub(super) fn note_drift(&self, wrong: &[Party]) {
        if wrong.iter().any(|party| self.job.is_origin(party)) {
            self.job.catalog.accounts().drifted(&self.job.path);
        }
    }
}

/// Whether a fault says that a source serves badly, rather than that it has nothing now.
const fn is_failure(fault: &SourceFault) -> bool {
    !matches!(fault, SourceFault::Coming | SourceFault::Absent(_))
}

/// Who had other bytes than the catalog says.
pub(super) fn disputing(report: &Report, places: &[Place]) -> Vec<Party> {
    let disputes = report.faults.iter().filter(|(_, fault)| fault.disputes_content());
    disputes.filter_map(|(position, _)| places.get(*position)).map(|place| Party::of(&place.url)).collect()
}
