//! Whether a URL has the bytes that an entry promises, judged by one chunk: what lets a directory send traffic there.
//!
//! It looks like an ordinary client: a GET, with a range where the file has more than one chunk. No redirect is followed.

use std::ops::Range;

use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, Entry, chunk_count, chunk_range};
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

/// Asks for one chunk of an artifact and compares it. `list` is needed for more than one chunk; `draw` chooses which.
pub(crate) async fn probe(
    client: &Client,
    url: &Url,
    entry: &Entry,
    list: Option<&ChunkList>,
    draw: u32,
) -> Verdict {
    let chunks = chunk_count(entry.size);
    let index = if chunks < 2 { 0 } else { draw % chunks };
    let range = if chunks < 2 { 0..entry.size } else { chunk_range(entry.size, index) };
    let length = range.end - range.start;
    let whole = chunks < 2;
    let mut ask = Ask::get(url).reply_bytes_max(length.min(CHUNK_BYTES));
    if !whole {
        ask = ask.range(range.clone());
    }
    let bytes = match answer(client, ask, &range, entry.size, whole).await {
        Ok(bytes) => bytes,
        Err(why) => return Verdict::Failed(why),
    };
    let matches = match list {
        _ if whole => BlobId::of(&bytes) == entry.blob,
        Some(list) => list.check(index, &bytes).is_ok(),
        None => return Verdict::Failed("no chunk list to compare with".to_owned()),
    };
    if matches { Verdict::Matched } else { Verdict::WrongBytes }
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
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().take(300).collect()
}
