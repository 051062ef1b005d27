//! Blobs on their way to a commit, so that whoever brings the same blob meanwhile waits instead of writing it twice.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use odi_manifest::BlobId;

use crate::queue::Seq;

const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Flights {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    flights: Mutex<HashMap<BlobId, Flight>>,
    settled: Condvar,
}

#[derive(Clone, Copy, Debug)]
enum Flight {
    /// Somebody is writing it.
    Writing,
    /// It is written and waits for its commit.
    Queued(Seq),
}

/// Who is to write a blob.
#[derive(Debug)]
pub(crate) enum Claim<'f> {
    Mine(Mine<'f>),
    /// It is written; this is what to wait for.
    Theirs(Seq),
}

/// The sole right to write a blob. Dropped without [`queued`](Self::queued), the next one may try.
#[derive(Debug)]
pub(crate) struct Mine<'f> {
    shard: &'f Shard,
    blob: BlobId,
    queued: bool,
}

impl Flights {
    fn shard(&self, blob: &BlobId) -> &Shard {
        let [first, ..] = blob.as_bytes();
        self.shards.get(usize::from(*first) % SHARDS).expect("there are 16 shards")
    }

    /// Claims a blob; waits while somebody else writes it.
    pub(crate) fn claim(&self, blob: &BlobId) -> Claim<'_> {
        let shard = self.shard(blob);
        let mut flights = shard.lock();
        loop {
            match flights.get(blob) {
                None => {
                    flights.insert(*blob, Flight::Writing);
                    return Claim::Mine(Mine { shard, blob: *blob, queued: false });
                }
                Some(Flight::Queued(seq)) => return Claim::Theirs(*seq),
                Some(Flight::Writing) => {
                    flights = shard.settled.wait(flights).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Forgets a blob whose commit is published.
    pub(crate) fn landed(&self, blob: &BlobId, committed: Seq) {
        let mut flights = self.shard(blob).lock();
        if matches!(flights.get(blob), Some(Flight::Queued(seq)) if *seq <= committed) {
            flights.remove(blob);
        }
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mine<'_> {
    /// The blob is written and queued.
    pub(crate) fn queued(mut self, seq: Seq) {
        self.queued = true;
        self.shard.lock().insert(self.blob, Flight::Queued(seq));
    }
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        if !self.queued {
            self.shard.lock().remove(&self.blob);
        }
        self.shard.settled.notify_all();
    }
}
