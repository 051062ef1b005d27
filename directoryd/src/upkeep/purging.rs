//! Purging what was taken back: its bytes go when no entry that still stands names them (promise P5 of ARCHITECTURE.md).
//!
//! Requests are refused by the revocation list itself, at once; what is done here only takes the bytes off the disk, by
//! rewriting their packs. What a crash or a full disk leaves of that, the next scrub does (see `mending`).
//! Trees are walked when a head brought another list and after a start, and again for what something else still named.

use odi_wire::off_worker::off_worker;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use odi_manifest::{BlobId, CatalogId, HeadId, NodesError, RevId, Revoked};
use odi_store::Store;

use super::kept_heads;
use crate::catalog::Catalog;
use crate::catalog::kept::{each_entry, kept};
use crate::directory::{Directory, Nodes};
use crate::state_rules::CARRIED_BYTES_MAX;

/// Blobs that one walk purges at most; the next one finds the rest.
const PURGED_MAX: usize = 65_536;

/// What has been looked at already.
#[derive(Debug, Default)]
pub(super) struct Purges {
    lists: BTreeMap<CatalogId, RevId>,
    heads: HashSet<HeadId>,
    /// Taken back, and named by an entry that stands.
    standing: HashSet<BlobId>,
}

/// What one walk found.
#[derive(Debug, Default)]
struct Found {
    purged: HashSet<BlobId>,
    standing: HashSet<BlobId>,
    is_all: bool,
}

impl Purges {
    /// Purges what is due; whether anything was.
    pub(super) async fn purge(&mut self, directory: &Arc<Directory>) -> bool {
        let (lists, heads) = (newest_lists(directory), kept_heads(directory));
        let has_news = lists != self.lists;
        if !has_news && (self.standing.is_empty() || heads == self.heads) {
            return false;
        }
        let (store, nodes, catalogs) =
            (directory.store.clone(), directory.nodes.clone(), directory.catalogs());
        let standing = self.standing.clone();
        let found = off_worker(move || find_and_purge(&store, &nodes, &catalogs, standing, has_news)).await;
        match found {
            Ok(found) => {
                if found.is_all {
                    (self.lists, self.heads) = (lists, heads);
                }
                self.standing = found.standing;
                if !found.purged.is_empty() {
                    tracing::info!(count = found.purged.len(), "purged withdrawn blobs");
                    expunge(directory).await;
                }
                !found.purged.is_empty()
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "withdrawn blobs are refused, and not purged");
                false
            }
        }
    }
}

/// Takes purged bytes off the disk.
async fn expunge(directory: &Directory) {
    let store = directory.store.clone();
    if let Err(error) = off_worker(move || store.expunge()).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "withdrawn bytes are dead, and still on disk");
    }
}

fn newest_lists(directory: &Directory) -> BTreeMap<CatalogId, RevId> {
    let list = |catalog: &Arc<Catalog>| {
        let believed = catalog.believed();
        Some((catalog.id(), believed.believed()?.newest.as_ref()?.revocations?))
    };
    directory.catalogs().iter().filter_map(list).collect()
}

fn find_and_purge(
    store: &Store,
    nodes: &Nodes,
    catalogs: &[Arc<Catalog>],
    mut withdrawn: HashSet<BlobId>,
    has_news: bool,
) -> Result<Found, NodesError> {
    if has_news {
        for catalog in catalogs {
            collect(catalog, store, nodes, &mut withdrawn)?;
        }
    }
    withdrawn.retain(|blob| store.contains(blob));
    let mut found = Found { is_all: withdrawn.len() < PURGED_MAX, ..Found::default() };
    if withdrawn.is_empty() {
        return Ok(found);
    }
    for catalog in catalogs {
        each_entry(&kept(catalog), catalog.believed().revocations(), nodes, &mut |entry, revoked| {
            if !revoked && withdrawn.remove(&entry.blob) {
                found.standing.insert(entry.blob);
            }
        })?;
    }
    for blob in withdrawn {
        match store.purge(&blob) {
            Ok(()) => _ = found.purged.insert(blob),
            Err(error) => {
                found.is_all = false;
                tracing::error!(%blob, error = &error as &dyn std::error::Error, "cannot purge");
            }
        }
    }
    Ok(found)
}

/// The carried blobs that a catalog takes back: by their names, by those that it remembers, and by what its states have.
fn collect(
    catalog: &Catalog,
    store: &Store,
    nodes: &Nodes,
    withdrawn: &mut HashSet<BlobId>,
) -> Result<(), NodesError> {
    let believed = catalog.believed();
    let Some(list) = believed.revocations().filter(|list| list.iter().next().is_some()) else {
        return Ok(());
    };
    let by_name = list.iter().filter_map(|revocation| match revocation.what {
        Revoked::Blob(blob) => Some(blob),
        _ => None,
    });
    let remembered = catalog.withdrawn();
    let named = by_name.chain(remembered).filter(|blob| store.contains(blob));
    withdrawn.extend(named.take(PURGED_MAX.saturating_sub(withdrawn.len())));
    each_entry(&kept(catalog), Some(list), nodes, &mut |entry, revoked| {
        let is_carried = || entry.size <= CARRIED_BYTES_MAX && store.contains(&entry.blob);
        if revoked && withdrawn.len() < PURGED_MAX && is_carried() {
            withdrawn.insert(entry.blob);
        }
    })
}
