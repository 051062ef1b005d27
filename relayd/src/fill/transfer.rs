//! One blob, from the first source that has it into the store.
//!
//! A blob of one chunk is fetched whole; a larger one by stripes, several at once, each by its own plan: holders, then the homes
//! by rank, then, for the first ranks only, the origin.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use odi_manifest::{CHUNK_BYTES, chunk_count};
use odi_wire::fetch::{
    BlobFetch, FetchError, FetchLimits, Fetched, Fetcher, Party, Report, Source as Place, SourceFault,
};
use odi_wire::message::PublicUrl;
use odi_wire::route::pinned_path;
use tokio::time::Instant;

use super::{Fill, Job};
use crate::peers::Peer;
use crate::sourcing::{Attempt, Ranked, Ranking, STRIPE_BYTES, Source, better_first, patience, plan};

/// Stripes of one blob that are fetched at once.
const STRIPES_AT_ONCE: usize = 4;
/// Chunks in a stripe.
const STRIPE_CHUNKS: u32 = 32;
const _: () = assert!(STRIPE_CHUNKS as u64 * CHUNK_BYTES == STRIPE_BYTES);

/// Fetches a blob of at most one chunk.
pub(super) async fn small(fill: &Fill, job: &Job) -> Result<(), FetchError> {
    let round = Round::new(fill, job, 0);
    let mut wrong = Vec::new();
    let mut last = None;
    for attempt in &round.attempts {
        round.wait_for(attempt, last.as_ref()).await;
        let (fetcher, places) = round.places(attempt);
        let fetched = round.measured(&places, || fetcher.small_blob(&job.wanted, &places)).await;
        match fetched.result {
            Ok(bytes) => {
                round.convict(&wrong, &fetched.report, &places);
                let (store, blob) = (fill.store.clone(), job.wanted.blob);
                let ingested = tokio::task::spawn_blocking(move || store.ingest(&blob, &bytes)).await;
                return match ingested {
                    Ok(ingested) => ingested.map(drop).map_err(FetchError::Ingest),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                };
            }
            // The bytes are right and the entry is not. Any other failure says only that these places were in vain.
            Err(error @ FetchError::OtherSha256 { .. }) => return Err(error),
            Err(_) => {
                wrong.extend(disputing(&fetched.report, &places));
                last = Some(fetched.report);
            }
        }
    }
    if independent(&wrong) {
        return Err(FetchError::BadEntry { blob: job.wanted.blob });
    }
    round.note_drift(&wrong);
    Err(FetchError::NoSource { blob: job.wanted.blob, asked: round.attempts.len() })
}

/// Fetches a blob of several chunks, showing them to those who wait as they verify.
pub(super) async fn large(fill: &Fill, job: &Job) -> Result<(), FetchError> {
    let fetch = BlobFetch::begin(&fill.store, job.wanted.clone()).await?;
    fill.flights.arriving(job.wanted.blob, Arc::clone(&fetch));
    let result = arrive(fill, job, &fetch).await;
    if result.is_err() {
        fetch.fail();
    }
    result
}

async fn arrive(fill: &Fill, job: &Job, fetch: &Arc<BlobFetch>) -> Result<(), FetchError> {
    if fetch.partial().list().is_none() {
        let lists = chunk_list_places(fill, job);
        let Ok(list) = fill.fetcher.chunk_list(&job.wanted, &lists).await.result else {
            return without_list(fill, job, fetch).await;
        };
        let partial = fetch.partial().clone();
        match tokio::task::spawn_blocking(move || partial.set_list(list)).await {
            Ok(set) => set?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    let stripes = chunk_count(job.wanted.size).div_ceil(STRIPE_CHUNKS);
    let mut arriving = futures_util::stream::iter(0..stripes)
        .map(|stripe| arrive_stripe(fill, job, fetch, stripe))
        .buffer_unordered(STRIPES_AT_ONCE);
    let mut first_error = None;
    while let Some(result) = arriving.next().await {
        // Whatever ends one stripe, the others go on: they may convict the very sources that this one failed by.
        if let Err(error) = result {
            first_error.get_or_insert(error);
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => fetch.complete().await,
    }
}

async fn arrive_stripe(
    fill: &Fill,
    job: &Job,
    fetch: &Arc<BlobFetch>,
    stripe: u32,
) -> Result<(), FetchError> {
    let from = stripe * STRIPE_CHUNKS;
    let chunks = from..chunk_count(job.wanted.size).min(from + STRIPE_CHUNKS);
    let round = Round::new(fill, job, stripe);
    let mut last = None;
    let mut drifted = Vec::new();
    for attempt in &round.attempts {
        round.wait_for(attempt, last.as_ref()).await;
        let (fetcher, places) = round.places(attempt);
        let fetched = round.measured(&places, || fetcher.chunks(fetch, chunks.clone(), &places)).await;
        round.convict(&[], &fetched.report, &places);
        match fetched.result {
            Ok(()) => return Ok(()),
            Err(FetchError::NoSource { .. }) => {
                drifted.extend(disputing(&fetched.report, &places));
                last = Some(fetched.report);
            }
            Err(error) => return Err(error),
        }
    }
    round.note_drift(&drifted);
    if independent(&drifted) {
        return Err(FetchError::BadEntry { blob: job.wanted.blob });
    }
    Err(FetchError::NoSource { blob: job.wanted.blob, asked: round.attempts.len() })
}

/// Nobody has a list that merges to the blob's name: it is taken whole, and nobody sees a byte before the last one.
async fn without_list(fill: &Fill, job: &Job, fetch: &Arc<BlobFetch>) -> Result<(), FetchError> {
    let round = Round::new(fill, job, 0);
    let places: Vec<Place> = round.attempts.iter().flat_map(|attempt| round.places(attempt).1).collect();
    let fetched = round.measured(&places, || fill.fetcher.blob(fetch, &places, &[])).await;
    round.convict(&[], &fetched.report, &places);
    if fetched.result.is_err() {
        round.note_drift(&disputing(&fetched.report, &places));
    }
    fetched.result
}

/// Who may have the chunk list: relays that have the blob, the origins, and directories, which ask them for us. It proves
/// itself.
fn chunk_list_places(fill: &Fill, job: &Job) -> Vec<Place> {
    let (catalog, blob, size) = (job.catalog.id(), &job.wanted.blob, job.wanted.size);
    let peers = fill.peers.of(catalog);
    let head = job.head();
    let at = |daemon: &PublicUrl| Place::chunk_list(&daemon.to_url(), catalog, blob, size);
    let holders = peers.iter().filter(|peer| head.is_some_and(|head| peer.holds(blob, &head))).take(2);
    let holders = holders.map(|peer| at(&peer.url));
    let origins = job.origins.iter().map(|origin| Place::origin_chunk_list(origin, blob));
    holders.chain(origins).chain(fill.directories.iter().map(at)).collect()
}

/// The attempts for one stripe, with what they need to know.
struct Round<'f> {
    fill: &'f Fill,
    job: &'f Job,
    peers: Vec<Peer>,
    attempts: Vec<Attempt>,
    patience: Duration,
    began: Instant,
}

impl<'f> Round<'f> {
    fn new(fill: &'f Fill, job: &'f Job, stripe: u32) -> Self {
        let now = fill.clock.now();
        let head = job.head();
        let sources = fill.sources();
        let party = |peer: &Peer| Party::of(&peer.url.to_url());
        // Without the banned: were they ranked, a stripe whose first three homes lie could never be filled.
        let usable = |peer: &&Peer| {
            peer.expires > now
                && head.is_some_and(|head| peer.inventory.served.contains(&head))
                && !sources.is_banned(party(peer).as_str(), now)
        };
        let peers: Vec<Peer> = fill.peers.of(job.catalog.id()).iter().filter(usable).cloned().collect();
        // Every relay counts the same until inventories say what each can send.
        let keys = peers.iter().map(|peer| *peer.key.as_bytes()).chain([*fill.me.as_bytes()]);
        let ranked: Vec<Ranked> = keys.map(|key| Ranked { key, rate: 1 }).collect();
        let me = peers.len();
        let holds = |index: &usize| {
            head.is_some_and(|head| peers.get(*index).is_some_and(|peer| peer.holds(&job.wanted.blob, &head)))
        };
        let holders: Vec<usize> = (0..peers.len()).filter(holds).collect();
        let service = |index: usize| {
            peers.get(index).map(|peer| sources.service(party(peer).as_str())).unwrap_or_default()
        };
        let holders = better_first(&holders, service, fill.draw());
        let patience = patience(sources.median_stripe());
        drop(sources);
        let ranking = Ranking::of(&job.wanted.blob, stripe, &ranked);
        let attempts = plan(&ranking, me, &holders, patience);
        Self { fill, job, peers, attempts, patience, began: Instant::now() }
    }

    /// Waits for an attempt's time, unless the one before it is certain not to have the bytes.
    async fn wait_for(&self, attempt: &Attempt, last: Option<&Report>) {
        let undecided = last.is_some_and(|report| {
            report.faults.iter().any(|(_, fault)| {
                matches!(fault, SourceFault::Busy { .. } | SourceFault::NoReply | SourceFault::Stalled)
            })
        });
        if undecided {
            tokio::time::sleep_until(self.began + attempt.not_before).await;
        }
    }

    /// Where an attempt goes, and under which limits.
    fn places(&self, attempt: &Attempt) -> (Fetcher, Vec<Place>) {
        let fetcher = &self.fill.fetcher;
        let blob = &self.job.wanted.blob;
        match attempt.source {
            Source::Holder(index) => {
                let place = |peer: &Peer| Place::by_content(&peer.url.to_url(), blob);
                (fetcher.clone(), self.peers.get(index).map(place).into_iter().collect())
            }
            Source::Home(index) => {
                let path = pinned_path(&self.job.pin, self.job.path.as_str());
                let place = |peer: &Peer| peer.url.to_url().join(&path).ok().map(Place::peer);
                // It may have to fetch the first chunk itself, and is given that long and no longer.
                let limits = FetchLimits { reply: self.patience, ..fetcher.limits().clone() };
                (
                    Fetcher::new(Arc::clone(&self.fill.network), limits),
                    self.peers.get(index).and_then(place).into_iter().collect(),
                )
            }
            Source::Origin => (fetcher.clone(), self.job.at_origins()),
        }
    }

    /// Runs a fetch and notes how its sources served.
    async fn measured<T, F>(&self, places: &[Place], fetch: impl FnOnce() -> F) -> Fetched<T>
    where
        F: Future<Output = Fetched<T>>,
    {
        let parties: Vec<Party> = places.iter().map(|place| Party::of(&place.url)).collect();
        let to_origin = parties.iter().any(|party| self.job.is_origin(party));
        let _turn = if to_origin { self.fill.origin_requests.acquire().await.ok() } else { None };
        if let Some(first) = parties.first() {
            self.fill.sources().began(first.as_str());
        }
        let began = Instant::now();
        let fetched = fetch().await;
        let mut sources = self.fill.sources();
        for (position, party) in parties.iter().enumerate() {
            let bytes = fetched.report.delivered.get(position).copied().unwrap_or(0);
            let failed = fetched.report.faults.iter().any(|(at, _)| *at == position);
            if bytes > 0 || failed || position == 0 {
                sources.ended(party.as_str(), bytes, began.elapsed(), failed);
            }
        }
        fetched
    }

    /// Bans relays that had wrong bytes, now that another source had the right ones.
    fn convict(&self, wrong: &[Party], report: &Report, places: &[Place]) {
        let now = self.fill.clock.now();
        let right: Vec<Party> = report
            .delivered
            .iter()
            .zip(places)
            .filter(|(bytes, _)| **bytes > 0)
            .map(|(_, place)| Party::of(&place.url))
            .collect();
        let mut sources = self.fill.sources();
        for guilty in report.guilty.iter().chain(wrong.iter().filter(|party| !right.contains(party))) {
            if !self.job.is_origin(guilty) {
                tracing::warn!(party = guilty.as_str(), blob = %self.job.wanted.blob, "had wrong bytes; banned");
                sources.convicted(guilty.as_str(), now);
            }
        }
    }

    /// Notes that the origin itself has other bytes than were signed.
    fn note_drift(&self, wrong: &[Party]) {
        if wrong.iter().any(|party| self.job.is_origin(party)) {
            self.job.catalog.accounts().drifted(&self.job.path);
        }
    }
}

/// Who had other bytes than the catalog says.
fn disputing(report: &Report, places: &[Place]) -> Vec<Party> {
    let disputes = report.faults.iter().filter(|(_, fault)| fault.disputes_content());
    disputes.filter_map(|(position, _)| places.get(*position)).map(|place| Party::of(&place.url)).collect()
}

/// Whether two different parties are among them.
fn independent(wrong: &[Party]) -> bool {
    wrong.first().is_some_and(|first| wrong.iter().any(|party| party != first))
}
