//! What somebody else answered.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::error::{ClientError, named};
use super::policy::ClientPolicy;
use crate::serve::StallMeter;

/// A reply whose head is read. Nothing in it is believed yet.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// Where it came from, after any redirects.
    pub url: Url,
    /// The body, bounded.
    pub body: ReplyBody,
}

/// A body that arrives: at most as many bytes as were asked for, and moving.
pub struct ReplyBody {
    response: reqwest::Response,
    url: Url,
    max_bytes: u64,
    taken: u64,
    meter: StallMeter,
}

impl ReplyBody {
    pub(super) const fn new(
        response: reqwest::Response,
        url: Url,
        max_bytes: u64,
        policy: &ClientPolicy,
    ) -> Self {
        let meter = StallMeter::new(policy.stall_interval, policy.stall_bytes);
        Self { response, url, max_bytes, taken: 0, meter }
    }

    /// How many bytes the peer says are left, if it says.
    #[must_use]
    pub fn declared_len(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes; `None` after the last. A body shorter than its `Content-Length` ends in an error.
    ///
    /// # Errors
    /// [`ClientError::Transport`], [`ClientError::Stalled`] or [`ClientError::TooLarge`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let began = Instant::now();
            let patience = self.meter.patience();
            let Ok(read) = tokio::time::timeout(patience, self.response.chunk()).await else {
                if self.meter.blocked(began.elapsed().max(patience)) {
                    return Err(ClientError::Stalled { url: named(&self.url) });
                }
                continue;
            };
            let read = read.map_err(|source| ClientError::Transport { url: named(&self.url), source })?;
            let Some(bytes) = read else { return Ok(None) };
            self.meter.moved(bytes.len());
            if self.meter.blocked(began.elapsed()) {
                return Err(ClientError::Stalled { url: named(&self.url) });
            }
            self.taken = self.taken.saturating_add(bytes.len() as u64);
            if self.taken > self.max_bytes {
                return Err(ClientError::TooLarge { url: named(&self.url), max_bytes: self.max_bytes });
            }
            return Ok(Some(bytes));
        }
    }

    /// The whole body in memory, at most as many bytes as the request allowed.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn collect(mut self) -> Result<Bytes, ClientError> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// The body as a stream, which ends after its first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClientError>> + Send {
        stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.chunk().await {
                Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(body))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyBody({} of at most {} bytes taken)", self.taken, self.max_bytes)
    }
}
