//! One catalog as a daemon follows it: what the ledger believes, which states are servable, and news of changes.
//!
//! Requests read an immutable [`CatalogState`], one `Arc` each. There is one change at a time; the ledger is written
//! before anybody sees the change, so whatever was shown is there after any crash.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use odi_manifest::{
    CatalogId, Entry, Head, HeadId, HeadRefusal, Mark, NodeId, Nodes, NodesError, Pin, Revocation,
    RevocationList, Timestamp, Tree, TrustRoot, Unverified, verify_named,
};
use odi_store::{CatalogTrust, Ledger, Store, StoreNodes};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::SyncError;
use super::intact::TreeWalk;
use super::retained::{RETAIN_FOR, RETAIN_FOR_MAX, RETAINED_MAX, RetainedHead, expire};
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
    /// Whether the newest state is torn.
    torn: watch::Sender<bool>,
    /// For how many seconds replaced states stay servable.
    retain_seconds: AtomicU64,
    /// The place of the largest head that anybody has shown since the start, be it adopted or not.
    shown: std::sync::Mutex<(u64, u64)>,
}

/// What is believed and servable at one moment.
#[derive(Clone, Debug, Default)]
pub struct CatalogState {
    believed: Option<Arc<CatalogTrust>>,
    /// Newest first. None of them is voided by a root.
    retained: Vec<Arc<RetainedHead>>,
    /// Those of them whose trees are not all here: what can be read is served, and nothing is built on them.
    torn: Vec<HeadId>,
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
        let mut state = CatalogState { believed, ..CatalogState::default() };
        find_retained(&id, &mut state, &store, &ledger, now)?;
        let news = watch::Sender::new(state.newest().map_or(0, |head| head.seq()));
        let torn = watch::Sender::new(state.newest_is_torn());
        let state = RwLock::new(Arc::new(state));
        let (changing, retain_seconds) = (Mutex::default(), AtomicU64::new(RETAIN_FOR.as_secs()));
        let shown = std::sync::Mutex::default();
        Ok(Arc::new(Self { id, store, ledger, state, changing, news, torn, retain_seconds, shown }))
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

    /// For how long replaced states stay servable.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retain_seconds.load(Ordering::Relaxed))
    }

    /// Grants a catalog's wish for how long replaced states stay servable, within what every daemon keeps to.
    pub fn grant_retention(&self, wish: Option<Duration>) {
        let granted = wish.unwrap_or(RETAIN_FOR).clamp(RETAIN_FOR, RETAIN_FOR_MAX);
        self.retain_seconds.store(granted.as_secs(), Ordering::Relaxed);
    }

    /// Drops states that need not be servable any more.
    pub async fn expire(&self, now: Timestamp) {
        let _change = self.change().await;
        let mut next = CatalogState::clone(&self.state());
        expire(&mut next.retained, self.retention(), now);
        self.show(next);
    }

    /// Looks for nodes of servable states that the store has lost, and says whether any are missing. The next look at
    /// a source then fetches what the newest state lacks; until then what is left is served.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn doubt(&self) -> Result<bool, SyncError> {
        let _change = self.change().await;
        let mut next = CatalogState::clone(&self.state());
        let (store, heads) = (self.store.clone(), next.retained.clone());
        next.torn = off_worker(move || torn_among(&store, &heads)).await?;
        let found = !next.torn.is_empty();
        self.show(next);
        Ok(found)
    }

    /// Waits until nodes of the newest state are known to be lost.
    pub async fn torn(&self) {
        // The sender lives in `self`, so the wait ends only with that.
        let _ = self.torn.subscribe().wait_for(|torn| *torn).await;
    }

    /// The epoch and number of the largest head with good signatures that anybody has shown since the start, whether or not it
    /// could be adopted: a witness says nothing below it.
    #[must_use]
    pub fn shown(&self) -> (u64, u64) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a head with good signatures exists.
    pub(super) fn saw(&self, mark: &Mark) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = mark.place().max(*shown);
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
        let mut next = CatalogState { believed: Some(believed), ..CatalogState::clone(&self.state()) };
        if let Some(newest) = newest {
            next.retained.retain(|head| head.id != newest.id);
            next.torn.retain(|id| *id != newest.id);
            next.retained.insert(0, newest);
        }
        next.drop_fallen();
        expire(&mut next.retained, self.retention(), now);
        self.show(next);
    }

    fn show(&self, mut next: CatalogState) {
        next.torn.retain(|id| next.retained.iter().any(|head| head.id == *id));
        let (seq, torn) = (next.newest().map_or(0, |head| head.seq()), next.newest_is_torn());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        self.news.send_if_modified(|newest| std::mem::replace(newest, seq) != seq);
        self.torn.send_if_modified(|before| std::mem::replace(before, torn) != torn);
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

    /// Names every node of every servable state, for the store's reclaim; what is lost, and what only lost nodes name,
    /// is passed over. Blocks on the disk.
    ///
    /// # Errors
    /// The store cannot be read. Nothing may be reclaimed then.
    pub fn mark_nodes(&self, mark: &mut dyn FnMut(&NodeId)) -> Result<(), NodesError> {
        let mut walk = TreeWalk::new(&self.store);
        self.state().retained.iter().try_for_each(|head| walk.is_intact(&head.tree, mark).map(drop))
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

    /// Whether nodes of this servable state are known to be lost.
    #[must_use]
    pub fn is_torn(&self, id: &HeadId) -> bool {
        self.torn.contains(id)
    }

    fn newest_is_torn(&self) -> bool {
        self.newest().is_some_and(|head| self.is_torn(&head.id))
    }

    /// The servable states that another tree may be built on, newest first.
    pub(super) fn intact(&self) -> Vec<Arc<RetainedHead>> {
        self.retained.iter().filter(|head| !self.is_torn(&head.id)).cloned().collect()
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

/// After a start: the newest head, be it torn, and former ones whose trees are still whole.
fn find_retained(
    id: &CatalogId,
    state: &mut CatalogState,
    store: &Store,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<(), SyncError> {
    let Some(believed) = state.believed.clone() else { return Ok(()) };
    let (nodes, mut walk) = (store.nodes(), TreeWalk::new(store));
    for (seq, head_id) in believed.line.iter().rev().take(FOUND_AGAIN_MAX.min(RETAINED_MAX)) {
        let read = |source| SyncError::Ledger { catalog: *id, source: Box::new(source) };
        let Some(envelope) = ledger.head(id, *seq).map_err(read)? else { break };
        let head = Unverified::<Head>::decode(&envelope).ok();
        let Some(head) = head.and_then(|head| verify_named(&head, head_id).ok()) else { break };
        if Mark::of(&believed.trust, &head).is_fallen(&believed.trust) {
            continue;
        }
        let tree = match Tree::open(&nodes, head.tree) {
            Ok(tree) => tree,
            // Without its tree the newest head is fetched again, and so is nothing that it differs from.
            Err(NodesError::Missing(_)) => break,
            Err(error) => return Err(error.into()),
        };
        if !walk.is_intact(&tree, &mut |_| {})? {
            if !state.retained.is_empty() {
                break;
            }
            state.torn.push(*head_id);
        }
        state.retained.push(Arc::new(RetainedHead::new(head, tree, now)));
    }
    Ok(())
}

/// The heads whose trees lack nodes. Blocking.
fn torn_among(store: &Store, heads: &[Arc<RetainedHead>]) -> Result<Vec<HeadId>, NodesError> {
    let mut walk = TreeWalk::new(store);
    let mut torn = Vec::new();
    for head in heads {
        if !walk.is_intact(&head.tree, &mut |_| {})? {
            torn.push(head.id);
        }
    }
    Ok(torn)
}

/// The trust root, without which nothing can be judged.
pub(super) fn trust_of(state: &CatalogState) -> Result<&Arc<CatalogTrust>, SyncError> {
    state.believed.as_ref().ok_or_else(|| HeadRefusal::UnknownRoot { wanted: 1, known: 0 }.into())
}
