//! One download is counted once, however many requests it takes: ranges of a download manager, retries, and whoever is sent on again.
//!
//! Who asked for what within ten minutes is a table of fixed size, keyed by a secret hash that lasts as long as the process: no address
//! is kept in it, none can be found by it, and nothing of it is written anywhere. What collides is counted once more. Pure.

use std::net::IpAddr;
use std::time::Duration;

use odi_manifest::{BlobId, Timestamp};

/// For how long the same caller's requests for the same bytes are one download.
const ONE_DOWNLOAD: Duration = Duration::from_secs(600);
/// How many downloads are remembered: 1 MiB.
const SLOTS: usize = 65_536;

/// The downloads of the last ten minutes.
#[derive(Clone, Debug)]
pub struct Once {
    secret: [u8; 32],
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// What was asked for by whom; another part of the hash chooses the slot.
    tag: u64,
    until: Timestamp,
}

impl Once {
    /// None yet. `secret` is random and known to nobody.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, slots: vec![Slot { tag: 0, until: Timestamp(0) }; SLOTS] }
    }

    /// Whether this is a download that was not counted yet; it is from now on.
    pub fn is_first(&mut self, caller: IpAddr, blob: &BlobId, now: Timestamp) -> bool {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        match caller.to_canonical() {
            IpAddr::V4(v4) => hasher.update(&v4.octets()),
            IpAddr::V6(v6) => hasher.update(&v6.octets()),
        };
        hasher.update(blob.as_bytes());
        let [a, b, c, d, e, f, g, h, low, high, ..] = *hasher.finalize().as_bytes();
        let tag = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let at = usize::from(u16::from_be_bytes([low, high])) % SLOTS;
        let Some(slot) = self.slots.get_mut(at) else { return true };
        // A clock that was set back must not make one download of everything to come.
        let known = slot.tag == tag && now < slot.until && slot.until <= now.plus(ONE_DOWNLOAD);
        if !known {
            *slot = Slot { tag, until: now.plus(ONE_DOWNLOAD) };
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_same_for_the_same_is_one_for_ten_minutes() {
        let mut once = Once::new([7; 32]);
        let (one, other) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
        let (blob, now) = (BlobId::of(b"x"), Timestamp(1000));
        assert!(once.is_first(one, &blob, now));
        assert!(!once.is_first(one, &blob, now.plus(Duration::from_secs(599))));
        assert!(once.is_first(other, &blob, now), "a neighbour");
        assert!(once.is_first(one, &BlobId::of(b"y"), now));
        assert!(once.is_first(one, &blob, now.plus(ONE_DOWNLOAD)), "another download");
        assert!(once.is_first(one, &blob, Timestamp(10)), "the clock was set back by more than a download");
        let mapped = "::ffff:192.0.2.2".parse().unwrap();
        assert!(!once.is_first(mapped, &blob, now), "the same caller in the other spelling");
    }
}
