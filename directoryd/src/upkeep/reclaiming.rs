//! Taking space back: tree nodes that no state needs any more, and carried artifacts that none names.
//!
//! Invariants
//! - Nothing is swept unless every state that is needed could be walked: behind a damaged node lies what only the origin
//!   could give back.
//! - No catalog advances meanwhile: nodes of a head that is about to be adopted are nobody's yet.

use odi_wire::off_worker::off_worker;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{BlobId, HeadId, NodeId, NodesError, Timestamp};
use odi_store::{Keep, Live, Store};
use odi_wire::denylist::Denylist;
use tokio_util::sync::CancellationToken;

use super::kept_heads;
use crate::backoff::Attempts;
use crate::catalog::Catalog;
use crate::catalog::kept::{each_entry, each_node, kept};
use crate::directory::{Directory, Nodes};
use crate::state_rules::CARRIED_BYTES_MAX;

/// Space is taken back this long after it was last, once a state has lapsed.
const AT_LEISURE: Duration = Duration::from_secs(3600);
/// And this long after, whether or not one has, if room is short.
const IN_NEED: Duration = Duration::from_secs(600);
/// After a sweep for the denylist that failed; it doubles up to [`DENIED_RETRY_MAX`], for each sweep walks all trees.
const DENIED_RETRY: Duration = Duration::from_secs(60);
/// See [`DENIED_RETRY`].
const DENIED_RETRY_MAX: Duration = Duration::from_secs(3600);
/// Room is short when less than this share of the budget is free, in percent.
const ROOM_PERCENT: u64 = 10;

/// When space was taken back, and which states were needed since.
#[derive(Debug)]
pub(super) struct Reclaims {
    since: Timestamp,
    /// Whether room was made in need since the start.
    tried: Option<Timestamp>,
    seen: HashSet<HeadId>,
    /// What lapsed before a restart is not known, so the first time one is taken to have.
    has_lapsed: bool,
    for_denials: ForDenials,
}

/// Sweeps because of what no state names: of that nobody can say whether the list denies it.
#[derive(Debug)]
struct ForDenials {
    list: Arc<Denylist>,
    attempts: Attempts,
}

impl ForDenials {
    /// Whether one that a list waits for may begin.
    fn may_begin(&mut self, list: &Arc<Denylist>, now: Timestamp) -> bool {
        if !Arc::ptr_eq(&self.list, list) {
            self.list = Arc::clone(list);
            self.attempts.begin_anew();
        }
        self.attempts.may_begin(now)
    }
}

impl Default for ForDenials {
    fn default() -> Self {
        Self { list: Arc::default(), attempts: Attempts::new(DENIED_RETRY, DENIED_RETRY_MAX) }
    }
}

/// Why space is not taken back.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("the newest state of catalog {0} is not whole")]
    Incomplete(String),
    #[error("a tree of catalog {catalog} is damaged")]
    Damaged { catalog: String, source: NodesError },
}

impl Reclaims {
    /// Nothing has been taken back yet.
    pub(super) fn from(now: Timestamp) -> Self {
        Self {
            since: now,
            tried: None,
            seen: HashSet::new(),
            has_lapsed: true,
            for_denials: ForDenials::default(),
        }
    }

    /// Takes space back if it is time to; whether it did.
    pub(super) async fn reclaim(&mut self, directory: &Arc<Directory>, stop: &CancellationToken) -> bool {
        let kept = kept_heads(directory);
        self.has_lapsed |= !self.seen.is_subset(&kept);
        self.seen = kept;
        let now = directory.clock.now();
        let denied = directory.denied.list();
        let is_awaited = directory.denied.awaits_sweep() && self.for_denials.may_begin(&denied, now);
        if !is_awaited && !self.is_due(now, directory.store.usage()) {
            return false;
        }
        let catalogs = directory.catalogs();
        let Some(_still) = stop.run_until_cancelled(hold_still(&catalogs)).await else { return false };
        (self.since, self.tried) = (now, Some(now));
        let (store, nodes, all) = (directory.store.clone(), directory.nodes.clone(), catalogs.clone());
        let needed = off_worker(move || Needed::of(&all, &store, &nodes)).await;
        let needed = match needed {
            Ok(needed) => needed,
            Err(hindrance) => {
                let error = &hindrance as &dyn std::error::Error;
                tracing::error!(error, "no space is taken back in the store");
                self.for_denials.attempts.failed(directory.clock.now());
                return false;
            }
        };
        let store = directory.store.clone();
        match off_worker(move || store.reclaim(&needed, 0)).await {
            Ok(reclaimed) => {
                tracing::info!(?reclaimed, "space was taken back in the store");
                self.has_lapsed = false;
                self.for_denials.attempts.begin_anew();
                directory.denied.swept(&denied);
                true
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "no space could be taken back in the store");
                self.for_denials.attempts.failed(directory.clock.now());
                false
            }
        }
    }

    fn is_due(&self, now: Timestamp, (used, free): (u64, u64)) -> bool {
        let is_short = free < used.saturating_add(free) / 100 * ROOM_PERCENT;
        let rested = self.tried.is_none_or(|tried| now.since(tried) >= IN_NEED);
        is_short && rested || self.has_lapsed && now.since(self.since) >= AT_LEISURE
    }
}

/// Waits until no catalog advances, and keeps them so.
async fn hold_still(catalogs: &[Arc<Catalog>]) -> Vec<tokio::sync::MutexGuard<'_, ()>> {
    let mut held = Vec::with_capacity(catalogs.len());
    for catalog in catalogs {
        held.push(catalog.advancing.lock().await);
    }
    held
}

/// What must stay: gathered before anything is swept, because a walk that fails has to stop the sweep.
struct Needed {
    nodes: HashSet<NodeId>,
    blobs: HashSet<BlobId>,
}

impl Needed {
    fn of(catalogs: &[Arc<Catalog>], store: &Store, nodes: &Nodes) -> Result<Self, Hindrance> {
        let mut needed = Self { nodes: HashSet::new(), blobs: HashSet::new() };
        for catalog in catalogs {
            let name = || catalog.name().to_string();
            if !is_whole(catalog) {
                return Err(Hindrance::Incomplete(name()));
            }
            needed
                .add(catalog, store, nodes)
                .map_err(|source| Hindrance::Damaged { catalog: name(), source })?;
        }
        Ok(needed)
    }

    fn add(&mut self, catalog: &Catalog, store: &Store, nodes: &Nodes) -> Result<(), NodesError> {
        let mut mark = |node: &NodeId| _ = self.nodes.insert(*node);
        catalog.followed().mark_nodes(&mut mark)?;
        let states = kept(catalog);
        each_node(&states, nodes, &mut mark)?;
        each_entry(&states, catalog.believed().revocations(), nodes, &mut |entry, revoked| {
            if !revoked && entry.size <= CARRIED_BYTES_MAX && store.contains(&entry.blob) {
                self.blobs.insert(entry.blob);
            }
        })
    }
}

/// Whether the newest head that the ledger believes has its tree here. One whose top node is damaged is not even found
/// after a start, and the nodes below it are what makes the next sync short.
fn is_whole(catalog: &Catalog) -> bool {
    let state = catalog.believed();
    let Some(believed) = state.believed() else { return true };
    match believed.standing() {
        Some(head) => state.newest().is_some_and(|newest| newest.id == head.id()),
        None => believed.mark.is_none() || believed.newest.is_some(),
    }
}

impl Live for Needed {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
        self.blobs.iter().for_each(|blob| mark(blob, Keep::Floor));
    }

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        self.nodes.iter().for_each(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_for_the_denylist_that_fails_rests_until_another_list_comes() {
        let list = |text: &str| Arc::new(Denylist::parse(text).unwrap());
        let (first, other) = (list("/debian/x"), list("/debian/y"));
        let mut sweeps = ForDenials::default();
        let now = Timestamp(1_000_000);
        assert!(sweeps.may_begin(&first, now), "the first at once");
        sweeps.attempts.failed(now);
        assert!(!sweeps.may_begin(&first, now.plus(DENIED_RETRY - Duration::from_secs(1))));
        assert!(sweeps.may_begin(&first, now.plus(DENIED_RETRY)));
        for _ in 0..20 {
            sweeps.attempts.failed(now);
        }
        assert!(!sweeps.may_begin(&first, now.plus(DENIED_RETRY_MAX - Duration::from_secs(1))));
        assert!(sweeps.may_begin(&first, now.plus(DENIED_RETRY_MAX)));
        assert!(!sweeps.may_begin(&first, now));
        assert!(sweeps.may_begin(&other, now), "another list is swept for at once");
    }
}
