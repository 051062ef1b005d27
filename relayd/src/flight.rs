//! One fill that several may wait for: the queue's own, and every client whose request needs the same blob.
//!
//! A flight is made when somebody first waits or when the fill starts, and it ends exactly once. Those who wait can neither
//! hurry nor cancel it; a fill whose clients have all gone still finishes, since its verified chunks are already paid for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::BlobId;
use odi_wire::fetch::BlobFetch;
use tokio::sync::watch;

/// How far a flight has come.
#[derive(Clone, Debug, Default)]
pub enum Stage {
    /// In the queue, or its sources are being found.
    #[default]
    Waiting,
    /// Chunks arrive; those that have verified can be read.
    Arriving(Arc<BlobFetch>),
    /// The blob is whole and durable.
    Landed,
    /// No source could give it now.
    Failed,
}

/// The waiting side of a flight.
#[derive(Clone, Debug)]
pub struct Waiter(watch::Receiver<Stage>);

impl Waiter {
    /// Waits until there is something to read, or the end. Never [`Stage::Waiting`].
    pub async fn readable(&mut self) -> Stage {
        match self.0.wait_for(|stage| !matches!(stage, Stage::Waiting)).await {
            Ok(stage) => stage.clone(),
            // Its task was cancelled by a drain.
            Err(_) => Stage::Failed,
        }
    }

    /// Waits for the end; true if the blob is held now.
    pub async fn landed(&mut self) -> bool {
        let ended = self.0.wait_for(|stage| matches!(stage, Stage::Landed | Stage::Failed)).await;
        ended.is_ok_and(|stage| matches!(*stage, Stage::Landed))
    }
}

/// All flights under way, and those that clients wait for before they start.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<BlobId, watch::Sender<Stage>>>);

impl Flights {
    /// Waits for a blob's flight, making it if there is none yet.
    pub fn wait_for(&self, blob: BlobId) -> Waiter {
        Waiter(self.lock().entry(blob).or_default().subscribe())
    }

    /// Waits for a blob's flight if there is one.
    pub fn under_way(&self, blob: &BlobId) -> Option<Waiter> {
        self.lock().get(blob).map(|flight| Waiter(flight.subscribe()))
    }

    /// Lets those who wait read what arrives.
    pub fn arriving(&self, blob: BlobId, fetch: Arc<BlobFetch>) {
        self.lock().entry(blob).or_default().send_replace(Stage::Arriving(fetch));
    }

    /// Ends a blob's flight, for all who wait.
    pub fn end(&self, blob: &BlobId, landed: bool) {
        if let Some(flight) = self.lock().remove(blob) {
            flight.send_replace(if landed { Stage::Landed } else { Stage::Failed });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, watch::Sender<Stage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_see_the_end() {
        let flights = Flights::default();
        let blob = BlobId::of(b"x");
        assert!(flights.under_way(&blob).is_none());
        let mut first = flights.wait_for(blob);
        let mut second = flights.under_way(&blob).unwrap();
        flights.end(&blob, true);
        assert!(first.landed().await && second.landed().await);
        assert!(matches!(first.readable().await, Stage::Landed));
        assert!(flights.under_way(&blob).is_none(), "the next flight starts afresh");
    }

    #[tokio::test]
    async fn a_failure_and_a_lost_flight_both_end_the_wait() {
        let flights = Flights::default();
        let blob = BlobId::of(b"x");
        let mut waiter = flights.wait_for(blob);
        flights.end(&blob, false);
        assert!(!waiter.landed().await);
        let mut waiter = flights.wait_for(blob);
        drop(flights);
        assert!(!waiter.landed().await);
    }
}
