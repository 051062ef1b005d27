//! Keeps house for the store: mends what went bad, purges what was taken back or is denied, takes space back from states that are not servable any more,
//! and keeps what is carried within what the operator allows.
//!
//! | a crash after | leaves |
//! |---|---|
//! | a head with other revocations was adopted | their bytes, refused to everybody; they are purged after the restart |
//! | a few of many blobs were purged | the rest likewise |
//! | nodes were marked, and some swept | all that is needed, and some that is not; the next sweep takes it |

mod mending;
mod purging;
mod reclaiming;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::HeadId;
use tokio_util::sync::CancellationToken;

use crate::catalog::kept::kept;
use crate::config::Size;
use crate::denying;
use crate::directory::Directory;
use purging::Purges;
use reclaiming::Reclaims;

/// Room for the trees of catalogs beside what is carried: about ten states of a catalog of ten million artifacts.
const TREES_BYTES: u64 = 16 << 30;
/// How often the store is looked at, beside the looks that are asked for.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the store may take on disk.
pub(crate) const fn store_budget(carry: Size) -> u64 {
    carry.0.saturating_add(TREES_BYTES)
}

/// Keeps house until `stop` is cancelled. What runs on a blocking thread is waited for, so that nothing uses the store
/// after that.
pub(crate) async fn keep_up(directory: Arc<Directory>, stop: CancellationToken) {
    tokio::join!(mending::run(&directory, &stop), denying::run(&directory, &stop), tidy(&directory, &stop));
}

async fn tidy(directory: &Arc<Directory>, stop: &CancellationToken) {
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut purges = Purges::default();
    let mut reclaims = Reclaims::from(directory.clock.now());
    directory.carry.count().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
            () = directory.upkeep_due.notified() => {}
        }
        if stop.run_until_cancelled(expire(directory)).await.is_none() {
            return;
        }
        let purged = purges.purge(directory).await;
        let reclaimed = reclaims.reclaim(directory, stop).await;
        if purged || reclaimed {
            directory.carry.count().await;
        }
        directory.carry.keep_within(directory.config.carry.0).await;
    }
}

/// Lets the sync client drop states whose time is up.
async fn expire(directory: &Directory) {
    let now = directory.clock.now();
    for catalog in directory.catalogs() {
        catalog.followed().expire(now).await;
    }
}

/// The states of all catalogs that are needed now.
fn kept_heads(directory: &Directory) -> HashSet<HeadId> {
    directory.catalogs().iter().flat_map(|catalog| kept(catalog)).map(|state| state.id).collect()
}
