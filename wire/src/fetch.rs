//! Verified fetch: from ordinary URLs into the store, believing nobody (PROTOCOL.md § Fetch).
//!
//! A chunk is stored, and shown to whoever waits, only after it verified against the blob's own tree; the chunk list
//! comes from anywhere, because it merges to the blob's name or is thrown away. Every body is bounded by a size known
//! before the request. A source that fails in any way is given up for the next one, and convicted of lying only
//! once another party had the right bytes for the same place.

mod chunk_sink;
mod error;
mod fault;
mod fetcher;
mod incoming;
mod job;
mod limits;
mod network;
mod places;
mod pull;
mod running_sha;
mod suspects;
mod vetted;
mod whole;
mod window;

pub use error::{FetchError, Fetched, Report};
pub use fault::SourceFault;
pub use fetcher::{Fetcher, Source};
pub(crate) use incoming::Incoming;
pub use incoming::Redirects;
pub use job::{BlobFetch, Stage, Wanted};
pub use limits::FetchLimits;
pub use network::{Ask, BodyStream, Fetch, NetworkError, Reply};
pub(crate) use places::layout_at;
pub use pull::{PULL, PULL_HOLD, Pull};
pub use suspects::Party;
pub(crate) use suspects::Place;
