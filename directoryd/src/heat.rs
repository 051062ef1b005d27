//! What many want at once: for each blob, how many networks asked for it in a minute, in the fullest of the last fifteen.
//!
//! Networks are counted, not requests: ranges, retries and one busy client make nothing hot. A blob's networks are a bitmap per
//! minute, filled by a secret hash (linear counting, Whang et al. 1990), so that no address is kept. The memory is fixed: a new blob
//! takes the place of the coldest of a few, which a secret hash chooses, so that no request pays for a look at all of them. Pure:
//! the time is passed in.

use std::time::Duration;

use odi_manifest::{BlobId, CatalogId, Timestamp};

use crate::network::Network;
use crate::select::mixed;

/// Networks are counted over this long, and the one before.
const WINDOW: Duration = Duration::from_secs(60);
/// Blobs that are counted at once: so many sets of so many.
const SETS: usize = 1024;
const SET_BLOBS: usize = 8;
/// One more holder for so many networks a minute: about what an ordinary relay serves at once.
const NETWORKS_PER_HOLDER: u64 = 16;
/// One more holder for so many seconds of an ordinary relay's rate that a minute of it takes: it has other things to give.
const SECONDS_PER_HOLDER: u64 = 15;
/// And of one blob, for each network, never more copies than of so many bytes: a request costs its sender nothing, and copies cost
/// all that hold them. What all blobs cost together is bounded by the room for what is hot.
const COPIED_PER_NETWORK: u64 = 200_000_000_000;
/// So few networks are no crowd, however much they fetch.
const NETWORKS_ORDINARY: u64 = 3;
/// Nothing is asked of more relays than this beside the copies of everything: a large file that a crowd wants may need them all.
const FURTHER_MAX: u64 = 1 << 14;
/// What was hot stays so for as many windows: holders that have just filled it are not let go with the first quiet minute.
const COOLS_AFTER: usize = 15;
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
    /// A number of the directory's own, by which blobs find their set.
    secret: u64,
    tracked: Vec<Set>,
}

/// Blobs that compete for room.
type Set = [Option<Count>; SET_BLOBS];

#[derive(Clone, Copy, Debug)]
struct Count {
    catalog: CatalogId,
    blob: BlobId,
    size: u64,
    /// The number of the window that `now` is for.
    window: u64,
    now: Sketch,
    /// Bits of the sketches of the last windows, each at its number modulo how many there are. All of them are kept, not only the
    /// most and its time: what is wanted as much as ever must not cool for a moment when that time is long ago.
    lately: [u16; COOLS_AFTER],
    /// When another network asked for it last.
    asked: Timestamp,
}

/// A set of networks, roughly.
#[derive(Clone, Copy, Debug, Default)]
struct Sketch([u64; BITS as usize / 64]);

impl Heat {
    /// None yet. `seed` is the directory's own secret.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        let seed = blake3::derive_key("ODI 2026-11 heat seed v1", seed);
        let secret = blake3::derive_key("ODI 2026-11 heat sets v1", &seed);
        Self { seed, secret: first_bytes(&secret), tracked: vec![[None; SET_BLOBS]; SETS] }
    }

    /// Notes that somebody of a network asks for a blob.
    pub fn note(&mut self, catalog: CatalogId, blob: BlobId, size: u64, network: Network, now: Timestamp) {
        let mut asked = [0; 39];
        asked
            .iter_mut()
            .zip(network.to_bytes().iter().chain(blob.as_bytes()))
            .for_each(|(to, from)| *to = *from);
        let [bit, ..] = *blake3::keyed_hash(&self.seed, &asked).as_bytes();
        let place =
            mixed(self.secret ^ first_bytes(blob.as_bytes()) ^ mixed(first_bytes(catalog.as_bytes())));
        let Some(set) = usize::try_from(place % SETS as u64).ok().and_then(|at| self.tracked.get_mut(at))
        else {
            return;
        };
        let is_same =
            |count: &Option<Count>| count.as_ref().is_some_and(|count| count.is_of(&catalog, &blob));
        let at = set.iter().position(is_same).or_else(|| coldest(set, now));
        let Some(slot) = at.and_then(|at| set.get_mut(at)) else { return };
        let known = slot.take().filter(|count| count.is_of(&catalog, &blob));
        let mut count = known.unwrap_or_else(|| Count::new(catalog, blob, size, now));
        count.turn(now);
        count.insert(bit, now);
        *slot = Some(count);
    }

    /// Everything that is counted.
    fn counts(&self) -> impl Iterator<Item = &Count> {
        self.tracked.iter().flatten().flatten()
    }

    /// What is hot now, the hottest first. `ordinary` is what an ordinary relay gives, in bytes per second.
    #[must_use]
    pub fn hot(&self, ordinary: u64, now: Timestamp) -> Vec<Hot> {
        let mut hot: Vec<Hot> = self
            .counts()
            .map(|count| Hot {
                catalog: count.catalog,
                blob: count.blob,
                size: count.size,
                further: count.earned(ordinary, now),
            })
            .filter(|hot| hot.further > 0)
            .collect();
        hot.sort_by_key(|hot| (std::cmp::Reverse(hot.further), hot.catalog, hot.blob));
        hot
    }
}

/// Where nobody is, or else whoever was the least asked for, and of those the longest ago: newcomers would take each other's place
/// before anybody could ask for them again.
fn coldest(set: &Set, now: Timestamp) -> Option<usize> {
    let heat = |count: &Count| (count.peak(now), count.asked);
    (0..).zip(set).min_by_key(|(_, count)| count.as_ref().map(heat)).map(|(at, _)| at)
}

/// The number that some random bytes begin with.
fn first_bytes(bytes: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *bytes;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Count {
    fn new(catalog: CatalogId, blob: BlobId, size: u64, now: Timestamp) -> Self {
        let (none, window) = (Sketch::default(), window_of(now));
        Self { catalog, blob, size, window, now: none, lately: [0; COOLS_AFTER], asked: now }
    }

    fn is_of(&self, catalog: &CatalogId, blob: &BlobId) -> bool {
        self.blob == *blob && self.catalog == *catalog
    }

    /// Begins the window of this time, if it is another.
    fn turn(&mut self, now: Timestamp) {
        let window = window_of(now);
        if window == self.window {
            return;
        }
        for passed in (self.window + 1..=window).rev().take(COOLS_AFTER) {
            if let Some(bits) = self.lately.get_mut(place_of(passed)) {
                *bits = 0;
            }
        }
        self.now = Sketch::default();
        self.window = window;
    }

    /// Notes a network by its bit.
    fn insert(&mut self, bit: u8, now: Timestamp) {
        let before = self.now.bits();
        self.now.insert(bit);
        let bits = self.now.bits();
        if bits > before {
            self.asked = now;
        }
        if let Some(lately) = self.lately.get_mut(place_of(self.window)) {
            *lately = u16::try_from(bits).unwrap_or(u16::MAX);
        }
    }

    /// Bits of the fullest of the last windows: one that has just begun says little.
    fn peak(&self, now: Timestamp) -> u32 {
        let passed = window_of(now).saturating_sub(self.window);
        let remembered = (COOLS_AFTER as u64).saturating_sub(passed);
        let windows = (0..remembered).filter_map(|ago| self.window.checked_sub(ago));
        let bits = windows.filter_map(|window| self.lately.get(place_of(window)));
        bits.copied().max().unwrap_or(0).into()
    }

    /// How many further holders: by the connections, or by the bytes, whichever are more.
    fn earned(&self, ordinary: u64, now: Timestamp) -> usize {
        let networks = networks(self.peak(now));
        let bytes = u128::from(networks) * u128::from(self.size);
        let by_bytes = bytes / (u128::from(ordinary.max(1)) * u128::from(SECONDS_PER_HOLDER));
        let most = networks.saturating_mul(COPIED_PER_NETWORK / self.size.max(1));
        let by_bytes = u64::try_from(by_bytes).unwrap_or(u64::MAX).min(most);
        let holders = (networks / NETWORKS_PER_HOLDER).max(by_bytes).min(FURTHER_MAX);
        if holders == 0 || networks <= NETWORKS_ORDINARY { 0 } else { 1 << holders.ilog2() }
    }
}

const fn window_of(now: Timestamp) -> u64 {
    now.0 / WINDOW.as_secs()
}

/// Where a window's bits are kept.
fn place_of(window: u64) -> usize {
    usize::try_from(window % COOLS_AFTER as u64).unwrap_or(0)
}

impl Sketch {
    fn insert(&mut self, bit: u8) {
        if let Some(word) = self.0.get_mut(usize::from(bit) / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// How many bits are set.
    fn bits(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// About how many networks have set so many bits of a sketch.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 1420, and an estimate anyway"
)]
fn networks(set: u32) -> u64 {
    let (bits, empty) = (f64::from(BITS), BITS.saturating_sub(set).max(1));
    (bits * (bits / f64::from(empty)).ln()).round() as u64
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
    fn few_networks_cause_no_more_copies_than_they_may_however_large_the_file_and_weak_the_relays() {
        let now = Timestamp(6000);
        for size in [2_000_000_000, 20_000_000_000, 300_000_000_000] {
            let mut heat = Heat::new(&[7; 32]);
            (0..5).for_each(|n| heat.note(CATALOG, BlobId::of(b"image"), size, network(n), now));
            let copied: u64 = heat.hot(1, now).iter().map(|hot| hot.further as u64 * size).sum();
            assert!(copied <= 6 * COPIED_PER_NETWORK, "{copied} bytes of {size}");
            assert_eq!(copied == 0, size > COPIED_PER_NETWORK);
        }
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
        assert_eq!(further(&heat, now.plus(Duration::from_secs(900))), []);
        asked(&mut heat, b"crowd", 20, now.plus(Duration::from_secs(900)));
        assert_eq!(
            further(&heat, now.plus(Duration::from_secs(900))),
            [(BlobId::of(b"crowd"), 1)],
            "as much as it earns now"
        );
    }

    #[test]
    fn what_is_wanted_as_much_as_ever_does_not_cool_for_a_moment() {
        let mut heat = Heat::new(&[7; 32]);
        // The first minute has most, and each that follows hardly less.
        asked(&mut heat, b"steady", 70, Timestamp(6000));
        for minute in 1..=40 {
            let begins = Timestamp(6000 + minute * 60);
            assert_eq!(
                further(&heat, begins),
                [(BlobId::of(b"steady"), 4)],
                "before anybody asks in {minute}"
            );
            asked(&mut heat, b"steady", 68, begins);
        }
    }

    #[test]
    fn the_coldest_are_forgotten_first() {
        let mut heat = Heat::new(&[7; 32]);
        let now = Timestamp(6000);
        asked(&mut heat, b"crowd", 100, now);
        for n in 0..3 * SETS * SET_BLOBS {
            heat.note(CATALOG, BlobId::of(&n.to_be_bytes()), 9, network(1), now);
        }
        assert!(heat.counts().count() > SETS * SET_BLOBS * 9 / 10, "no more than have to be");
        assert_eq!(further(&heat, now), [(BlobId::of(b"crowd"), 4)]);
    }

    #[test]
    fn a_crowd_that_comes_slowly_is_not_forgotten_for_what_is_wanted_once() {
        let mut heat = Heat::new(&[7; 32]);
        let cold = |heat: &mut Heat, n: u64, now| {
            heat.note(CATALOG, BlobId::of(&n.to_be_bytes()), 9, network(1), now);
        };
        (0..100_000).for_each(|n| cold(&mut heat, n, Timestamp(6000)));
        for n in 1..=20 {
            let now = Timestamp(6000 + n);
            let n = u32::try_from(n).unwrap();
            heat.note(CATALOG, BlobId::of(b"crowd"), 9, network(n), now);
            (0..4000).for_each(|cold_one| cold(&mut heat, u64::from(n) << 20 | cold_one, now));
        }
        assert_eq!(further(&heat, Timestamp(6020)), [(BlobId::of(b"crowd"), 1)]);
    }

    #[test]
    fn an_estimate_is_near_the_truth() {
        for networks in [1, 10, 50, 200, 600] {
            let mut heat = Heat::new(&[9; 32]);
            asked(&mut heat, b"x", networks, Timestamp(6000));
            let count = super::networks(heat.counts().next().unwrap().peak(Timestamp(6000)));
            let off = count.abs_diff(u64::from(networks));
            assert!(off <= 2 + u64::from(networks) / 5, "{count} for {networks}");
        }
    }
}
