//! The task that tends relays and states: sends challenges, self-tests and probes that fall due, lets states be served when the rules
//! say so, and forgets what has lapsed.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CHUNK_BYTES, CatalogId, Child, Entry, HeadId, PublicKey, Timestamp};
use odi_wire::message::{CatalogInventory, Inventory, PublicUrl};
use odi_wire::route::{location, pinned_path};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::blocking::blocking;
use crate::catalog::Catalog;
use crate::catalog::view::State;
use crate::challenge;
use crate::directory::{Directory, Nodes};
use crate::probe::{Verdict, probe};
use crate::roster::{Due, Event, Member, Registration, Standing};
use crate::select;
use crate::selftest::checks;
use crate::state_rules;

/// How often the roster and the waiting states are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Walks down a tree in search of something to probe, and the most steps of them all by the depth of a path.
const WALKS: u32 = 32;
const WALK_STEPS: u32 = 33;
/// Artifacts of which one is probed: the first that can be compared.
const TARGETS: usize = 8;
/// Children of a folder among which a walk chooses.
const WALK_CHOICES: usize = 512;
/// Probed artifacts are no larger, so that their chunk lists stay small.
const PROBED_BYTES_MAX: u64 = 4 << 30;

/// Tends until `stop` is cancelled; joins what it started.
pub(crate) async fn tend(directory: Arc<Directory>, stop: CancellationToken) {
    let mut errands = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
            () = directory.relays_due.notified() => {}
            Some(joined) = errands.join_next(), if !errands.is_empty() => {
                if let Err(error) = joined {
                    tracing::error!(%error, "BUG: a challenge, self-test or probe panicked");
                }
                continue;
            }
        }
        let now = directory.clock.now();
        let due = directory.relays.roster().due(now);
        for due in due {
            let directory = Arc::clone(&directory);
            match due {
                Due::Challenge(registration) => errands.spawn(challenge(directory, *registration)),
                Due::Test(relay) => errands.spawn(test_relay(directory, relay)),
                Due::Probe(relay) => errands.spawn(probe_relay(directory, relay)),
            };
        }
        let lapsed = directory.relays.roster().sweep(now);
        directory.relays.forget(lapsed).await;
        if let Err(error) = directory.selftest.keep_fresh(&directory).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the self-test catalog grows old");
        }
        serve_ready_states(&directory).await;
    }
    errands.shutdown().await;
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
        let turned = blocking(move || {
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
    let (adopted, carried) = (state.adopted, state.is_carried());
    match state.changed.as_deref() {
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

async fn probe_relay(directory: Arc<Directory>, relay: PublicKey) {
    let mut verdict = Verdict::Failed("it announced nothing that this directory can probe".to_owned());
    for target in targets(&directory, &relay).await {
        let list = directory.chunk_list(&target.catalog, &target.entry).await;
        if list.is_none() && target.entry.size > CHUNK_BYTES {
            verdict = Verdict::Failed("no chunk list to compare with is to be had".to_owned());
            continue;
        }
        verdict =
            probe(&directory.client, &target.url, &target.entry, list.as_deref(), directory.draw()).await;
        break;
    }
    let event = match &verdict {
        Verdict::Matched => Event::ProbeMatched,
        Verdict::Failed(why) => {
            tracing::info!(%relay, why, "a probe failed");
            Event::ProbeFailed(why)
        }
        Verdict::WrongBytes => {
            tracing::warn!(%relay, "a relay gave wrong bytes and is quarantined");
            Event::Lied("it gave wrong bytes to a probe")
        }
    };
    directory.relays.on(&relay, event, directory.clock.now()).await;
    // The next probe of a relay on probation may be due at once.
    directory.relays_due.notify_one();
}

async fn test_relay(directory: Arc<Directory>, relay: PublicKey) {
    let outcome = checks::examine(&directory, &relay).await;
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

/// Something that a relay says it holds.
struct Target {
    catalog: Arc<Catalog>,
    url: Url,
    entry: Entry,
}

/// What a relay says of a catalog in a state that both know.
struct Claim {
    catalog: Arc<Catalog>,
    state: Arc<State>,
    inventory: Arc<Inventory>,
    url: PublicUrl,
}

/// A few artifacts that a relay says it holds, drawn at random.
async fn targets(directory: &Arc<Directory>, relay: &PublicKey) -> Vec<Target> {
    let mut claims = claims(directory, relay);
    if claims.is_empty() {
        return Vec::new();
    }
    let at = usize::try_from(directory.draw()).unwrap_or(0) % claims.len();
    let claim = claims.swap_remove(at);
    let nodes = directory.nodes.clone();
    let draws: Vec<u32> = (0..WALKS * WALK_STEPS).map(|_| directory.draw()).collect();
    blocking(move || {
        let mut draws = draws.into_iter();
        (0..WALKS).filter_map(|_| claim.target(&nodes, &mut draws)).take(TARGETS).collect()
    })
    .await
}

impl Claim {
    fn target(&self, nodes: &Nodes, draws: &mut impl Iterator<Item = u32>) -> Option<Target> {
        let (path, entry) = walk(nodes, &self.state, draws)?;
        let holding = self.inventory.catalog(&self.catalog.id())?;
        let probed = entry.size <= PROBED_BYTES_MAX && select::holds(holding, &entry.blob, &[self.state.id]);
        let url = Url::parse(&location(&self.url.to_url(), &pinned_path(&self.state.pin, &path))).ok()?;
        probed.then(|| Target { catalog: Arc::clone(&self.catalog), url, entry })
    }
}

fn claims(directory: &Directory, relay: &PublicKey) -> Vec<Claim> {
    let roster = directory.relays.roster();
    let Some(member) = roster.member(relay) else { return Vec::new() };
    let Some(url) = member.urls().first() else { return Vec::new() };
    let claim = |catalog: &Arc<Catalog>| {
        let inventory = &member.announced()?.inventory;
        let full: HeadId = inventory.catalog(&catalog.id())?.full?;
        let view = catalog.view();
        let state = view.known().find(|state| state.id == full)?;
        Some(Claim {
            catalog: Arc::clone(catalog),
            state: Arc::clone(state),
            inventory: Arc::clone(inventory),
            url: url.clone(),
        })
    };
    directory.configured.values().filter_map(claim).collect()
}

/// A random way down from the top of a tree to an artifact.
fn walk(nodes: &Nodes, state: &State, draws: &mut impl Iterator<Item = u32>) -> Option<(String, Entry)> {
    let mut folder = String::new();
    loop {
        let mut children = state.tree.list(nodes, &folder, None, WALK_CHOICES).ok()?.children;
        let at = usize::try_from(draws.next()?).ok()?.checked_rem(children.len())?;
        let child = children.swap_remove(at);
        let path =
            if folder.is_empty() { child.name().to_owned() } else { format!("{folder}/{}", child.name()) };
        match child {
            Child::Artifact { entry, .. } => return Some((path, entry)),
            Child::Folder { .. } => folder = path,
        }
    }
}

impl Directory {
    /// The inventories, with something of a catalog in them, of live relays that were not caught lying.
    pub(crate) fn inventories_of(&self, catalog: &CatalogId, now: Timestamp) -> Vec<Arc<Inventory>> {
        let roster = self.relays.roster();
        let honest = |member: &&Member| member.standing(now) != Standing::Quarantined;
        let following = roster.live(now).filter(honest).filter_map(Member::announced);
        let following = following.filter(|said| said.inventory.catalog(catalog).is_some());
        following.map(|said| Arc::clone(&said.inventory)).collect()
    }
}
