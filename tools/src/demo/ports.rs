//! Free ports of loopback: a daemon's public URL has to be known before it starts.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// So many different addresses of 127.0.0.1 that were free a moment ago.
pub(crate) fn free(count: usize) -> io::Result<Vec<SocketAddr>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}
