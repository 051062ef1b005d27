//! Where a server of the bench listens: loopback, with and without TLS.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use odi_wire::serve::Scheme;

/// Two addresses and their URLs.
#[derive(Debug)]
pub(super) struct Sites {
    pub(super) plain_addr: SocketAddr,
    pub(super) tls_addr: SocketAddr,
    /// Scheme, host and port, without a path.
    pub(super) plain: String,
    tls: String,
}

impl Sites {
    /// Ports that were free a moment ago.
    pub(super) fn free() -> Result<Self> {
        let bind = || TcpListener::bind(("127.0.0.1", 0)).context("find a free port");
        // Both at once, so that they differ.
        let (plain, tls) = (bind()?, bind()?);
        let (plain_addr, tls_addr) = (plain.local_addr()?, tls.local_addr()?);
        Ok(Self {
            plain_addr,
            tls_addr,
            plain: format!("http://{plain_addr}"),
            tls: format!("https://{tls_addr}"),
        })
    }

    /// The URL to ask at.
    pub(super) fn base(&self, scheme: Scheme) -> &str {
        match scheme {
            Scheme::Http => &self.plain,
            Scheme::Https => &self.tls,
        }
    }
}
