//! Purging withdrawn content: its bytes go when no entry that still stands names them (promise P5 of ARCHITECTURE.md).
//!
//! Requests are refused by the revocation list itself, at once; what is done here only takes the bytes off the disk. It walks
//! the served trees on a blocking thread, and only when a head brought another list.

use std::collections::HashSet;
use std::sync::Arc;

use odi_manifest::{BlobId, NodesError};
use odi_store::Store;

use crate::catalog::Catalog;
use crate::relay::Relay;

/// Blobs that one walk purges at most; the next list's walk finds the rest.
const PURGED_MAX: usize = 65_536;

/// Purges what has been withdrawn and nothing names any more.
pub async fn purge(relay: &Relay) {
    let (store, catalogs) = (relay.store.clone(), relay.catalogs.all());
    let purged = tokio::task::spawn_blocking(move || purge_now(&store, &catalogs)).await;
    match purged {
        Ok(Ok(0)) => {}
        Ok(Ok(count)) => tracing::info!(count, "purged withdrawn blobs"),
        Ok(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "withdrawn blobs are refused, and not purged"
            );
        }
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn purge_now(store: &Store, catalogs: &[Arc<Catalog>]) -> Result<usize, NodesError> {
    let mut withdrawn = HashSet::new();
    each_entry(catalogs, |blob, revoked| {
        if revoked && withdrawn.len() < PURGED_MAX && store.contains(blob) {
            withdrawn.insert(*blob);
        }
    })?;
    if !withdrawn.is_empty() {
        each_entry(catalogs, |blob, revoked| {
            if !revoked {
                withdrawn.remove(blob);
            }
        })?;
    }
    for blob in &withdrawn {
        if let Err(error) = store.purge(blob) {
            tracing::error!(%blob, error = &error as &dyn std::error::Error, "cannot purge");
        }
    }
    Ok(withdrawn.len())
}

/// Every entry of every served state of every catalog, and whether it has been withdrawn there.
fn each_entry(catalogs: &[Arc<Catalog>], mut see: impl FnMut(&BlobId, bool)) -> Result<(), NodesError> {
    for catalog in catalogs {
        let (state, nodes) = (catalog.state(), catalog.followed.nodes());
        for head in state.retained() {
            for item in head.tree.iter(&nodes, None) {
                let (path, entry) = item?;
                see(&entry.blob, state.revokes(path.as_str(), &entry, head.seq()).is_some());
            }
        }
    }
    Ok(())
}
