//! Every bound of a fetch.

use std::time::Duration;

/// How much, how long and how slow a fetch may be. Sizes of bodies are not here: they are known before each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// The most bytes that one range request asks for. Default 8 MiB.
    pub window_bytes: u64,
    /// How long the header of an answer may take. Default 15 s.
    pub reply: Duration,
    /// How long a body may be silent. Default 15 s.
    pub stall: Duration,
    /// Over how much waiting the slowest rate is judged. Default 10 s.
    pub slow_after: Duration,
    /// The slowest rate that is put up with, in bytes a second. Default 8 KiB/s.
    pub slow_bytes: u64,
    /// The largest blob without a chunk list, which has to be set aside until all of it has verified. Default 8 GiB.
    pub spool_bytes: u64,
    /// How many redirects of an origin are followed, each vetted like a first request. Default 3.
    pub redirects: u8,
    /// How many verified-to-be chunks wait for the store before the network has to wait. Default 16, that is 4 MiB.
    pub chunks_queued: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            window_bytes: 8 << 20,
            reply: Duration::from_secs(15),
            stall: Duration::from_secs(15),
            slow_after: Duration::from_secs(10),
            slow_bytes: 8 << 10,
            spool_bytes: 8 << 30,
            redirects: 3,
            chunks_queued: 16,
        }
    }
}
