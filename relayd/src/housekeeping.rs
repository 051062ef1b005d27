//! What a relay does for its own store while nobody asks: mend what went bad, make room, look for rot and for what is left
//! of purged bytes.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{BlobId, NodeId};
use odi_store::{Event, Live, Store};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::relay::Relay;

/// Between two looks at what the store lost.
const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the room that is left.
const ROOM_EVERY: Duration = Duration::from_secs(60);
/// Reclaim begins when less than this share of the budget is free, in percent.
const ROOM_PERCENT: u64 = 10;

/// Between two looks for rot, and how many bytes each re-reads: about a megabyte a second.
const SCRUB_EVERY: Duration = Duration::from_secs(30);
/// See [`SCRUB_EVERY`].
const SCRUB_BYTES: u64 = 32 << 20;

/// Keeps house until `stop`.
pub async fn run(relay: Arc<Relay>, stop: CancellationToken) {
    let mending = async {
        loop {
            tokio::time::sleep(EVENTS_EVERY).await;
            mend(&relay).await;
        }
    };
    let tidying = async {
        let mut crowded = relay.fill.crowded.listen();
        loop {
            let waited = tokio::time::timeout(ROOM_EVERY, crowded.rung()).await;
            let now = relay.clock.now();
            for catalog in relay.catalogs.all() {
                catalog.followed.expire(now).await;
            }
            make_room(&relay, waited.is_ok()).await;
            if waited.is_ok() {
                // A disk that is full of what is assigned would otherwise be walked without pause.
                tokio::time::sleep(ROOM_EVERY).await;
            }
        }
    };
    let scrubbing = async {
        loop {
            tokio::time::sleep(SCRUB_EVERY).await;
            scrub(&relay.store).await;
        }
    };
    stop.run_until_cancelled(async { tokio::join!(mending, tidying, scrubbing) }).await;
}

/// What the store dropped as damaged is announced no longer, and fetched again by the pass that this starts.
async fn mend(relay: &Relay) {
    let events = relay.store.take_events();
    if events.is_empty() {
        return;
    }
    let catalogs = relay.catalogs.all();
    let mut nodes_lost = false;
    for event in events {
        match event {
            Event::ChunkLost { blob, chunk, .. } => {
                tracing::warn!(%blob, ?chunk, "damaged on disk; it is fetched again");
                catalogs.iter().for_each(|catalog| catalog.accounts().lost(&blob));
            }
            Event::NodeLost { node } => {
                tracing::warn!(%node, "a tree node was damaged on disk; it is fetched again");
                nodes_lost = true;
            }
            Event::Overflow { lost } => {
                tracing::warn!(lost, "more damage than could be listed");
                nodes_lost = true;
            }
        }
    }
    if nodes_lost {
        for catalog in &catalogs {
            // Its follower waits for this.
            if let Err(error) = catalog.followed.doubt().await {
                tracing::error!(catalog = %catalog.name, error = &error as &dyn std::error::Error, "cannot read a tree");
            }
        }
    }
    catalogs.iter().for_each(|catalog| catalog.changed.ring());
    relay.announce.ring();
}

/// Takes space back from what is neither assigned nor named by a served head, once room runs short.
async fn make_room(relay: &Relay, crowded: bool) {
    let (used, free) = relay.store.usage();
    let short = free < (used.saturating_add(free)) / 100 * ROOM_PERCENT;
    // Before an assignment is known everything would count as unasked for.
    let assigned = relay.assigner().is_some_and(|directory| directory.link().assignment.is_some());
    if !(short || crowded) || !assigned {
        return;
    }
    let needed = Needed(relay.catalogs.all());
    let store = relay.store.clone();
    // Behind a damaged node lies what could not be marked: nothing goes until the tree has been fetched again.
    let reclaimed =
        tokio::task::spawn_blocking(move || needed.is_whole().then(|| store.reclaim(&needed)).transpose());
    match reclaimed.await {
        Ok(Ok(None)) => tracing::warn!("no room is made while a tree is damaged"),
        Ok(Ok(Some(reclaimed))) => tracing::info!(?reclaimed, "made room"),
        Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "cannot make room"),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Re-reads a little of what is at rest; what does not verify becomes an event, as if a client had found it. Purged
/// bytes that turned up, or that a fill wrote while they were purged, go.
async fn scrub(store: &Store) {
    let store = store.clone();
    let scrubbing = move || {
        store.scrub(SCRUB_BYTES)?;
        store.expunge()
    };
    match tokio::task::spawn_blocking(scrubbing).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot scrub"),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What served heads name, as far as it is assigned, and all their tree nodes.
struct Needed(Vec<Arc<Catalog>>);

impl Needed {
    fn is_whole(&self) -> bool {
        self.0.iter().all(|catalog| catalog.followed.mark_nodes(&mut |_| {}).is_ok())
    }
}

impl Live for Needed {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId)) {
        for catalog in &self.0 {
            let (nodes, assigned) = (catalog.followed.nodes(), catalog.assigned());
            for head in catalog.state().retained() {
                // An unreadable tree ends early, and the blobs behind it are fetched again: room first.
                for (_, entry) in head.tree.iter(&nodes, None).map_while(Result::ok) {
                    if assigned.covers(&entry.blob) {
                        mark(&entry.blob);
                    }
                }
            }
        }
    }

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        for catalog in &self.0 {
            if let Err(error) = catalog.followed.mark_nodes(mark) {
                tracing::warn!(catalog = %catalog.name, error = &error as &dyn std::error::Error, "a tree is damaged");
            }
        }
    }
}
