//! The catalogs of the configuration, which may become others while the directory runs.
//!
//! Who asks gets all of them as they stand, and keeps that set for one piece of work. A catalog that is taken out stays open here: one that
//! comes back is the same, and nothing is ever followed twice over one ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use odi_manifest::CatalogId;
use tokio::sync::Notify;

use crate::catalog::Catalog;

/// Catalogs by their ids.
pub(crate) type Catalogs = BTreeMap<CatalogId, Arc<Catalog>>;

/// Those of the configuration.
#[derive(Default)]
pub(crate) struct Configured {
    sets: RwLock<Sets>,
    /// Others are configured now.
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct Sets {
    now: Arc<Catalogs>,
    opened: Catalogs,
}

impl Configured {
    /// Those of the start.
    pub(crate) fn new(catalogs: Catalogs) -> Self {
        let sets = Sets { now: Arc::new(catalogs.clone()), opened: catalogs };
        Self { sets: RwLock::new(sets), changed: Notify::new() }
    }

    fn sets(&self) -> RwLockReadGuard<'_, Sets> {
        self.sets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As they stand.
    pub(crate) fn now(&self) -> Arc<Catalogs> {
        Arc::clone(&self.sets().now)
    }

    /// One that was opened since the start, whether it is configured now or not.
    pub(crate) fn opened(&self, id: &CatalogId) -> Option<Arc<Catalog>> {
        self.sets().opened.get(id).cloned()
    }

    /// These are configured from now on.
    pub(crate) fn replace(&self, catalogs: Catalogs) {
        {
            let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
            sets.opened.extend(catalogs.iter().map(|(id, catalog)| (*id, Arc::clone(catalog))));
            sets.now = Arc::new(catalogs);
        }
        self.changed.notify_one();
    }
}
