//! Where the servers of a round go: behind links of their own in network namespaces, or on ports of this machine.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use url::Url;

use super::super::namespaces::{Link, Namespaces};

/// Where the next server goes.
pub(super) struct Places {
    pub(super) namespaces: Option<Namespaces>,
    pub(super) next_port: u16,
}

impl Places {
    /// An address behind a link of its own.
    pub(super) fn place(&mut self, link: Link) -> Result<(SocketAddr, Option<usize>)> {
        if let Some(namespaces) = &mut self.namespaces {
            let (number, address) = namespaces.add(link)?;
            return Ok((SocketAddr::from((address, 8500)), Some(number)));
        }
        self.next_port += 1;
        Ok((SocketAddr::from((Ipv4Addr::LOCALHOST, self.next_port)), None))
    }

    /// An address without limits.
    pub(super) fn outside(&mut self) -> Result<SocketAddr> {
        if let Some(namespaces) = &self.namespaces {
            return Ok(SocketAddr::from((namespaces.outside(), 8400)));
        }
        Ok(self.place(Link { up: 0, down: 0 })?.0)
    }

    /// The rate that a gate has to keep, where nothing else does.
    pub(super) fn shaped_by_gate(&self, bits: u64) -> Option<u64> {
        self.namespaces.is_none().then_some(bits)
    }
}

pub(super) fn url(at: SocketAddr) -> Result<Url> {
    Ok(Url::parse(&format!("http://{at}/"))?)
}

pub(super) fn address(url: &Url) -> Result<SocketAddr> {
    Ok(format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(80)).parse()?)
}
