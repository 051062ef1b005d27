//! One GET under every bound: time to answer, silence, rate, redirects, encodings, bytes.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout};

use super::{Ask, BodyStream, Fetch, FetchLimits, NetworkError, Pull, Reply, Source, SourceFault};
use crate::client::hop;

/// Whether redirects of a source are followed. An origin may use them; a relay never redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Up to [`FetchLimits::redirects`], never from https to http.
    Follow,
    /// A redirect is a fault.
    Refuse,
}

/// An answer whose header has been read: 200, 206, or another status that the caller allowed for.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

/// Sends a GET and reads the header of the answer.
///
/// Statuses but 200, 204 and 206 become faults. `bytes_max` bounds the body.
pub(crate) async fn open(
    network: &dyn Fetch,
    source: &Source,
    range: Option<Range<u64>>,
    bytes_max: u64,
    limits: &FetchLimits,
) -> Result<Answer, SourceFault> {
    let mut url = source.url.clone();
    let mut hops = if source.redirects == Redirects::Follow { limits.redirects } else { 0 };
    let deadline = Instant::now() + limits.reply;
    loop {
        let asked = network.get(Ask { url: url.clone(), range: range.clone(), pull: source.pull });
        let reply = tokio::time::timeout_at(deadline, asked).await.map_err(|_| SourceFault::NoReply)?;
        let reply = reply.map_err(no_header)?;
        if matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            hops = hops.checked_sub(1).ok_or(SourceFault::Redirect)?;
            url = hop::next(&url, &reply.headers).ok_or(SourceFault::Redirect)?;
            continue;
        }
        return judge(reply, bytes_max, limits);
    }
}

fn no_header(error: NetworkError) -> SourceFault {
    match error {
        NetworkError::Encoded(encoding) => SourceFault::Encoded(encoding),
        NetworkError::Silent => SourceFault::NoReply,
        NetworkError::TooLong => SourceFault::TooLong,
        failed @ NetworkError::Failed(_) => SourceFault::Unreachable(failed),
    }
}

fn no_more(error: NetworkError) -> SourceFault {
    match error {
        NetworkError::Silent => SourceFault::Stalled,
        failed @ NetworkError::Failed(_) => SourceFault::Broken(failed),
        other => no_header(other),
    }
}

fn judge(reply: Reply, bytes_max: u64, limits: &FetchLimits) -> Result<Answer, SourceFault> {
    match reply.status.as_u16() {
        200 | 204 | 206 => {}
        404 | 410 | 451 => return Err(SourceFault::Absent(reply.status)),
        503 if Pull::is_coming(&reply.headers) => return Err(SourceFault::Coming),
        429 | 503 => return Err(SourceFault::Busy { retry_after: retry_after(&reply.headers) }),
        _ => return Err(SourceFault::Status(reply.status)),
    }
    if let Some(encoding) = reply.headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let shown = String::from_utf8_lossy(encoding.as_bytes()).chars().take(40).collect();
        return Err(SourceFault::Encoded(shown));
    }
    let body = Incoming {
        body: reply.body,
        bytes_left: bytes_max,
        stall: limits.stall,
        slow_after: limits.slow_after,
        slow_bytes: limits.slow_bytes,
        waited: Duration::ZERO,
        got: 0,
        total: 0,
    };
    Ok(Answer { status: reply.status, headers: reply.headers, body })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The `Content-Length` of an answer, if it has one that reads.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that ends with a fault as soon as it is silent, slow or longer than it may be.
pub(crate) struct Incoming {
    body: BodyStream,
    bytes_left: u64,
    stall: Duration,
    slow_after: Duration,
    slow_bytes: u64,
    /// Time spent waiting for the source since the rate was last judged. Time that the reader takes does not count.
    waited: Duration,
    got: u64,
    total: u64,
}

impl Incoming {
    /// The next bytes, or nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, SourceFault> {
        loop {
            let before = Instant::now();
            let item = timeout(self.stall, self.body.next()).await.map_err(|_| SourceFault::Stalled)?;
            self.waited += before.elapsed();
            let Some(item) = item else { return Ok(None) };
            let bytes = item.map_err(no_more)?;
            if bytes.is_empty() {
                continue;
            }
            let length = bytes.len() as u64;
            self.total += length;
            self.bytes_left = self.bytes_left.checked_sub(length).ok_or(SourceFault::TooLong)?;
            self.got += length;
            self.judge_rate()?;
            return Ok(Some(bytes));
        }
    }

    fn judge_rate(&mut self) -> Result<(), SourceFault> {
        if self.waited < self.slow_after {
            return Ok(());
        }
        if (self.got as f64) < self.slow_bytes as f64 * self.waited.as_secs_f64() {
            return Err(SourceFault::TooSlow);
        }
        (self.waited, self.got) = (Duration::ZERO, 0);
        Ok(())
    }

    /// The whole body, which the bound of [`open`] keeps small.
    pub(crate) async fn collect(&mut self) -> Result<Vec<u8>, SourceFault> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// How many bytes have come, whatever became of them.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }
}
