//! The task that tends relays and states: sends challenges, self-tests and probes that fall due, lets states be served when the rules
//! say so, compares how relays are used, notes what becomes of them, forgets what has lapsed, and warns of what will.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{CatalogInventory, Inventory};
use odi_wire::off_worker::off_worker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Outcome};
use crate::catalog::lifetime;
use crate::catalog::view::State;
use crate::challenge;
use crate::directory::Directory;
use crate::history::Condition;
use crate::probing::{self, Finding, Lie};
use crate::roster::{Due, Event, Member, Registration, Room};
use crate::select;
use crate::selftest::checks;
use crate::state_rules;

/// How often the roster and the waiting states are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often what relays were sent is compared with what they could take.
const BALANCED_EVERY: Duration = Duration::from_secs(60);
/// How often what became of relays is looked at.
const NOTED_EVERY: Duration = Duration::from_secs(5);
/// A look goes over all relays; between two that are called for lies so many times what the first one took, at least.
const LOOKS_PART: u32 = 20;
/// Up to so long, ever so many times that: with a thousand relays somebody calls all the time, and nobody waits for a tenth of a second.
const LOOKS_REST: Duration = Duration::from_millis(250);
const LOOKS_REST_PART: u32 = 100;
/// Challenges, self-tests and probes under way at once.
const AT_ONCE: Room = Room { challenges: 64, tests: 8, probes: 64 };
/// How long before a self-test counts as lost it is ended.
const TEST_END: Duration = Duration::from_secs(30);

/// What is under way, of each kind.
struct Turns {
    challenges: Arc<Semaphore>,
    tests: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

impl Turns {
    fn new(at_once: Room) -> Self {
        let turns = |count| Arc::new(Semaphore::new(count));
        Self {
            challenges: turns(at_once.challenges),
            tests: turns(at_once.tests),
            probes: turns(at_once.probes),
        }
    }

    fn left(&self) -> Room {
        Room {
            challenges: self.challenges.available_permits(),
            tests: self.tests.available_permits(),
            probes: self.probes.available_permits(),
        }
    }

    /// The turn of an errand for which there was room; it ends when that is dropped.
    fn take(&self, due: &Due) -> Option<OwnedSemaphorePermit> {
        let turns = match due {
            Due::Challenge(_) => &self.challenges,
            Due::Test(_) => &self.tests,
            Due::Probe(_) => &self.probes,
        };
        Arc::clone(turns).try_acquire_owned().ok()
    }
}

async fn run(directory: Arc<Directory>, due: Due, turn: Option<OwnedSemaphorePermit>) {
    match due {
        Due::Challenge(registration) => challenge(directory, *registration).await,
        Due::Test(relay) => test_relay(directory, relay).await,
        Due::Probe(relay) => probe_relay(directory, relay, turn).await,
    }
}

/// Tends until `stop` is cancelled; joins what it started.
pub(crate) async fn tend(directory: Arc<Directory>, stop: CancellationToken) {
    let mut errands = JoinSet::new();
    let turns = Turns::new(AT_ONCE);
    let mut known_hot = Vec::new();
    let mut balanced = directory.clock.now();
    let mut noted = balanced;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut rested = Instant::now();
    loop {
        let is_tick = tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => true,
            () = called(&directory, rested) => false,
            Some(joined) = errands.join_next(), if !errands.is_empty() => {
                if let Err(error) = joined {
                    tracing::error!(%error, "BUG: a challenge, self-test or probe panicked");
                }
                continue;
            }
        };
        let (now, began) = (directory.clock.now(), Instant::now());
        let due = directory.relays.roster().due(turns.left(), now);
        let took = began.elapsed();
        rested = began + (took * LOOKS_PART).max((took * LOOKS_REST_PART).min(LOOKS_REST));
        for due in due {
            let turn = turns.take(&due);
            errands.spawn(run(Arc::clone(&directory), due, turn));
        }
        serve_ready_states(&directory).await;
        if !is_tick {
            continue;
        }
        let lapsed = directory.relays.roster().sweep(now);
        directory.relays.forget(lapsed).await;
        directory.reports.keep(&directory, now).await;
        directory.reports.forget(now).await;
        if let Err(error) = directory.selftest.keep_fresh(&directory).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the self-test catalog grows old");
        }
        directory.catalogs().iter().for_each(|catalog| lifetime::look(catalog, now));
        directory.peers.iter().for_each(|peer| peer.warn_of_lags(&directory, now));
        if now.since(balanced) >= BALANCED_EVERY {
            balance(&directory, now);
            balanced = now;
        }
        if now.since(noted) >= NOTED_EVERY {
            let noting = Arc::clone(&directory);
            off_worker(move || note(&noting, now)).await;
            noted = now;
        }
        let hot = directory.hot();
        if hot != known_hot {
            // Relays that are to hold it hear of it now, not when they announce themselves next.
            directory.news.notify_one();
            known_hot = hot;
        }
    }
    errands.shutdown().await;
}

/// Something about relays may be due, and the last look is long enough ago.
async fn called(directory: &Directory, rested: Instant) {
    // In this order: a call that comes meanwhile is still there afterwards.
    tokio::time::sleep_until(rested).await;
    directory.relays_due.notified().await;
}

/// Compares what relays were sent with what they could take.
fn balance(directory: &Directory, now: Timestamp) {
    let roster = directory.relays.roster();
    let weights = roster.selectable(now).filter_map(|member| Some((member.relay(), member.weight()?)));
    let weights: Vec<(PublicKey, u64)> = weights.collect();
    drop(roster);
    directory.balance().turn(&weights);
}

/// Notes which relays are otherwise than they were. Who has not announced itself since this directory started may just not have
/// had the time to.
fn note(directory: &Directory, now: Timestamp) {
    let roster = directory.relays.roster();
    let starts = now.since(directory.started) < roster.limits().lease;
    let seen = roster.members().map(|member| (member.relay(), Condition::of(member, now)));
    let seen: BTreeMap<PublicKey, Condition> = seen.collect();
    drop(roster);
    let changed = directory.statistics.histories().changed(&seen);
    for relay in changed {
        let why =
            directory.relays.roster().member(&relay).and_then(|member| member.reason().map(str::to_owned));
        let Some(condition) = seen.get(&relay).filter(|seen| !(starts && **seen == Condition::Silent)) else {
            continue;
        };
        directory.statistics.histories().note(relay, *condition, why.as_deref(), now);
    }
}

/// Lets the newest adopted state that the rules allow take over, and drops states whose time is up.
async fn serve_ready_states(directory: &Directory) {
    let now = directory.clock.now();
    for catalog in directory.catalogs() {
        if catalog.view().waiting() == 0 {
            if catalog.turn_over(now, |_| false) {
                directory.upkeep_due.notify_one();
            }
            continue;
        }
        let relays = directory.inventories_of(&catalog.id(), now);
        let expected = directory.relays_expected(&catalog.id(), now);
        // Thousands of changed blobs are looked for at every relay.
        let turned = off_worker(move || {
            let id = catalog.id();
            let holdings: Vec<&CatalogInventory> =
                relays.iter().filter_map(|inventory| inventory.catalog(&id)).collect();
            catalog.turn_over(now, |state| may_serve(state, &holdings, expected, now))
        })
        .await;
        if turned {
            directory.upkeep_due.notify_one();
        }
    }
}

fn may_serve(state: &State, holdings: &[&CatalogInventory], expected: usize, now: Timestamp) -> bool {
    // A relay that lists the catalog and was assigned nothing of it will never hold what a state waits for.
    let taking_part = |holding: &&&CatalogInventory| !(holding.ranges.is_empty() && holding.plus.is_empty());
    let relays = holdings.iter().filter(taking_part).count().max(expected);
    let holders = |blob| holdings.iter().filter(|holding| select::holds(holding, blob, &[state.id])).count();
    let (adopted, carried) = (state.adopted, state.change.is_carried());
    match state.change.large.as_deref() {
        // Too many to look at one by one: only time decides, or that nobody follows.
        None => state_rules::may_serve(adopted, now, carried, relays, std::iter::once(0)),
        Some(changed) => state_rules::may_serve(adopted, now, carried, relays, changed.iter().map(holders)),
    }
}

async fn challenge(directory: Arc<Directory>, registration: Registration) {
    let (relay, generation) = (registration.relay, registration.generation);
    let outcome = challenge::challenge(&directory, &registration).await;
    let now = directory.clock.now();
    let failure = match outcome {
        Ok(()) => match directory.relays.proved(registration, now).await {
            Ok(_) => {
                tracing::info!(%relay, "a relay proved its URLs");
                directory.relays_due.notify_one();
                return;
            }
            Err(error) => {
                tracing::error!(%error, %relay, "a proved registration could not be written");
                "this directory could not write the registration".to_owned()
            }
        },
        Err(why) => why,
    };
    tracing::info!(%relay, why = failure, "a challenge failed");
    directory.relays.roster().challenge_failed(&relay, generation, &failure, now);
}

async fn probe_relay(directory: Arc<Directory>, relay: PublicKey, turn: Option<OwnedSemaphorePermit>) {
    let plan = directory.plan_look();
    let finding = probing::look(&directory, &relay, plan).await;
    let (event, outcome) = match &finding {
        Finding::Matched => (Event::ProbeMatched, Outcome::Matched),
        Finding::Failed(why) => {
            tracing::info!(%relay, why, "a probe failed");
            (Event::ProbeFailed(why), Outcome::Failed)
        }
        Finding::Lied(lie) => {
            tracing::warn!(%relay, why = lie.words, "a relay lied and is quarantined");
            (Event::Lied(&lie.words), Outcome::Lied)
        }
    };
    directory.audits.count(outcome);
    let now = directory.clock.now();
    directory.relays.on(&relay, event, now).await;
    directory.relays.roster().rest(&relay, directory.draw(), now);
    // The next probe of a relay on probation may be due at once.
    directory.relays_due.notify_one();
    drop(turn);
    match finding {
        Finding::Matched if plan.through_another => audit::through_another(&directory, &relay).await,
        Finding::Lied(Lie { evidence: Some(evidence), .. }) => {
            let (place, wrong) = *evidence;
            audit::confirmed(&directory, &relay, place, wrong).await;
        }
        Finding::Matched | Finding::Failed(_) | Finding::Lied(_) => {}
    }
}

async fn test_relay(directory: Arc<Directory>, relay: PublicKey) {
    let patience = directory.relays.roster().limits().test_under_way.saturating_sub(TEST_END);
    // Nobody begins it again while it goes on.
    let examined = tokio::time::timeout(patience, checks::examine(&directory, &relay)).await;
    let outcome =
        examined.unwrap_or_else(|_| Err(format!("the self-test took over {} s", patience.as_secs())));
    let event = match &outcome {
        Ok(()) => {
            tracing::info!(%relay, "a relay passed its self-test");
            Event::TestPassed
        }
        Err(why) => {
            tracing::info!(%relay, why, "a self-test failed");
            Event::TestFailed(why)
        }
    };
    directory.relays.on(&relay, event, directory.clock.now()).await;
    directory.relays_due.notify_one();
}

impl Directory {
    /// The inventories, with something of a catalog in them, of live relays that have passed their self-test.
    pub(crate) fn inventories_of(&self, catalog: &CatalogId, now: Timestamp) -> Vec<Arc<Inventory>> {
        let roster = self.relays.roster();
        let following = roster.passed(now).filter_map(Member::announced);
        let following = following.filter(|said| said.inventory.catalog(catalog).is_some());
        following.map(|said| Arc::clone(&said.inventory)).collect()
    }
}
