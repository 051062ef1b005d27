//! How many connections are open, in all and per address. A permit counts until it is dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::forwarded::TrustedProxies;
use crate::limits::Limits;

/// Who may still connect.
#[derive(Debug)]
pub(super) struct Admission {
    total_max: usize,
    per_network_max: usize,
    /// Exempt from the bound per network: many callers stand behind one.
    proxies: TrustedProxies,
    /// Open connections; its size is bounded by `total_max`.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// The right to one connection.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    network: IpAddr,
}

/// Which limit a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Total,
    PerNetwork,
}

impl Admission {
    pub(super) fn new(limits: &Limits, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            total_max: limits.connections,
            per_network_max: limits.connections_per_address,
            proxies,
            open: Mutex::default(),
        })
    }

    pub(super) fn admit(self: &Arc<Self>, addr: IpAddr) -> Result<Permit, Over> {
        let network = network_of(addr);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.total_max {
            return Err(Over::Total);
        }
        let count = open.by_network.entry(network).or_insert(0);
        if *count >= self.per_network_max && !self.is_exempt(addr) {
            return Err(Over::PerNetwork);
        }
        *count += 1;
        open.total += 1;
        Ok(Permit { admission: Arc::clone(self), network })
    }

    /// Proxies speak for many callers, and so does one on this machine that nobody configured.
    fn is_exempt(&self, addr: IpAddr) -> bool {
        addr.to_canonical().is_loopback() || self.proxies.trusts(addr)
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Entry::Occupied(mut count) = open.by_network.entry(self.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// One household has a /64 of IPv6, so that is what counts as one address.
pub(super) fn network_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_address: usize) -> Arc<Admission> {
        let limits = Limits { connections, connections_per_address, ..Limits::default() };
        Admission::new(&limits, TrustedProxies::default())
    }

    #[test]
    fn counts_in_all_and_per_network_and_forgets_what_closed() {
        let admission = admission(3, 2);
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let b: IpAddr = "192.0.2.1".parse().unwrap();
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(neighbour).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), Over::PerNetwork);
        let third = admission.admit(b).unwrap();
        assert_eq!(admission.admit("192.0.2.2".parse().unwrap()).unwrap_err(), Over::Total);
        drop((first, third));
        assert_eq!(admission.open_connections(), 1);
        assert_eq!(admission.open.lock().unwrap().by_network.len(), 1);
        assert!(admission.admit("::ffff:192.0.2.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn callers_behind_a_proxy_of_this_machine_count_only_in_all() {
        let admission = admission(3, 1);
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let permits: Vec<Permit> = (0..3).map(|_| admission.admit(loopback).unwrap()).collect();
        assert_eq!(admission.admit(loopback).unwrap_err(), Over::Total);
        drop(permits);
        assert!(admission.admit(loopback).is_ok());
    }
}
