//! Filling: every missing blob is fetched once, in the order of [`crate::queue`], from the sources of
//! [`crate::sourcing`].
//!
//! Workers take jobs from one queue. Whoever needs a blob now joins its [`Flight`](crate::flight); chunks that have verified are
//! readable while the rest arrives. Nothing is stored, and so nothing is served, that did not verify.

mod course;
mod job;
mod origin_turns;
mod ranks;
mod transfer;

pub use job::Job;
pub(crate) use transfer::stripe_of;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::{BlobId, CHUNK_BYTES, Clock, PublicKey};
use odi_store::{BlobReader, IngestError, PartialError, Store, StoreError};
use odi_wire::fetch::{Fetch, FetchError, FetchLimits, Fetcher, Party};
use odi_wire::message::RATE_UNNAMED;
use odi_wire::off_worker::off_worker;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::origin_turns::OriginTurns;
use self::ranks::Ranks;
use crate::admission::MissBudget;
use crate::bell::{Bell, Ear};
use crate::directories::Directories;
use crate::flight::{Flights, Waiter};
use crate::following::propagate;
use crate::peers::Peers;
use crate::queue::{FillQueue, Lane, Pushed};
use crate::sources::Sources;
use odi_wire::denylist::Denied;

/// Workers by what they fetch: so many blobs of a kind at once, and nobody who waits stands behind a large one.
const WORKERS: [(usize, &[Lane]); 3] = [(8, Lane::WAITED_FOR), (32, Lane::UP_TO_SMALL), (8, Lane::LARGE)];
/// Stripes of all blobs that are fetched at once, apart from those that other relays wait for.
const STRIPES_AT_ONCE: usize = 8;

/// Why a client's miss is not filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissRefused {
    /// Too many at once, too large for what is not assigned, or too many in line.
    Budget,
}

/// The filling part of a relay.
pub struct Fill {
    store: Store,
    network: Arc<dyn Fetch>,
    fetcher: Fetcher,
    peers: Arc<Peers>,
    me: PublicKey,
    directories: Arc<Directories>,
    denied: Arc<Denied>,
    rate: AtomicU64,
    clock: Arc<dyn Clock>,
    queue: Mutex<FillQueue<Job>>,
    flights: Flights,
    sources: Mutex<Sources>,
    misses: MissBudget,
    misses_under_way: AtomicUsize,
    origin_turns: OriginTurns,
    stripe_turns: Semaphore,
    work: Notify,
    room: Notify,
    filled: Bell,
    /// Rung when the store had no room for a blob.
    pub crowded: Bell,
    /// Rung when a blob landed whose entry had been withdrawn meanwhile.
    pub withdrawn: Bell,
}

/// What a [`Fill`] stands on.
pub struct FillParts {
    /// Where blobs go.
    pub store: Store,
    /// What they are fetched over.
    pub network: Arc<dyn Fetch>,
    /// Who has them.
    pub peers: Arc<Peers>,
    /// This relay's key.
    pub me: PublicKey,
    /// The directories, which have chunk lists.
    pub directories: Arc<Directories>,
    /// What the operator denies.
    pub denied: Arc<Denied>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The limits of filling for strangers.
    pub misses: MissBudget,
}

impl Fill {
    /// An idle filler; [`Fill::work`] does the work.
    #[must_use]
    pub fn new(parts: FillParts) -> Self {
        let FillParts { store, network, peers, me, directories, denied, clock, misses } = parts;
        Self {
            store,
            fetcher: Fetcher::new(Arc::clone(&network), FetchLimits::default()),
            network,
            peers,
            me,
            directories,
            denied,
            rate: AtomicU64::new(RATE_UNNAMED),
            clock,
            queue: Mutex::default(),
            flights: Flights::default(),
            sources: Mutex::default(),
            misses,
            misses_under_way: AtomicUsize::new(0),
            origin_turns: OriginTurns::default(),
            stripe_turns: Semaphore::new(STRIPES_AT_ONCE),
            work: Notify::new(),
            room: Notify::new(),
            filled: Bell::default(),
            crowded: Bell::default(),
            withdrawn: Bell::default(),
        }
    }

    /// Asks for a blob that nobody waits for.
    pub fn ask(&self, job: Job, lane: Lane) -> Pushed {
        let pushed = self.queue().push(job.wanted.blob, lane, job, self.clock.now());
        if pushed == Pushed::Queued {
            self.work.notify_waiters();
        }
        pushed
    }

    /// Asks for a blob that a client waits for.
    ///
    /// # Errors
    /// The blob is not assigned here and the budget for such misses is spent, or the line is full.
    pub fn ask_now(&self, mut job: Job) -> Result<Waiter, MissRefused> {
        let blob = job.wanted.blob;
        if let Some(waiter) = self.flights.under_way(&blob) {
            return Ok(waiter);
        }
        job.stranger = !job.catalog.assigned().covers(&blob);
        let strangers = usize::from(job.stranger);
        let one_more =
            |under_way| self.misses.allows(job.wanted.size, under_way).then_some(under_way + strangers);
        // Asked and counted in one step, for a hundred may ask at once; and before a worker can have finished it.
        if job.stranger
            && self.misses_under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err()
        {
            return Err(MissRefused::Budget);
        }
        let waiter = self.flights.wait_for(blob);
        let pushed = self.ask(job, Lane::Waiting);
        if pushed != Pushed::Queued {
            self.misses_under_way.fetch_sub(strangers, Ordering::Relaxed);
        }
        match pushed {
            Pushed::Full | Pushed::BackedOff(_) => {
                self.flights.end(&blob, false);
                Err(MissRefused::Budget)
            }
            Pushed::Queued | Pushed::Known | Pushed::InFlight => Ok(waiter),
        }
    }

    /// Fetches what another relay counts on this one for; `stripe` from the origin, if one is named. Nothing that is not
    /// assigned here.
    ///
    /// # Errors
    /// It failed a moment ago, or the line is full.
    pub fn ask_as_home(&self, job: Job, stripe: Option<u32>) -> Result<Waiter, MissRefused> {
        let blob = job.wanted.blob;
        let under_way = self.flights.under_way(&blob);
        let waiter = under_way.clone().unwrap_or_else(|| self.flights.wait_for(blob));
        if let Some(stripe) = stripe {
            self.flights.ask_for(&blob, stripe);
        }
        match self.ask(job, Lane::Asked) {
            Pushed::Queued | Pushed::Known | Pushed::InFlight => Ok(waiter),
            Pushed::Full | Pushed::BackedOff(_) => {
                if under_way.is_none() {
                    self.flights.end(&blob, false);
                }
                Err(MissRefused::Budget)
            }
        }
    }

    /// Whether another relay may make this one fetch a stripe from the origin: only if it is among the first for it in this
    /// relay's own view, for anybody can ask.
    ///
    /// The views of honest relays differ a little: one knows of a relay that another has yet to hear of, or leaves out one
    /// that failed it. There is no margin for that, since it would be as many copies more for whoever asks everybody. Who
    /// is refused hears that the bytes are coming, and they are: from the home that this relay takes for the right one.
    #[must_use]
    pub fn serves_as_home(&self, job: &Job, stripe: u32) -> bool {
        Ranks::of(self, job, stripe).serve_as_home()
    }

    /// Notes what this relay tells the others that it gives, in bytes per second: they rank it by that, and so must it.
    pub fn says_rate(&self, rate: Option<u64>) {
        self.rate.store(rate.unwrap_or(RATE_UNNAMED), Ordering::Relaxed);
    }

    /// The flight of a blob, if it is on its way.
    #[must_use]
    pub fn under_way(&self, blob: &BlobId) -> Option<Waiter> {
        self.flights.under_way(blob)
    }

    /// Waits until what the store has noticed so far is committed.
    pub async fn settled(&self) {
        let store = self.store.clone();
        // A store that cannot commit fails every later step too, and says so there.
        let _ = off_worker(move || store.flush()).await;
    }

    /// Opens a blob that has just landed.
    pub async fn reopened(&self, blob: &BlobId) -> Option<BlobReader> {
        let (store, blob) = (self.store.clone(), *blob);
        off_worker(move || store.open_blob(&blob)).await.ok()?
    }

    /// Waits until the queue has room again, after [`Pushed::Full`].
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Hears each blob that has been filled.
    #[must_use]
    pub fn listen(&self) -> Ear {
        self.filled.listen()
    }

    /// Whether nothing waits and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let queue = self.queue();
        queue.waiting() == 0 && queue.in_flight() == 0
    }

    /// What is known of sources.
    pub fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the workers until `stop`; what is under way then is dropped, its verified chunks stay.
    pub async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut workers = tokio::task::JoinSet::new();
        for (count, lanes) in WORKERS {
            for _ in 0..count {
                let (fill, stop) = (Arc::clone(&self), stop.clone());
                workers.spawn(async move {
                    stop.run_until_cancelled(fill.worker(lanes)).await;
                });
            }
        }
        while let Some(ended) = workers.join_next().await {
            propagate(ended);
        }
    }

    async fn worker(&self, lanes: &[Lane]) {
        loop {
            // Before the look, so that no job is missed that comes between.
            let work = self.work.notified();
            let next = self.queue().pop(lanes);
            let Some((blob, _, job)) = next else {
                work.await;
                continue;
            };
            self.room.notify_waiters();
            let landed = self.fill(&job).await;
            self.misses_under_way.fetch_sub(usize::from(job.stranger), Ordering::Relaxed);
            self.queue().finished(&blob, landed, self.clock.now());
            self.flights.end(&blob, landed);
            if landed {
                job.catalog.accounts().filled(&blob, job.wanted.size);
                let guilty = self.sources().had_right_bytes(&blob);
                guilty.iter().for_each(|party| self.ban(&job, party));
                if job.is_withdrawn() {
                    self.withdrawn.ring();
                }
                self.filled.ring();
            }
        }
    }

    async fn fill(&self, job: &Job) -> bool {
        // It may have been queued, or been under way, when the list was another.
        if job.is_denied(&self.denied.list()) {
            return false;
        }
        let landed = self.land(job).await;
        if landed && job.is_denied(&self.denied.list()) {
            self.purge(&job.wanted.blob).await;
            return false;
        }
        landed
    }

    async fn land(&self, job: &Job) -> bool {
        if self.store.contains(&job.wanted.blob) {
            return true;
        }
        if job.catalog.is_dropped() || job.is_withdrawn() || !self.revive(&job.wanted.blob).await {
            return false;
        }
        let filled = if job.wanted.size <= CHUNK_BYTES {
            transfer::small(self, job).await
        } else {
            transfer::large(self, job).await
        };
        match filled {
            Ok(()) => true,
            Err(error) => {
                if error.condemns_entry() {
                    job.catalog.accounts().bad_entry();
                }
                if is_full(&error) {
                    self.crowded.ring();
                }
                tracing::info!(
                    catalog = %job.catalog.name, path = job.path.as_str(), blob = %job.wanted.blob,
                    error = &error as &dyn std::error::Error, "not filled"
                );
                false
            }
        }
    }

    /// Ends the purge of a blob that an entry names which stands: another catalog's, or one of a later epoch.
    async fn revive(&self, blob: &BlobId) -> bool {
        let (store, blob) = (self.store.clone(), *blob);
        let revived = off_worker(move || if store.is_dead(&blob)? { store.lift(&blob) } else { Ok(()) });
        match revived.await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%blob, error = &error as &dyn std::error::Error, "cannot take a blob in again");
                false
            }
        }
    }

    /// Lets go of what landed although it is denied. An entry that is not, of the same content, has it fetched again.
    async fn purge(&self, blob: &BlobId) {
        let (store, blob) = (self.store.clone(), *blob);
        if let Err(error) = off_worker(move || store.purge(&blob)).await {
            tracing::error!(%blob, error = &error as &dyn std::error::Error, "denied content is refused, and still on disk");
        }
    }

    /// Bans a relay that had wrong bytes, now that another source had the right ones.
    fn ban(&self, job: &Job, party: &str) {
        let is_origin = Url::parse(party).is_ok_and(|url| job.is_origin(&Party::of(&url)));
        if !is_origin {
            tracing::warn!(party, blob = %job.wanted.blob, "had wrong bytes; banned");
            self.sources().convicted(party, self.clock.now());
        }
    }

    /// Random bits for the choice between sources: load spreads better when relays do not choose alike.
    fn draw(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without randomness the choice is merely always the same.
        let _ = getrandom::fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn queue(&self) -> MutexGuard<'_, FillQueue<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the store refused for want of room.
fn is_full(error: &FetchError) -> bool {
    let store = match error {
        FetchError::Ingest(IngestError::Store(error)) | FetchError::Partial(PartialError::Store(error)) => {
            error
        }
        _ => return false,
    };
    matches!(store, StoreError::Full { .. })
}

impl std::fmt::Debug for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.queue();
        f.debug_struct("Fill")
            .field("waiting", &queue.waiting())
            .field("in_flight", &queue.in_flight())
            .finish_non_exhaustive()
    }
}
