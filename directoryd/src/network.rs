//! Where a caller sits, coarsely: the unit of caps and of stable selection. No address is kept.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of an address: its /24 (IPv4) or /48 (IPv6). An IPv4-mapped IPv6 address counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first six bytes of an IPv6 address.
    V6([u8; 6]),
}

impl Network {
    /// The network that an address belongs to.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }

    /// Its first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::V4([a, b, c]) => Ipv4Addr::new(a, b, c, 0).into(),
            Self::V6(bytes) => {
                let mut octets = [0u8; 16];
                octets.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
                Ipv6Addr::from(octets).into()
            }
        }
    }

    /// A spelling for hashing: the family's number and the bytes, padded with zeros.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 7] {
        match self {
            Self::V4([a, b, c]) => [4, a, b, c, 0, 0, 0],
            Self::V6([a, b, c, d, e, f]) => [6, a, b, c, d, e, f],
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if matches!(self, Self::V4(_)) { 24 } else { 48 };
        write!(f, "{}/{prefix}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_network_and_mapped_addresses_are_ipv4() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("192.0.2.200"));
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
        assert_eq!(of("2001:db8:1:2::1").to_string(), "2001:db8:1::/48");
        assert_eq!(of("192.0.2.7").to_string(), "192.0.2.0/24");
    }
}
