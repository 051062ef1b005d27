//! What the operator's denylist means here: which blobs its rules by path and SHA-256 name, in every state that is kept.
//!
//! A task looks that up for each list and each new state, and purges what is denied and carried. Until it has looked, and until
//! what no state names has left the store ([`crate::upkeep`]), nothing is given by its content alone: a look that is late, or that
//! a damaged tree stops, never gives out what is denied. By path every request is judged by the list itself, at once.

mod known;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{BlobId, CatalogId, Entry, HeadId, NodesError, Timestamp};
use odi_store::{Store, StoreError};
use odi_wire::denylist::{Denied, Denylist, Found};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use tokio_util::sync::CancellationToken;

use crate::backoff::Attempts;
use crate::catalog::Catalog;
use crate::catalog::kept::{KeptState, each_beside, kept};
use crate::configured::Catalogs;
use crate::directory::{Directory, Nodes};
use known::Basis;
pub(crate) use known::Known;

/// Between two looks at whether a state is new that nobody told of.
const INTERVAL: Duration = Duration::from_secs(1);
/// Before a look at a catalog is repeated that failed; it doubles up to [`RETRY_MAX`], for each begins from nothing.
const RETRY: Duration = Duration::from_secs(5);
/// See [`RETRY`].
const RETRY_MAX: Duration = Duration::from_secs(600);
/// When to ask by content again, while it is looked up what is denied.
const UNKNOWN: Duration = Duration::from_secs(10);

impl Directory {
    /// Whether the operator denies an artifact.
    pub(crate) fn denies(&self, catalog: &Catalog, path: &str, entry: &Entry) -> bool {
        self.denied.list().denies(catalog.name().as_str(), path, entry)
    }

    /// Refuses content by its own name if the operator denies it.
    pub(crate) fn unless_denied(&self, blob: &BlobId) -> Result<(), Refusal> {
        if self.denied.denies_blob(blob) { Err(Refusal::LegallyRefused) } else { Ok(()) }
    }

    /// Lets carried content be given by its own name only once it is known that the operator does not deny it under another.
    pub(crate) fn admit_by_content(&self, blob: &BlobId) -> Result<(), Refusal> {
        self.denied.admit(blob, || self.once_denials_are_known())
    }

    fn once_denials_are_known(&self) -> Result<(), Refusal> {
        if self.denied.list().says_nothing_by_catalogs() {
            return Ok(());
        }
        let catalogs = self.configured.now();
        let basis = Basis::of(&self.denied, &catalogs);
        if !self.denials_known.on(basis, || are_known(&self.denied, &catalogs)) {
            let reason =
                "this directory does not know of all content yet whether its operator denies it; ask by path";
            return Err(Refusal::unavailable(reason, UNKNOWN));
        }
        Ok(())
    }
}

/// Catalogs that could not be looked at.
#[derive(Debug, Default)]
struct Failing {
    list: Arc<Denylist>,
    attempts: BTreeMap<CatalogId, Attempts>,
}

impl Failing {
    /// With this list, which may be another than before.
    fn with(&mut self, list: &Arc<Denylist>) {
        if !Arc::ptr_eq(&self.list, list) {
            *self = Self { list: Arc::clone(list), attempts: BTreeMap::new() };
        }
    }

    fn may_begin(&self, catalog: &CatalogId, now: Timestamp) -> bool {
        self.attempts.get(catalog).is_none_or(|attempts| attempts.may_begin(now))
    }

    fn failed(&mut self, catalog: CatalogId, now: Timestamp) {
        self.attempts.entry(catalog).or_insert_with(|| Attempts::new(RETRY, RETRY_MAX)).failed(now);
    }

    fn succeeded(&mut self, catalog: &CatalogId) {
        self.attempts.remove(catalog);
    }
}

/// Whether it is known of all content here whether it is denied.
fn are_known(denied: &Denied, catalogs: &Catalogs) -> bool {
    let knows = |catalog: &Arc<Catalog>| {
        let heads: Vec<HeadId> = kept(catalog).iter().map(|state| state.id).collect();
        denied.knows(&catalog.id(), &heads)
    };
    !denied.awaits_sweep() && catalogs.values().all(knows)
}

/// Looks at whatever is new until `stop` is cancelled. A walk that has begun ends at its next entry then.
pub(crate) async fn run(directory: &Arc<Directory>, stop: &CancellationToken) {
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut purged, mut failing) = (Arc::default(), Failing::default());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
            () = directory.denials_due.notified() => {}
        }
        let list = directory.denied.list();
        if list.is_empty() {
            continue;
        }
        if !Arc::ptr_eq(&list, &purged) {
            let named: Vec<BlobId> = list.blobs().copied().collect();
            purge(directory, named).await;
            purged = Arc::clone(&list);
        }
        failing.with(&list);
        for catalog in directory.configured.now().values() {
            if stop.is_cancelled() {
                return;
            }
            if !failing.may_begin(&catalog.id(), directory.clock.now()) {
                continue;
            }
            match look(directory, catalog, &list, stop).await {
                Ok(()) => failing.succeeded(&catalog.id()),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(catalog = %catalog.name(), error, "cannot look up what is denied");
                    failing.failed(catalog.id(), directory.clock.now());
                }
            }
        }
    }
}

async fn look(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    list: &Arc<Denylist>,
    stop: &CancellationToken,
) -> Result<(), NodesError> {
    let states = kept(catalog);
    let found = directory.denied.found(&catalog.id(), list);
    if list.says_nothing_by_catalogs() || states.iter().all(|state| found.has_looked_at(&state.id)) {
        return Ok(());
    }
    let walk = Walk {
        list: Arc::clone(list),
        catalog: catalog.name().to_string(),
        states,
        nodes: directory.nodes.clone(),
        store: directory.store.clone(),
        stop: stop.clone(),
    };
    let Some((found, held)) = off_worker(move || walk.over(Found::clone(&found))).await? else {
        return Ok(());
    };
    directory.denied.note(catalog.id(), list, found);
    purge(directory, held).await;
    Ok(())
}

/// A look at the states of one catalog.
struct Walk {
    list: Arc<Denylist>,
    catalog: String,
    states: Vec<KeptState>,
    nodes: Nodes,
    store: Store,
    stop: CancellationToken,
}

impl Walk {
    /// What is denied in all states, going on from what is known of some; and what of it is carried. `None` if the walk was to end.
    fn over(&self, former: Found) -> Result<Option<(Found, Vec<BlobId>)>, NodesError> {
        let known = self.states.iter().find(|state| former.knows(&state.id));
        let mut found = match known {
            Some(_) => former.clone(),
            None => former.clone().again(|blob| self.store.contains(blob)),
        };
        let new = self.states.iter().filter(|state| !former.knows(&state.id));
        let mut held = Vec::new();
        let has_ended = || self.stop.is_cancelled();
        let is_whole = each_beside(known, new, &self.nodes, &has_ended, &mut |path, entry| {
            if self.list.denies(&self.catalog, path.as_str(), entry) {
                found.denied(&entry.blob);
                if self.store.contains(&entry.blob) {
                    held.push(entry.blob);
                }
            }
        })?;
        if !is_whole {
            return Ok(None);
        }
        found.looked_at(self.states.iter().map(|state| state.id));
        Ok(Some((found, held)))
    }
}

/// Drops what is carried of these blobs. What another path names that is not denied is fetched again for it.
async fn purge(directory: &Arc<Directory>, blobs: Vec<BlobId>) {
    let store = directory.store.clone();
    let purged = off_worker(move || {
        let held = blobs.iter().filter(|blob| store.contains(blob));
        let purged = held.filter(|blob| succeeds(store.purge(blob))).count();
        if purged > 0 {
            succeeds(store.expunge());
        }
        purged
    });
    let purged = purged.await;
    if purged > 0 {
        tracing::info!(purged, "denied content is carried no longer");
        directory.carry.count().await;
    }
}

/// What fails here is tried again after the next start, and refused until then as afterwards.
fn succeeds<T>(purged: Result<T, StoreError>) -> bool {
    if let Err(error) = &purged {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "denied content is refused, and still on disk");
    }
    purged.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_that_fails_rests_alone_and_until_another_list_comes() {
        let list = |text: &str| Arc::new(Denylist::parse(text).unwrap());
        let (first, other) = (list("/debian/x"), list("/debian/y"));
        let [torn, whole] = [1, 2].map(|byte| CatalogId::from_bytes([byte; 32]));
        let now = Timestamp(1_000_000);
        let later = |secs| now.plus(Duration::from_secs(secs));
        let mut failing = Failing::default();
        failing.with(&first);
        assert!(failing.may_begin(&torn, now));
        failing.failed(torn, now);
        assert!(!failing.may_begin(&torn, later(4)) && failing.may_begin(&torn, later(5)));
        failing.failed(torn, now);
        assert!(!failing.may_begin(&torn, later(9)) && failing.may_begin(&torn, later(10)));
        assert!(failing.may_begin(&whole, now), "nobody else waits for it");
        (0..20).for_each(|_| failing.failed(torn, now));
        assert!(!failing.may_begin(&torn, later(599)) && failing.may_begin(&torn, later(600)));
        failing.with(&first);
        assert!(!failing.may_begin(&torn, now), "the same list");
        failing.with(&other);
        assert!(failing.may_begin(&torn, now));
        failing.failed(torn, now);
        failing.succeeded(&torn);
        assert!(failing.may_begin(&torn, now));
    }
}
