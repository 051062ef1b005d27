//! Pulls: what another relay asks for while both fill (wire/PROTOCOL.md § Pulls).
//!
//! The answer is what there is now from the first byte asked for, after a moment's wait if there is none; or word that it
//! is coming; or no. Nothing is ever asked of a third relay on account of a pull.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CHUNK_BYTES, Pin, chunk_range};
use odi_wire::fetch::{BlobFetch, PULL, PULL_HOLD, Pull};
use odi_wire::file_response::{FileMeta, Segment, plan};
use odi_wire::http::header::{HeaderMap, HeaderValue, RANGE};
use odi_wire::http::{Method, StatusCode};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Body, Request, Response};
use tokio::time::{Instant, timeout_at};

use super::body;
use crate::fill::{Job, stripe_of};
use crate::flight::{Stage, Waiter};
use crate::relay::Relay;

/// Between two looks for what is about to begin.
const LOOK: Duration = Duration::from_millis(100);
/// When to come back after a fill that failed.
const RETRY: Duration = Duration::from_secs(10);

/// Answers a pull of an artifact.
pub(super) async fn answer(
    relay: &Relay,
    request: &Request,
    job: Job,
    meta: &FileMeta,
    pull: Pull,
) -> Result<Response, Refusal> {
    if let Some(reader) = relay.open_blob(&meta.blob).await? {
        return match pull {
            Pull::List => held_list(relay, meta).await,
            // Without a rescue: what is damaged here others have.
            Pull::Home | Pull::Held => Ok(body::from_store(request, meta, reader, || None)),
        };
    }
    if !job.catalog.assigned().covers(&meta.blob) {
        return Err(Refusal::NotFound);
    }
    let deadline = Instant::now() + PULL_HOLD;
    let wanted = wanted(request, meta);
    let first = u32::try_from(wanted.start / CHUNK_BYTES).map_err(|_| Refusal::NotFound)?;
    let failed = || Refusal::unavailable("no source has it now", RETRY);
    let waiter = match pull {
        Pull::Home if relay.fill.serves_as_home(&job, stripe_of(first)) => {
            Some(relay.fill.ask_as_home(job, Some(stripe_of(first))).map_err(|_| failed())?)
        }
        Pull::List => Some(relay.fill.ask_as_home(job, None).map_err(|_| failed())?),
        Pull::Home | Pull::Held => begun(relay, meta, deadline).await,
    };
    let Some(mut waiter) = waiter else { return Ok(coming()) };
    match timeout_at(deadline, waiter.readable()).await {
        Ok(Stage::Arriving(fetch)) if pull == Pull::List => list_of(&fetch, deadline).await,
        Ok(Stage::Arriving(fetch)) => part(meta, &fetch, wanted, first, deadline).await,
        Ok(Stage::Landed) => match relay.open_blob(&meta.blob).await? {
            Some(_) if pull == Pull::List => held_list(relay, meta).await,
            Some(reader) => Ok(body::from_store(request, meta, reader, || None)),
            None => Err(failed()),
        },
        Ok(Stage::Failed | Stage::Waiting) => Err(failed()),
        Err(_) => Ok(coming()),
    }
}

/// A pull under a pin that is not known here: perhaps it will be in a moment.
pub(super) async fn unknown_pin(relay: &Relay, pin: &Pin) -> Result<(), Refusal> {
    let deadline = Instant::now() + PULL_HOLD;
    while Instant::now() < deadline {
        if relay.catalogs.pinned(pin).is_some() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let ahead = relay
        .catalogs
        .all()
        .iter()
        .any(|catalog| catalog.state().newest().is_none_or(|newest| newest.seq() < pin.seq()));
    if ahead { Ok(()) } else { Err(Refusal::NotFound) }
}

/// The answer that there is nothing yet.
pub(super) fn coming() -> Response {
    Response::new(StatusCode::SERVICE_UNAVAILABLE)
        .with_retry_after(Duration::from_secs(1))
        .with_header(PULL, Pull::coming())
        .with_header("cache-control", HeaderValue::from_static("no-store"))
}

/// The first range that is asked for, or all.
fn wanted(request: &Request, meta: &FileMeta) -> Range<u64> {
    let segments = plan(&request.method, &request.headers, meta).segments;
    let file = segments.into_iter().find_map(|segment| match segment {
        Segment::File(range) => Some(range),
        Segment::Bytes(_) => None,
    });
    file.unwrap_or(0..0)
}

/// The flight of a blob that this relay will fetch for itself, should it begin before the deadline.
async fn begun(relay: &Relay, meta: &FileMeta, deadline: Instant) -> Option<Waiter> {
    loop {
        if let Some(waiter) = relay.fill.under_way(&meta.blob) {
            return Some(waiter);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What has come of the range, from its first byte on.
async fn part(
    meta: &FileMeta,
    fetch: &Arc<BlobFetch>,
    wanted: Range<u64>,
    first: u32,
    deadline: Instant,
) -> Result<Response, Refusal> {
    match timeout_at(deadline, fetch.chunk(first)).await {
        Ok(Ok(Some(_))) => {}
        Ok(Ok(None) | Err(_)) => return Err(Refusal::unavailable("no source has it now", RETRY)),
        Err(_) => return Ok(coming()),
    }
    let mut have = first + 1;
    while chunk_range(meta.size, have).start < wanted.end && fetch.partial().has(have) {
        have += 1;
    }
    let end = chunk_range(meta.size, have - 1).end.min(wanted.end);
    let mut headers = HeaderMap::new();
    let range = format!("bytes={}-{}", wanted.start, end.saturating_sub(1));
    headers.insert(RANGE, HeaderValue::from_str(&range).map_err(|_| Refusal::Internal)?);
    Ok(body::from_fill(&Method::GET, &headers, meta, fetch))
}

async fn held_list(relay: &Relay, meta: &FileMeta) -> Result<Response, Refusal> {
    let (store, blob) = (relay.store.clone(), meta.blob);
    let list = off_worker(move || store.chunk_list(&blob)).await.ok_or(Refusal::NotFound)?;
    Ok(Response::ok("application/octet-stream", Body::content(list.to_bytes())))
}

async fn list_of(fetch: &BlobFetch, deadline: Instant) -> Result<Response, Refusal> {
    loop {
        if let Some(list) = fetch.partial().list() {
            return Ok(Response::ok("application/octet-stream", Body::content(list.to_bytes())));
        }
        if Instant::now() >= deadline {
            return Ok(coming());
        }
        tokio::time::sleep(LOOK).await;
    }
}
