//! The list in force, and which blobs it was found to mean. Pure, but for the lock.
//!
//! A rule by path or SHA-256 says nothing of a blob asked for by its own name: that takes a look at the trees of all served
//! heads (each daemon's `denying.rs`). Until there has been one, and where it found more than can be remembered, no content is
//! served by its own name at all. So a limit, a damaged tree or a moment's delay never serves what is denied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use odi_manifest::{BlobId, CatalogId, HeadId};

use super::Denylist;

/// Blobs that are remembered per catalog as denied.
pub const FOUND_MAX: usize = 65_536;

/// What a list means in one catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    heads: BTreeSet<HeadId>,
    blobs: BTreeSet<BlobId>,
    /// Whether there are blobs that are not remembered.
    too_many: bool,
}

impl Found {
    /// Notes a blob that is denied.
    pub fn denied(&mut self, blob: &BlobId) {
        if self.blobs.len() < FOUND_MAX {
            self.blobs.insert(*blob);
        } else {
            self.too_many |= !self.blobs.contains(blob);
        }
    }

    /// Notes that these are the heads whose denied blobs have all been noted.
    pub fn looked_at(&mut self, heads: impl IntoIterator<Item = HeadId>) {
        self.heads = heads.into_iter().collect();
    }

    /// Whether a head was looked at, however much was found.
    #[must_use]
    pub fn has_looked_at(&self, head: &HeadId) -> bool {
        self.heads.contains(head)
    }

    /// Whether all denied blobs of a head have been noted.
    #[must_use]
    pub fn knows(&self, head: &HeadId) -> bool {
        self.heads.contains(head) && !self.too_many
    }

    /// What a look begins with that does not trust the former one: of its blobs those that are still held, for heads may be
    /// gone that named them.
    #[must_use]
    pub fn again(mut self, held: impl Fn(&BlobId) -> bool) -> Self {
        self.blobs.retain(held);
        Self { blobs: self.blobs, ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct InForce {
    list: Arc<Denylist>,
    found: BTreeMap<CatalogId, Arc<Found>>,
    /// Whether what no served head names has gone since: nobody can say whether it is denied.
    swept: bool,
    /// Counts changes of the rest.
    revision: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Denied(RwLock<InForce>);

impl Denied {
    /// With this list from the start.
    #[must_use]
    pub fn of(list: Arc<Denylist>) -> Self {
        Self(RwLock::new(InForce { list, ..InForce::default() }))
    }

    /// With this list from now on; whether that changes anything.
    pub fn replace(&self, list: Arc<Denylist>) -> bool {
        let mut in_force = self.write();
        let differs = in_force.list != list;
        if differs {
            let revision = in_force.revision + 1;
            *in_force = InForce { list, revision, ..InForce::default() };
        }
        differs
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> Arc<Denylist> {
        Arc::clone(&self.read().list)
    }

    /// What has been found in a catalog by this list, if it is still the one in force.
    #[must_use]
    pub fn found(&self, catalog: &CatalogId, list: &Arc<Denylist>) -> Arc<Found> {
        let in_force = self.read();
        let found = in_force.found.get(catalog).filter(|_| Arc::ptr_eq(&in_force.list, list));
        found.cloned().unwrap_or_default()
    }

    /// Notes what was found by a list. Of one that is in force no longer it says nothing.
    pub fn note(&self, catalog: CatalogId, list: &Arc<Denylist>, found: Found) {
        let mut in_force = self.write();
        if Arc::ptr_eq(&in_force.list, list) {
            in_force.found.insert(catalog, Arc::new(found));
            in_force.revision += 1;
        }
    }

    /// Another number after each change of the list, and of what is known of it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// Whether content is denied under its own name: it is on the list, or something of that content is.
    #[must_use]
    pub fn denies_blob(&self, blob: &BlobId) -> bool {
        let in_force = self.read();
        in_force.list.denies_blob(blob) || in_force.found.values().any(|found| found.blobs.contains(blob))
    }

    /// Whether it is known of all content that a catalog's heads name whether it is denied.
    #[must_use]
    pub fn knows<'h>(&self, catalog: &CatalogId, heads: impl IntoIterator<Item = &'h HeadId>) -> bool {
        let in_force = self.read();
        let known = |head| in_force.found.get(catalog).is_some_and(|found| found.knows(head));
        in_force.list.says_nothing_by_catalogs() || heads.into_iter().all(known)
    }

    /// Whether there may still be content that no served head names, and of which nothing can be known.
    #[must_use]
    pub fn awaits_sweep(&self) -> bool {
        let in_force = self.read();
        !in_force.swept && !in_force.list.says_nothing_by_catalogs()
    }

    /// Notes that what no served head names has gone since a list is in force.
    pub fn swept(&self, list: &Arc<Denylist>) {
        let mut in_force = self.write();
        if Arc::ptr_eq(&in_force.list, list) && !in_force.swept {
            in_force.swept = true;
            in_force.revision += 1;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, InForce> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, InForce> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Arc<Denylist> {
        Arc::new(Denylist::parse(text).unwrap())
    }

    fn blob(n: usize) -> BlobId {
        BlobId::of(&n.to_be_bytes())
    }

    const CATALOG: CatalogId = CatalogId::from_bytes([1; 32]);
    const HEADS: [HeadId; 2] = [HeadId::from_bytes([2; 32]), HeadId::from_bytes([3; 32])];

    #[test]
    fn nothing_is_known_before_every_head_was_looked_at_with_the_list_in_force() {
        let denied = Denied::default();
        assert!(denied.knows(&CATALOG, &HEADS) && !denied.awaits_sweep());
        let mut revision = denied.revision();
        let mut changes = || denied.revision() != std::mem::replace(&mut revision, denied.revision());
        let by_path = list("/debian/x");
        assert!(denied.replace(Arc::clone(&by_path)));
        assert!(!denied.knows(&CATALOG, &HEADS) && denied.awaits_sweep());
        assert!(changes() && !changes());
        let mut found = Found::default();
        found.denied(&blob(1));
        found.looked_at([HEADS[0]]);
        denied.note(CATALOG, &by_path, found.clone());
        assert!(denied.knows(&CATALOG, &HEADS[..1]) && !denied.knows(&CATALOG, &HEADS));
        assert!(changes() && !changes());
        assert!(denied.denies_blob(&blob(1)) && !denied.denies_blob(&blob(2)));
        denied.swept(&by_path);
        assert!(!denied.awaits_sweep() && changes());

        denied.replace(list("/debian/y"));
        assert!(changes());
        denied.note(CATALOG, &by_path, found);
        denied.swept(&by_path);
        assert!(!denied.knows(&CATALOG, &HEADS[..1]) && denied.awaits_sweep(), "found by another list");
        assert!(!changes());
        denied.replace(list(&format!("blake3:{}", blob(3))));
        assert!(denied.knows(&CATALOG, &HEADS) && denied.denies_blob(&blob(3)));
    }

    #[test]
    fn what_cannot_be_remembered_leaves_nothing_known() {
        let (denied, all) = (Denied::default(), list("/debian/"));
        denied.replace(Arc::clone(&all));
        let mut found = Found::default();
        (0..FOUND_MAX).for_each(|n| found.denied(&blob(n)));
        found.denied(&blob(0));
        found.looked_at(HEADS);
        denied.note(CATALOG, &all, found.clone());
        assert!(denied.knows(&CATALOG, &HEADS));
        found.denied(&blob(FOUND_MAX));
        denied.note(CATALOG, &all, found.clone());
        assert!(!denied.knows(&CATALOG, &HEADS) && denied.denies_blob(&blob(0)));
        let mut again = found.again(|held| *held == blob(7));
        again.looked_at(HEADS);
        denied.note(CATALOG, &all, again);
        assert!(denied.knows(&CATALOG, &HEADS));
        assert!(denied.denies_blob(&blob(7)) && !denied.denies_blob(&blob(8)));
    }
}
