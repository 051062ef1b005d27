//! What the operator allows the client, and how patient it is.

use std::path::PathBuf;
use std::time::Duration;

use super::Family;

/// Bounds on every outbound request.
#[derive(Clone, Debug)]
pub struct ClientPolicy {
    /// `--allow-private-addresses`: for tests and laboratories. Whoever can register a URL can then make this process
    /// talk to its own network.
    pub allow_private_addresses: bool,
    /// If set, names are connected to over this family only.
    pub family: Option<Family>,
    /// Files of certificate roots in PEM form that https believes beside the system's.
    pub extra_roots: Vec<PathBuf>,
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From sending to the end of the reply's head, connecting included. Longer than the longest long poll.
    pub head_timeout: Duration,
    /// A peer that keeps us waiting this long in all while it sends less than `stall_bytes` is given up.
    pub stall_interval: Duration,
    /// See `stall_interval`.
    pub stall_bytes: u64,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How many idle connections are kept per host.
    pub idle_per_host: usize,
    /// The `User-Agent`.
    pub user_agent: String,
}

impl Default for ClientPolicy {
    fn default() -> Self {
        Self {
            allow_private_addresses: false,
            family: None,
            extra_roots: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(75),
            stall_interval: Duration::from_secs(20),
            stall_bytes: 16 * 1024,
            idle_timeout: Duration::from_secs(15),
            idle_per_host: 8,
            user_agent: concat!("odi/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
