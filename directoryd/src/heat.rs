//! What many want at once: for each blob, how many networks asked for it in the last minute or two.
//!
//! Networks are counted, not requests: ranges, retries and one busy client make nothing hot. A blob's networks are a bitmap per
//! minute, filled by a secret hash (linear counting, Whang et al. 1990), so that no address is kept and the memory is bounded; of
//! too many blobs the coldest are forgotten. Pure: the time is passed in.

use std::collections::HashMap;
use std::time::Duration;

use odi_manifest::{BlobId, CatalogId, Timestamp};

use crate::network::Network;

/// Networks are counted over this long, and the one before.
const WINDOW: Duration = Duration::from_secs(60);
/// Blobs that are counted at once.
const TRACKED_MAX: usize = 8192;
/// One more holder for so many networks a minute: about what an ordinary relay serves at once.
const NETWORKS_PER_HOLDER: u64 = 16;
/// One more holder for so many seconds of an ordinary relay's rate that a minute of it takes: it has other things to give.
const SECONDS_PER_HOLDER: u64 = 15;
/// So few networks are no crowd, however much they fetch.
const NETWORKS_ORDINARY: u64 = 3;
/// Nothing is asked of more relays than this beside the copies of everything.
const FURTHER_MAX: u64 = 1024;
/// How long what was hot stays so: holders that have just filled it are not let go with the first quiet minute.
const COOLS_AFTER: Duration = Duration::from_secs(900);
/// Bits for the networks of a window. It tells up to about 1400 apart.
const BITS: u32 = 256;

/// A blob that more relays should hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hot {
    /// A catalog that names it.
    pub catalog: CatalogId,
    /// The blob.
    pub blob: BlobId,
    /// Its size in bytes.
    pub size: u64,
    /// How many relays should hold it beside the copies of everything: a power of two, so that it changes seldom.
    pub further: usize,
}

/// The counts.
#[derive(Clone, Debug)]
pub struct Heat {
    seed: [u8; 32],
    tracked: HashMap<(CatalogId, BlobId), Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    size: u64,
    /// The number of the window that `now` is for.
    window: u64,
    now: Sketch,
    before: Sketch,
    /// The most networks that it had lately, and when last.
    peak: u64,
    peaked: Timestamp,
}

/// A set of networks, roughly.
#[derive(Clone, Copy, Debug, Default)]
struct Sketch([u64; BITS as usize / 64]);

impl Heat {
    /// None yet. `seed` is the directory's own secret.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { seed: blake3::derive_key("ODI 2026-11 heat seed v1", seed), tracked: HashMap::new() }
    }

    /// Notes that somebody of a network asks for a blob.
    pub fn note(&mut self, catalog: CatalogId, blob: BlobId, size: u64, network: Network, now: Timestamp) {
        if self.tracked.len() >= TRACKED_MAX && !self.tracked.contains_key(&(catalog, blob)) {
            self.forget_coldest(now);
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&network.to_bytes()).update(blob.as_bytes());
        let [bit, ..] = *hasher.finalize().as_bytes();
        let count = self.tracked.entry((catalog, blob)).or_insert_with(|| Count::new(size, now));
        count.turn(now);
        count.now.insert(bit);
        let networks = count.networks();
        if networks >= count.peak || now.since(count.peaked) >= COOLS_AFTER {
            (count.peak, count.peaked) = (networks, now);
        }
    }

    /// What is hot now, the hottest first. `ordinary` is what an ordinary relay gives, in bytes per second.
    #[must_use]
    pub fn hot(&self, ordinary: u64, now: Timestamp) -> Vec<Hot> {
        let is_hot = |count: &Count| count.earned(ordinary) > 0 && now.since(count.peaked) < COOLS_AFTER;
        let mut hot: Vec<Hot> = self
            .tracked
            .iter()
            .filter(|(_, count)| is_hot(count))
            .map(|((catalog, blob), count)| Hot {
                catalog: *catalog,
                blob: *blob,
                size: count.size,
                further: count.earned(ordinary),
            })
            .collect();
        hot.sort_by_key(|hot| (std::cmp::Reverse(hot.further), hot.catalog, hot.blob));
        hot
    }

    /// Forgets at least a quarter: whoever has not been asked for, then the least asked for.
    fn forget_coldest(&mut self, now: Timestamp) {
        let heat = |count: &Count| {
            let mut count = *count;
            count.turn(now);
            let stays = if now.since(count.peaked) < COOLS_AFTER { count.peak } else { 0 };
            (stays, count.networks())
        };
        let mut heats: Vec<(u64, u64)> = self.tracked.values().map(heat).collect();
        heats.sort_unstable();
        let Some(bound) = heats.get(heats.len() / 4).copied() else { return };
        self.tracked.retain(|_, count| heat(count) > bound);
    }
}

impl Count {
    fn new(size: u64, now: Timestamp) -> Self {
        let (none, window) = (Sketch::default(), window_of(now));
        Self { size, window, now: none, before: none, peak: 0, peaked: now }
    }

    /// Begins the window of this time, if it is another.
    fn turn(&mut self, now: Timestamp) {
        let window = window_of(now);
        if window == self.window {
            return;
        }
        self.before = if window == self.window + 1 { self.now } else { Sketch::default() };
        self.now = Sketch::default();
        self.window = window;
    }

    /// Networks of the fuller of the two windows: one that has just begun says little.
    fn networks(&self) -> u64 {
        self.now.len().max(self.before.len())
    }

    /// How many further holders: by the connections, or by the bytes, whichever are more.
    fn earned(&self, ordinary: u64) -> usize {
        let bytes = u128::from(self.peak) * u128::from(self.size);
        let by_bytes = bytes / (u128::from(ordinary.max(1)) * u128::from(SECONDS_PER_HOLDER));
        let by_bytes = u64::try_from(by_bytes).unwrap_or(u64::MAX);
        let holders = (self.peak / NETWORKS_PER_HOLDER).max(by_bytes).min(FURTHER_MAX);
        if holders == 0 || self.peak <= NETWORKS_ORDINARY { 0 } else { 1 << holders.ilog2() }
    }
}

const fn window_of(now: Timestamp) -> u64 {
    now.0 / WINDOW.as_secs()
}

impl Sketch {
    fn insert(&mut self, bit: u8) {
        if let Some(word) = self.0.get_mut(usize::from(bit) / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// About how many networks were inserted.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1420, and an estimate anyway"
    )]
    fn len(&self) -> u64 {
        let empty = BITS - self.0.iter().map(|word| word.count_ones()).sum::<u32>();
        let bits = f64::from(BITS);
        (bits * (bits / f64::from(empty.max(1))).ln()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const CATALOG: CatalogId = CatalogId::from_bytes([1; 32]);
    const ORDINARY: u64 = 12_500_000;

    fn network(n: u32) -> Network {
        Network::of(IpAddr::V4(Ipv4Addr::from(n << 8)))
    }

    fn asked(heat: &mut Heat, name: &[u8], networks: u32, now: Timestamp) {
        (0..networks).for_each(|n| heat.note(CATALOG, BlobId::of(name), 9, network(n), now));
    }

    fn further(heat: &Heat, now: Timestamp) -> Vec<(BlobId, usize)> {
        heat.hot(ORDINARY, now).into_iter().map(|hot| (hot.blob, hot.further)).collect()
    }

    #[test]
    fn networks_make_heat_and_requests_do_not() {
        let mut heat = Heat::new(&[7; 32]);
        let now = Timestamp(6000);
        for _ in 0..1000 {
            asked(&mut heat, b"busy", 3, now);
        }
        assert_eq!(further(&heat, now), []);
        asked(&mut heat, b"crowd", 100, now);
        asked(&mut heat, b"few", 20, now);
        assert_eq!(further(&heat, now), [(BlobId::of(b"crowd"), 4), (BlobId::of(b"few"), 1)]);
    }

    #[test]
    fn what_is_large_needs_more_holders_and_three_networks_are_no_crowd() {
        let mut heat = Heat::new(&[7; 32]);
        let now = Timestamp(6000);
        let image = BlobId::of(b"image");
        (0..20).for_each(|n| heat.note(CATALOG, image, 4_000_000_000, network(n), now));
        (0..3).for_each(|n| heat.note(CATALOG, BlobId::of(b"few"), 4_000_000_000, network(n), now));
        assert_eq!(further(&heat, now), [(image, 256)], "about 430 times a quarter of a relay's minute");
        let of_strong = heat.hot(1_250_000_000, now);
        assert_eq!(of_strong.first().map(|hot| hot.further), Some(4));
    }

    #[test]
    fn a_trickle_over_many_minutes_is_no_crowd_and_a_crowd_cools() {
        let mut heat = Heat::new(&[7; 32]);
        for n in 0..100 {
            heat.note(CATALOG, BlobId::of(b"slow"), 9, network(n), Timestamp(6000 + u64::from(n) * 30));
        }
        assert_eq!(further(&heat, Timestamp(9000)), []);
        let now = Timestamp(12_000);
        asked(&mut heat, b"crowd", 100, now);
        assert_eq!(further(&heat, now.plus(Duration::from_secs(899))).len(), 1);
        assert_eq!(further(&heat, now.plus(COOLS_AFTER)), []);
        asked(&mut heat, b"crowd", 20, now.plus(COOLS_AFTER));
        assert_eq!(
            further(&heat, now.plus(COOLS_AFTER)),
            [(BlobId::of(b"crowd"), 1)],
            "as much as it earns now"
        );
    }

    #[test]
    fn the_coldest_are_forgotten_and_never_the_hot() {
        let mut heat = Heat::new(&[7; 32]);
        let now = Timestamp(6000);
        asked(&mut heat, b"crowd", 100, now);
        for n in 0..3 * TRACKED_MAX {
            heat.note(CATALOG, BlobId::of(&n.to_be_bytes()), 9, network(1), now);
        }
        assert!(heat.tracked.len() <= TRACKED_MAX);
        assert_eq!(further(&heat, now), [(BlobId::of(b"crowd"), 4)]);
    }

    #[test]
    fn an_estimate_is_near_the_truth() {
        for networks in [1, 10, 50, 200, 600] {
            let mut heat = Heat::new(&[9; 32]);
            asked(&mut heat, b"x", networks, Timestamp(6000));
            let count = heat.tracked.values().next().unwrap().networks();
            let off = count.abs_diff(u64::from(networks));
            assert!(off <= 2 + u64::from(networks) / 5, "{count} for {networks}");
        }
    }
}
