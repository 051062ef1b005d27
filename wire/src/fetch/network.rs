//! The network as a seam: what verified fetch and catalog sync need of a client, and no more.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::Pull;

/// What a network itself tells us about a peer. Everything else is seen, and named, above the seam.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The peer compresses, which nobody asked for.
    #[error("content encoded as {0}")]
    Encoded(String),
    /// The peer says nothing (more) for too long.
    #[error("the peer is silent")]
    Silent,
    /// The peer sends more than it may.
    #[error("the peer sends too much")]
    TooLong,
    /// No connection, a broken one, or one that we do not make.
    #[error("the connection failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A body as it arrives.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, NetworkError>> + Send>>;

/// One GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What to get.
    pub url: Url,
    /// The bytes wanted, end excluded and never empty; all of them if absent.
    pub range: Option<Range<u64>>,
    /// What the relay that is asked may do for it; `None` for an ordinary request.
    pub pull: Option<Pull>,
}

/// What came back, before anything in it is believed.
pub struct Reply {
    /// Status of the answer; a redirect is an answer like any other.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, neither decompressed nor bounded.
    pub body: BodyStream,
}

/// Sends a GET somewhere. The vetted client is the one in production; scripted ones stand in for tests and simulation.
///
/// An implementation follows no redirects, uses no proxy, decompresses nothing, and refuses addresses that its
/// operator does not allow.
pub trait Fetch: Send + Sync + 'static {
    /// Sends the request and returns as soon as the header of the answer is there.
    fn get(&self, ask: Ask) -> BoxFuture<'_, Result<Reply, NetworkError>>;
}
