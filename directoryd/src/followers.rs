//! Who follows what: a task for each configured catalog at its origin, and one for it at each peer; and one for what each peer says of relays. Started and ended as the configuration
//! has it, and joined here.

use std::collections::BTreeMap;
use std::sync::Arc;

use odi_manifest::CatalogId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, follow};
use crate::directory::Directory;
use crate::peers::{self, passing};

/// Follows until `stop` is cancelled. Ends before only if a follower did, which none should.
pub(crate) async fn run(directory: Arc<Directory>, stop: CancellationToken) {
    let mut followed: BTreeMap<CatalogId, CancellationToken> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    for peer in &directory.peers {
        let (directory, peer, stop) = (Arc::clone(&directory), Arc::clone(peer), stop.clone());
        tasks.spawn(async move {
            passing::follow(directory, peer, stop.clone()).await;
            stop.is_cancelled()
        });
    }
    loop {
        let configured = directory.configured.now();
        followed.retain(|id, ends| {
            let stays = configured.contains_key(id);
            if !stays {
                ends.cancel();
            }
            stays
        });
        for (id, catalog) in configured.iter() {
            followed.entry(*id).or_insert_with(|| {
                let ends = stop.child_token();
                start(&mut tasks, &directory, catalog, &ends);
                ends
            });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = directory.configured.changed.notified() => {}
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(%error, "BUG: a follower panicked");
                    return;
                }
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Starts what follows a catalog. Each says at its end whether that was asked of it.
fn start(
    tasks: &mut JoinSet<bool>,
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    ends: &CancellationToken,
) {
    let (at_origin, catalog_there, stop) = (Arc::clone(directory), Arc::clone(catalog), ends.clone());
    tasks.spawn(async move {
        follow::follow(at_origin, catalog_there, stop.clone()).await;
        stop.is_cancelled()
    });
    for peer in &directory.peers {
        let (directory, catalog) = (Arc::clone(directory), Arc::clone(catalog));
        let (peer, stop) = (Arc::clone(peer), ends.clone());
        tasks.spawn(async move {
            peers::follow(directory, catalog, peer, stop.clone()).await;
            stop.is_cancelled()
        });
    }
}
