//! One range of one blob from one source: exactly 206 with exactly that `Content-Range`, or the whole from byte 0.

use std::ops::Range;
use std::sync::Arc;

use http::header::CONTENT_RANGE;
use http::{HeaderMap, StatusCode};
use odi_manifest::{CHUNK_BYTES, chunk_count, chunk_range};

use super::chunk_sink::{ChunkSink, SinkStop, Taken};
use super::incoming::{Answer, Incoming, content_length, open};
use super::{BlobFetch, Fetch, FetchLimits, Party, Source, SourceFault};

/// How a request for a window was answered, when all went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// With the window.
    Window,
    /// With the whole blob: this source knows no ranges.
    Whole,
}

/// Fetches chunks `chunks` (not empty, within the blob) into the store.
pub(crate) async fn fetch_window(
    network: &dyn Fetch,
    source: &Source,
    fetch: &Arc<BlobFetch>,
    chunks: Range<u32>,
    limits: &FetchLimits,
) -> (Taken, Result<Served, SinkStop>) {
    let size = fetch.wanted().size;
    let last = chunks.end.saturating_sub(1);
    let bytes = chunk_range(size, chunks.start).start..chunk_range(size, last).end;
    let whole = bytes == (0..size);
    // A relay that is filling says with a range how much of it has come.
    let range = (!whole || source.pull.is_some()).then(|| bytes.clone());
    // A source that ignores ranges sends everything, so the bound is the blob.
    let answer = match open(network, source, range, size, limits).await {
        Ok(answer) => answer,
        Err(fault) => return (Taken::default(), Err(SinkStop::Source(fault))),
    };
    let (first, span, served) = match accept(&answer, size, &bytes, source.pull.is_some()) {
        Ok(Some(span)) => (chunks.start, span, Served::Window),
        Ok(None) => (0, 0..size, Served::Whole),
        Err(fault) => return (Taken::default(), Err(SinkStop::Source(fault))),
    };
    let mut sink = ChunkSink::new(fetch, Party::of(&source.url), first, limits.chunks_queued);
    let end = pour(answer.body, &mut sink, &span).await;
    (sink.salvage().await, end.map(|()| served))
}

/// The bytes that the header promises: those asked for, of a pull perhaps only the first of them; `None` is the whole.
fn accept(
    answer: &Answer,
    size: u64,
    asked: &Range<u64>,
    is_pull: bool,
) -> Result<Option<Range<u64>>, SourceFault> {
    let length = content_length(&answer.headers);
    let span = match answer.status {
        StatusCode::PARTIAL_CONTENT => Some(content_range(&answer.headers, size, asked, is_pull)?),
        StatusCode::OK => None,
        other => return Err(SourceFault::Status(other)),
    };
    let expected = span.as_ref().map_or(size, |span| span.end - span.start);
    match length {
        Some(got) if got != expected => Err(SourceFault::Length { expected, got }),
        _ => Ok(span),
    }
}

fn content_range(
    headers: &HeaderMap,
    size: u64,
    asked: &Range<u64>,
    is_pull: bool,
) -> Result<Range<u64>, SourceFault> {
    let got = headers.get(CONTENT_RANGE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let got = got.unwrap_or_default();
    let (from, to) = (asked.start, asked.end.saturating_sub(1));
    let is = |end: u64, size: u64| got == format!("bytes {from}-{}/{size}", end.saturating_sub(1));
    if is(asked.end, size) {
        return Ok(asked.clone());
    }
    let named = got.strip_prefix(&format!("bytes {from}-")).and_then(|rest| rest.split_once('/'));
    let last = named.and_then(|(last, _)| last.parse::<u64>().ok());
    // Whole chunks only: what is over would be thrown away.
    let end = last
        .and_then(|last| last.checked_add(1))
        .filter(|end| is_pull && *end > from && *end < asked.end && end.is_multiple_of(CHUNK_BYTES));
    if let Some(end) = end.filter(|end| is(*end, size)) {
        return Ok(from..end);
    }
    // The right bytes of a file of another length: the file has changed, which is a dispute about content.
    let total = named.and_then(|(_, total)| total.parse::<u64>().ok()).filter(|total| *total != size);
    Err(match total.filter(|_| last == Some(to)) {
        Some(got) => SourceFault::Length { expected: size, got },
        None => SourceFault::OtherRange { asked: asked.clone(), got: got.chars().take(80).collect() },
    })
}

async fn pour(mut body: Incoming, sink: &mut ChunkSink, span: &Range<u64>) -> Result<(), SinkStop> {
    let mut left = span.end - span.start;
    while let Some(bytes) = body.next().await.map_err(SinkStop::Source)? {
        let length = bytes.len() as u64;
        left = left.checked_sub(length).ok_or(SinkStop::Source(SourceFault::TooLong))?;
        sink.push(bytes).await?;
    }
    sink.finish(span.end).await
}

/// Cuts what is missing within `within` into windows of at most `window_bytes`.
pub(crate) fn next_window(
    missing: &[Range<u32>],
    within: &Range<u32>,
    window_bytes: u64,
) -> Option<Range<u32>> {
    let most = chunk_count(window_bytes).max(1);
    missing.iter().find_map(|gap| {
        let start = gap.start.max(within.start);
        let end = gap.end.min(within.end).min(start.saturating_add(most));
        (start < end).then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_the_first_gap_cut_to_size() {
        let missing = [2..4, 10..100];
        let next = |within| next_window(&missing, &within, 8 << 20);
        assert_eq!(next(0..200), Some(2..4));
        assert_eq!(next(3..200), Some(3..4));
        assert_eq!(next(4..200), Some(10..42));
        assert_eq!(next(90..200), Some(90..100));
        assert_eq!(next(4..9), None);
        assert_eq!(next_window(&missing, &(4..200), 1), Some(10..11));
    }
}
