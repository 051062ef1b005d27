//! Small artifacts that a directory carries itself: indexes, signatures, checksums, whatever has at most 64 KiB.
//!
//! They are fetched when a state changes them and when somebody asks first, from the origin or from relays, verified
//! before they are stored, and one fetch serves all who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{ArtifactPath, BlobId, Entry, HeadId, Timestamp};
use odi_store::Store;
use odi_wire::fetch::{Fetcher, Source, Wanted};
use tokio::sync::Semaphore;

use crate::blocking::blocking;
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

/// What a directory carries.
pub(crate) struct Carry {
    store: Store,
    fetcher: Fetcher,
    flights: Mutex<HashMap<BlobId, Weak<tokio::sync::Mutex<()>>>>,
    absent: Mutex<HashMap<BlobId, Timestamp>>,
    /// So that no crowd of clients becomes a crowd at an origin.
    fetching: Semaphore,
}

impl Carry {
    pub(crate) fn new(store: Store, fetcher: Fetcher) -> Self {
        let fetching = Semaphore::new(FETCHES_AT_ONCE);
        Self { store, fetcher, flights: Mutex::default(), absent: Mutex::default(), fetching }
    }

    /// What is carried takes this much on disk, the trees of the catalogs among it.
    pub(crate) fn bytes(&self) -> u64 {
        self.store.usage().0
    }

    /// A carried blob, verified since it was read.
    pub(crate) async fn held(&self, blob: &BlobId) -> Option<Bytes> {
        let (store, blob) = (self.store.clone(), *blob);
        let read = blocking(move || -> Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
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
                self.keep(entry.blob, bytes.clone()).await;
                Some(bytes)
            }
            Err(error) => {
                tracing::info!(%error, blob = %entry.blob, path, "a small artifact is not to be had now");
                self.note_absent(entry.blob, now);
                None
            }
        }
    }

    async fn keep(&self, blob: BlobId, bytes: Bytes) {
        let store = self.store.clone();
        if let Err(error) = blocking(move || store.ingest(&blob, &bytes)).await {
            tracing::warn!(%error, %blob, "a small artifact could not be stored");
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

/// The origin first: what is small costs it little. Then relays that say they hold it.
fn sources(
    directory: &Directory,
    catalog: &Catalog,
    path: &str,
    entry: &Entry,
    named_at: &[HeadId],
) -> Vec<Source> {
    let mut sources = Vec::new();
    if let (Some(origin), Ok(path)) = (catalog.origin(), ArtifactPath::parse(path)) {
        sources.push(Source::artifact(&origin, &path));
        sources.push(Source::kept_blob(&origin, &entry.blob));
    }
    let roster = directory.relays.roster();
    let holders = roster.selectable(directory.clock.now()).filter(|member| {
        member.holding(&catalog.id()).is_some_and(|holding| select::holds(holding, &entry.blob, named_at))
    });
    let urls = holders.filter_map(|member| member.urls().first()).take(RELAYS_ASKED);
    sources.extend(urls.map(|url| Source::by_content(&url.to_url(), &entry.blob)));
    sources
}
