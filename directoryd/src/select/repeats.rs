//! Who asks again for what it was just sent to: the relay it met may be slow, or dead for it alone, and the next in its order
//! may not. Only that network moves, only for that blob, and only for a minute; whom it met last is doubted, which has the
//! directory look there itself.
//!
//! What is remembered are relays, not turns: weights change the order under way, and a turn would lead back to the same one.
//!
//! A table of fixed size keyed by a secret hash: no address is kept, and what collides forgets sooner.

use std::time::Duration;

use odi_manifest::{BlobId, PublicKey, Timestamp};

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
    /// To whom they were sent, the last one first.
    sent: [Option<PublicKey>; ROUND],
}

/// What a network asks for, and whom it met for that lately.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    at: usize,
    tag: u64,
    /// The last one first.
    lately: [Option<PublicKey>; ROUND],
}

/// Where a network is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which relay of its order.
    pub index: usize,
    /// Whom it met last time, if it asks again.
    pub doubted: Option<PublicKey>,
}

impl Repeats {
    /// None yet. `seed` is the directory's own secret.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        // Its own key: what is hashed here has the form of what the ranking hashes.
        let seed = blake3::derive_key("ODI 2026-11 repeats seed v1", seed);
        Self { seed, slots: vec![Slot { tag: 0, until: Timestamp(0), sent: [None; ROUND] }; SLOTS] }
    }

    /// Whom a network met lately that asks for a blob.
    #[must_use]
    pub fn met(&self, client: Network, blob: &BlobId, now: Timestamp) -> Met {
        let mut asked = [0; 39];
        asked
            .iter_mut()
            .zip(client.to_bytes().iter().chain(blob.as_bytes()))
            .for_each(|(to, from)| *to = *from);
        let hash = blake3::keyed_hash(&self.seed, &asked);
        let [a, b, c, d, e, f, g, h, low, high, ..] = *hash.as_bytes();
        let tag = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let at = usize::from(u16::from_be_bytes([low, high])) % SLOTS;
        let known = self.slots.get(at).filter(|slot| slot.tag == tag && now < slot.until);
        Met { at, tag, lately: known.map_or([None; ROUND], |slot| slot.sent) }
    }

    /// Notes that a network is about to be sent to one of the first [`ROUND`] relays of its order, and says to which: the first
    /// that it has not met lately, else the one that it met the longest ago. Who has met nobody needs but the first of the order.
    pub fn turn(&mut self, met: &Met, order: &[PublicKey], now: Timestamp) -> Turn {
        let order = order.get(..ROUND).unwrap_or(order);
        // Not at all is longer ago than any place.
        let ago = |relay: &PublicKey| met.lately.iter().position(|met| *met == Some(*relay)).unwrap_or(ROUND);
        let longest = order.iter().map(ago).max().unwrap_or(ROUND);
        let index = order.iter().position(|relay| ago(relay) == longest).unwrap_or(0);
        let sent = order.get(index).copied();
        let others = met.lately.into_iter().flatten().filter(|relay| Some(*relay) != sent);
        let mut latest = sent.into_iter().chain(others);
        if let Some(slot) = self.slots.get_mut(met.at) {
            let sent = std::array::from_fn(|_| latest.next());
            *slot = Slot { tag: met.tag, until: now.plus(REMEMBERED), sent };
        }
        Turn { index, doubted: met.last() }
    }
}

impl Met {
    /// The last one, if it asks again.
    #[must_use]
    pub fn last(&self) -> Option<PublicKey> {
        self.lately.into_iter().next().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use odi_manifest::SigningKey;

    use super::*;

    fn network(n: u8) -> Network {
        Network::of(IpAddr::V4(Ipv4Addr::new(192, 0, n, 0)))
    }

    fn relays<const N: usize>() -> [PublicKey; N] {
        std::array::from_fn(|n| SigningKey::from_seed(&[u8::try_from(n).unwrap(); 32]).public_key())
    }

    fn turn(
        repeats: &mut Repeats,
        network: Network,
        blob: &BlobId,
        order: &[PublicKey],
        now: Timestamp,
    ) -> Turn {
        let met = repeats.met(network, blob, now);
        repeats.turn(&met, order, now)
    }

    #[test]
    fn who_asks_again_goes_round_and_nobody_else_does() {
        let mut repeats = Repeats::new(&[7; 32]);
        let (blob, other) = (BlobId::of(b"one"), BlobId::of(b"two"));
        let now = Timestamp(1000);
        let order = relays::<5>();
        let turns: Vec<usize> =
            (0..5).map(|_| turn(&mut repeats, network(1), &blob, &order, now).index).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1]);
        assert_eq!(turn(&mut repeats, network(2), &blob, &order, now), Turn { index: 0, doubted: None });
        assert_eq!(turn(&mut repeats, network(1), &other, &order, now), Turn { index: 0, doubted: None });
        let only = turn(&mut repeats, network(1), &blob, &order[..1], now);
        assert_eq!(only, Turn { index: 0, doubted: Some(order[1]) }, "there is no other");
        let forgotten = turn(&mut repeats, network(1), &blob, &order, now.plus(REMEMBERED));
        assert_eq!(forgotten, Turn { index: 0, doubted: None });
    }

    #[test]
    fn whoever_asks_again_meets_another_relay_even_where_the_order_has_changed() {
        let mut repeats = Repeats::new(&[7; 32]);
        let (blob, now) = (BlobId::of(b"one"), Timestamp(1000));
        let [a, b, c] = relays();
        let mut sent =
            |order: [PublicKey; 3]| order[turn(&mut repeats, network(1), &blob, &order, now).index];
        assert_eq!(sent([a, b, c]), a);
        assert_eq!(sent([b, a, c]), b);
        assert_eq!(sent([b, c, a]), c);
        assert_eq!(sent([c, b, a]), a, "the one that it met the longest ago");
    }
}
