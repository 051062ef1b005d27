//! The address families of a URL, for whoever has to see that each of them works.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use url::{Host, Url};

use super::error::named;
use super::resolver::vetted_lookup;
use super::{Client, ClientError, ClientPolicy, vet};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Four bytes.
    V4,
    /// Sixteen bytes.
    V6,
}

impl Family {
    /// The family of an address. A mapped one counts as what it maps.
    #[must_use]
    pub const fn of(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Client {
    /// The families of a URL's vetted addresses to which this machine has a route. A family without one says nothing about
    /// whoever is there.
    ///
    /// # Errors
    /// The URL or one of its addresses is refused, or its name does not resolve.
    pub async fn families(&self, url: &Url) -> Result<Vec<Family>, ClientError> {
        vet(url, &self.policy).map_err(|source| ClientError::Refused { url: named(url), source })?;
        let port = url.port_or_known_default().unwrap_or_default();
        let addrs = match url.host() {
            Some(Host::Ipv4(v4)) => vec![SocketAddr::from((v4, port))],
            Some(Host::Ipv6(v6)) => vec![SocketAddr::from((v6, port))],
            Some(Host::Domain(name)) => vetted_lookup(name, port, self.policy.allow_private_addresses)
                .await
                .map_err(|source| ClientError::Unresolved { url: named(url), source })?,
            None => Vec::new(),
        };
        let mut families: Vec<Family> =
            addrs.into_iter().filter(has_route).map(|addr| Family::of(addr.ip())).collect();
        families.sort_unstable();
        families.dedup();
        Ok(families)
    }

    /// A client under the same policy that connects to names over one family only.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn over(&self, family: Family) -> Result<Self, ClientError> {
        Self::new(ClientPolicy { family: Some(family), ..ClientPolicy::clone(&self.policy) })
    }
}

/// Connecting a datagram socket sends nothing and asks the kernel for the route.
fn has_route(addr: &SocketAddr) -> bool {
    let unspecified: IpAddr = match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((unspecified, 0)).is_ok_and(|socket| socket.connect(addr).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_literal_has_one_family_and_a_refused_url_none() {
        let lab =
            Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() }).unwrap();
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(lab.families(&url("http://127.0.0.1:8080/")).await.unwrap(), [Family::V4]);
        assert!(lab.families(&url("http://localhost:8080/")).await.unwrap().contains(&Family::V4));
        let strict = Client::new(ClientPolicy::default()).unwrap();
        assert!(strict.families(&url("http://127.0.0.1:8080/")).await.is_err());
        assert!(strict.families(&url("http://localhost/")).await.is_err());
    }
}
