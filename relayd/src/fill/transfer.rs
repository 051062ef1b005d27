//! One blob, from the first source that has it into the store.
//!
//! A blob of one chunk is fetched whole; a larger one by stripes, several at once, each by its own [`Course`](super::course).
//! Stripes that other relays wait for here go first.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use odi_manifest::{CHUNK_BYTES, chunk_count, chunk_range};
use odi_wire::fetch::{BlobFetch, FetchError, Pull, Source as Place};
use odi_wire::off_worker::off_worker;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::course::{Course, disputing};
use super::{Fill, Job};
use crate::sourcing::{SLICE_CHUNKS, STRIPE_BYTES, Step};

/// Stripes of one blob that are fetched at once.
const STRIPES_AT_ONCE: usize = 4;
/// How many more, if other relays wait for them.
const STRIPES_ASKED_FOR: usize = 8;
/// Chunks in a stripe.
const STRIPE_CHUNKS: u32 = 32;
const _: () = assert!(STRIPE_CHUNKS as u64 * CHUNK_BYTES == STRIPE_BYTES);

/// The stripe that a chunk belongs to.
pub(crate) const fn stripe_of(chunk: u32) -> u32 {
    chunk / STRIPE_CHUNKS
}

/// Fetches a blob of at most one chunk.
pub(super) async fn small(fill: &Fill, job: &Job) -> Result<(), FetchError> {
    let mut course = Course::to_home(fill, job, 0);
    loop {
        let step = course.next(0).ok_or_else(|| course.in_vain())?;
        let places = course.places(step, Pull::Home);
        let fetcher = course.fetcher(step);
        let fetched = course.measured(&places, || fetcher.small_blob(&job.wanted, &places)).await;
        if let Some(bytes) = course.learn(step, &places, fetched).await? {
            let (store, blob) = (fill.store.clone(), job.wanted.blob);
            let ingested = off_worker(move || store.ingest(&blob, &bytes)).await;
            return ingested.map(drop).map_err(FetchError::Ingest);
        }
    }
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
    if fetch.partial().list().is_none() && !take_list(fill, job, fetch).await? {
        return without_list(fill, job, fetch).await;
    }
    let mut asked_for = fill.flights.asked_for(job.wanted.blob);
    let mut todo: VecDeque<u32> = (0..chunk_count(job.wanted.size).div_ceil(STRIPE_CHUNKS)).collect();
    let mut arriving = FuturesUnordered::new();
    let mut first_error = None;
    while !(todo.is_empty() && arriving.is_empty()) {
        let urgent = asked_for.borrow_and_update().clone();
        while arriving.len() < STRIPES_AT_ONCE + STRIPES_ASKED_FOR
            && let Some(at) = todo.iter().position(|stripe| urgent.contains(stripe))
        {
            arriving.extend(todo.remove(at).map(|stripe| arrive_stripe(fill, job, fetch, stripe, None)));
        }
        let begins = !todo.is_empty() && arriving.len() < STRIPES_AT_ONCE;
        tokio::select! {
            // Whatever ends one stripe, the others go on: they may convict the very sources that this one failed by.
            Some(result) = arriving.next() => first_error = first_error.or_else(|| result.err()),
            Ok(()) = asked_for.changed() => {}
            turn = fill.stripe_turns.acquire(), if begins => {
                arriving.extend(todo.pop_front().map(|stripe| arrive_stripe(fill, job, fetch, stripe, turn.ok())));
            }
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => fetch.complete().await,
    }
}

/// Takes the chunk list from whoever has it; it proves itself. False if nobody does.
async fn take_list(fill: &Fill, job: &Job, fetch: &BlobFetch) -> Result<bool, FetchError> {
    let mut course = Course::to_home(fill, job, 0);
    while let Some(step) = course.next(0) {
        let places = match step {
            Step::Origin => origin_lists(fill, job),
            _ => course.places(step, Pull::List),
        };
        // A list is small, but it is a request like any other; how fast it comes says nothing of its source.
        let turn = course.turn(&places, false).await;
        let fetched = course.fetcher(step).chunk_list(&job.wanted, &places).await;
        drop(turn);
        let Some(list) = course.learn(step, &places, fetched).await? else { continue };
        let partial = fetch.partial().clone();
        off_worker(move || partial.set_list(list)).await?;
        return Ok(true);
    }
    Ok(false)
}

/// The origins' chunk lists, and those of directories for when the origins are away.
fn origin_lists(fill: &Fill, job: &Job) -> Vec<Place> {
    let (catalog, blob, size) = (job.catalog.id(), &job.wanted.blob, job.wanted.size);
    let origins = job.origins.iter().map(|origin| Place::origin_chunk_list(origin, blob));
    let directories = fill.directories.all();
    let lists = directories.iter().map(|other| Place::chunk_list(&other.url.to_url(), catalog, blob, size));
    origins.chain(lists).collect()
}

async fn arrive_stripe(
    fill: &Fill,
    job: &Job,
    fetch: &Arc<BlobFetch>,
    stripe: u32,
    _turn: Option<SemaphorePermit<'_>>,
) -> Result<(), FetchError> {
    let began = Instant::now();
    let chunks = stripe * STRIPE_CHUNKS..chunk_count(job.wanted.size).min((stripe + 1) * STRIPE_CHUNKS);
    let mut course = Course::through_tree(fill, job, stripe);
    while let Some(first) = fetch.first_missing(&chunks) {
        let slice = first / SLICE_CHUNKS;
        let step = course.next(slice).ok_or_else(|| course.in_vain())?;
        let end = match step {
            // Another slice has another tree.
            Step::Above(_) | Step::Home(_) => chunks.end.min((slice + 1) * SLICE_CHUNKS),
            Step::Holder(_) | Step::Origin => chunks.end,
        };
        let places = course.places(step, Pull::Home);
        let fetcher = course.fetcher(step);
        let fetched = course.measured(&places, || fetcher.chunks(fetch, first..end, &places)).await;
        course.learn(step, &places, fetched).await?;
    }
    let bytes =
        chunk_range(job.wanted.size, chunks.end - 1).end - chunk_range(job.wanted.size, chunks.start).start;
    fill.sources().stripe_took(bytes, began.elapsed());
    tracing::debug!(blob = %job.wanted.blob, stripe, bytes, took = ?began.elapsed(), "a stripe is whole");
    Ok(())
}

/// Nobody has a list that merges to the blob's name: it is taken whole, and nobody sees a byte before the last one.
async fn without_list(fill: &Fill, job: &Job, fetch: &Arc<BlobFetch>) -> Result<(), FetchError> {
    let course = Course::to_home(fill, job, 0);
    let places = course.all_places();
    let fetched = course.measured(&places, || fill.fetcher.blob(fetch, &places, &[])).await;
    course.convict(&fetched.report);
    if fetched.result.is_err() {
        course.note_drift(&disputing(&fetched.report, &places));
    }
    fetched.result
}
