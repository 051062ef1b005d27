//! One catalog at this directory: its states, what a path means among them, and how it is followed.

pub(crate) mod follow;
pub(crate) mod kept;
pub(crate) mod lifetime;
pub mod mutable;
pub mod resolve;
mod testimony;
pub mod view;
mod withdrawn;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use odi_manifest::{BlobId, CatalogId, HeadId, Nodes, RevId, Timestamp};
use odi_wire::catalog_settings::SettingsInForce;
use odi_wire::message::OwnWord;
use odi_wire::route::CatalogName;
use odi_wire::sync::{CatalogState, FollowedCatalog};
use tokio::sync::{Notify, watch};
use url::Url;

use crate::config::CatalogConfig;
use mutable::Mutable;
use view::{State, View};
use withdrawn::Sample;

/// One catalog. Requests read its view; only its follower and the tending task replace that.
pub struct Catalog {
    id: CatalogId,
    name: CatalogName,
    /// What of it may become another.
    config: RwLock<Arc<CatalogConfig>>,
    /// Whether this directory is its publisher and its only source.
    is_own: bool,
    followed: Arc<FollowedCatalog>,
    view: watch::Sender<Arc<View>>,
    /// The catalog's own settings.
    pub(crate) settings: SettingsInForce,
    /// What is taken back by path, by content.
    withdrawn: Mutex<HashSet<BlobId>>,
    /// Entries that the list of this name takes back, for probes; looked for when one is first needed.
    samples: Mutex<Option<(RevId, Arc<[Sample]>)>>,
    standing: Mutex<Standing>,
    /// What the operator has been told of its dates.
    told: Mutex<lifetime::Told>,
    /// Counts cosignatures and proofs as they come.
    words: watch::Sender<u64>,
    /// What this directory does as a witness, if it is one.
    own_word: Mutex<Option<OwnWord>>,
    /// Of how many proofs that its keys contradict themselves the operator has been told.
    told_of_proofs: Mutex<usize>,
    /// Asks the follower to look at the origin now.
    pub(crate) wake: Notify,
    /// Held by whoever advances the catalog: its poll, or a push.
    pub(crate) advancing: tokio::sync::Mutex<()>,
}

/// How following goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// When a head was last asked for with success.
    pub(crate) polled: Option<Timestamp>,
    /// Why the last attempt failed, if it did.
    pub(crate) fault: Option<String>,
}

impl Catalog {
    /// A catalog with the states that are known at the start.
    pub(crate) fn new(config: CatalogConfig, followed: Arc<FollowedCatalog>, view: View) -> Self {
        Self {
            id: config.id,
            name: config.name.clone(),
            config: RwLock::new(Arc::new(config)),
            is_own: false,
            followed,
            view: watch::Sender::new(Arc::new(view)),
            settings: SettingsInForce::default(),
            withdrawn: Mutex::default(),
            samples: Mutex::default(),
            standing: Mutex::default(),
            told: Mutex::default(),
            words: watch::Sender::default(),
            own_word: Mutex::default(),
            told_of_proofs: Mutex::default(),
            wake: Notify::new(),
            advancing: tokio::sync::Mutex::default(),
        }
    }

    /// A catalog that this directory publishes itself: it has no origin to ask.
    pub(crate) fn own(config: CatalogConfig, followed: Arc<FollowedCatalog>, view: View) -> Self {
        Self { is_own: true, ..Self::new(config, followed, view) }
    }

    /// Its self-certifying name.
    #[must_use]
    pub const fn id(&self) -> CatalogId {
        self.id
    }

    /// This directory's name for it.
    #[must_use]
    pub const fn name(&self) -> &CatalogName {
        &self.name
    }

    /// The maintainers' web server: as configured, or else as the newest adopted head names it.
    #[must_use]
    pub fn origin(&self) -> Option<Url> {
        let named = || self.view().adopted()?.head.origins.iter().find_map(|origin| origin.parse().ok());
        self.config().origin.clone().or_else(|| if self.is_own { None } else { named() })
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> Arc<CatalogConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another configuration of the same catalog: its origin, how often that is asked, and its mirrors. Whether it is another.
    pub(crate) fn reconfigure(&self, config: &CatalogConfig) -> bool {
        let former = self.config();
        let differs =
            former.origin != config.origin || former.poll != config.poll || former.mirrors != config.mirrors;
        let config = CatalogConfig { id: self.id, name: self.name.clone(), ..config.clone() };
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        if differs {
            self.wake.notify_one();
        }
        differs
    }

    /// What it can be answered from now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// Wakes when the view changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// What the sync client believes of it. It adopts; the view says what is served.
    pub(crate) const fn followed(&self) -> &Arc<FollowedCatalog> {
        &self.followed
    }

    /// What is taken back, as the newest adopted head says: that acts before anything else of it does.
    pub(crate) fn believed(&self) -> Arc<CatalogState> {
        self.followed.state()
    }

    /// Whether a blob is taken back, whatever named it.
    pub(crate) fn has_withdrawn(&self, blob: &BlobId) -> bool {
        let by_content =
            |state: &CatalogState| state.revocations().is_some_and(|list| list.revokes_blob(blob).is_some());
        by_content(&self.believed()) || lock(&self.withdrawn).contains(blob)
    }

    /// Adds blobs that are taken back by path. States in which they had it may be gone by the next time.
    pub(crate) fn withdraw(&self, blobs: HashSet<BlobId>) {
        let mut withdrawn = lock(&self.withdrawn);
        let room = withdrawn::WITHDRAWN_MAX.saturating_sub(withdrawn.len());
        withdrawn.extend(blobs.into_iter().take(room));
    }

    /// What is remembered as taken back by path.
    pub(crate) fn withdrawn(&self) -> HashSet<BlobId> {
        lock(&self.withdrawn).clone()
    }

    /// A few entries that are taken back, in states that relays may serve. Reads nodes, and so may block.
    pub(crate) fn withdrawn_samples(&self, nodes: &dyn Nodes) -> Arc<[Sample]> {
        let believed = self.believed();
        let Some(list) = believed.revocations() else { return Arc::default() };
        let id = list.id();
        if let Some((_, samples)) = lock(&self.samples).as_ref().filter(|(known, _)| *known == id) {
            return Arc::clone(samples);
        }
        let states: Vec<Arc<State>> = self.view().known().cloned().collect();
        // A damaged tree is mended by others; until then there is less to probe with.
        let samples: Arc<[Sample]> = withdrawn::samples(list, &states, nodes).unwrap_or_default().into();
        *lock(&self.samples) = Some((id, Arc::clone(&samples)));
        samples
    }

    /// Whether an entry is taken back by its content or its path.
    pub(crate) fn takes_back(&self, path: &str, blob: &BlobId) -> bool {
        let believed = self.believed();
        let list = believed.revocations();
        list.is_some_and(|list| list.revokes_blob(blob).is_some() || list.revokes_path(path).is_some())
    }

    /// Adds an adopted state. It is served when the state rules say so.
    pub(crate) fn adopt(&self, state: Arc<State>, mutable: Arc<Mutable>) {
        self.view.send_modify(|view| *view = Arc::new(view.with_adopted(state, mutable)));
    }

    /// Drops states that a new epoch has voided, and serves what it goes on from at once.
    pub(crate) fn drop_fallen(&self, now: Timestamp) {
        let believed = self.believed();
        let Some(trust) = believed.trust() else { return };
        self.view.send_if_modified(|view| {
            let fell = view.has_fallen(trust);
            if fell {
                *view = Arc::new(view.without_fallen(trust, now));
                tracing::warn!(catalog = %self.name(), "a new epoch has voided states; they are not served any more");
            }
            fell
        });
    }

    /// Adds an adopted state that is served at once, whoever holds it.
    pub(crate) fn adopt_at_once(&self, state: &Arc<State>, mutable: Arc<Mutable>, now: Timestamp) {
        self.view.send_modify(|view| {
            *view = Arc::new(view.with_adopted(Arc::clone(state), mutable).with_served(state, now));
        });
    }

    /// Serves the newest waiting state for which `ready` holds, and drops states that nobody needs any more.
    /// Whether it did either.
    pub(crate) fn turn_over(&self, now: Timestamp, ready: impl Fn(&State) -> bool) -> bool {
        let view = self.view();
        let next = view.next_served(ready);
        let keep = self.followed.retention();
        let (_, lapsed) = view.pruned(keep, now);
        if next.is_none() && lapsed.is_empty() {
            return false;
        }
        self.view.send_modify(|view| {
            let served =
                next.as_ref().map_or_else(|| view.as_ref().clone(), |state| view.with_served(state, now));
            *view = Arc::new(served.pruned(keep, now).0);
        });
        if let Some(state) = next {
            tracing::info!(catalog = %self.name(), pin = %state.pin, "a new state is served");
        }
        true
    }

    /// The sequence number of a head that is known here.
    #[must_use]
    pub fn seq_of(&self, head: &HeadId) -> Option<u64> {
        self.view().known().find(|state| state.id == *head).map(|state| state.head.seq)
    }

    pub(crate) fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    pub(crate) fn note(&self, standing: Standing) {
        *lock(&self.standing) = standing;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
