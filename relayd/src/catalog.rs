//! One catalog as this relay serves it: its state as followed, what is assigned of it, and what is held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use odi_manifest::{ArtifactPath, BlobId, CatalogId, HeadId, Pin, Timestamp};
use odi_wire::catalog_settings::SettingsInForce;
use odi_wire::message::{
    CatalogInventory, HeadStatus, INVENTORY_BLOBS_MAX, IdRanges, PublicUrl, RelayCatalog, SERVED_HEADS_MAX,
};
use odi_wire::route::CatalogName;
use odi_wire::selftest::SELFTEST_NAME;
use odi_wire::sync::{CatalogState, FollowedCatalog, RetainedHead};
use tokio::sync::watch;

use crate::bell::Bell;
use crate::given::Given;
use crate::holdings::Holdings;
use crate::introduction::Introduction;

/// What this relay was asked to hold of a catalog, and agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The blobs by prefix.
    pub ranges: IdRanges,
    /// Hot blobs beside them, ascending.
    pub plus: Vec<BlobId>,
}

impl Assigned {
    /// All of it.
    #[must_use]
    pub fn everything() -> Self {
        Self { ranges: IdRanges::all(), plus: Vec::new() }
    }

    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self { ranges: IdRanges::none(), plus: Vec::new() }
    }

    /// Whether nothing is to be held.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.ranges.is_empty() && self.plus.is_empty()
    }

    /// Whether a blob is to be held.
    #[must_use]
    pub fn covers(&self, blob: &BlobId) -> bool {
        self.ranges.contains(blob) || self.plus.binary_search(blob).is_ok()
    }
}

/// What is held under one head.
#[derive(Debug)]
struct Account {
    head: HeadId,
    pin: Pin,
    holdings: Holdings,
}

/// What is held of a catalog: under the newest head, and under the last one before it that was complete, which stays
/// the announced one for as long as the newest has too many holes to list.
#[derive(Debug, Default)]
pub struct Accounts {
    newest: Option<Account>,
    settled: Option<Account>,
    /// Of the pass that is under way, which may be over the newest head again or over a newer one.
    counting: Option<Account>,
    missing_bytes: u64,
    bad_entries: u64,
    drifted_such_as: Option<ArtifactPath>,
    fault: Option<String>,
}

/// One catalog.
#[derive(Debug)]
pub struct Catalog {
    /// The name it is served under.
    pub name: CatalogName,
    /// How many were followed before it: of two with one name, the earlier has it.
    pub order: usize,
    /// Its trust, heads and trees.
    pub followed: Arc<FollowedCatalog>,
    /// Rung when the heads or the assignment change, or something held was lost.
    pub changed: Bell,
    /// The catalog's own settings.
    pub settings: SettingsInForce,
    /// What clients were given of it.
    pub given: Given,
    /// Whether the relays that fill it know each other.
    pub introduction: Introduction,
    /// Whether it is wanted no longer.
    dropped: AtomicBool,
    /// The directory that said last that it has a newer head.
    news: watch::Sender<Option<PublicUrl>>,
    assigned: RwLock<Arc<Assigned>>,
    accounts: Mutex<Accounts>,
}

impl Catalog {
    /// A catalog of which nothing is assigned yet.
    #[must_use]
    pub fn new(name: CatalogName, order: usize, followed: Arc<FollowedCatalog>, now: Timestamp) -> Self {
        Self {
            name,
            order,
            followed,
            changed: Bell::default(),
            settings: SettingsInForce::default(),
            given: Given::since(now),
            introduction: Introduction::default(),
            dropped: AtomicBool::new(false),
            news: watch::Sender::default(),
            assigned: RwLock::new(Arc::new(Assigned::nothing())),
            accounts: Mutex::default(),
        }
    }

    /// Its self-certifying name.
    #[must_use]
    pub fn id(&self) -> &CatalogId {
        self.followed.id()
    }

    /// Notes that it is wanted no longer: nothing more is fetched of it.
    pub fn drop_it(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// Whether it is wanted no longer.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Whether it is what a directory tests relays with.
    #[must_use]
    pub fn is_selftest(&self) -> bool {
        self.name.as_str() == SELFTEST_NAME
    }

    /// What is believed and served now. A request takes it once, so that it sees one state.
    #[must_use]
    pub fn state(&self) -> Arc<CatalogState> {
        self.followed.state()
    }

    /// What is to be held.
    #[must_use]
    pub fn assigned(&self) -> Arc<Assigned> {
        Arc::clone(&self.assigned.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A directory says that it has a newer head.
    pub fn told_of_news(&self, directory: &PublicUrl) {
        self.news.send_replace(Some(directory.clone()));
    }

    /// Which directory said so last, as it comes.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<Option<PublicUrl>> {
        self.news.subscribe()
    }

    /// Replaces what is to be held; true if it differs from before.
    pub fn assign(&self, assigned: Assigned) -> bool {
        let mut present = self.assigned.write().unwrap_or_else(PoisonError::into_inner);
        let differs = **present != assigned;
        *present = Arc::new(assigned);
        differs
    }

    /// What is held, for whoever keeps the account.
    pub fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that is assigned now is held under the newest head.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let (state, assigned) = (self.state(), self.assigned());
        let newest = state.newest().map(|head| head.id);
        self.accounts().newest.as_ref().is_some_and(|account| {
            Some(account.head) == newest
                && account.holdings.is_complete()
                && *account.holdings.assigned() == assigned.ranges
        })
    }

    /// What may be announced, if anything is served at all.
    #[must_use]
    pub fn inventory(&self) -> Option<CatalogInventory> {
        let state = self.state();
        state.newest()?;
        let served = state.retained().iter().take(SERVED_HEADS_MAX).map(|head| head.id).collect();
        let (full, claim) = self.accounts().announced();
        let claim = claim.unwrap_or_else(|| Holdings::new(IdRanges::none()).claim());
        Some(CatalogInventory {
            cat: *self.id(),
            served,
            full,
            fills: self.assigned().ranges.clone(),
            ranges: claim.ranges,
            plus: claim.plus,
            minus: claim.minus,
            sent: Some(self.given.said()),
        })
    }

    /// For the status document.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> RelayCatalog {
        let state = self.state();
        let accounts = self.accounts();
        RelayCatalog {
            name: self.name.to_string(),
            id: *self.id(),
            served: state.newest().map(|served| HeadStatus {
                seq: served.seq(),
                head: served.id,
                pin: served.pin,
                entries: served.tree.entries,
                bytes: served.tree.bytes,
                expires: served.head.expires,
            }),
            full: accounts.complete_pin(),
            assigned: !self.assigned().is_nothing(),
            missing_blobs: accounts.missing(),
            missing_bytes: accounts.missing_bytes,
            stale: state.is_stale(now),
            bad_entries: accounts.bad_entries,
            fault: accounts.fault(),
            settings_fault: self.settings.fault(),
        }
    }
}

impl Accounts {
    /// Begins a pass over a head's manifest. Until it ends, what was announced before stays announced.
    pub fn begin_pass(&mut self, head: &RetainedHead, ranges: IdRanges) {
        self.counting = Some(Account { head: head.id, pin: head.pin, holdings: Holdings::new(ranges) });
    }

    /// What the pass under way has found so far; `None` if there is none.
    pub fn counting(&mut self) -> Option<&mut Holdings> {
        self.counting.as_mut().map(|account| &mut account.holdings)
    }

    /// Ends the pass: its head is the announced one from now on, as soon as its holes can be listed.
    pub fn end_pass(&mut self, missing_bytes: u64) {
        let Some(mut counted) = self.counting.take() else { return };
        counted.holdings.pass_done();
        if missing_bytes == 0 {
            self.drifted_such_as = None;
        }
        self.missing_bytes = missing_bytes;
        let former = self.newest.replace(counted);
        let other = |former: &Account| self.newest.as_ref().is_some_and(|newest| newest.head != former.head);
        if let Some(former) = former.filter(|former| former.holdings.is_complete() && other(former)) {
            self.settled = Some(former);
        }
    }

    /// Forgets the announced head if it is no longer served.
    pub fn keep_only(&mut self, served: &[Arc<RetainedHead>]) {
        let is_served = |account: &Account| served.iter().any(|head| head.id == account.head);
        self.settled = self.settled.take().filter(is_served);
        self.newest = self.newest.take().filter(is_served);
    }

    /// Notes a blob that went bad or missing.
    pub fn lost(&mut self, blob: &BlobId) {
        for account in self.all() {
            account.holdings.lacks(blob);
        }
    }

    /// Notes a blob that is durable now.
    pub fn filled(&mut self, blob: &BlobId, size: u64) {
        self.missing_bytes = self.missing_bytes.saturating_sub(size);
        for account in self.all() {
            account.holdings.filled(blob);
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Account> {
        self.newest.iter_mut().chain(&mut self.settled).chain(&mut self.counting)
    }

    /// Notes an entry that no source can satisfy.
    pub fn bad_entry(&mut self) {
        self.bad_entries = self.bad_entries.saturating_add(1);
    }

    /// Notes that the origin no longer has the signed bytes of an artifact.
    pub fn drifted(&mut self, path: &ArtifactPath) {
        self.drifted_such_as = Some(path.clone());
    }

    /// Notes why following failed, or that it did not.
    pub fn set_fault(&mut self, fault: Option<String>) {
        self.fault = fault;
    }

    /// How many blobs are missing under the newest head, at most.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.newest.as_ref().map_or(0, |account| account.holdings.missing())
    }

    fn fault(&self) -> Option<String> {
        let drift = self.drifted_such_as.as_ref().map(|path| {
            format!("origin drifted: it no longer has the signed bytes, such as of {}", path.as_str())
        });
        self.fault.clone().or(drift)
    }

    /// The head that an unpinned path is answered from: the newest one that is held whole, else the newest.
    #[must_use]
    pub fn shown<'s>(&self, state: &'s CatalogState) -> Option<&'s Arc<RetainedHead>> {
        self.complete_pin().and_then(|pin| state.pinned(&pin)).or_else(|| state.newest())
    }

    fn complete_pin(&self) -> Option<Pin> {
        let complete = |account: &&Account| account.holdings.is_complete();
        self.newest.iter().chain(&self.settled).find(complete).map(|account| account.pin)
    }

    /// The head whose claim is announced, with the claim.
    fn announced(&self) -> (Option<HeadId>, Option<crate::holdings::Claim>) {
        let listable = |account: &&Account| account.holdings.missing() <= INVENTORY_BLOBS_MAX as u64;
        let Some(newest) = &self.newest else { return (None, None) };
        let account = Some(newest).filter(listable).or(self.settled.as_ref()).unwrap_or(newest);
        let mut claim = account.holdings.claim();
        if account.head != newest.head {
            // The older head does not name what is new, so no range speaks for it.
            claim.plus = newest.holdings.newcomers();
        }
        (Some(account.head).filter(|_| !claim.ranges.is_empty()), Some(claim))
    }
}
