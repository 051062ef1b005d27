//! Who asks again for what it was just sent to: the relay it met may be slow, or dead for it alone, and the next in its order
//! may not. Only that network moves, only for that blob, and only for a minute.
//!
//! A table of fixed size keyed by a secret hash: no address is kept, and what collides forgets sooner.

use std::time::Duration;

use odi_manifest::{BlobId, Timestamp};

use crate::network::Network;

/// For how long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many answers are.
const SLOTS: usize = 8192;
/// Among how many relays a client that asks again and again goes round.
pub const ROUND: usize = 3;

/// The answers of the last minute.
#[derive(Clone, Debug)]
pub struct Repeats {
    seed: [u8; 32],
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// What was asked for by whom; another half of the hash that chooses the slot.
    tag: u64,
    until: Timestamp,
    times: usize,
}

impl Repeats {
    /// None yet. `seed` is the directory's own secret.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        // Its own key: what is hashed here has the form of what the ranking hashes.
        let seed = blake3::derive_key("ODI 2026-11 repeats seed v1", seed);
        Self { seed, slots: vec![Slot { tag: 0, until: Timestamp(0), times: 0 }; SLOTS] }
    }

    /// Notes that a network is about to be sent to one of `among` relays for a blob, and says which one of its order.
    pub fn turn(&mut self, client: Network, blob: &BlobId, among: usize, now: Timestamp) -> usize {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&client.to_bytes()).update(blob.as_bytes());
        let [a, b, c, d, e, f, g, h, low, high, ..] = *hasher.finalize().as_bytes();
        let tag = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let at = usize::from(u16::from_be_bytes([low, high])) % SLOTS;
        let Some(slot) = self.slots.get_mut(at) else { return 0 };
        let times = if slot.tag == tag && now < slot.until { slot.times + 1 } else { 0 };
        *slot = Slot { tag, until: now.plus(REMEMBERED), times };
        times % among.clamp(1, ROUND)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn network(n: u8) -> Network {
        Network::of(IpAddr::V4(Ipv4Addr::new(192, 0, n, 0)))
    }

    #[test]
    fn who_asks_again_goes_round_and_nobody_else_does() {
        let mut repeats = Repeats::new(&[7; 32]);
        let (blob, other) = (BlobId::of(b"one"), BlobId::of(b"two"));
        let now = Timestamp(1000);
        let turns: Vec<usize> = (0..5).map(|_| repeats.turn(network(1), &blob, 9, now)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1]);
        assert_eq!(repeats.turn(network(2), &blob, 9, now), 0);
        assert_eq!(repeats.turn(network(1), &other, 9, now), 0);
        assert_eq!(repeats.turn(network(1), &blob, 1, now), 0, "there is no other");
        assert_eq!(repeats.turn(network(1), &blob, 9, now.plus(REMEMBERED)), 0, "it is forgotten");
    }
}
