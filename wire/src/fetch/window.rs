//! One range of one blob from one source: exactly 206 with exactly that `Content-Range`, or the whole from byte 0.

use std::ops::Range;
use std::sync::Arc;

use http::header::CONTENT_RANGE;
use http::{HeaderMap, StatusCode};
use odi_manifest::{chunk_count, chunk_range};

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
    let range = (!whole).then(|| bytes.clone());
    // A source that ignores ranges sends everything, so the bound is the blob.
    let answer = match open(network, &source.url, range, source.redirects, size, limits).await {
        Ok(answer) => answer,
        Err(fault) => return (Taken::default(), Err(SinkStop::Source(fault))),
    };
    let (first, span, served) = match accept(&answer, size, &bytes) {
        Ok(Served::Window) => (chunks.start, bytes, Served::Window),
        Ok(Served::Whole) => (0, 0..size, Served::Whole),
        Err(fault) => return (Taken::default(), Err(SinkStop::Source(fault))),
    };
    let mut sink = ChunkSink::new(fetch, Party::of(&source.url), first, limits.chunks_queued);
    let end = pour(answer.body, &mut sink, &span).await;
    (sink.salvage().await, end.map(|()| served))
}

/// Whether the header promises the bytes asked for, or all of them.
fn accept(answer: &Answer, size: u64, asked: &Range<u64>) -> Result<Served, SourceFault> {
    let length = content_length(&answer.headers);
    let (served, expected) = match answer.status {
        StatusCode::PARTIAL_CONTENT => {
            check_content_range(&answer.headers, size, asked)?;
            (Served::Window, asked.end - asked.start)
        }
        StatusCode::OK => (Served::Whole, size),
        other => return Err(SourceFault::Status(other)),
    };
    match length {
        Some(got) if got != expected => Err(SourceFault::Length { expected, got }),
        _ => Ok(served),
    }
}

fn check_content_range(headers: &HeaderMap, size: u64, asked: &Range<u64>) -> Result<(), SourceFault> {
    let got = headers.get(CONTENT_RANGE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let got = got.unwrap_or_default();
    let (from, to) = (asked.start, asked.end.saturating_sub(1));
    if got == format!("bytes {from}-{to}/{size}") {
        return Ok(());
    }
    // The right bytes of a file of another length: the file has changed, which is a dispute about content.
    let other_length = got.strip_prefix(&format!("bytes {from}-{to}/")).and_then(|total| total.parse().ok());
    Err(match other_length {
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
