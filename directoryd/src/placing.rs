//! Placement at work: computed over all relays at once when anything that it follows from has changed, off the workers, and
//! kept with the generation of each relay's part of it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use odi_manifest::{PublicKey, Timestamp};
use odi_wire::message::{Assign, AssignedCatalog, Country, StateError, state};
use odi_wire::off_worker::off_worker;

use crate::directory::Directory;
use crate::heat::Hot;
use crate::network::Network;
use crate::placement::{Bearer, Drawn, Offer, hot_room, place_again, room};
use crate::relays::wants;
use crate::whereabouts::Site;

/// For how long a relay keeps an assignment when it hears nothing more.
const ASSIGNMENT_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// With more relays than this, what a plan follows from is looked at now and then: it is all of them, and hundreds announce
/// themselves in a second.
const FEW: usize = 64;
/// Between two such looks lies so long at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And so many times what the last one took, with the placement that came of it: what is hot changes with every second.
const LOOKS_PART: u32 = 20;
/// But no longer than so: a crowd is to have its holders within a minute.
const LOOKS_REST_MAX: Duration = Duration::from_secs(15);
/// For how long a silent relay's part is left to it: longer than a restart, an upgrade, or a cable that was pulled.
const LEFT_TO_IT: Duration = Duration::from_secs(3600);

/// The placement that holds now.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    current: Mutex<Arc<Plan>>,
    /// Until when nobody looks again at what it follows from.
    rests: Mutex<Option<Instant>>,
    /// Held while another is computed, with what was drawn for the last.
    computing: tokio::sync::Mutex<Drawn>,
}

/// What every relay is asked to hold.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// A digest of what it follows from; none before the first.
    basis: Option<u64>,
    assigned: HashMap<PublicKey, Assigned>,
}

/// What one relay is asked to hold.
#[derive(Clone, Debug)]
struct Assigned {
    /// Rises when the rest changes.
    generation: u64,
    catalogs: Vec<AssignedCatalog>,
}

/// A relay that is counted on.
#[derive(Debug, Hash)]
struct Applicant {
    relay: PublicKey,
    network: Network,
    operator: Option<String>,
    country: Option<Country>,
    room: u64,
    hot_room: u64,
    /// Positions among the offers.
    wanted: Vec<usize>,
}

/// All that a plan follows from.
#[derive(Debug, Hash)]
struct Basis {
    offers: Vec<Offer>,
    applicants: Vec<Applicant>,
    copies: usize,
    hot: Vec<Hot>,
}

impl Plan {
    /// Whether there is one yet.
    const fn is_there(&self) -> bool {
        self.basis.is_some()
    }

    /// The generation of what a relay is asked to hold; 0 while that is nothing, because its self-test has not passed.
    pub(crate) fn generation(&self, relay: &PublicKey) -> u64 {
        self.assigned.get(relay).map_or(0, |assigned| assigned.generation)
    }
}

impl Directory {
    /// The placement of the relays that are counted on now.
    pub(crate) async fn plan(&self) -> Arc<Plan> {
        if let Some(plan) = self.planned_now(self.clock.now()) {
            return plan;
        }
        let mut drawn = match self.placing.computing.try_lock() {
            Ok(drawn) => drawn,
            // Whoever waited would place once more as soon as this placement is done: what is hot changes with every second.
            Err(_) if self.are_many() && self.placing.last().is_there() => return self.placing.last(),
            Err(_) => self.placing.computing.lock().await,
        };
        let began = Instant::now();
        // Looked at again: another may have computed it meanwhile, and nobody may put what follows from less in its place.
        let now = self.clock.now();
        let basis = self.basis(now);
        let digest = digest(&basis);
        if let Some(plan) = self.placing.current(digest) {
            return plan;
        }
        let mut draws = std::mem::take(&mut *drawn);
        let placed;
        (placed, *drawn) = off_worker(move || (basis.place(&mut draws), draws)).await;
        let mut current = self.placing.current.lock().unwrap_or_else(PoisonError::into_inner);
        let assigned: HashMap<PublicKey, Assigned> = placed
            .into_iter()
            .map(|(relay, catalogs)| {
                let generation = match current.assigned.get(&relay) {
                    Some(last) if last.catalogs == catalogs => last.generation,
                    // The clock carries generations over restarts, where the last one is not known any more.
                    last => now.0.max(last.map_or(0, |last| last.generation) + 1),
                };
                (relay, Assigned { generation, catalogs })
            })
            .collect();
        let is_news = assigned.iter().any(|(relay, now)| current.generation(relay) != now.generation);
        *current = Arc::new(Plan { basis: Some(digest), assigned });
        self.placing.rest_since(began);
        if is_news {
            // Relays that were told of news in the meantime were told of the last plan.
            self.news.notify_one();
        }
        Arc::clone(&current)
    }

    /// The plan, if it follows from what is known at this moment, or a moment ago where there are many relays.
    fn planned_now(&self, now: Timestamp) -> Option<Arc<Plan>> {
        let began = Instant::now();
        let last = self.placing.last();
        if last.is_there() && self.are_many() && self.placing.rests(began) {
            return Some(last);
        }
        let plan = self.placing.current(digest(&self.basis(now)));
        self.placing.rest_since(began);
        plan
    }

    /// Whether there are so many relays that what a plan follows from is looked at now and then.
    fn are_many(&self) -> bool {
        self.relays.roster().members().len() > FEW
    }

    /// The signed assignment of a relay, if it has one.
    pub(crate) async fn assignment(&self, relay: &PublicKey) -> Option<Result<Vec<u8>, StateError>> {
        let plan = self.plan().await;
        let assigned = plan.assigned.get(relay)?;
        let assignment = Assign {
            v: 1,
            dir: self.identity.public_key(),
            relay: *relay,
            generation: assigned.generation,
            exp: self.clock.now().plus(ASSIGNMENT_LIFE),
            catalogs: assigned.catalogs.clone(),
        };
        Some(state(assignment, &self.identity))
    }

    fn basis(&self, now: Timestamp) -> Basis {
        let offers = self.offers();
        let roster = self.relays.roster();
        let applicants = roster.members().filter_map(|member| {
            let registration = member.registration().filter(|_| member.has_passed())?;
            if !member.is_counted_on(self.started, LEFT_TO_IT, now) {
                return None;
            }
            let wanted = (0..).zip(&offers).filter(|(_, offer)| wants(registration, offer)).map(|(at, _)| at);
            let place = registration.place.as_ref();
            let site = Site::of(place, self.geography.of(member.network()));
            let said = member.announced().and_then(|said| said.inventory.room()).unwrap_or(u64::MAX);
            Some(Applicant {
                relay: member.relay(),
                network: member.network(),
                operator: place.and_then(|place| place.operator.clone()),
                country: site.whereabouts.country,
                room: room(registration.disk, member.trial().stage()).min(said),
                hot_room: hot_room(registration.disk, member.trial().stage()),
                wanted: wanted.collect(),
            })
        });
        let applicants = applicants.collect();
        drop(roster);
        Basis { offers, applicants, copies: self.config.copies, hot: self.hot() }
    }
}

impl Placing {
    /// The plan that was computed last.
    fn last(&self) -> Arc<Plan> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    /// A look that began then is over.
    fn rest_since(&self, began: Instant) {
        let until = Instant::now() + (began.elapsed() * LOOKS_PART).clamp(LOOK_EVERY, LOOKS_REST_MAX);
        *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// The plan, if it follows from this.
    fn current(&self, basis: u64) -> Option<Arc<Plan>> {
        Some(self.last()).filter(|plan| plan.basis == Some(basis))
    }
}

impl Basis {
    fn place(&self, drawn: &mut Drawn) -> HashMap<PublicKey, Vec<AssignedCatalog>> {
        let bearers: Vec<Bearer<'_>> = self
            .applicants
            .iter()
            .map(|applicant| Bearer {
                relay: applicant.relay,
                network: applicant.network,
                operator: applicant.operator.as_deref(),
                country: applicant.country,
                room: applicant.room,
                hot_room: applicant.hot_room,
                wanted: applicant.wanted.iter().filter_map(|at| self.offers.get(*at)).collect(),
            })
            .collect();
        place_again(drawn, &bearers, self.copies, &self.hot)
    }
}

fn digest(basis: &Basis) -> u64 {
    let mut hasher = DefaultHasher::new();
    basis.hash(&mut hasher);
    hasher.finish()
}
