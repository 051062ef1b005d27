//! Where a missing stripe comes from, and when: peers first, the origin last (docs/relay.md).
//!
//! Pure. For every stripe all relays compute the same ranking of relays by weighted rendezvous hashing; the first is the
//! stripe's *home* and asks the origin, the others ask the home. So a network that fills at once pulls about one copy
//! from the origin, and nobody has to agree on anything but the list of relays. If relays see different lists, a
//! stripe merely has two homes for a while.

use std::cmp::Ordering;
use std::time::Duration;

use odi_manifest::BlobId;

/// What one rendezvous decision covers: 32 chunks.
pub const STRIPE_BYTES: u64 = 8 << 20;
/// The first so many relays of a ranking may ask the origin.
pub const ORIGIN_RANKS: usize = 3;
/// The least time that a higher rank is given before the next one is tried.
pub const PATIENCE_MIN: Duration = Duration::from_secs(2);
/// How many holders are tried before the homes are.
pub const HOLDERS_TRIED_MAX: usize = 4;

/// A relay as the ranking sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its Ed25519 public key: who it is, whatever its URLs.
    pub key: [u8; 32],
    /// Its announced rate in bytes per second. Only the power of two counts, so that relays which heard slightly
    /// different announcements still agree.
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

    /// The place of one relay, 0 for the home.
    #[must_use]
    pub fn rank(&self, relay: usize) -> Option<usize> {
        self.0.iter().position(|ranked| *ranked == relay)
    }
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
    let weight = f64::from(relay.rate.max(1).ilog2() + 1);
    -uniform.ln() / weight.exp2()
}

/// How long the next rank waits for the one before it: three median stripe times, and never under [`PATIENCE_MIN`].
#[must_use]
pub fn patience(median_stripe: Option<Duration>) -> Duration {
    median_stripe.map_or(PATIENCE_MIN, |median| PATIENCE_MIN.max(median.saturating_mul(3)))
}

/// One attempt of a [`plan`]. Attempts are made in order; one whose forerunner failed only because it was busy or slow
/// waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whom to ask.
    pub source: Source,
    /// Counted from the start of the fill.
    pub not_before: Duration,
}

/// Whom an [`Attempt`] asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A relay that announced the blob: an index into the ranked relays.
    Holder(usize),
    /// A relay that is responsible for the stripe and fetches it from the origin if it must.
    Home(usize),
    /// The maintainers' web server.
    Origin,
}

/// The attempts for one stripe, in order. `me` is this relay's place in the ranked list; `holders` are the relays that
/// announced the blob, best first ([`better_first`]).
///
/// Homes are asked in rank order, and a relay asks only relays of a lower rank than its own, so that requests cannot
/// travel in circles while relays know the same list; where they do not, a time limit breaks the circle.
#[must_use]
pub fn plan(ranking: &Ranking, me: usize, holders: &[usize], patience: Duration) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = holders
        .iter()
        .filter(|holder| **holder != me)
        .take(HOLDERS_TRIED_MAX)
        .map(|holder| Attempt { source: Source::Holder(*holder), not_before: Duration::ZERO })
        .collect();
    let tried = attempts.len();
    for (rank, relay) in ranking.order().iter().take(ORIGIN_RANKS).enumerate() {
        let not_before = patience.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX));
        if *relay == me {
            attempts.push(Attempt { source: Source::Origin, not_before });
            return attempts;
        }
        let already_tried = attempts.iter().take(tried).any(|a| a.source == Source::Holder(*relay));
        if !already_tried {
            attempts.push(Attempt { source: Source::Home(*relay), not_before });
        }
    }
    attempts
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
    fn the_home_goes_to_the_origin_and_the_rest_to_the_home() {
        let relays = relays(5, 1000);
        let ranking = Ranking::of(&blob(7), 0, &relays);
        let order = ranking.order().to_vec();
        let patience = Duration::from_secs(2);

        let home = plan(&ranking, order[0], &[], patience);
        assert_eq!(home, [Attempt { source: Source::Origin, not_before: Duration::ZERO }]);

        let third = plan(&ranking, order[2], &[], patience);
        assert_eq!(third.len(), 3);
        assert_eq!(third[0], Attempt { source: Source::Home(order[0]), not_before: Duration::ZERO });
        assert_eq!(third[1], Attempt { source: Source::Home(order[1]), not_before: patience });
        assert_eq!(third[2], Attempt { source: Source::Origin, not_before: patience * 2 });

        let last = plan(&ranking, order[4], &[], patience);
        assert_eq!(last.len(), 3);
        assert!(last.iter().all(|attempt| attempt.source != Source::Origin));
    }

    #[test]
    fn holders_come_first_and_are_not_asked_twice() {
        let relays = relays(4, 1000);
        let ranking = Ranking::of(&blob(7), 0, &relays);
        let order = ranking.order().to_vec();
        let attempts = plan(&ranking, order[1], &[order[0], order[1]], PATIENCE_MIN);
        assert_eq!(
            attempts,
            [
                Attempt { source: Source::Holder(order[0]), not_before: Duration::ZERO },
                Attempt { source: Source::Origin, not_before: PATIENCE_MIN },
            ]
        );
    }

    #[test]
    fn a_relay_alone_fills_from_the_origin() {
        let ranking = Ranking::of(&blob(7), 0, &relays(1, 0));
        let attempts = plan(&ranking, 0, &[], PATIENCE_MIN);
        assert_eq!(attempts, [Attempt { source: Source::Origin, not_before: Duration::ZERO }]);
    }

    #[test]
    fn patience_follows_the_median() {
        assert_eq!(patience(None), PATIENCE_MIN);
        assert_eq!(patience(Some(Duration::from_millis(100))), PATIENCE_MIN);
        assert_eq!(patience(Some(Duration::from_secs(4))), Duration::from_secs(12));
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
