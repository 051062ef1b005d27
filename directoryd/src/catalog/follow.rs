//! Following a catalog: poll, trigger and push lead to the one sync client, and from there to a new state.
//!
//! | a crash after | leaves |
//! |---|---|
//! | nodes were stored | the former head; the nodes are found again by the next sync |
//! | the ledger took the head | the new head counts; it is served after the restart |
//!
//! The ledger has written a head before anyone hears of it here, so what was shown once is never taken back (P2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use odi_manifest::{Entry, Head, NodesError, Op, Timestamp, Tree, Unverified};
use odi_wire::catalog_settings::{CatalogSettings, SETTINGS_BYTES_MAX, SETTINGS_PATH, SettingsError};
use odi_wire::chain;
use odi_wire::message::Push;
use odi_wire::off_worker::off_worker;
use odi_wire::sync::{FollowedCatalog, PushOutcome, RetainedHead, SyncError, SyncSource};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::mutable::Mutable;
use super::view::{CHANGED_MAX, Change, State, View};
use super::{Catalog, Standing, withdrawn};
use crate::directory::Directory;
use crate::peers::Peer;
use crate::state_rules::CARRIED_BYTES_MAX;

/// Small changed artifacts that are fetched before a state is served; more come when somebody asks.
const CARRIED_AHEAD_MAX: usize = 5_000;
/// Changed artifacts that are looked up in the former state, whether they are new; with more, every path counts as replaced.
const LOOKED_UP_MAX: usize = 50_000;
/// Small artifacts that are fetched ahead at once.
const CARRIED_AT_ONCE: usize = 8;
/// Former heads that are fetched at once, so that others who were away for long find their way here.
const ANCESTORS_AT_ONCE: usize = 1024;
/// After a failure the origin is asked again this soon, unless its poll is shorter.
const RETRY: Duration = Duration::from_secs(30);

/// Why a push is not taken.
#[derive(Debug)]
pub(crate) enum PushRefusal {
    /// It does not follow the newest head, whose envelope this is.
    Superseded(Vec<u8>),
    /// It was judged and refused.
    Refused(String),
}

/// The view after a start: what the catalog's client found again.
pub(crate) fn restored_view(followed: &FollowedCatalog, now: Timestamp) -> View {
    let retained = followed.state().retained().iter().map(|head| Arc::new(State::unchanged(head))).collect();
    View::restored(retained, now)
}

/// Polls, and answers triggers, until `stop` is cancelled.
pub(crate) async fn follow(directory: Arc<Directory>, catalog: Arc<Catalog>, stop: CancellationToken) {
    let mut next_poll = Instant::now();
    let mut views = catalog.watch();
    // What was found again after a restart has settings too.
    views.mark_changed();
    let mut has_gaps = false;
    loop {
        let polled = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            more = fill_line(&directory, &catalog), if has_gaps => {
                has_gaps = more;
                continue;
            }
            () = tokio::time::sleep_until(next_poll), if catalog.config().origin.is_some() => true,
            () = catalog.wake.notified() => true,
            _ = views.changed() => false,
        };
        if polled {
            let advanced = tokio::select! {
                () = stop.cancelled() => return,
                advanced = poll(&directory, &catalog) => advanced,
            };
            let wait = if advanced {
                jittered(catalog.config().poll, directory.draw())
            } else {
                catalog.config().poll.min(RETRY)
            };
            next_poll = Instant::now() + wait;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = prepare(&directory, &catalog) => {}
        }
        has_gaps = true;
    }
}

/// Fetches heads that a jump left out of the kept line; whether there may be more. What was fetched stays if it is cut.
async fn fill_line(directory: &Directory, catalog: &Catalog) -> bool {
    let at_peer = |peer: &Arc<Peer>| SyncSource::directory(peer.url.clone(), &catalog.id());
    let source = catalog.origin().map(SyncSource::origin).or_else(|| directory.peers.first().map(at_peer));
    let Some(source) = source else { return false };
    match directory.sync.fill_line(catalog.followed(), &source, ANCESTORS_AT_ONCE).await {
        Ok(filled) => filled == ANCESTORS_AT_ONCE,
        Err(error) => {
            tracing::info!(catalog = %catalog.name(), fault = chain::of(&error), "former heads are not to be had now");
            false
        }
    }
}

/// The interval, a tenth longer or shorter at random, so that directories do not ask an origin in step.
fn jittered(poll: Duration, draw: u32) -> Duration {
    poll.mul_f64(0.9 + 0.2 * f64::from(draw) / f64::from(u32::MAX))
}

/// Asks the origin for news; whether that worked.
async fn poll(directory: &Arc<Directory>, catalog: &Arc<Catalog>) -> bool {
    let Some(origin) = catalog.config().origin.clone() else { return true };
    let source = SyncSource::origin(origin);
    let outcome = advance(directory, catalog, &source).await;
    let fault = outcome.as_ref().err().map(|error| chain::of(error));
    if let Some(fault) = &fault {
        tracing::warn!(catalog = %catalog.name(), fault, "the origin could not be followed");
    }
    let polled = if fault.is_none() { Some(directory.clock.now()) } else { catalog.standing().polled };
    let worked = fault.is_none();
    catalog.note(Standing { polled, fault });
    worked
}

/// One attempt to advance from a source. The former state stays whatever happens.
pub(crate) async fn advance(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    source: &SyncSource,
) -> Result<(), SyncError> {
    let _alone = catalog.advancing.lock().await;
    let followed = directory.sync.follow(catalog.followed(), source, directory.clock.now()).await;
    // A source can fail after it gave a new root, and what that voids falls at once.
    show(directory, catalog).await?;
    followed.map(drop)
}

/// Brings what the sync client adopted into the view, after what its roots have voided has left it.
pub(crate) async fn show(directory: &Arc<Directory>, catalog: &Arc<Catalog>) -> Result<(), NodesError> {
    let now = directory.clock.now();
    catalog.look_for_proofs();
    catalog.drop_fallen(now);
    let Some(newest) = catalog.followed().state().newest().cloned() else { return Ok(()) };
    let view = catalog.view();
    if view.adopted().is_some_and(|state| state.id == newest.id) {
        return Ok(());
    }
    let nodes = directory.nodes.clone();
    let (former, before) = (view.newest().cloned(), Arc::clone(view.mutable()));
    let (state, mutable) =
        off_worker(move || changed_state(&nodes, &newest, former.as_deref(), before)).await?;
    withdraw(directory, catalog).await?;
    tracing::info!(catalog = %catalog.name(), pin = %state.pin, entries = state.tree.entries, "a head was adopted");
    let state = Arc::new(state);
    if catalog.believed().trust().is_some_and(|trust| state.is_floor(trust)) {
        catalog.adopt_at_once(&state, mutable, now);
    } else {
        catalog.adopt(state, mutable);
    }
    directory.news.notify_one();
    directory.to_witness.notify_one();
    directory.denials_due.notify_one();
    directory.relays_due.notify_one();
    directory.upkeep_due.notify_one();
    Ok(())
}

/// Looks up what revoked paths named, before the head that revokes them is shown.
async fn withdraw(directory: &Arc<Directory>, catalog: &Arc<Catalog>) -> Result<(), NodesError> {
    let (nodes, states) = (directory.nodes.clone(), catalog.view().known().cloned().collect::<Vec<_>>());
    let believed = catalog.believed();
    let blobs = off_worker(move || match believed.revocations() {
        Some(list) => withdrawn::by_path(list, &states, &nodes),
        None => Ok(std::collections::HashSet::new()),
    })
    .await?;
    catalog.withdraw(blobs);
    Ok(())
}

/// A state with what it changes of a former one, and what has been replaced since; `mutable` is what states before it have.
fn changed_state(
    nodes: &crate::directory::Nodes,
    newest: &RetainedHead,
    former: Option<&State>,
    mut mutable: Arc<Mutable>,
) -> Result<(State, Arc<Mutable>), NodesError> {
    let mut state = State::unchanged(newest);
    let Some(State { tree: former, .. }) = former else { return Ok((state, mutable)) };
    let (mut large, mut small, mut looked_up) = (Some(Vec::new()), Vec::new(), 0);
    for op in Tree::diff(nodes, former, &newest.tree) {
        let Op::Put(path, entry) = op? else { continue };
        looked_up += 1;
        if looked_up > LOOKED_UP_MAX {
            Arc::make_mut(&mut mutable).give_up();
        } else if !mutable.contains(path.as_str()) && former.get(nodes, path.as_str())?.is_some() {
            Arc::make_mut(&mut mutable).insert(path.as_str(), newest.seq());
        }
        if entry.size <= CARRIED_BYTES_MAX {
            if small.len() < CARRIED_AHEAD_MAX {
                small.push((path.as_str().to_owned(), entry));
            }
        } else {
            large = large.filter(|known: &Vec<_>| known.len() < CHANGED_MAX);
            if let Some(known) = &mut large {
                known.push(entry.blob);
            }
        }
        if large.is_none() && looked_up > LOOKED_UP_MAX {
            break;
        }
    }
    let carried = AtomicBool::new(small.is_empty());
    state.change = Change { large, small, carried };
    Ok((state, mutable))
}

/// Gets ready for the newest adopted state before it is served: its settings, which say where more is to be had, and what is
/// small.
async fn prepare(directory: &Arc<Directory>, catalog: &Arc<Catalog>) {
    if let Some(state) = catalog.view().adopted() {
        read_settings(directory, catalog, state).await;
    }
    carry_ahead(directory, catalog).await;
}

async fn read_settings(directory: &Arc<Directory>, catalog: &Arc<Catalog>, state: &State) {
    let (nodes, tree) = (directory.nodes.clone(), state.tree);
    let Ok(entry) = off_worker(move || tree.get(&nodes, SETTINGS_PATH)).await else { return };
    let revoked = |entry: &Entry| catalog.believed().revokes(SETTINGS_PATH, entry, state.head.seq).is_some();
    match entry {
        Some(entry) if !revoked(&entry) => {
            if catalog.settings.has_read(&entry.blob) {
                return;
            }
            let read = if entry.size > SETTINGS_BYTES_MAX {
                Err(SettingsError::TooLarge(entry.size))
            } else {
                let named_at = [state.id];
                let fetched =
                    directory.carry.fetch(directory, catalog, SETTINGS_PATH, &entry, &named_at).await;
                // Not to be had now: what was read of a former state goes on.
                let Some(bytes) = fetched else { return };
                CatalogSettings::read(&bytes)
            };
            if let Err(fault) = &read {
                tracing::warn!(catalog = %catalog.name(), %fault, "the catalog's settings are not taken");
            }
            catalog.settings.take(entry.blob, read);
        }
        _ => catalog.settings.take_none(),
    }
    catalog.followed().grant_retention(catalog.settings.now().keep());
}

/// Fetches the small artifacts that waiting states changed, so that they are here when a state is served.
async fn carry_ahead(directory: &Arc<Directory>, catalog: &Arc<Catalog>) {
    let view = catalog.view();
    let Some(state) = view.adopted().filter(|state| !state.change.is_carried()) else { return };
    if directory.config.carry.0 == 0 {
        state.change.carried.store(true, Ordering::Release);
        return;
    }
    let mut fetches = JoinSet::new();
    let believed = catalog.believed();
    for (path, entry) in &state.change.small {
        if believed.revokes(path, entry, state.head.seq).is_some() {
            continue;
        }
        while fetches.len() >= CARRIED_AT_ONCE {
            fetches.join_next().await;
        }
        fetches.spawn(carry_one(Arc::clone(directory), Arc::clone(catalog), path.clone(), entry.clone()));
    }
    while fetches.join_next().await.is_some() {}
    state.change.carried.store(true, Ordering::Release);
    directory.relays_due.notify_one();
}

async fn carry_one(directory: Arc<Directory>, catalog: Arc<Catalog>, path: String, entry: Entry) {
    // Nobody to be answered here: what is not to be had now is fetched when somebody asks.
    let _ = directory.carry.fetch(&directory, &catalog, &path, &entry, &[]).await;
}

/// A head that a maintainer handed over. It is judged like any other; what the push lacks comes from the origin.
pub(crate) async fn push(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    push: &Push,
) -> Result<(), PushRefusal> {
    let fallback = catalog.origin().or_else(|| named_origin(push)).map(SyncSource::origin);
    let _alone = catalog.advancing.lock().await;
    let now = directory.clock.now();
    let received = directory.sync.receive(catalog.followed(), push, fallback.as_ref(), now).await;
    show(directory, catalog).await.map_err(|error| PushRefusal::Refused(chain::of(&error)))?;
    match received {
        Ok(PushOutcome::Taken(_)) => Ok(()),
        Ok(PushOutcome::Conflict(current)) => Err(PushRefusal::Superseded(current)),
        Err(error) if is_lacking(&error) && catalog.believed().newest().is_none() => {
            Err(PushRefusal::Refused(format!(
                "{}; this directory holds no state of the catalog and cannot fetch one from an origin: push with \
                 the diff from the empty manifest, or have its operator give it an origin that it can reach",
                chain::of(&error)
            )))
        }
        Err(error) => Err(PushRefusal::Refused(chain::of(&error))),
    }
}

/// Whether something was missing in the push, rather than wrong with it.
const fn is_lacking(error: &SyncError) -> bool {
    matches!(error, SyncError::NoTree { .. } | SyncError::Lacking { .. } | SyncError::Source { .. })
}

/// Where the pushed head says its tree is to be had. The sync client asks there only once the head has been verified.
fn named_origin(push: &Push) -> Option<Url> {
    let head = Unverified::<Head>::decode(&push.head).ok()?;
    head.claims().origins.iter().find_map(|origin| origin.parse().ok())
}
