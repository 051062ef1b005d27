//! What a relay does for its own store while nobody asks: mend what went bad, make room, look for rot and for what is left
//! of purged bytes.

use odi_wire::off_worker::off_worker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use odi_store::{Event, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::refit;
use crate::needed::Needed;
use crate::relay::Relay;

/// Between two looks at what the store lost.
const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the room that is left.
const ROOM_EVERY: Duration = Duration::from_secs(60);
/// After a look that a full disk asked for, so many times as long as it took is waited, and at least this.
const PAUSE_FACTOR: u32 = 10;
/// See [`PAUSE_FACTOR`].
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Reclaim begins when less than this share of the budget is free, and makes so much room if it can, in percent. What is
/// assigned leaves more than that ([`odi_wire::message::assignable_bytes`]).
const ROOM_PERCENT: (u64, u64) = (3, 5);

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
        let mut unneeded = relay.unneeded.listen();
        loop {
            let wait = if relay.denied.awaits_sweep() { PAUSE_MIN } else { ROOM_EVERY };
            let why = tokio::select! {
                () = tokio::time::sleep(wait) => Why::Time,
                () = crowded.rung() => Why::Crowded,
                () = unneeded.rung() => Why::Unneeded,
            };
            let sweeps = why == Why::Time && relay.denied.awaits_sweep() && knows_its_catalogs(&relay);
            let why = if sweeps { Why::Unneeded } else { why };
            let now = relay.clock.now();
            for catalog in relay.catalogs.all() {
                catalog.followed.expire(now).await;
            }
            let began = Instant::now();
            make_room(&relay, why).await;
            if why != Why::Time {
                // A disk that is full, say, would otherwise be walked without pause.
                tokio::time::sleep((began.elapsed() * PAUSE_FACTOR).clamp(PAUSE_MIN, ROOM_EVERY)).await;
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

/// Why room is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is time to look whether there is enough.
    Time,
    /// Something did not fit.
    Crowded,
    /// A catalog is wanted no longer, or nobody can say of what is unneeded whether it is denied.
    Unneeded,
}

/// Takes space back: from what nobody names, and where room is short from what nobody asked for first, from last copies last.
async fn make_room(relay: &Relay, why: Why) {
    let (used, free) = relay.store.usage();
    let percent = used.saturating_add(free) / 100;
    let short = why == Why::Crowded || free < percent * ROOM_PERCENT.0;
    // Before an assignment is known everything would count as unasked for.
    let assigned = relay.assigner().is_some_and(|directory| directory.link().assignment.is_some());
    if !(short && assigned || why == Why::Unneeded) {
        if assigned {
            fit(relay, true);
        }
        return;
    }
    let (me, denied) = (relay.identity.public_key(), relay.denied.list());
    let needed = Needed::new(relay.catalogs.all(), &relay.peers, &me, relay.clock.now());
    let (store, need) = (relay.store.clone(), if short && assigned { percent * ROOM_PERCENT.1 } else { 0 });
    // Behind a damaged node lies what could not be marked: nothing goes until the tree has been fetched again.
    let reclaimed = off_worker(move || needed.is_whole().then(|| store.reclaim(&needed, need)).transpose());
    match reclaimed.await {
        Ok(None) => tracing::warn!("no room is made while a tree is damaged"),
        Ok(Some(reclaimed)) => {
            tracing::info!(?reclaimed, "made room");
            if knows_its_catalogs(relay) {
                relay.denied.swept(&denied);
            }
            fit(relay, relay.store.usage().1 >= need);
            if reclaimed.evicted > 0 {
                // A pass each finds out what is announced no longer, and asks for what there is room for now.
                relay.catalogs.all().iter().for_each(|catalog| catalog.changed.ring());
            }
        }
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "cannot make room"),
    }
}

/// Whether every catalog that the operator wants has a state here. Before, what nobody names may merely not be named yet.
fn knows_its_catalogs(relay: &Relay) -> bool {
    let wanted = relay.directories.agreed_to();
    let has_state = |id| relay.catalogs.get(id).is_some_and(|catalog| catalog.state().newest().is_some());
    !wanted.is_empty() && wanted.iter().all(|(id, _)| has_state(id))
}

/// Takes as much of the assignment as turns out to fit.
fn fit(relay: &Relay, fits: bool) {
    let (used, free) = relay.store.usage();
    let former = relay.fit.load(Ordering::Relaxed);
    let fit = refit(former, fits, free / (used.saturating_add(free) / 100).max(1));
    if fit != former {
        relay.fit.store(fit, Ordering::Relaxed);
        tracing::info!(thousandths = fit, "of what may be assigned is taken");
        relay.reassign();
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
    if let Err(error) = off_worker(scrubbing).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot scrub");
    }
}
