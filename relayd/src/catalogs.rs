//! The catalogs that this relay follows, by id and by the names that directories give them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use odi_manifest::{BlobId, CatalogId, Pin};
use odi_wire::route::{CatalogName, CatalogRef};
use odi_wire::sync::{CatalogState, RetainedHead};

use crate::catalog::Catalog;

/// Followed catalogs. A name belongs to the catalog that had it first; a second directory's other catalog of that name is
/// served by its pins only.
#[derive(Debug, Default)]
pub struct Catalogs(RwLock<BTreeMap<CatalogId, Arc<Catalog>>>);

impl Catalogs {
    /// All of them, by id.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Catalog>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One by its id.
    #[must_use]
    pub fn get(&self, id: &CatalogId) -> Option<Arc<Catalog>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The one that a URL names.
    #[must_use]
    pub fn find(&self, named: &CatalogRef) -> Option<Arc<Catalog>> {
        match named {
            CatalogRef::Named(name) => self.named(name),
            CatalogRef::Id(id) => self.get(id),
        }
    }

    /// One by its name.
    #[must_use]
    pub fn named(&self, name: &CatalogName) -> Option<Arc<Catalog>> {
        let catalogs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        catalogs.values().filter(|catalog| catalog.name == *name).min_by_key(|catalog| catalog.order).cloned()
    }

    /// The head that a pin names, whichever catalog it belongs to.
    #[must_use]
    pub fn pinned(&self, pin: &Pin) -> Option<(Arc<Catalog>, Arc<CatalogState>, Arc<RetainedHead>)> {
        let catalogs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        catalogs.values().find_map(|catalog| {
            let state = catalog.state();
            let head = Arc::clone(state.pinned(pin)?);
            Some((Arc::clone(catalog), state, head))
        })
    }

    /// Adds a catalog that is followed from now on.
    pub fn add(&self, catalog: Arc<Catalog>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(*catalog.id(), catalog);
    }

    /// Takes one out that is followed no longer.
    pub fn remove(&self, id: &CatalogId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Whether any followed catalog has withdrawn anything.
    #[must_use]
    pub fn revoke_anything(&self) -> bool {
        self.all().iter().any(|catalog| catalog.state().revocations().is_some_and(|list| !list.is_empty()))
    }

    /// Whether any followed catalog has withdrawn this content.
    #[must_use]
    pub fn revokes_blob(&self, blob: &BlobId) -> bool {
        self.all().iter().any(|catalog| {
            catalog.state().revocations().is_some_and(|revoked| revoked.revokes_blob(blob).is_some())
        })
    }
}
