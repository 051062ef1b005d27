//! Finds what went bad on disk while nobody asked, and has lost tree nodes fetched again without a restart.
//!
//! A carried artifact that was lost needs nothing: whoever asks for it next has it fetched. A lost node tears a state; the
//! catalog's follower then asks its origin for the tree again, and gets only what is missing where it can.

use odi_wire::off_worker::off_worker;
use std::sync::Arc;
use std::time::Duration;

use odi_store::Event;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;

/// Between two looks at what the store lost.
const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for rot, and how many bytes each re-reads: about a megabyte a second.
const SCRUB_EVERY: Duration = Duration::from_secs(30);
/// See [`SCRUB_EVERY`].
const SCRUB_BYTES: u64 = 32 << 20;

/// Looks until `stop` is cancelled. A step that has begun is waited for.
pub(super) async fn run(directory: &Arc<Directory>, stop: &CancellationToken) {
    let mut looks = tokio::time::interval(EVENTS_EVERY);
    let mut scrubs = tokio::time::interval(SCRUB_EVERY);
    for ticks in [&mut looks, &mut scrubs] {
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => mend(directory).await,
            _ = scrubs.tick() => scrub(directory).await,
        }
    }
}

async fn mend(directory: &Directory) {
    let events = directory.store.take_events();
    // What could not be listed may have been nodes.
    if !events.iter().any(|event| matches!(event, Event::NodeLost { .. } | Event::Overflow { .. })) {
        return;
    }
    for catalog in directory.catalogs() {
        match catalog.followed().doubt().await {
            Ok(true) => {
                tracing::warn!(catalog = %catalog.name(), "a tree was damaged on disk; it is fetched again");
                catalog.wake.notify_one();
            }
            Ok(false) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(catalog = %catalog.name(), error, "cannot read a tree");
            }
        }
    }
}

/// Re-reads a little of what is at rest; what does not verify becomes an event, as if a client had found it. Purged
/// bytes that turned up go, and those that an earlier attempt left.
async fn scrub(directory: &Directory) {
    let store = directory.store.clone();
    let scrubbing = move || {
        store.scrub(SCRUB_BYTES)?;
        store.expunge()
    };
    if let Err(error) = off_worker(scrubbing).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot scrub");
    }
}
