//! Keeps the store within what the operator allows: what is carried and has not been used for longest goes first.

use std::sync::Arc;
use std::time::Duration;

use odi_store::Keep;
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::config::Size;
use crate::directory::Directory;

/// Room for the trees of catalogs beside what is carried: about ten states of a catalog of ten million artifacts.
const TREES_BYTES: u64 = 16 << 30;
/// How often the store is looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// Room is made when less than this part of what may be carried is free.
const FREE_PART: u64 = 16;

/// What the store may take on disk.
pub(crate) const fn store_budget(carry: Size) -> u64 {
    carry.0.saturating_add(TREES_BYTES)
}

/// Makes room whenever it runs low, until `stop` is cancelled.
pub(crate) async fn keep_up(directory: Arc<Directory>, stop: CancellationToken) {
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let wanted = directory.config.carry.0 / FREE_PART;
        let (_, free) = directory.store.usage();
        if free >= wanted {
            continue;
        }
        let store = directory.store.clone();
        match blocking(move || store.evict(wanted.saturating_mul(2), &|_| Keep::Spare)).await {
            Ok(made) => {
                tracing::info!(evicted = made.evicted, freed = made.freed_bytes, "room was made in the store")
            }
            Err(error) => tracing::error!(%error, "no room could be made in the store"),
        }
    }
}
