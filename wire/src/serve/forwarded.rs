//! Who really asks, when a reverse proxy stands before us. Only a proxy that the operator named is believed.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use super::message::Scheme;

/// The networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. None by default: then the socket says
/// who asks and how.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// Most addresses of an `X-Forwarded-For` that are looked at, from its end.
const HOPS_MAX: usize = 8;

impl TrustedProxies {
    /// Believes proxies in these networks.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this address is a proxy's.
    #[must_use]
    pub fn trusts(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.0.iter().any(|network| network.contains(&addr))
    }

    /// The caller's address and scheme. From the end of `X-Forwarded-For`, the first address that is no trusted
    /// proxy: what stands before it is the caller's own claim. Its port is not known, and 0.
    pub(super) fn caller(
        &self,
        peer: SocketAddr,
        scheme: Scheme,
        headers: &HeaderMap,
    ) -> (SocketAddr, Scheme) {
        if !self.trusts(peer.ip()) {
            return (peer, scheme);
        }
        let mut caller = peer;
        let values = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
        for hop in values.flat_map(|value| value.rsplit(',')).take(HOPS_MAX) {
            let Ok(addr) = hop.trim().parse::<IpAddr>() else { break };
            caller = SocketAddr::new(addr, 0);
            if !self.trusts(addr) {
                break;
            }
        }
        let scheme = match headers.get("x-forwarded-proto").map(|value| value.as_bytes()) {
            Some(b"https") => Scheme::Https,
            Some(b"http") => Scheme::Http,
            _ => scheme,
        };
        (caller, scheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, forwarded_for: &[&str], proto: &str) -> String {
        let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        headers.insert("x-forwarded-proto", proto.parse().unwrap());
        let (addr, scheme) =
            proxies.caller(SocketAddr::new(peer.parse().unwrap(), 9), Scheme::Http, &headers);
        format!("{} {}", addr.ip(), scheme.as_str())
    }

    #[test]
    fn table() {
        for (peer, forwarded_for, proto, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "https", "192.0.2.1 http"),
            ("127.0.0.1", &["198.51.100.7"], "https", "198.51.100.7 https"),
            ("::ffff:127.0.0.1", &["198.51.100.7"], "https", "198.51.100.7 https"),
            ("127.0.0.1", &["10.9.9.9, 198.51.100.7"], "http", "198.51.100.7 http"),
            ("127.0.0.1", &["198.51.100.7, 127.0.0.2"], "https", "198.51.100.7 https"),
            ("127.0.0.1", &["203.0.113.1", "198.51.100.7, fd00::1"], "https", "198.51.100.7 https"),
            ("127.0.0.1", &["198.51.100.7, unknown"], "HTTPS", "127.0.0.1 http"),
            ("127.0.0.1", &["2001:db8::1"], "", "2001:db8::1 http"),
            ("127.0.0.1", &[], "https", "127.0.0.1 https"),
        ] {
            assert_eq!(caller(peer, forwarded_for, proto), expected, "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn nobody_is_trusted_unless_named() {
        assert!(!TrustedProxies::default().trusts(IpAddr::from([127, 0, 0, 1])));
    }
}
