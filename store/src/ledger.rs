//! The ledger: what this machine has come to believe about catalogs, and never goes back from (P2).
//!
//! Raw signed records in small files of their own, apart from packs and index, because losing them is worse than
//! losing bytes. Every file is written whole, synced, renamed into place, and its folder synced; the mark is renamed
//! last and is the only commit point. Invariants: the mark only grows, every head of the line is named by the one
//! above it, and whatever a call acknowledged is there after any crash. FORMAT.md § Ledger.

mod adopt;
mod error;
mod files;
mod mark_file;
mod records;
mod recover;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use odi_manifest::{
    CatalogId, Cosignature, Equivocation, Head, HeadId, Mark, RevocationList, Root, TrustRoot, Unverified,
    Verified,
};

use crate::disk::Disk;
use files::Files;

pub use error::LedgerError;

/// What is believed about one catalog: a snapshot, cheap to clone.
#[derive(Clone, Debug)]
pub struct CatalogTrust {
    /// Its roots.
    pub trust: TrustRoot,
    /// The largest head ever adopted. A root may have voided it since: [`standing`](Self::standing).
    pub mark: Option<Mark>,
    /// That head. `None` with a mark means that its file is damaged: nothing below the mark is adopted all the same.
    pub newest: Option<Verified<Head>>,
    /// What that head takes back.
    pub revocations: Arc<RevocationList>,
    /// The ids of the heads that are kept, all of one line, by sequence number.
    pub line: Arc<BTreeMap<u64, HeadId>>,
    /// The newest cosignature of each witness.
    pub cosignatures: Vec<Cosignature>,
    /// Proofs that the release keys signed two heads of one number.
    pub equivocations: Vec<Equivocation>,
}

impl CatalogTrust {
    /// The newest head, unless a root has since opened an epoch that voids it.
    #[must_use]
    pub fn standing(&self) -> Option<&Verified<Head>> {
        self.newest.as_ref().filter(|_| !self.mark.is_some_and(|mark| mark.is_fallen(&self.trust)))
    }
}

/// The durable trust state of all catalogs. Calls block on the disk, except [`load`](Self::load) and
/// [`catalogs`](Self::catalogs).
#[derive(Debug)]
pub struct Ledger {
    files: Files,
    /// Held through every change; readers do not take it. The catalogs in it are those whose last change failed on
    /// the disk, so that it may show what was never acknowledged.
    changes: Mutex<HashSet<CatalogId>>,
    catalogs: RwLock<HashMap<CatalogId, Arc<CatalogTrust>>>,
}

impl Ledger {
    /// Opens the ledger in a folder of its own, creating it if it is not there, and brings every catalog back.
    ///
    /// # Errors
    /// The disk failed, or a catalog's roots, which nothing can stand in for, are damaged.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, LedgerError> {
        let files = Files::open(disk, folder)?;
        let mut catalogs = HashMap::new();
        for catalog in files.catalogs()? {
            let trust = recover::recover(&files, catalog)?;
            catalogs.insert(catalog, Arc::new(trust));
        }
        Ok(Self { files, changes: Mutex::default(), catalogs: RwLock::new(catalogs) })
    }

    /// The catalogs that have a root here, in no order.
    #[must_use]
    pub fn catalogs(&self) -> Vec<CatalogId> {
        self.catalogs.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// What is believed about a catalog.
    #[must_use]
    pub fn load(&self, catalog: &CatalogId) -> Option<Arc<CatalogTrust>> {
        self.catalogs.read().unwrap_or_else(PoisonError::into_inner).get(catalog).cloned()
    }

    /// Takes a catalog's next root; root 1 begins a catalog. A root that is held already changes nothing.
    ///
    /// # Errors
    /// The root is refused, or the disk failed.
    pub fn put_root(&self, catalog: &CatalogId, root: &Unverified<Root>) -> Result<(), LedgerError> {
        let change = self.change();
        let Some(held) = self.load(catalog) else {
            let trust = TrustRoot::begin(*catalog, root)?;
            self.files.begin(catalog, &root.encode())?;
            self.publish(&change, *catalog, records::fresh(trust));
            return Ok(());
        };
        let index = usize::try_from(root.claims().version.saturating_sub(1)).unwrap_or(usize::MAX);
        if held.trust.roots().get(index).is_some_and(|known| known.payload() == root.payload()) {
            return Ok(());
        }
        let mut next = CatalogTrust::clone(&held);
        next.trust.rotate(root)?;
        records::cut_line(&mut next);
        self.files.put(catalog, &files::root_name(root.claims().version), &root.encode())?;
        self.publish(&change, *catalog, next);
        Ok(())
    }

    /// Drops a catalog and everything about it, its mark included.
    ///
    /// # Errors
    /// The disk failed.
    pub fn forget(&self, catalog: &CatalogId) -> Result<(), LedgerError> {
        let _change = self.change();
        self.files.forget(catalog)?;
        self.catalogs.write().unwrap_or_else(PoisonError::into_inner).remove(catalog);
        Ok(())
    }

    fn change(&self) -> Change<'_> {
        Change { unclean: self.changes.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    fn known(&self, catalog: &CatalogId) -> Result<Arc<CatalogTrust>, LedgerError> {
        self.load(catalog).ok_or(LedgerError::UnknownCatalog(*catalog))
    }

    /// Shows readers a state that is durable.
    fn publish(&self, _change: &Change<'_>, catalog: CatalogId, state: CatalogTrust) {
        let mut catalogs = self.catalogs.write().unwrap_or_else(PoisonError::into_inner);
        catalogs.insert(catalog, Arc::new(state));
    }
}

/// The right to change the ledger; there is one at a time.
struct Change<'a> {
    unclean: MutexGuard<'a, HashSet<CatalogId>>,
}

/// Where the ledger lies in a daemon's data folder.
#[must_use]
pub fn ledger_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("ledger")
}
