//! Where a missing stripe comes from, and when: peers first, the origin last (docs/relay.md).
//!
//! Pure. For every stripe all relays compute the same ranking of relays by weighted rendezvous hashing; the first is the
//! stripe's *home* and asks the origin. The home feeds one relay and that one feeds the others, as chunks arrive. So a
//! network that fills at once pulls about one copy from the origin and no relay sends more than its share, and nobody
//! has to agree on anything but the list of relays. If relays see different lists, a stripe merely has two homes for a while.

use std::cmp::Ordering;
use std::time::Duration;

use odi_manifest::BlobId;

/// What one rendezvous decision covers: 32 chunks.
pub const STRIPE_BYTES: u64 = 8 << 20;
/// The first so many relays of a ranking may ask the origin before anybody else does; the others once so many homes failed
/// them.
pub const ORIGIN_RANKS: usize = 3;
/// The least time that a home is given which says that the bytes are coming, before the next one is tried. It may have
/// more to fetch at once than it has turns at the origin.
pub const PATIENCE_MIN: Duration = Duration::from_secs(30);
/// The same before any stripe has arrived here, when nobody knows how slow the origin is.
pub const PATIENCE_AT_FIRST: Duration = Duration::from_secs(60);
/// How many holders are tried before the homes are.
pub const HOLDERS_TRIED_MAX: usize = 4;
/// Chunks that are spread through the same tree.
pub const SLICE_CHUNKS: u32 = 4;
/// After so many answers in a row that the bytes are coming, the next relay above is asked. Not sooner: a home whose link is
/// full is the slower the more relays ask it themselves instead of waiting their turn in the tree.
pub const CLIMB_AFTER: u32 = 3;
/// How many relays each relay of a tree feeds, below the home.
pub const FAN_OUT: usize = 4;
/// The most that an announced rate counts, in bytes per second: 10 Gbit/s, as with directories. It is a relay's own word.
pub const RATE_MAX: u64 = 1_250_000_000;
/// A relay as the ranking sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its Ed25519 public key: who it is, whatever its URLs.
    pub key: [u8; 32],
    /// Its announced rate in bytes per second. Only the power of two counts, so that relays which heard slightly
    /// different announcements still agree, and no more than [`RATE_MAX`].
    pub rate: u64,
}

/// The relays in the order in which they are responsible for one stripe, as indexes into the list that was ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking(Vec<usize>);

impl Ranking {
    /// Ranks `relays` for one stripe of one blob. The order of `relays` does not matter.
    #[must_use]
    pub fn of(blob: &BlobId, stripe: u32, relays: &[Ranked]) -> Self {
        let mut scored: Vec<(f64, [u8; 32], usize)> = relays
            .iter()
            .enumerate()
            .map(|(index, relay)| (score(blob, stripe, relay), relay.key, index))
            .collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        Self(scored.into_iter().map(|(_, _, index)| index).collect())
    }

    /// The relays, the home first.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.0
    }

    /// The same with one relay last, behind everybody who could be asked instead of it.
    #[must_use]
    pub fn with_last(mut self, relay: usize) -> Self {
        self.0.sort_by_key(|ranked| *ranked == relay);
        self
    }

    /// The place of one relay, 0 for the home.
    #[must_use]
    pub fn rank(&self, relay: usize) -> Option<usize> {
        self.0.iter().position(|ranked| *ranked == relay)
    }
}

/// Whether a relay that so many of its peers have banned should not be a home: what it fetched from the origin most of the
/// others would fetch there again. It may be honest, and the way to it not.
#[must_use]
pub const fn is_outcast(banned_by: usize, peers: usize) -> bool {
    banned_by * 2 > peers
}

/// The waiting time of weighted rendezvous hashing: exponentially distributed with the weight as its rate; the least wins.
#[expect(clippy::cast_precision_loss, reason = "a uniform draw needs no more than 53 bits")]
fn score(blob: &BlobId, stripe: u32, relay: &Ranked) -> f64 {
    let mut hasher = blake3::Hasher::new_derive_key("ODI 2026-11 home relay v1");
    hasher.update(blob.as_bytes());
    hasher.update(&stripe.to_be_bytes());
    hasher.update(&relay.key);
    let mut draw = [0; 8];
    hasher.finalize_xof().fill(&mut draw);
    let uniform = ((u64::from_be_bytes(draw) >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    let weight = f64::from(relay.rate.clamp(1, RATE_MAX).ilog2() + 1);
    -uniform.ln() / weight.exp2()
}

/// How long a home is waited for that says that the bytes are coming: three median stripe times since they last came
/// on, and never under [`PATIENCE_MIN`]. Silence is not waited for so long.
#[must_use]
pub fn patience(median_stripe: Option<Duration>) -> Duration {
    median_stripe.map_or(PATIENCE_AT_FIRST, |median| PATIENCE_MIN.max(median.saturating_mul(3)))
}

/// Whom to ask next for a part of a stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A relay that announced the blob: an index into the ranked relays.
    Holder(usize),
    /// A relay between this one and the home, which fetches the part for itself.
    Above(usize),
    /// The relay that fetches the stripe from the origin.
    Home(usize),
    /// The maintainers' web server.
    Origin,
}

impl Step {
    /// The relay that is asked.
    #[must_use]
    pub const fn relay(self) -> Option<usize> {
        match self {
            Self::Holder(relay) | Self::Above(relay) | Self::Home(relay) => Some(relay),
            Self::Origin => None,
        }
    }
}

/// What a relay knows of a stripe that it fetches.
#[derive(Clone, Copy, Debug)]
pub struct Outlook<'a> {
    /// This relay.
    pub me: usize,
    /// The relays that can still be asked, this one among them, in rank order.
    pub order: &'a [usize],
    /// Those that announced the blob, best first ([`better_first`]).
    pub holders: &'a [usize],
    /// Homes that were asked in vain.
    pub homes_failed: usize,
    /// Whether another relay asks this one as the home: then it must not ask others in turn.
    pub asked_as_home: bool,
    /// How often in a row the answer was that the bytes are coming.
    pub coming: u32,
    /// Whether the stripe is spread through a tree; else everybody asks the home.
    pub tree: bool,
}

impl Outlook<'_> {
    /// The next step for a slice ([`SLICE_CHUNKS`]); nothing if this relay itself is not among the ranked.
    ///
    /// Requests cannot travel in circles: what is asked of a holder or of a relay above makes it do nothing, and a home
    /// asks the origin alone.
    #[must_use]
    pub fn next(&self, slice: u32) -> Option<Step> {
        if let Some(holder) = self.holders.first().filter(|_| !self.asked_as_home) {
            return Some(Step::Holder(*holder));
        }
        let home = self.order.first()?;
        // However many relays claim to fill what they never have: the bytes come, if only from the last resort.
        if *home == self.me || self.asked_as_home || self.homes_failed >= ORIGIN_RANKS {
            return Some(Step::Origin);
        }
        let above = if self.tree { above(self.order, self.me, slice) } else { Vec::new() };
        let climbed = usize::try_from(self.coming / CLIMB_AFTER).unwrap_or(usize::MAX);
        Some(
            above
                .get(climbed)
                .filter(|relay| *relay != home)
                .map_or(Step::Home(*home), |relay| Step::Above(*relay)),
        )
    }
}

/// The relays between `me` and the home in the tree through which a slice is spread, the nearest first, and the home.
///
/// The home feeds one relay, so that it sends little more than it fetches; that one and all below it feed [`FAN_OUT`]
/// each. The home is the top of all slices of a stripe; who else stands high changes from slice to slice, so that all
/// carry alike.
#[must_use]
pub fn above(order: &[usize], me: usize, slice: u32) -> Vec<usize> {
    let Some(others) = order.len().checked_sub(1).filter(|others| *others > 0) else { return Vec::new() };
    let turn = usize::try_from(slice).unwrap_or(0) % others;
    let Some(rank) = order.iter().position(|relay| *relay == me).filter(|rank| *rank > 0) else {
        return Vec::new();
    };
    // Place 0 is the home's, and place 1 that of the relay which it feeds.
    let mut place = 1 + (rank - 1 + turn) % others;
    let mut above = Vec::new();
    while place > 0 {
        place = if place == 1 { 0 } else { 1 + (place - 2) / FAN_OUT };
        let rank = if place == 0 { 0 } else { 1 + (place - 1 + others - turn) % others };
        above.extend(order.get(rank));
    }
    above
}

/// What is known of a peer's service, from this relay's own transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Service {
    /// A moving average in bytes per second; `None` before the first transfer, which counts as fast, so that
    /// newcomers get tried.
    pub rate: Option<f64>,
    /// Requests under way from here.
    pub in_flight: u32,
}

impl Service {
    /// The weight of the newest transfer in the moving average.
    const SMOOTHING: f64 = 0.3;

    /// Notes a finished transfer.
    #[expect(clippy::cast_precision_loss, reason = "an average needs no exact byte count")]
    pub fn transferred(&mut self, bytes: u64, took: Duration) {
        let now = bytes as f64 / took.as_secs_f64().max(0.001);
        self.rate = Some(self.rate.map_or(now, |before| before + Self::SMOOTHING * (now - before)));
    }

    /// Notes a transfer that failed: the peer counts as half as fast as before.
    pub fn failed(&mut self) {
        self.rate = Some(self.rate.unwrap_or(0.0) / 2.0);
    }

    fn promise(&self) -> f64 {
        self.rate.unwrap_or(f64::MAX) / f64::from(self.in_flight + 1)
    }
}

/// Orders holders for a plan: of two drawn at random the better one, then the rest in the order drawn.
///
/// Two choices spread load nearly as well as knowing everybody's, and keep one slow measurement from starving a peer.
#[must_use]
pub fn better_first(holders: &[usize], service: impl Fn(usize) -> Service, draw: u64) -> Vec<usize> {
    let mut order = holders.to_vec();
    if let Some(turns) = usize::try_from(draw).ok().and_then(|draw| draw.checked_rem(order.len())) {
        order.rotate_left(turns);
    }
    if let [_, rest @ ..] = order.as_mut_slice()
        && let Some(turns) = usize::try_from(draw >> 32).ok().and_then(|draw| draw.checked_rem(rest.len()))
    {
        rest.rotate_left(turns);
    }
    if let [first, second, ..] = order.as_mut_slice()
        && service(*second).promise().partial_cmp(&service(*first).promise()) == Some(Ordering::Greater)
    {
        std::mem::swap(first, second);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(count: u8, rate: u64) -> Vec<Ranked> {
        (0..count).map(|n| Ranked { key: [n; 32], rate }).collect()
    }

    fn blob(n: u32) -> BlobId {
        BlobId::of(&n.to_be_bytes())
    }

    #[test]
    fn every_relay_computes_the_same_ranking() {
        let forward = relays(9, 1000);
        let backward: Vec<Ranked> = forward.iter().rev().copied().collect();
        let a: Vec<_> = Ranking::of(&blob(1), 3, &forward).order().iter().map(|i| forward[*i].key).collect();
        let b: Vec<_> =
            Ranking::of(&blob(1), 3, &backward).order().iter().map(|i| backward[*i].key).collect();
        assert_eq!(a, b);
        assert_ne!(
            a,
            Ranking::of(&blob(1), 4, &forward).order().iter().map(|i| forward[*i].key).collect::<Vec<_>>()
        );
    }

    #[test]
    fn one_relay_more_moves_only_its_share() {
        let few = relays(8, 1000);
        let more = relays(9, 1000);
        let moved = (0..2000)
            .filter(|n| {
                Ranking::of(&blob(*n), 0, &few).order()[0] != Ranking::of(&blob(*n), 0, &more).order()[0]
            })
            .count();
        assert!((120..340).contains(&moved), "a ninth of 2000 is 222, moved {moved}");
    }

    #[test]
    fn homes_are_dealt_by_rate() {
        let mut relays = relays(2, 1 << 20);
        relays[1].rate = 3 << 20; // the next power of two down: twice the first
        let second = (0..3000).filter(|n| Ranking::of(&blob(*n), 0, &relays).order()[0] == 1).count();
        assert!((1850..2150).contains(&second), "two thirds of 3000, got {second}");
    }

    #[test]
    fn a_huge_rate_is_no_more_than_a_great_one() {
        let mut relays = relays(20, RATE_MAX);
        let order = |relays: &[Ranked]| -> Vec<Vec<usize>> {
            (0..50).map(|n| Ranking::of(&blob(n), 0, relays).order().to_vec()).collect()
        };
        let honest = order(&relays);
        relays[7].rate = u64::MAX;
        assert_eq!(order(&relays), honest);
    }

    fn outlook<'a>(order: &'a [usize], me: usize, holders: &'a [usize]) -> Outlook<'a> {
        Outlook { me, order, holders, homes_failed: 0, asked_as_home: false, coming: 0, tree: true }
    }

    #[test]
    fn the_home_goes_to_the_origin_and_the_rest_up_the_tree() {
        let order = [4, 2, 0, 3, 1, 5, 6, 7];
        assert_eq!(outlook(&order, 4, &[]).next(0), Some(Step::Origin));
        // Place 1 is fed by the home, 2 to 5 by place 1, 6 and 7 by place 2.
        assert_eq!(outlook(&order, 2, &[]).next(0), Some(Step::Home(4)));
        assert_eq!(outlook(&order, 5, &[]).next(0), Some(Step::Above(2)));
        assert_eq!(outlook(&order, 7, &[]).next(0), Some(Step::Above(0)));
        let climbed = |times| Outlook { coming: times * CLIMB_AFTER, ..outlook(&order, 7, &[]) }.next(0);
        assert_eq!((climbed(1), climbed(2)), (Some(Step::Above(2)), Some(Step::Home(4))));
        assert_eq!(outlook(&order, 2, &[]).next(1), Some(Step::Above(7)), "the next slice has another tree");
        assert_eq!(Outlook { tree: false, ..outlook(&order, 5, &[]) }.next(0), Some(Step::Home(4)));
        assert_eq!(Outlook { asked_as_home: true, ..outlook(&order, 5, &[2]) }.next(0), Some(Step::Origin));
    }

    #[test]
    fn only_the_first_ranks_use_the_origin() {
        // The two before it failed.
        assert_eq!(Outlook { homes_failed: 2, ..outlook(&[0, 3, 1], 0, &[]) }.next(0), Some(Step::Origin));
        assert_eq!(Outlook { homes_failed: 2, ..outlook(&[3, 0, 1], 0, &[]) }.next(0), Some(Step::Home(3)));
        // So are all before any other: it comes to that only where homes do not do what they say.
        assert_eq!(Outlook { homes_failed: 3, ..outlook(&[3, 4, 0, 1], 0, &[]) }.next(0), Some(Step::Origin));
    }

    #[test]
    fn whom_most_have_banned_is_no_home() {
        assert!(is_outcast(2, 3) && !is_outcast(1, 2) && !is_outcast(0, 0));
        let relays = relays(9, 1000);
        for n in 0..20 {
            let before = Ranking::of(&blob(n), 0, &relays);
            let mut others = before.order().to_vec();
            others.retain(|relay| *relay != 4);
            let after = before.with_last(4);
            assert_eq!((after.order().last(), &after.order()[..8]), (Some(&4), others.as_slice()));
        }
    }

    #[test]
    fn every_tree_reaches_everybody_and_all_carry_alike() {
        for count in 1..40_usize {
            let order: Vec<usize> = (0..count).rev().collect();
            let (home, others) = (order[0], count - 1);
            let mut fed = vec![0_usize; count];
            for slice in 0..u32::try_from(others.max(1)).unwrap() {
                for me in 0..count {
                    let chain = above(&order, me, slice);
                    assert_eq!(chain.last().copied(), Some(home).filter(|home| *home != me), "{count} {me}");
                    assert!(!chain.contains(&me) && chain.len() <= 5);
                    if let Some(parent) = chain.first() {
                        fed[*parent] += 1;
                    }
                }
            }
            assert_eq!(fed[home], others, "the home sends each slice once");
            let carried = fed.iter().enumerate().filter(|(relay, _)| *relay != home);
            assert!(carried.into_iter().all(|(_, fed)| *fed == others - 1), "{count}: {fed:?}");
        }
    }

    #[test]
    fn holders_come_first() {
        assert_eq!(outlook(&[0, 1, 2], 0, &[2]).next(0), Some(Step::Holder(2)));
    }

    #[test]
    fn a_relay_alone_fills_from_the_origin() {
        assert_eq!(outlook(&[0], 0, &[]).next(9), Some(Step::Origin));
    }

    #[test]
    fn patience_follows_the_median() {
        assert_eq!(patience(None), PATIENCE_AT_FIRST);
        assert_eq!(patience(Some(Duration::from_millis(100))), PATIENCE_MIN);
        assert_eq!(patience(Some(Duration::from_secs(40))), Duration::from_secs(120));
    }

    #[test]
    fn the_better_of_two_goes_first_and_nobody_is_lost() {
        let fast = Service { rate: Some(100.0), in_flight: 0 };
        let slow = Service { rate: Some(10.0), in_flight: 0 };
        for draw in 0..20 {
            let order = better_first(&[4, 9], |relay| if relay == 9 { fast } else { slow }, draw);
            assert_eq!(order, [9, 4]);
        }
        let busy = Service { rate: Some(100.0), in_flight: 19 };
        assert_eq!(better_first(&[4, 9], |relay| if relay == 9 { busy } else { slow }, 0), [4, 9]);
        let mut firsts = std::collections::BTreeSet::new();
        for draw in 0..64_u64 {
            let order = better_first(&[1, 2, 3, 4], |_| Service::default(), draw | (draw << 32));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [1, 2, 3, 4]);
            firsts.insert(order[0]);
        }
        assert_eq!(firsts.len(), 4);
        assert!(better_first(&[], |_| Service::default(), 5).is_empty());
    }

    #[test]
    fn a_failure_halves_the_promise() {
        let mut service = Service::default();
        service.transferred(1000, Duration::from_secs(1));
        service.failed();
        assert_eq!(service.rate, Some(500.0));
    }
}
