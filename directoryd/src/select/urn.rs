//! Relays with weights, drawn one after the other in an order of each client's own.
//!
//! Every relay has a seat of a table eight times as large as there are relays, at a place that only its key decides. A
//! client's secret number yields an endless row of seats; a relay that sits on one is taken with a chance of its weight
//! over the largest (consistent weighted sampling by rejection, Shrivastava 2016). So shares follow weights exactly, a
//! relay that comes, goes or changes moves hardly more clients than its own, and a draw costs the same however many relays
//! there are. Of several urns whose relays stand beside each other, each is drawn from as often as its seats weigh.

/// So many seats of a client's row are looked at; whoever sits on none of them is too light to matter.
const LOOKS_MAX: u32 = 1 << 14;
/// The same, for each seat that there is: of a few relays all have come long before.
const LOOKS_EACH: u32 = 64;

/// So many seats for each relay: few find theirs taken, and so few move when somebody goes.
const SEATS_EACH: usize = 8;

/// A relay on its seat.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Which relay, in the numbering of whoever filled the urn.
    relay: u32,
    /// Taken if a random number is not above it; 0 on an empty seat.
    chance: u32,
    weight: u64,
}

/// How much of what relays could take of the clients nearest to them they are to be sent, in any unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// What they are to be sent.
    pub(super) kept: u64,
    /// What they could take.
    pub(super) full: u64,
}

impl Kept {
    /// Of several relays together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self { kept: self.kept.saturating_add(other.kept), full: self.full.saturating_add(other.full) }
    }

    /// Whether a client stays with them, of whom a random number is this.
    pub(super) fn keeps(self, bits: u64) -> bool {
        self.kept >= self.full || u128::from(bits) * u128::from(self.full) < u128::from(self.kept) << 64
    }
}

const EMPTY: Seat = Seat { relay: u32::MAX, chance: 0, weight: 0 };

/// A relay to be seated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ball {
    /// Which relay.
    pub(super) relay: u32,
    /// Its place: uniform, its own, and nobody else's to choose.
    pub(super) place: u64,
    /// Its share beside the others', at least 1.
    pub(super) weight: u64,
    /// How many of the clients nearest to it it keeps.
    pub(super) kept: Kept,
}

/// A table of relays.
#[derive(Clone, Debug, Default)]
pub(super) struct Urn {
    seats: Vec<Seat>,
    /// Of all of them.
    pub(super) kept: Kept,
    /// A power of two that no weight exceeds: it changes seldom, and with it every chance.
    top: u64,
}

impl Urn {
    /// Nobody.
    pub(super) const EMPTY: Self = Self { seats: Vec::new(), kept: Kept { kept: 0, full: 0 }, top: 0 };

    /// Everybody in it, once.
    pub(super) fn seated(&self) -> impl Iterator<Item = Drawn> {
        let taken = self.seats.iter().filter(|seat| seat.chance > 0);
        taken.map(|seat| Drawn { relay: seat.relay, weight: seat.weight })
    }

    /// Seats the relays, in the order of their places: whoever finds a seat taken sits on the next.
    pub(super) fn of(mut balls: Vec<Ball>) -> Self {
        if balls.is_empty() {
            return Self::EMPTY;
        }
        balls.sort_unstable_by_key(|ball| (ball.place, ball.relay));
        let heaviest = balls.iter().map(|ball| ball.weight).max().unwrap_or(1);
        let top = heaviest.max(1).checked_next_power_of_two().unwrap_or(u64::MAX);
        let kept = balls.iter().fold(Kept::default(), |sum, ball| sum.and(ball.kept));
        let mut seats = vec![EMPTY; (balls.len() * SEATS_EACH).next_power_of_two()];
        for ball in balls {
            let mut at = position(ball.place, seats.len());
            while seats.get(at).is_some_and(|seat| seat.chance > 0) {
                at = (at + 1) % seats.len();
            }
            if let Some(seat) = seats.get_mut(at) {
                *seat = Seat { relay: ball.relay, chance: chance(ball.weight, top), weight: ball.weight };
            }
        }
        Self { seats, kept, top }
    }

    /// How often a seat of it comes up, beside one of another urn's: between two lies so much time.
    #[expect(clippy::cast_precision_loss, reason = "only compared, and the same everywhere")]
    fn pace(&self) -> f64 {
        if self.seats.is_empty() { f64::INFINITY } else { 1.0 / (self.seats.len() as f64 * self.top as f64) }
    }
}

/// A weight as a part of the largest, in units of 2^-32.
fn chance(weight: u64, top: u64) -> u32 {
    let part = (u128::from(weight) << 32) / u128::from(top.max(1));
    u32::try_from(part).unwrap_or(u32::MAX).max(1)
}

/// The seat for 64 random bits: their upper ones decide, so that half of the clients stay where they are when a table doubles.
fn position(bits: u64, seats: usize) -> usize {
    let scaled = (u128::from(bits) * seats as u128) >> 64;
    usize::try_from(scaled).unwrap_or(0)
}

/// A relay that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Which.
    pub(super) relay: u32,
    /// Its share beside the others'.
    pub(super) weight: u64,
}

/// A client's row of relays out of some urns: each comes again and again, and its first time is what counts.
pub(super) struct Row<'a, const N: usize> {
    urns: [&'a Urn; N],
    /// Between two looks at each.
    paces: [f64; N],
    looks: [u32; N],
    /// When the next look at each is due: at random within its turn, or the urn of the heaviest would always come first.
    due: [f64; N],
    looks_max: u32,
    key: u64,
}

impl<'a, const N: usize> Row<'a, N> {
    /// The row of the client whose secret number this is.
    pub(super) fn of(urns: [&'a Urn; N], key: u64) -> Self {
        let seats = urns.iter().map(|urn| u32::try_from(urn.seats.len()).unwrap_or(u32::MAX));
        let looks_max = seats.fold(0, u32::saturating_add).saturating_mul(LOOKS_EACH).min(LOOKS_MAX);
        let paces = urns.map(Urn::pace);
        let mut row = Self { paces, urns, looks: [0; N], due: [0.0; N], looks_max, key };
        (0..N).for_each(|at| row.wait(at));
        row
    }

    /// The random number of the next look at an urn.
    fn bits(&self, at: usize) -> u64 {
        let looks = self.looks.get(at).copied().unwrap_or(0);
        mixed(self.key ^ ((at as u64) << 32 | u64::from(looks)))
    }

    /// Sets when the next look at an urn is due.
    #[expect(clippy::cast_precision_loss, reason = "32 bits of randomness are plenty")]
    fn wait(&mut self, at: usize) {
        let within = (mixed(!self.bits(at)) >> 32) as f64 / (1u64 << 32) as f64;
        if let (Some(due), Some(looks), Some(pace)) =
            (self.due.get_mut(at), self.looks.get(at), self.paces.get(at))
        {
            *due = (f64::from(*looks) + within) * pace;
        }
    }
}

impl<const N: usize> Iterator for Row<'_, N> {
    type Item = Drawn;

    fn next(&mut self) -> Option<Drawn> {
        loop {
            let (at, due) =
                self.due.iter().enumerate().min_by(|(_, one), (_, other)| one.total_cmp(other))?;
            if !due.is_finite() || self.looks.iter().sum::<u32>() >= self.looks_max {
                return None;
            }
            let (urn, bits) = (*self.urns.get(at)?, self.bits(at));
            *self.looks.get_mut(at)? += 1;
            self.wait(at);
            let seat = urn.seats.get(position(bits, urn.seats.len()))?;
            // The seat is chosen by the upper bits; what is mixed once more is independent of them.
            if (mixed(bits) >> 32) < u64::from(seat.chance) {
                return Some(Drawn { relay: seat.relay, weight: seat.weight });
            }
        }
    }
}

/// Steele, Lea and Flood's `SplitMix64`: every bit of the result depends on every bit of the number.
pub(super) const fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn balls(weights: &[u64]) -> Vec<Ball> {
        let ball = |(relay, weight): (u32, &u64)| Ball {
            relay,
            place: mixed(u64::from(relay)),
            weight: *weight,
            kept: Kept::default(),
        };
        (0..).zip(weights).map(ball).collect()
    }

    fn first(urn: &Urn, client: u64) -> Option<u32> {
        Row::of([urn], mixed(client)).next().map(|drawn| drawn.relay)
    }

    fn shares(urns: [&Urn; 2], relays: usize) -> Vec<u32> {
        let mut counts = vec![0; relays];
        for client in 0..40_000 {
            let drawn = Row::of(urns, mixed(client)).next().unwrap();
            counts[drawn.relay as usize] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_weights_within_an_urn_and_across_two() {
        let all = balls(&[100, 200, 300, 400, 1000]);
        let one = shares([&Urn::of(all.clone()), &Urn::default()], 5);
        let two = shares([&Urn::of(all[..2].to_vec()), &Urn::of(all[2..].to_vec())], 5);
        for (counts, what) in [(one, "one"), (two, "two")] {
            for (count, weight) in counts.iter().zip([100, 200, 300, 400, 1000]) {
                assert!(count.abs_diff(20 * weight) < 300 + weight, "{what}: {counts:?}");
            }
        }
    }

    #[test]
    fn of_many_relays_all_are_drawn_and_a_draw_looks_at_few_seats() {
        for relays in [10, 1000, 10_000] {
            let urn = Urn::of(balls(&vec![7; relays]));
            let mut looks = 0;
            for client in 0..1000 {
                let mut row = Row::of([&urn], mixed(client));
                row.next().unwrap();
                looks += row.looks[0];
            }
            assert!(looks < 24_000, "{looks} of {relays} for 1000 clients");
        }
        let urn = Urn::of(balls(&[5; 40]));
        let met: std::collections::BTreeSet<u32> = Row::of([&urn], 1).map(|drawn| drawn.relay).collect();
        assert_eq!(met.len(), 40);
    }

    #[test]
    fn when_the_table_doubles_about_half_of_the_clients_stay() {
        let (small, large) = (Urn::of(balls(&[3; 32])), Urn::of(balls(&[3; 33])));
        assert_eq!((small.seats.len(), large.seats.len()), (256, 512));
        let stay = (0..4000).filter(|client| first(&small, *client) == first(&large, *client)).count();
        assert!(stay > 1600, "{stay} of 4000");
    }

    /// How many relays sit elsewhere than before.
    fn seats_moved(before: &Urn, after: &Urn) -> usize {
        let pairs = before.seats.iter().zip(&after.seats);
        pairs.filter(|(was, is)| is.chance > 0 && was.relay != is.relay).count()
    }

    #[test]
    fn hardly_anybody_sits_elsewhere_when_one_goes() {
        let all = balls(&[9; 500]);
        let before = Urn::of(all.clone());
        let moved: usize = (0..500)
            .map(|gone| {
                let mut rest = all.clone();
                rest.remove(gone);
                let after = Urn::of(rest);
                assert_eq!(before.seats.len(), after.seats.len());
                seats_moved(&before, &after)
            })
            .sum();
        assert!(moved < 75, "{moved} for 500 that went");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Nobody moves whose relay stays, unless some relay sits elsewhere than before.
        #[test]
        fn who_goes_moves_only_its_own(
            weights in prop::collection::vec(1u64..1000, 17..32),
            gone in 0usize..17,
        ) {
            let all = balls(&weights);
            let mut rest = all.clone();
            let lost = rest.remove(gone).relay;
            let (before, after) = (Urn::of(all), Urn::of(rest));
            prop_assume!(before.seats.len() == after.seats.len() && before.top == after.top);
            let moved = seats_moved(&before, &after);
            for client in 0..500 {
                let was = first(&before, client);
                prop_assert!(was == Some(lost) || was == first(&after, client) || moved > 0);
            }
        }

        #[test]
        fn nothing_that_is_weighed_makes_it_fail(
            weights in prop::collection::vec(any::<u64>(), 0..40),
            key in any::<u64>(),
        ) {
            let urn = Urn::of(balls(&weights));
            let drawn = Row::of([&urn, const { &Urn::EMPTY }], key).take(100);
            prop_assert!(drawn.map(|drawn| drawn.relay as usize).all(|relay| relay < weights.len()));
        }
    }
}
