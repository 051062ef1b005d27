//! Placement at work: computed over all relays at once when anything that it follows from has changed, off the workers, and
//! kept with the generation of each relay's part of it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odi_manifest::{PublicKey, Timestamp};
use odi_wire::message::{Assign, AssignedCatalog, StateError, state};
use odi_wire::off_worker::off_worker;

use crate::directory::Directory;
use crate::heat::Hot;
use crate::network::Network;
use crate::placement::{Bearer, Offer, hot_room, place, room};
use crate::relays::wants;

/// For how long a relay keeps an assignment when it hears nothing more.
const ASSIGNMENT_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// For how long a silent relay's part is left to it: longer than a restart, an upgrade, or a cable that was pulled.
const LEFT_TO_IT: Duration = Duration::from_secs(3600);

/// The placement that holds now.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    current: Mutex<Arc<Plan>>,
    /// Held while another is computed.
    computing: tokio::sync::Mutex<()>,
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
    /// The generation of what a relay is asked to hold; 0 while that is nothing, because its self-test has not passed.
    pub(crate) fn generation(&self, relay: &PublicKey) -> u64 {
        self.assigned.get(relay).map_or(0, |assigned| assigned.generation)
    }
}

impl Directory {
    /// The placement of the relays that are counted on now.
    pub(crate) async fn plan(&self) -> Arc<Plan> {
        if let Some(plan) = self.placing.current(digest(&self.basis(self.clock.now()))) {
            return plan;
        }
        let _alone = self.placing.computing.lock().await;
        // Looked at again: another may have computed it meanwhile, and nobody may put what follows from less in its place.
        let now = self.clock.now();
        let basis = self.basis(now);
        let digest = digest(&basis);
        if let Some(plan) = self.placing.current(digest) {
            return plan;
        }
        let placed = off_worker(move || basis.place()).await;
        let mut current = self.placing.current.lock().unwrap_or_else(PoisonError::into_inner);
        let assigned = placed
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
        *current = Arc::new(Plan { basis: Some(digest), assigned });
        Arc::clone(&current)
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
            Some(Applicant {
                relay: member.relay(),
                network: member.network(),
                room: room(registration.disk, member.trial().stage()),
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
    /// The plan, if it follows from this.
    fn current(&self, basis: u64) -> Option<Arc<Plan>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (current.basis == Some(basis)).then(|| Arc::clone(&current))
    }
}

impl Basis {
    fn place(&self) -> HashMap<PublicKey, Vec<AssignedCatalog>> {
        let bearers: Vec<Bearer<'_>> = self
            .applicants
            .iter()
            .map(|applicant| Bearer {
                relay: applicant.relay,
                network: applicant.network,
                room: applicant.room,
                hot_room: applicant.hot_room,
                wanted: applicant.wanted.iter().filter_map(|at| self.offers.get(*at)).collect(),
            })
            .collect();
        place(&bearers, self.copies, &self.hot)
    }
}

fn digest(basis: &Basis) -> u64 {
    let mut hasher = DefaultHasher::new();
    basis.hash(&mut hasher);
    hasher.finish()
}
