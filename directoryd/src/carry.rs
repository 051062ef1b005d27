//! Small artifacts that a directory carries itself: indexes, signatures, checksums, whatever has at most 64 KiB.
//!
//! They are fetched when a state changes them and when somebody asks first, from the origin or from relays, verified
//! before they are stored, and one fetch serves all who wait.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{ArtifactPath, BlobId, Entry, HeadId, Timestamp};
use odi_store::{IngestError, Ingested, Keep, Store, StoreError};
use odi_wire::fetch::{Fetcher, Source, Wanted};
use odi_wire::off_worker::off_worker;
use tokio::sync::Semaphore;

use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::directory::Directory;
use crate::select;

/// How long a client waits for a small artifact that is not here yet; then it is sent elsewhere.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long nothing is fetched again after nobody had it.
const ABSENT_FOR: Duration = Duration::from_secs(5);
/// The most absences remembered.
const ABSENT_MAX: usize = 10_000;
/// How many small artifacts are fetched at once, for all catalogs.
const FETCHES_AT_ONCE: usize = 32;
/// How many relays are asked.
const RELAYS_ASKED: usize = 3;

/// When more is carried than may be, so much is evicted that this part of it is free.
const FREE_PART: u64 = 16;
/// Evictions in a row at most: what is small takes more on disk than it counts for, so that one may not be enough.
const EVICTIONS_MAX: usize = 16;

/// What a directory carries.
pub(crate) struct Carry {
    store: Store,
    /// The sizes of all that is carried. Tree nodes lie in the same store and do not count.
    bytes: AtomicU64,
    fetcher: Fetcher,
    flights: Mutex<HashMap<BlobId, Weak<tokio::sync::Mutex<()>>>>,
    absent: Mutex<HashMap<BlobId, Timestamp>>,
    /// So that no crowd of clients becomes a crowd at an origin.
    fetching: Semaphore,
}

impl Carry {
    pub(crate) fn new(store: Store, fetcher: Fetcher) -> Self {
        let fetching = Semaphore::new(FETCHES_AT_ONCE);
        let (bytes, flights, absent) = (AtomicU64::default(), Mutex::default(), Mutex::default());
        Self { store, bytes, fetcher, flights, absent, fetching }
    }

    /// How many bytes the carried artifacts have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts what is carried anew: after a start, and after something was dropped.
    pub(crate) async fn count(&self) {
        let before = self.bytes();
        let store = self.store.clone();
        match off_worker(move || count(&store)).await {
            // What came meanwhile may count twice, until the next time.
            Ok(counted) => _ = self.bytes.fetch_add(counted.wrapping_sub(before), Ordering::Relaxed),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "what is carried could not be counted"
                );
            }
        }
    }

    /// Evicts what has not been used for longest as long as more than `most` bytes are carried.
    pub(crate) async fn keep_within(&self, most: u64) {
        for _ in 0..EVICTIONS_MAX {
            if self.bytes() <= most {
                return;
            }
            self.count().await;
            let spare = self.bytes().saturating_sub(most);
            if spare == 0 {
                return;
            }
            let (store, need) = (self.store.clone(), spare.saturating_add(most / FREE_PART));
            match off_worker(move || store.evict(need, &|_| Keep::Spare)).await {
                Ok(made) if made.evicted == 0 => return,
                Ok(made) => tracing::info!(evicted = made.evicted, "artifacts are carried no longer"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "more is carried than may be");
                    return;
                }
            }
            self.count().await;
        }
    }

    /// A carried blob, verified since it was read.
    pub(crate) async fn held(&self, blob: &BlobId) -> Option<Bytes> {
        let (store, blob) = (self.store.clone(), *blob);
        let read = off_worker(move || -> Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
            let Some(reader) = store.open_blob(&blob)? else { return Ok(None) };
            if reader.chunk_count() == 0 { Ok(Some(Bytes::new())) } else { Ok(Some(reader.chunk(0)?)) }
        });
        read.await.unwrap_or_else(|error| {
            tracing::warn!(%error, %blob, "a carried artifact could not be read; it is fetched again");
            None
        })
    }

    /// A small artifact, from the store or else from whoever has it.
    pub(crate) async fn obtain(
        &self,
        directory: &Directory,
        catalog: &Catalog,
        path: &str,
        found: &Found,
    ) -> Option<Bytes> {
        if let Some(bytes) = self.held(&found.entry.blob).await {
            return Some(bytes);
        }
        let fetched = self.fetch(directory, catalog, path, &found.entry, &found.named_at);
        tokio::time::timeout(PATIENCE, fetched).await.ok().flatten()
    }

    /// Fetches a small artifact into the store, unless it is there or another call fetches it already.
    pub(crate) async fn fetch(
        &self,
        directory: &Directory,
        catalog: &Catalog,
        path: &str,
        entry: &Entry,
        named_at: &[HeadId],
    ) -> Option<Bytes> {
        if directory.denies(catalog, path, entry) {
            return None;
        }
        let flight = self.flight(entry.blob);
        let _alone = flight.lock().await;
        if let Some(bytes) = self.held(&entry.blob).await {
            return Some(bytes);
        }
        let now = directory.clock.now();
        if self.absent().get(&entry.blob).is_some_and(|until| now < *until) {
            return None;
        }
        let _turn = self.fetching.acquire().await.ok()?;
        let sources = sources(directory, catalog, path, entry, named_at);
        let wanted = Wanted { blob: entry.blob, size: entry.size, sha256: Some(entry.sha256) };
        let fetched = self.fetcher.small_blob(&wanted, &sources).await;
        match fetched.result {
            Ok(bytes) => {
                self.keep(directory, catalog, path, entry, bytes.clone()).await;
                Some(bytes)
            }
            Err(error) => {
                tracing::info!(%error, blob = %entry.blob, path, "a small artifact is not to be had now");
                self.note_absent(entry.blob, now);
                None
            }
        }
    }

    async fn keep(&self, directory: &Directory, catalog: &Catalog, path: &str, entry: &Entry, bytes: Bytes) {
        let blob = entry.blob;
        let (store, size) = (self.store.clone(), bytes.len() as u64);
        match off_worker(move || ingest(&store, &blob, &bytes)).await {
            Ok(Ingested::New) => _ = self.bytes.fetch_add(size, Ordering::Relaxed),
            Ok(Ingested::Known) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, %blob, "a small artifact could not be stored");
                return;
            }
        }
        if catalog.takes_back(path, &blob) || directory.denies(catalog, path, entry) {
            // It was taken back, or denied, while it was on its way, perhaps after the purge. Whoever else names it fetches it again.
            let store = self.store.clone();
            if let Err(error) = off_worker(move || store.purge(&blob)).await {
                tracing::error!(error = &error as &dyn std::error::Error, %blob, "cannot purge");
            }
        }
        if self.bytes() > directory.config.carry.0 {
            directory.upkeep_due.notify_one();
        }
    }

    fn note_absent(&self, blob: BlobId, now: Timestamp) {
        let mut absent = self.absent();
        if absent.len() >= ABSENT_MAX {
            absent.retain(|_, until| now < *until);
        }
        if absent.len() < ABSENT_MAX {
            absent.insert(blob, now.plus(ABSENT_FOR));
        }
    }

    fn absent(&self) -> MutexGuard<'_, HashMap<BlobId, Timestamp>> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flight(&self, blob: BlobId) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&blob).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::default();
        flights.insert(blob, Arc::downgrade(&flight));
        flight
    }
}

/// Stores an artifact that some entry names which stands, even if another one's was taken back and it was purged then.
fn ingest(store: &Store, blob: &BlobId, bytes: &[u8]) -> Result<Ingested, IngestError> {
    match store.ingest(blob, bytes) {
        Err(IngestError::Dead(_)) => {
            store.lift(blob)?;
            store.ingest(blob, bytes)
        }
        ingested => ingested,
    }
}

/// The sizes of all that is carried: an eviction that takes nothing asks about everything, and about some more than once.
fn count(store: &Store) -> Result<u64, StoreError> {
    let carried = RefCell::new(HashSet::new());
    store.evict(0, &|blob| {
        carried.borrow_mut().insert(*blob);
        Keep::Floor
    })?;
    Ok(carried.into_inner().iter().filter_map(|blob| store.blob_size(blob)).sum())
}

/// The origin first: what is small costs it little. Then where the catalog says that it may be pulled from, mirrors, other
/// directories, and relays that say they hold it.
fn sources(
    directory: &Directory,
    catalog: &Catalog,
    path: &str,
    entry: &Entry,
    named_at: &[HeadId],
) -> Vec<Source> {
    let mut sources = Vec::new();
    if let Ok(path) = ArtifactPath::parse(path) {
        if let Some(origin) = catalog.origin().filter(|_| !entry.is_elsewhere()) {
            sources.push(Source::artifact(&origin, &path));
            sources.push(Source::kept_blob(&origin, &entry.blob));
        }
        sources.extend(catalog.settings.now().pull_sources(&path, entry));
        let config = catalog.config();
        let mirrors = config.mirrors.iter().filter(|_| !entry.is_elsewhere());
        sources.extend(mirrors.map(|mirror| Source::artifact(&mirror.url, &path)));
    }
    // What they carry, they give by content alone, so that nobody asks round in a circle.
    sources.extend(directory.peers.iter().map(|peer| Source::by_content(&peer.url, &entry.blob)));
    let roster = directory.relays.roster();
    let holders = roster.selectable(directory.clock.now()).filter(|member| {
        member.holding(&catalog.id()).is_some_and(|holding| select::holds(holding, &entry.blob, named_at))
    });
    let urls = holders.filter_map(|member| member.urls().first()).take(RELAYS_ASKED);
    sources.extend(urls.map(|url| Source::by_content(&url.to_url(), &entry.blob)));
    sources
}
