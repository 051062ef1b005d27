//! One fill that several may wait for: the queue's own, every client whose request needs the same blob, and relays that
//! count on this one to fetch a stripe of it.
//!
//! A flight is made when somebody first waits or when the fill starts, and it ends exactly once. Those who wait can neither
//! hurry nor cancel it; a fill whose clients have all gone still finishes, since its verified chunks are already paid for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::BlobId;
use odi_wire::fetch::BlobFetch;
use tokio::sync::watch;

/// The most stripes of one blob that are remembered as asked for.
const ASKED_FOR_MAX: usize = 1024;

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

#[derive(Debug, Default)]
struct Flight {
    stage: watch::Sender<Stage>,
    asked_for: watch::Sender<BTreeSet<u32>>,
}

/// All flights under way, and those that clients wait for before they start.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<BlobId, Flight>>);

impl Flights {
    /// Waits for a blob's flight, making it if there is none yet.
    pub fn wait_for(&self, blob: BlobId) -> Waiter {
        Waiter(self.lock().entry(blob).or_default().stage.subscribe())
    }

    /// Waits for a blob's flight if there is one.
    pub fn under_way(&self, blob: &BlobId) -> Option<Waiter> {
        self.lock().get(blob).map(|flight| Waiter(flight.stage.subscribe()))
    }

    /// Lets those who wait read what arrives.
    pub fn arriving(&self, blob: BlobId, fetch: Arc<BlobFetch>) {
        self.lock().entry(blob).or_default().stage.send_replace(Stage::Arriving(fetch));
    }

    /// Notes, for a flight that there is, that another relay counts on this one to fetch a stripe from the origin.
    pub fn ask_for(&self, blob: &BlobId, stripe: u32) {
        if let Some(flight) = self.lock().get(blob) {
            flight.asked_for.send_if_modified(|asked| asked.len() < ASKED_FOR_MAX && asked.insert(stripe));
        }
    }

    /// Whether another relay counts on this one for a stripe.
    pub fn is_asked_for(&self, blob: &BlobId, stripe: u32) -> bool {
        self.lock().get(blob).is_some_and(|flight| flight.asked_for.borrow().contains(&stripe))
    }

    /// The stripes of a blob that other relays count on this one for, as they come.
    pub fn asked_for(&self, blob: BlobId) -> watch::Receiver<BTreeSet<u32>> {
        self.lock().entry(blob).or_default().asked_for.subscribe()
    }

    /// Ends a blob's flight, for all who wait.
    pub fn end(&self, blob: &BlobId, landed: bool) {
        if let Some(flight) = self.lock().remove(blob) {
            flight.stage.send_replace(if landed { Stage::Landed } else { Stage::Failed });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Flight>> {
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

    #[tokio::test]
    async fn what_others_count_on_is_heard_once_per_stripe() {
        let flights = Flights::default();
        let blob = BlobId::of(b"x");
        flights.ask_for(&blob, 3);
        assert!(!flights.is_asked_for(&blob, 3), "without a flight nobody fetches anything");
        let mut asked_for = flights.asked_for(blob);
        flights.ask_for(&blob, 3);
        asked_for.changed().await.unwrap();
        assert_eq!(*asked_for.borrow_and_update(), BTreeSet::from([3]));
        flights.ask_for(&blob, 3);
        assert!(!asked_for.has_changed().unwrap() && flights.is_asked_for(&blob, 3));
    }
}
