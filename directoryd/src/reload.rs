//! Another configuration for a directory that runs: catalogs come, go and get other origins, and another denylist is in force; the rest waits for a restart, and that is said.

use std::sync::Arc;

use odi_manifest::Timestamp;
use odi_store::{Ledger, Store};
use odi_wire::off_worker::off_worker;
use odi_wire::sync::{FollowedCatalog, SyncError};

use crate::catalog::{Catalog, follow};
use crate::config::{CatalogConfig, Config};
use crate::configured::Catalogs;
use crate::directory::Directory;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Catalogs that are followed from now on.
    pub added: Vec<String>,
    /// Those that are not any more.
    pub removed: Vec<String>,
    /// Those that have another origin, or are asked at other times.
    pub changed: Vec<String>,
    /// Those that could not be opened, and why.
    pub failed: Vec<(String, String)>,
    /// Keys that differ and keep their former value until a restart.
    pub kept: Vec<String>,
}

/// Opens a catalog. Blocking.
pub(crate) fn open_catalog(
    config: &CatalogConfig,
    store: &Store,
    ledger: &Arc<Ledger>,
    now: Timestamp,
) -> Result<Arc<Catalog>, SyncError> {
    let followed = FollowedCatalog::open(config.id, store.clone(), Arc::clone(ledger), now)?;
    let view = follow::restored_view(&followed, now);
    Ok(Arc::new(Catalog::new(config.clone(), followed, view)))
}

/// Takes what may change. Of a file of `catalogs.d/` that cannot be taken, the catalogs stay as they are.
pub(crate) async fn reload(directory: &Arc<Directory>, config: Config) -> Reloaded {
    let mut done = Reloaded {
        kept: directory.config.fixed_differences(&config).into_iter().map(str::to_owned).collect(),
        ..Reloaded::default()
    };
    if directory.denied.replace(Arc::clone(&config.denied)) {
        tracing::info!("another denylist is in force");
        directory.denials_due.notify_one();
    }
    let (located, files) = (Arc::clone(directory), config.geography.clone());
    off_worker(move || located.geography.take(&files)).await;
    let before = directory.configured.now();
    let mut catalogs = Catalogs::new();
    for wanted in with_those_of_faulty_files(config, &before) {
        match taken(directory, &wanted, &mut done).await {
            Ok(catalog) => _ = catalogs.insert(wanted.id, catalog),
            Err(error) => done.failed.push((wanted.name.to_string(), odi_wire::chain::of(&error))),
        }
    }
    let names = |catalogs: &Catalogs, others: &Catalogs| -> Vec<String> {
        let missing = catalogs.iter().filter(|(id, _)| !others.contains_key(id));
        missing.map(|(_, catalog)| catalog.name().to_string()).collect()
    };
    (done.added, done.removed) = (names(&catalogs, &before), names(&before, &catalogs));
    directory.relays.roster().follow(catalogs.keys().copied().collect());
    directory.configured.replace(catalogs);
    // Relays are to hold others, and the store has less to keep.
    directory.news.notify_one();
    directory.upkeep_due.notify_one();
    done
}

fn with_those_of_faulty_files(config: Config, before: &Catalogs) -> Vec<CatalogConfig> {
    let is_faulty = |catalog: &CatalogConfig| {
        config.faulty_files.iter().any(|faulty| {
            catalog.file.as_ref().is_some_and(|file| *file == faulty.path || file.starts_with(&faulty.path))
        })
    };
    let stay = before.values().map(|catalog| catalog.config()).filter(|catalog| is_faulty(catalog));
    let stay: Vec<CatalogConfig> = stay.map(|catalog| (*catalog).clone()).collect();
    let mut wanted = config.catalogs;
    for catalog in stay {
        // A file that is fine may have taken it over.
        if !wanted.iter().any(|other| other.id == catalog.id || other.name == catalog.name) {
            wanted.push(catalog);
        }
    }
    wanted
}

async fn taken(
    directory: &Arc<Directory>,
    wanted: &CatalogConfig,
    done: &mut Reloaded,
) -> Result<Arc<Catalog>, SyncError> {
    if let Some(known) = directory.configured.opened(&wanted.id) {
        if known.name() != &wanted.name {
            done.kept.push(format!("name of {}", known.name()));
        }
        if known.reconfigure(wanted) {
            done.changed.push(known.name().to_string());
        }
        return Ok(known);
    }
    let (directory, wanted) = (Arc::clone(directory), wanted.clone());
    let now = directory.clock.now();
    off_worker(move || open_catalog(&wanted, &directory.store, &directory.ledger, now)).await
}
