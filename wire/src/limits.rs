//! Every bound on what a peer can make this process do over HTTP (PROTOCOL.md § Limits).
//!
//! [`Limits`] holds what an operator may tune; the constants are part of the protocol, so that a request one
//! server answers is not refused by the next. Nothing elsewhere in the crate invents a bound of its own.

use std::time::Duration;

/// Longest request target in bytes. A path of 1024 bytes, all of it percent-encoded, and a query fit.
pub const TARGET_BYTES_MAX: usize = 6 * 1024;

/// Most ranges that one request may name; more, overlapping or descending ones are ignored, as RFC 9110 § 14.2
/// permits. 256 is what dnf asks of zchunk files.
pub const RANGES_MAX: usize = 256;

/// Most entity tags that are read of one `If-Match` or `If-None-Match`; the rest counts as no match.
pub const ENTITY_TAGS_MAX: usize = 32;

/// Most parameters that are read of a query; the rest is ignored.
pub const QUERY_PARAMETERS_MAX: usize = 32;

/// Most `avoid=` parameters that are kept, and the longest one in bytes.
pub const AVOID_MAX: (usize, usize) = (8, 64);

/// Longest `Signature-Input` or `Signature` header in bytes, checked before either is read.
pub const SIGNATURE_HEADER_BYTES_MAX: usize = 512;

/// How far the clocks of a directory and a relay may differ, each way, for a signed request to count.
pub const SIGNATURE_WINDOW: Duration = Duration::from_secs(60);

/// Most nonces that a relay remembers; beyond them signed requests are refused until old ones lapse.
pub const NONCES_MAX: usize = 16 * 1024;

/// The longest that anyone may cache a pinned or content-addressed reply: revoked content must be gone from
/// caches within P5's 15 minutes.
pub const PINNED_CACHE_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The most bytes that an answer may send before its turn comes again, where the rate of a server is limited: one chunk.
pub const PACE_PIECE_BYTES: u64 = 256 * 1024;

/// How many client networks a limited server remembers that have just had more than their share.
pub const PACE_LANES_MAX: usize = 16 * 1024;

/// What large answers take of memory together, until they have been sent.
pub const LARGE_ANSWERS_BYTES: u64 = 256 << 20;

/// How many large answers are kept for the next who asks.
pub const LARGE_ANSWERS_KEPT: usize = 8;

/// How long a request waits for room for its large answer.
pub const LARGE_ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// What one server spends on its callers. All are per process, or per connection where it says so.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections in all; further ones are closed at once.
    pub connections: usize,
    /// Open connections of one IPv4 address or one IPv6 /64 network; further ones get a 503 and are closed.
    /// Loopback and trusted proxies are exempt, since many callers stand behind one.
    pub connections_per_address: usize,
    /// From the end of the former answer, or of the handshake, to the first byte of a request; and from there until its
    /// head is complete. It so bounds idle kept-alive connections and slow heads alike.
    pub head_timeout: Duration,
    /// For the connection's own handshake (TLS), before the first byte of HTTP.
    pub handshake_timeout: Duration,
    /// From the last byte of a request that was read to the response's head; a 503 after that. Longer than the
    /// longest long poll.
    pub answer_timeout: Duration,
    /// A peer that keeps us blocked this long in all, while it takes or gives less than `stall_bytes`, is cut off.
    pub stall_interval: Duration,
    /// See `stall_interval`. Small: it tells a slow line from a stalled one, and is no minimum speed for users.
    pub stall_bytes: u64,
    /// Size in bytes of a connection's read and write buffer each, and so of the largest request head.
    pub head_bytes: usize,
    /// Header fields of one request; more are answered 431.
    pub head_fields: usize,
    /// Largest request body that [`Request::read_body`](crate::serve::Request::read_body) ever reads, in bytes,
    /// whatever its caller allows.
    pub body_bytes: usize,
    /// HTTP/2: requests of one connection at work at once; a peer that opens more has them refused.
    pub h2_streams: u32,
    /// HTTP/2: requests at work at once over all connections; 503 beyond. With `connections`, it bounds how many
    /// answers are in memory, which HTTP/1.1 does by having one for each connection.
    pub h2_requests: usize,
    /// HTTP/2: requests that a peer may take back before they are answered, beyond as many as it let us answer; then
    /// the connection is cut (rapid reset).
    pub h2_abandoned: u64,
    /// HTTP/2: requests taken back before we looked at them; then the connection is cut.
    pub h2_pending_resets: usize,
    /// HTTP/2: bytes of request bodies that wait unread, of one request and of one connection.
    pub h2_windows: (u32, u32),
    /// HTTP/2: bytes of one answer that wait for the peer, beside the piece of body at hand.
    pub h2_send_buffer: usize,
    /// HTTP/2: how often a silent peer is pinged.
    pub h2_ping_interval: Duration,
    /// HTTP/2: how long it may take to answer a ping, or to leave an idle connection.
    pub h2_ping_timeout: Duration,
    /// Pause after the operating system refused to accept, for instance because files ran out.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 256,
            head_timeout: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(120),
            stall_interval: Duration::from_secs(30),
            stall_bytes: 4 * 1024,
            head_bytes: 32 * 1024,
            head_fields: 64,
            body_bytes: 80 * 1024 * 1024,
            h2_streams: 32,
            h2_requests: 8192,
            h2_abandoned: 100,
            h2_pending_resets: 32,
            h2_windows: (64 * 1024, 256 * 1024),
            h2_send_buffer: 128 * 1024,
            h2_ping_interval: Duration::from_secs(20),
            h2_ping_timeout: Duration::from_secs(10),
            accept_pause: Duration::from_millis(100),
        }
    }
}
