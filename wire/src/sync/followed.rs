//! One catalog as a daemon follows it: what the ledger believes, which states are servable, and news of changes.
//!
//! Requests read an immutable [`CatalogState`], one `Arc` each. There is one change at a time; the ledger is written
//! before anybody sees the change, so whatever was shown is there after any crash.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use odi_manifest::{
    CatalogId, Entry, Head, HeadId, HeadRefusal, Mark, NodeId, Nodes, NodesError, Pin, Revocation,
    RevocationList, Timestamp, Tree, TrustRoot, Unverified, verify_named,
};
use odi_store::{CatalogTrust, Ledger, Store, StoreNodes};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::SyncError;
use super::retained::{RETAINED_MAX, RetainedHead, expire};
use crate::off_worker::off_worker;

/// How many former heads are looked for after a start.
const FOUND_AGAIN_MAX: usize = 8;

/// A catalog that is followed. Shared in an `Arc` by all who serve it and the one who syncs it.
#[derive(Debug)]
pub struct FollowedCatalog {
    id: CatalogId,
    store: Store,
    ledger: Arc<Ledger>,
    state: RwLock<Arc<CatalogState>>,
    changing: Mutex<()>,
    news: watch::Sender<u64>,
}

/// What is believed and servable at one moment.
#[derive(Clone, Debug, Default)]
pub struct CatalogState {
    believed: Option<Arc<CatalogTrust>>,
    /// Newest first. None of them is voided by a root.
    retained: Vec<Arc<RetainedHead>>,
}

/// Where an unpinned path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// To this entry of this state.
    Entry {
        /// The newest servable state that has the path.
        head: Arc<RetainedHead>,
        /// What it says there.
        entry: Entry,
        /// Whether every servable state that has the path says the same bytes. If not, a client should be led to the
        /// pin, or it may mix states.
        settled: bool,
    },
    /// It was taken back.
    Revoked(Revocation),
    /// No servable state has it.
    Absent,
}

impl FollowedCatalog {
    /// What the ledger and the store know of a catalog, be that nothing yet. Blocks on the disk.
    ///
    /// # Errors
    /// The ledger or the store could not be read.
    pub fn open(
        id: CatalogId,
        store: Store,
        ledger: Arc<Ledger>,
        now: Timestamp,
    ) -> Result<Arc<Self>, SyncError> {
        let believed = ledger.load(&id);
        let mut state = CatalogState { believed, retained: Vec::new() };
        state.retained = find_retained(&id, &state, &store.nodes(), &ledger, now)?;
        let news = watch::Sender::new(state.newest().map_or(0, |head| head.seq()));
        let state = RwLock::new(Arc::new(state));
        Ok(Arc::new(Self { id, store, ledger, state, changing: Mutex::default(), news }))
    }

    /// The catalog.
    #[must_use]
    pub const fn id(&self) -> &CatalogId {
        &self.id
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> Arc<CatalogState> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tree nodes of all its states.
    #[must_use]
    pub fn nodes(&self) -> StoreNodes {
        self.store.nodes()
    }

    /// The store that they are in.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The ledger that its records are in.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// A watch on the sequence number of the newest head, 0 before the first.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Waits until there is a head above `seq`, or until `patience` has run out.
    pub async fn newer_than(&self, seq: u64, patience: Duration) {
        let mut news = self.news();
        // The sender lives in `self`; the wait can only end with news or for lack of patience.
        let _ = tokio::time::timeout(patience, news.wait_for(|newest| *newest > seq)).await;
    }

    /// Drops states that need not be servable any more.
    pub async fn expire(&self, now: Timestamp) {
        let _change = self.change().await;
        let mut next = CatalogState::clone(&self.state());
        expire(&mut next.retained, now);
        self.show(next);
    }

    /// The right to change the catalog.
    pub(super) async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Shows what the ledger believes now, with a newly adopted head in front, if there is one.
    pub(super) fn advance(
        &self,
        believed: Arc<CatalogTrust>,
        newest: Option<Arc<RetainedHead>>,
        now: Timestamp,
    ) {
        let mut next = CatalogState { believed: Some(believed), retained: self.state().retained.clone() };
        if let Some(newest) = newest {
            next.retained.retain(|head| head.id != newest.id);
            next.retained.insert(0, newest);
        }
        next.drop_fallen();
        expire(&mut next.retained, now);
        self.show(next);
    }

    fn show(&self, next: CatalogState) {
        let seq = next.newest().map_or(0, |head| head.seq());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        self.news.send_if_modified(|newest| std::mem::replace(newest, seq) != seq);
    }

    /// Runs a call of the ledger where it may block.
    pub(super) async fn with_ledger<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&Ledger, &CatalogId) -> Result<T, odi_store::LedgerError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let catalog = Arc::clone(self);
        off_worker(move || call(&catalog.ledger, &catalog.id))
            .await
            .map_err(|source| SyncError::Ledger { catalog: self.id, source: Box::new(source) })
    }

    /// Names every node of every servable state, for the store's reclaim. Blocks on the disk.
    ///
    /// # Errors
    /// A node cannot be read. Nothing may be reclaimed then.
    pub fn mark_nodes(&self, mark: &mut dyn FnMut(&NodeId)) -> Result<(), NodesError> {
        let nodes = self.nodes();
        for head in &self.state().retained {
            mark(&head.tree.root);
            for id in head.tree.node_ids(&nodes) {
                mark(&id?);
            }
        }
        Ok(())
    }
}

impl CatalogState {
    /// The newest servable state.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<RetainedHead>> {
        self.retained.first()
    }

    /// All servable states, newest first.
    #[must_use]
    pub fn retained(&self) -> &[Arc<RetainedHead>] {
        &self.retained
    }

    /// What the ledger believes; nothing before the first root.
    #[must_use]
    pub const fn believed(&self) -> Option<&Arc<CatalogTrust>> {
        self.believed.as_ref()
    }

    /// The catalog's roots; none before the first.
    #[must_use]
    pub fn trust(&self) -> Option<&TrustRoot> {
        self.believed.as_ref().map(|believed| &believed.trust)
    }

    /// What has been taken back.
    #[must_use]
    pub fn revocations(&self) -> Option<&RevocationList> {
        self.believed.as_ref().map(|believed| &*believed.revocations)
    }

    /// The servable state that a pin names.
    #[must_use]
    pub fn pinned(&self, pin: &Pin) -> Option<&Arc<RetainedHead>> {
        self.retained.iter().find(|head| head.pin == *pin)
    }

    /// A servable state by id.
    #[must_use]
    pub fn by_id(&self, id: &HeadId) -> Option<&Arc<RetainedHead>> {
        self.retained.iter().find(|head| head.id == *id)
    }

    /// A servable state by sequence number.
    #[must_use]
    pub fn by_seq(&self, seq: u64) -> Option<&Arc<RetainedHead>> {
        self.retained.iter().find(|head| head.seq() == seq)
    }

    /// The sequence number that the newest head gives a label to.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Option<u64> {
        let labels = &self.newest()?.head.labels;
        labels.iter().find(|known| known.name == label).map(|known| known.seq)
    }

    /// Whether what is served is past its date: it is served on, and marked as stale.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let head_expired = self.newest().is_some_and(|head| head.head.expires <= now);
        head_expired || self.trust().is_some_and(|trust| trust.is_expired(now))
    }

    /// Where an unpinned path leads: to the newest servable state that has it and has not taken it back.
    ///
    /// # Errors
    /// A node cannot be read.
    pub fn resolve(&self, nodes: &dyn Nodes, path: &str) -> Result<Resolved, NodesError> {
        let mut found: Option<(Arc<RetainedHead>, Entry)> = None;
        let mut revoked = None;
        for head in &self.retained {
            let Some(entry) = head.tree.get(nodes, path)? else { continue };
            if let Some(revocation) = self.revokes(path, &entry, head.seq()) {
                revoked.get_or_insert_with(|| revocation.clone());
                continue;
            }
            match &found {
                None => found = Some((Arc::clone(head), entry)),
                Some((_, newest)) if newest.blob != entry.blob => {
                    return Ok(settle(found, false, revoked));
                }
                Some(_) => {}
            }
        }
        Ok(settle(found, true, revoked))
    }

    /// The entry at a path of one servable state.
    ///
    /// # Errors
    /// A node cannot be read.
    pub fn resolve_at(
        &self,
        nodes: &dyn Nodes,
        head: &Arc<RetainedHead>,
        path: &str,
    ) -> Result<Resolved, NodesError> {
        let Some(entry) = head.tree.get(nodes, path)? else { return Ok(Resolved::Absent) };
        Ok(match self.revokes(path, &entry, head.seq()) {
            Some(revocation) => Resolved::Revoked(revocation.clone()),
            None => Resolved::Entry { head: Arc::clone(head), entry, settled: true },
        })
    }

    /// The revocation that takes an entry of a state back, if one does.
    #[must_use]
    pub fn revokes(&self, path: &str, entry: &Entry, seq: u64) -> Option<&Revocation> {
        self.revocations()?.revokes(path, &entry.blob, seq)
    }

    /// States that a root has voided are not served any more.
    fn drop_fallen(&mut self) {
        let Some(believed) = &self.believed else { return };
        let trust = &believed.trust;
        self.retained.retain(|head| !Mark::of(trust, &head.head).is_fallen(trust));
    }
}

fn settle(found: Option<(Arc<RetainedHead>, Entry)>, settled: bool, revoked: Option<Revocation>) -> Resolved {
    match (found, revoked) {
        (Some((head, entry)), _) => Resolved::Entry { head, entry, settled },
        (None, Some(revocation)) => Resolved::Revoked(revocation),
        (None, None) => Resolved::Absent,
    }
}

/// After a start: the newest head, and former ones whose trees are still whole. A tree is whole if all that differs
/// from the next newer one is there, since that one is whole.
fn find_retained(
    id: &CatalogId,
    state: &CatalogState,
    nodes: &StoreNodes,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<Vec<Arc<RetainedHead>>, SyncError> {
    let Some(believed) = &state.believed else { return Ok(Vec::new()) };
    let mut found: Vec<Arc<RetainedHead>> = Vec::new();
    for (seq, head_id) in believed.line.iter().rev().take(FOUND_AGAIN_MAX.min(RETAINED_MAX)) {
        let read = |source| SyncError::Ledger { catalog: *id, source: Box::new(source) };
        let Some(envelope) = ledger.head(id, *seq).map_err(read)? else { break };
        let head = Unverified::<Head>::decode(&envelope).ok();
        let Some(head) = head.and_then(|head| verify_named(&head, head_id).ok()) else { break };
        if Mark::of(&believed.trust, &head).is_fallen(&believed.trust) {
            continue;
        }
        let tree = match Tree::open(nodes, head.tree) {
            Ok(tree) => tree,
            // Without its tree the newest head is fetched again, and so is nothing that it differs from.
            Err(NodesError::Missing(_)) => break,
            Err(error) => return Err(error.into()),
        };
        if let Some(newer) = found.last()
            && !is_whole(nodes, &tree, &newer.tree)
        {
            break;
        }
        found.push(Arc::new(RetainedHead::new(head, tree, now)));
    }
    Ok(found)
}

fn is_whole(nodes: &StoreNodes, tree: &Tree, newer: &Tree) -> bool {
    Tree::diff(nodes, tree, newer).all(|op| op.is_ok())
}

/// The trust root, without which nothing can be judged.
pub(super) fn trust_of(state: &CatalogState) -> Result<&Arc<CatalogTrust>, SyncError> {
    state.believed.as_ref().ok_or_else(|| HeadRefusal::UnknownRoot { wanted: 1, known: 0 }.into())
}
