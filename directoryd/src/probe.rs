//! Whether a URL has the bytes that an entry promises, judged by one chunk: what lets a directory send traffic there.
//!
//! It looks like an ordinary client: a GET, with a range where the file has more than one chunk, which begins and ends
//! anywhere around that chunk. Nothing is read past what was asked for.

use std::ops::Range;

use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, Entry, chunk_count, chunk_range};
use odi_wire::chain;
use odi_wire::client::{Ask, Client, ClientError};
use odi_wire::http::header::CONTENT_RANGE;
use odi_wire::http::{HeaderMap, StatusCode};
use url::Url;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The right bytes.
    Matched,
    /// A well-formed answer with other bytes.
    WrongBytes,
    /// No usable answer; why, in a line for the operator.
    Failed(String),
}

/// What is asked for around a chunk, at most, before it and after it.
const AROUND_BYTES_MAX: u32 = 32 << 10;

/// Where to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The artifact's URL.
    pub(crate) url: &'a Url,
    /// How many redirects are followed from there: none from a relay, for none may send clients on.
    pub(crate) redirects: usize,
}

/// Asks for one chunk of an artifact and what lies around it, and compares the chunk. `list` is needed for more than one
/// chunk; `draw` chooses which.
pub(crate) async fn probe(
    client: &Client,
    target: &Target<'_>,
    entry: &Entry,
    list: Option<&ChunkList>,
    draw: u32,
) -> Verdict {
    let chunks = chunk_count(entry.size);
    let index = if chunks < 2 { 0 } else { draw % chunks };
    let chunk = if chunks < 2 { 0..entry.size } else { chunk_range(entry.size, index) };
    let range = if chunks < 2 { chunk.clone() } else { around(&chunk, entry.size, draw) };
    let length = range.end - range.start;
    let whole = chunks < 2;
    let mut ask = Ask::get(target.url)
        .reply_bytes_max(length.min(CHUNK_BYTES + 2 * u64::from(AROUND_BYTES_MAX)))
        .following(target.redirects);
    if !whole {
        ask = ask.range(range.clone());
    }
    let bytes = match answer(client, ask, &range, entry.size, whole).await {
        Ok(bytes) => bytes,
        Err(why) => return Verdict::Failed(why),
    };
    let offset = |at: u64| usize::try_from(at.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let middle = bytes.get(offset(chunk.start)..offset(chunk.end)).unwrap_or_default();
    let matches = match list {
        _ if whole => BlobId::of(&bytes) == entry.blob,
        Some(list) => list.check(index, middle).is_ok(),
        None => return Verdict::Failed("no chunk list to compare with".to_owned()),
    };
    if matches { Verdict::Matched } else { Verdict::WrongBytes }
}

/// A range with a chunk in it, such that nobody can tell from it that a chunk is what matters.
fn around(chunk: &Range<u64>, size: u64, draw: u32) -> Range<u64> {
    let before = u64::from(draw.rotate_left(11) % AROUND_BYTES_MAX);
    let after = u64::from(draw.rotate_left(23) % AROUND_BYTES_MAX);
    chunk.start.saturating_sub(before)..chunk.end.saturating_add(after).min(size)
}

async fn answer(
    client: &Client,
    ask: Ask,
    range: &Range<u64>,
    size: u64,
    whole: bool,
) -> Result<bytes::Bytes, String> {
    let reply = client.send(ask).await.map_err(|error| told(&error))?;
    let expected = if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    if reply.status != expected {
        return Err(format!("answered {} instead of {expected}", reply.status));
    }
    if !whole && !has_range(&reply.headers, range, size) {
        return Err("answered with another range than was asked for".to_owned());
    }
    let length = range.end - range.start;
    let bytes = reply.body.collect().await.map_err(|error| told(&error))?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(format!("sent {} bytes instead of {length}", bytes.len()))
    }
}

fn has_range(headers: &HeaderMap, range: &Range<u64>, size: u64) -> bool {
    let expected = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    headers.get(CONTENT_RANGE).is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

/// An error of the client with its causes, for the operator of the other side.
pub(crate) fn told(error: &ClientError) -> String {
    chain::of(error).chars().take(300).collect()
}
