//! Bytes for a response: chunks from the store, or from a fill under way as they verify.
//!
//! What is in memory is sent inline; what the page cache has is read and hashed inline, since that is cheaper than a change of
//! threads; what needs the disk goes to the store's own readers. A chunk is 256 KiB, and each is hashed since it was read.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use odi_manifest::{ArtifactPath, CHUNK_BYTES, Entry, chunk_range};
use odi_store::{BlobReader, ReadError};
use odi_wire::fetch::BlobFetch;
use odi_wire::file_response::{FileMeta, Segment, plan};
use odi_wire::http::{HeaderMap, Method};
use odi_wire::serve::{BodyError, Request, Response};
use odi_wire::sync::RetainedHead;
use tokio::sync::oneshot;

use crate::catalog::Catalog;
use crate::fill::{Fill, Job};
use crate::flight::Stage;

type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

/// A fill ended before the bytes that a response had promised; the connection closes and the caller sees a short body.
#[derive(Debug, thiserror::Error)]
#[error("the fill of blob {0} broke off")]
struct BrokeOff(odi_manifest::BlobId);

/// The answer to a request for a blob that is held.
///
/// `rescue` fetches what turns out to be damaged on disk while the answer is under way.
pub(super) fn from_store(
    request: &Request,
    meta: &FileMeta,
    reader: BlobReader,
    rescue: impl FnOnce() -> Option<Rescue>,
) -> Response {
    let plan = plan(&request.method, &request.headers, meta);
    if let Some(bytes) = plan.only_range().and_then(|range| at_once(&reader, range)) {
        return plan.respond_with(bytes);
    }
    let rescue = rescue().map(Arc::new);
    plan.respond(move |range| chunks(range, Source::Store(reader.clone(), rescue.clone())))
}

/// The answer to a request for a blob that is being filled. The caller has seen that it may begin.
pub(super) fn from_fill(
    method: &Method,
    headers: &HeaderMap,
    meta: &FileMeta,
    fetch: &Arc<BlobFetch>,
) -> Response {
    let fetch = Arc::clone(fetch);
    plan(method, headers, meta).respond(move |range| chunks(range, Source::Fill(Arc::clone(&fetch))))
}

/// The chunk that holds the first byte of the answer; `None` if it has no bytes of the file, as for HEAD and 304.
pub(super) fn first_chunk(request: &Request, meta: &FileMeta) -> Option<u32> {
    plan(&request.method, &request.headers, meta).segments.iter().find_map(|segment| match segment {
        Segment::File(range) => u32::try_from(range.start / CHUNK_BYTES).ok(),
        Segment::Bytes(_) => None,
    })
}

/// The answer to a request for which no byte of the file is needed.
pub(super) fn without_bytes(request: &Request, meta: &FileMeta) -> Response {
    plan(&request.method, &request.headers, meta).respond_from(&Bytes::new())
}

/// How to get a held blob again. Hardly any answer needs it.
#[derive(Debug)]
pub(super) struct Rescue {
    pub(super) fill: Arc<Fill>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) head: Arc<RetainedHead>,
    pub(super) path: ArtifactPath,
    pub(super) entry: Entry,
}

impl Rescue {
    /// The blob from wherever it can be had: sources first mend what the store has dropped.
    async fn source(&self) -> Option<Source> {
        // Until the loss is committed the blob still counts as held.
        self.fill.settled().await;
        let job = Job::new(&self.catalog, &self.head, self.path.clone(), &self.entry);
        let mut waiter = self.fill.ask_now(job).ok()?;
        match waiter.readable().await {
            Stage::Arriving(fetch) => Some(Source::Fill(fetch)),
            Stage::Landed => {
                self.fill.reopened(&self.entry.blob).await.map(|reader| Source::Store(reader, None))
            }
            Stage::Failed | Stage::Waiting => None,
        }
    }
}

#[derive(Clone)]
enum Source {
    Store(BlobReader, Option<Arc<Rescue>>),
    Fill(Arc<BlobFetch>),
}

impl Source {
    fn size(&self) -> u64 {
        match self {
            Self::Store(reader, _) => reader.size(),
            Self::Fill(fetch) => fetch.wanted().size,
        }
    }

    /// A chunk; the source may become another one on the way.
    async fn chunk(&mut self, index: u32) -> Result<Bytes, BodyError> {
        if let Self::Store(reader, rescue) = self {
            let damage = match stored(reader, index).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            let rescued = match rescue {
                Some(rescue) if matches!(damage, ReadError::Damaged { .. } | ReadError::Gone { .. }) => {
                    rescue.source().await
                }
                _ => None,
            };
            *self = rescued.ok_or_else(|| BodyError::source(damage))?;
        }
        match self {
            Self::Store(reader, _) => stored(reader, index).await.map_err(BodyError::source),
            Self::Fill(fetch) => match fetch.chunk(index).await {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => Err(BodyError::source(BrokeOff(fetch.wanted().blob))),
                Err(error) => Err(BodyError::source(error)),
            },
        }
    }
}

/// Exactly the bytes of `range`, chunk by chunk.
fn chunks(range: Range<u64>, source: Source) -> Chunks {
    stream::try_unfold((range, source), |(range, mut source)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let index = u32::try_from(range.start / CHUNK_BYTES)
            .map_err(|_| BodyError::source("a range outside any blob"))?;
        let of_chunk = chunk_range(source.size(), index);
        let chunk = source.chunk(index).await?;
        let end = range.end.min(of_chunk.end);
        let piece = piece(&chunk, of_chunk.start, &(range.start..end))
            .ok_or_else(|| BodyError::source("a chunk is shorter than its blob's size says"))?;
        Ok(Some((piece, (end..range.end, source))))
    })
    .boxed()
}

/// A whole range, if it lies in one chunk that can be had and verified without waiting: then head and body leave in one
/// write, and nothing is left to do. A chunk that is damaged is left to [`chunks`], which knows how to mend it.
fn at_once(reader: &BlobReader, range: &Range<u64>) -> Option<Bytes> {
    let index = u32::try_from(range.start / CHUNK_BYTES).ok()?;
    let of_chunk = chunk_range(reader.size(), index);
    if range.end > of_chunk.end {
        return None;
    }
    let chunk = reader.try_chunk_now(index).ok()??;
    piece(&chunk, of_chunk.start, range)
}

/// The part of a chunk that is wanted; not empty, and within it.
fn piece(chunk: &Bytes, chunk_begins: u64, wanted: &Range<u64>) -> Option<Bytes> {
    let offset = |at: u64| usize::try_from(at.saturating_sub(chunk_begins)).unwrap_or(usize::MAX);
    let slice = offset(wanted.start)..offset(wanted.end);
    (slice.start < slice.end && slice.end <= chunk.len()).then(|| chunk.slice(slice))
}

async fn stored(reader: &BlobReader, index: u32) -> Result<Bytes, ReadError> {
    if let Some(bytes) = reader.try_chunk_now(index)? {
        return Ok(bytes);
    }
    let (done, read) = oneshot::channel();
    reader.fetch(index, move |result| {
        // The client may have gone.
        let _ = done.send(result);
    });
    read.await.unwrap_or(Err(ReadError::Busy))
}
